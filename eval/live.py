"""How late live text comes, and how good it is. In: a service, a corpus. Out: delays and errors, by language.

Recordings are played into ``WS /stream`` in real time, several at once if asked, then posted to ``/transcribe``. The
delay of a word is the time at which it was first shown (in a partial or final event), or became final, less the time at
which its end had been sent. Words' ends are those of the final events.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from asr.audio import SAMPLE_RATE, load_audio
from asr.errors import AuricleError
from asr.options import TranscribeOptions
from asr.streaming.agreement import NEAR_S, normalized
from eval.corpora import Corpus, Utterance
from eval.errors import ClipError, EvaluationError
from eval.live_client import LiveEvent, Playback, play, stream_url
from eval.normalizers import NormalizerName, Unit, normalizer_for, unit_for
from eval.targets import Target
from eval.wer import ErrorCounts, count_character_errors, count_word_errors

__all__ = [
    "HEADINGS",
    "LiveClip",
    "LiveGroup",
    "LivePlan",
    "as_json",
    "as_markdown",
    "groups",
    "measure_live",
    "table_row",
    "word_delays",
]

ALL = "all"


@dataclass(frozen=True, slots=True, kw_only=True)
class LivePlan:
    """What is played into what."""

    url: str
    corpus: Corpus
    n_streams: int = 1
    """Recordings played at once."""
    tells_language: bool = True
    """Whether the service is told each clip's language."""
    silence_s: float = 2.0
    """Played after each recording: a microphone stays open."""
    fields: Mapping[str, str]
    """More of the stream's own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveClip:
    """One recording."""

    id: str
    language: str | None
    duration: float
    partial_s: tuple[float, ...]
    """Delay of each final word's first showing, in order."""
    final_s: tuple[float, ...]
    text: str
    offline_text: str
    errors: ErrorCounts
    """Of the live text, against the reference."""
    offline_errors: ErrorCounts
    differences: ErrorCounts
    """Of the live text, against the offline text."""
    failure: str | None = None
    """Why there is no text: a clip that failed has lost all of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveGroup:
    """Clips of one language, or all."""

    name: str
    n_clips: int
    n_failed: int
    duration: float
    n_words: int
    partial_s: tuple[float, float] | None
    """Median and 95th percentile; None without a word."""
    final_s: tuple[float, float] | None
    errors: ErrorCounts
    offline_errors: ErrorCounts
    differences: ErrorCounts


def measure_live(
    plan: LivePlan, offline: Target, *, on_clip: Callable[[Utterance], None] = lambda _: None
) -> list[LiveClip]:
    """Play every clip whose text is known. Raises TargetUnavailableError, and EvaluationError where there is none."""
    utterances = [utterance for utterance in plan.corpus.utterances if utterance.text is not None]
    if not utterances:
        raise EvaluationError("got no clip with a text, expected some to play; see --only")
    played = asyncio.run(_play_all(plan, utterances, on_clip))
    return [_judge(plan, each, played[each.id], offline) for each in utterances]


def word_delays(playback: Playback) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Seconds from a word's end to its first showing, and to its being final; one of each for every final word."""
    shown: dict[str, list[tuple[float, float]]] = {}  # its start, and when it came
    partial_s, final_s = [], []
    for event in playback.events:
        for word in _words(event, "partial"):
            shown.setdefault(normalized(word["word"]), []).append((word["start"], event.at))
        for word in _words(event, "final"):
            sent_at = playback.sent(word["end"])
            before = shown.get(normalized(word["word"]), ())
            first = next((at for start, at in before if abs(start - word["start"]) <= NEAR_S), event.at)
            partial_s.append(first - sent_at)
            final_s.append(event.at - sent_at)
    return tuple(partial_s), tuple(final_s)


def groups(clips: Sequence[LiveClip]) -> list[LiveGroup]:
    """One of each language, by name, then one of all."""
    languages = sorted({clip.language or "–" for clip in clips})
    by_language = [_group(name, [clip for clip in clips if (clip.language or "–") == name]) for name in languages]
    return [*by_language, _group(ALL, clips)] if len(by_language) > 1 else [_group(ALL, clips)]


def as_json(plan: LivePlan, target: Mapping[str, Any], clips: Sequence[LiveClip]) -> dict[str, Any]:
    """Everything, for programs."""
    return {
        "url": plan.url,
        "service": dict(target),
        "corpus": plan.corpus.name,
        "n_streams": plan.n_streams,
        "tells_language": plan.tells_language,
        "silence_s": plan.silence_s,
        "fields": dict(plan.fields),
        "groups": [asdict(group) for group in groups(clips)],
        "clips": [asdict(clip) for clip in clips],
    }


HEADINGS = (
    "", "clips", "minutes", "words", "first shown, s (median, p95)", "final, s (median, p95)", "live, %", "offline, %",
    "live against offline, %",
)  # fmt: skip


