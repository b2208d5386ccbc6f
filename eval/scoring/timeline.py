"""Languages over time. In: ``StoredRun`` clips of joined recordings. Out: ``LanguageTimeline``, or None.

The truth are the parts of the recording, each in one language from its start to its end; what lies between them is no
speech, and counts nothing. Time that the target gives no language is "none", and wrong. Knows no text.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise

from asr.transcript import LanguageSpan
from eval.corpora import Part
from eval.corpora.types import canonical_language
from eval.hypotheses import Hypothesis, Reference
from eval.scoring.evidence import LabelledSpan, LanguageTimeline, RecordingTimeline

__all__ = ["UNLABELLED", "language_timeline", "recording_timeline"]

UNLABELLED = "none"

Confusion = dict[str, dict[str, float]]


def language_timeline(clips: Iterable[tuple[str, Reference, Hypothesis]]) -> LanguageTimeline | None:
    """Over recordings with parts of known languages; None where the run says nothing of languages over time."""
    joined = [
        (clip_id, reference, hypothesis)
        for clip_id, reference, hypothesis in clips
        if any(part.language for part in reference.parts)
    ]
    if not any(hypothesis.languages for *_, hypothesis in joined):
        return None
    recordings = tuple(
        recording_timeline(clip_id, reference.parts, hypothesis.languages) for clip_id, reference, hypothesis in joined
    )
    confusion: Confusion = {}
    for recording in recordings:
        _add(confusion, recording.confusion)
    return LanguageTimeline(
        seconds=sum(each.seconds for each in recordings),
        seconds_right=sum(each.seconds_right for each in recordings),
        n_parts=sum(each.n_parts for each in recordings),
        n_parts_right=sum(each.n_parts_right for each in recordings),
        n_switches=sum(each.n_switches for each in recordings),
        n_switches_found=sum(each.n_switches_found for each in recordings),
        confusion=_sorted(confusion),
        clips=recordings,
    )


def recording_timeline(clip_id: str, parts: Sequence[Part], spans: Sequence[LanguageSpan]) -> RecordingTimeline:
    """Hold the spans of one recording against its parts; parts without a known language are left out."""
    truth = [(part, part.language) for part in parts if part.language is not None]
    found = tuple(_apart(spans))
    confusion: Confusion = {}
    n_right = 0
    for part, language in truth:
        seconds = _seconds(part, found)
        _add(confusion, {language: seconds})
        labelled = {name: length for name, length in seconds.items() if name != UNLABELLED}
        n_right += bool(labelled) and max(labelled, key=lambda name: labelled[name]) == language
    return RecordingTimeline(
        id=clip_id,
        truth=tuple(LabelledSpan(start=part.start, end=part.end, language=language) for part, language in truth),
        found=found,
        seconds=sum(part.end - part.start for part, _ in truth),
        seconds_right=sum(row.get(language, 0.0) for language, row in confusion.items()),
        n_parts=len(truth),
        n_parts_right=n_right,
        n_switches=_n_switches([language for _, language in truth]),
        n_switches_found=_n_switches([span.language for span in found]),
        confusion=_sorted(confusion),
    )


def _apart(spans: Sequence[LanguageSpan]) -> Iterator[LabelledSpan]:
    # Where two overlap, the earlier one has the time: a second of speech counts once.
    reached = 0.0
    for span in sorted(spans, key=lambda span: (span.start, span.end)):
        if span.end > max(span.start, reached):
            language = canonical_language(span.language) or UNLABELLED
            yield LabelledSpan(start=max(span.start, reached), end=span.end, language=language)
            reached = span.end


def _seconds(part: Part, found: Iterable[LabelledSpan]) -> dict[str, float]:
    seconds: dict[str, float] = {}
    for span in found:
        overlap = min(part.end, span.end) - max(part.start, span.start)
        if overlap > 0:
            seconds[span.language] = seconds.get(span.language, 0.0) + overlap
    unlabelled = part.end - part.start - sum(seconds.values())
    if unlabelled > 1e-6:
        seconds[UNLABELLED] = seconds.get(UNLABELLED, 0.0) + unlabelled
    return seconds


def _n_switches(languages: Sequence[str]) -> int:
    return sum(before != after for before, after in pairwise(languages))


def _add(confusion: Confusion, more: Mapping[str, Mapping[str, float]]) -> None:
    for spoken, row in more.items():
        into = confusion.setdefault(spoken, {})
        for named, seconds in row.items():
            into[named] = into.get(named, 0.0) + seconds


def _sorted(confusion: Confusion) -> dict[str, dict[str, float]]:
    return {spoken: dict(sorted(confusion[spoken].items())) for spoken in sorted(confusion)}
