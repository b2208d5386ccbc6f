"""Word times of one run against another's. In: two ``StoredRun``. Out: ``WordTimes``, or None where one has no words.

Words are matched by the alignment of their normalized texts, equal words in equal places only (``word_matching``); what
one run has and the other has not is no error of time, and is counted beside. A word that is matched to another
occurrence of itself is a large error, which medians and percentiles bear. Knows no output format.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from asr.transcript import Word
from eval.hypotheses import Hypothesis, StoredRun
from eval.normalizers import NormalizerName, normalizer_for, unit_for
from eval.scoring.clips import grouped, language_of
from eval.scoring.drift import drift
from eval.scoring.evidence import TimeErrors, WordTimeGroup, WordTimes
from eval.scoring.word_matching import NormalizedWords, match_words, normalize_words

__all__ = ["TOLERANCES_S", "WordDifference", "compare_word_times", "time_errors", "word_differences"]

TOLERANCES_S = (0.04, 0.1, 0.2)


@dataclass(frozen=True, slots=True, kw_only=True)
class WordDifference:
    """One word in both runs."""

    at: float
    """Its start in A."""
    start: float
    """B less A."""
    end: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _Clip:
    language: str
    a: NormalizedWords
    b: NormalizedWords
    differences: tuple[WordDifference, ...]


def compare_word_times(
    a: StoredRun, b: StoredRun, *, normalizer: NormalizerName = NormalizerName.WHISPER
) -> WordTimes | None:
    """Compare B's words with A's, on the clips for which both have words."""
    clips = [clip for clip_id in a.references if (clip := _clip(a, b, clip_id, normalizer)) is not None]
    if not clips:
        return None
    return WordTimes(
        overall=_group(clips),
        languages={name: _group(members) for name, members in grouped(clips, lambda clip: clip.language).items()},
        drift=drift([(word.at, word.start) for word in clip.differences] for clip in clips),
    )


def word_differences(
    a: Sequence[Word], b: Sequence[Word], matches: Iterable[tuple[int, int]]
) -> tuple[WordDifference, ...]:
    """Of words that are matched by number."""
    return tuple(
        WordDifference(at=a[in_a].start, start=b[in_b].start - a[in_a].start, end=b[in_b].end - a[in_a].end)
        for in_a, in_b in matches
    )


def time_errors(differences: Sequence[float]) -> TimeErrors | None:
    """Summarize signed differences; None where there are none."""
    if not differences:
        return None
    signed = np.asarray(differences, dtype=np.float64)
    apart = np.round(np.abs(signed), 6)  # times are multiples of 20 ms, and 0.04 is not to be a little more than 0.04
    percentiles = tuple(float(value) for value in np.percentile(apart, range(101)))
    return TimeErrors(
        median=percentiles[50],
        mean=float(apart.mean()),
        p95=percentiles[95],
        bias=float(np.median(signed)),
        within={tolerance: float((apart <= tolerance).mean()) for tolerance in TOLERANCES_S},
        percentiles=percentiles,
    )


def _clip(a: StoredRun, b: StoredRun, clip_id: str, name: NormalizerName) -> _Clip | None:
    words_a, words_b = (_words(run.hypotheses.get(clip_id)) for run in (a, b))
    if words_a is None or words_b is None:
        return None
    language = a.references[clip_id].language
    normalizer, unit = normalizer_for(name, language), unit_for(language)
    in_a, in_b = (
        normalize_words([word.word for word in words], normalizer=normalizer, language=language, unit=unit)
        for words in (words_a, words_b)
    )
    return _Clip(
        language=language_of(a.references[clip_id]),
        a=in_a,
        b=in_b,
        differences=word_differences(words_a, words_b, match_words(in_a, in_b)),
    )


def _words(hypothesis: Hypothesis | None) -> tuple[Word, ...] | None:
    return None if hypothesis is None or hypothesis.error is not None else hypothesis.words


def _group(clips: Sequence[_Clip]) -> WordTimeGroup:
    differences = [word for clip in clips for word in clip.differences]
    return WordTimeGroup(
        n_clips=len(clips),
        n_words_a=sum(clip.a.n_words for clip in clips),
        n_words_b=sum(clip.b.n_words for clip in clips),
        n_unclear_a=sum(clip.a.n_unclear for clip in clips),
        n_unclear_b=sum(clip.b.n_unclear for clip in clips),
        n_matched=len(differences),
        starts=time_errors([word.start for word in differences]),
        ends=time_errors([word.end for word in differences]),
    )