def as_markdown(clips: Sequence[LiveClip]) -> str:
    """The groups as a table."""
    lines = [f"| {' | '.join(HEADINGS)} |", f"|{'---|' * len(HEADINGS)}"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in map(table_row, groups(clips)))]) + "\n"


def table_row(group: LiveGroup) -> tuple[str, ...]:
    """A group under HEADINGS."""
    return (
        group.name,
        f"{group.n_clips}" + (f" ({group.n_failed} failed)" if group.n_failed else ""),
        f"{group.duration / 60:.1f}",
        str(group.n_words),
        _quantiles(group.partial_s),
        _quantiles(group.final_s),
        _percent(group.errors),
        _percent(group.offline_errors),
        _percent(group.differences),
    )


async def _play_all(
    plan: LivePlan, utterances: Sequence[Utterance], on_clip: Callable[[Utterance], None]
) -> dict[str, Playback | ClipError]:
    played: dict[str, Playback | ClipError] = {}
    waiting = iter(utterances)

    async def play_next() -> None:
        for utterance in waiting:  # shared by all: each takes the next
            try:
                played[utterance.id] = await _play(plan, utterance)
            except ClipError as error:
                played[utterance.id] = error
            on_clip(utterance)

    await asyncio.gather(*(play_next() for _ in range(plan.n_streams)))
    return played


async def _play(plan: LivePlan, utterance: Utterance) -> Playback:
    try:
        waveform = await asyncio.to_thread(load_audio, utterance.path)
    except (AuricleError, OSError) as error:
        raise ClipError("unreadable_file", f"{utterance.path.name}: {error}") from error
    samples = np.concatenate([waveform.samples, np.zeros(round(plan.silence_s * SAMPLE_RATE), np.float32)])
    fields = {**plan.fields, "timestamps": "word"}
    if plan.tells_language and utterance.language is not None:
        fields["language"] = utterance.language
    return await play(stream_url(plan.url, fields), samples)


def _judge(plan: LivePlan, utterance: Utterance, played: Playback | ClipError, offline: Target) -> LiveClip:
    language = utterance.language
    options = TranscribeOptions(language=language if plan.tells_language else None, seed=0)
    failure = None
    try:
        offline_text = offline.transcribe(utterance.path, options).text
    except ClipError as error:
        offline_text, failure = "", f"/transcribe: {error.message}"
    clip = LiveClip(
        id=utterance.id,
        language=language,
        duration=utterance.duration or 0.0,
        partial_s=(),
        final_s=(),
        text="",
        offline_text=offline_text,
        errors=_count(utterance.text or "", "", language),
        offline_errors=_count(utterance.text or "", offline_text, language),
        differences=_count(offline_text, "", language),
        failure=failure,
    )
    if isinstance(played, ClipError):
        return replace(clip, failure=f"/stream: {played.message}")
    partial_s, final_s = word_delays(played)
    text = str(played.done["text"])
    return replace(
        clip,
        duration=float(played.done["duration"]) - plan.silence_s,
        partial_s=partial_s,
        final_s=final_s,
        text=text,
        errors=_count(utterance.text or "", text, language),
        differences=_count(offline_text, text, language),
    )


def _words(event: LiveEvent, kind: str) -> Iterable[Mapping[str, Any]]:
    return event.body["words"] if event.body["type"] == kind else ()


def _count(reference: str, hypothesis: str, language: str | None) -> ErrorCounts:
    normalizer = normalizer_for(NormalizerName.WHISPER, language)
    count = count_character_errors if unit_for(language) is Unit.CHARACTER else count_word_errors
    return count(normalizer.normalize(reference, language), normalizer.normalize(hypothesis, language))


def _group(name: str, clips: Sequence[LiveClip]) -> LiveGroup:
    return LiveGroup(
        name=name,
        n_clips=len(clips),
        n_failed=sum(clip.failure is not None for clip in clips),
        duration=sum(clip.duration for clip in clips),
        n_words=sum(len(clip.final_s) for clip in clips),
        partial_s=_median_and_p95([delay for clip in clips for delay in clip.partial_s]),
        final_s=_median_and_p95([delay for clip in clips for delay in clip.final_s]),
        errors=sum((clip.errors for clip in clips), ErrorCounts()),
        offline_errors=sum((clip.offline_errors for clip in clips), ErrorCounts()),
        differences=sum((clip.differences for clip in clips), ErrorCounts()),
    )


def _median_and_p95(delays: Sequence[float]) -> tuple[float, float] | None:
    if not delays:
        return None
    median, p95 = np.percentile(delays, [50, 95])
    return float(median), float(p95)


def _quantiles(pair: tuple[float, float] | None) -> str:
    return "–" if pair is None else f"{pair[0]:.2f}, {pair[1]:.2f}"


def _percent(counts: ErrorCounts) -> str:
    return "–" if counts.rate is None else f"{100 * counts.rate:.1f} ({counts.n_errors} of {counts.n_ref})"
