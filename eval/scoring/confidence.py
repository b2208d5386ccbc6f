"""Probabilities of words against whether they are right. In: scored clips. Out: ``WordConfidence``, or None.

A word is right when the alignment with the reference finds it there, equal after normalization. Words that
normalization merges with others cannot be judged one by one, and are counted as unclear; so are words without a
probability. Where nobody speaks every word is wrong. Knows no output format.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from asr.transcript import Word
from eval.normalizers import NormalizerName, normalizer_for
from eval.scoring.clips import grouped, language_of
from eval.scoring.evidence import ConfidenceBin, WordConfidence, WordConfidenceGroup
from eval.scoring.types import ClipScore
from eval.scoring.word_matching import find_words, normalize_words, split_units

__all__ = ["N_BINS", "area_under_curve", "calibration_bins", "word_confidence"]

N_BINS = 10

Judged = Sequence[tuple[float, bool]]
"""Probability of a word, and whether it is right."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Clip:
    language: str
    judged: Judged
    n_unclear: int


def word_confidence(clips: Iterable[ClipScore], *, normalizer: NormalizerName) -> WordConfidence | None:
    """Judge the words of clips; None where no clip has a word to judge."""
    judged = [_judge(clip, clip.hypothesis.words, normalizer) for clip in clips if clip.hypothesis.words is not None]
    groups = {name: _group(members) for name, members in grouped(judged, lambda clip: clip.language).items()}
    overall = _group(judged)
    if overall is None:
        return None
    return WordConfidence(
        overall=overall,
        languages={name: group for name, group in groups.items() if group is not None},
        bins=calibration_bins([pair for clip in judged for pair in clip.judged]),
    )


def calibration_bins(judged: Judged) -> tuple[ConfidenceBin, ...]:
    """Ten bins of equal width."""
    members: list[list[tuple[float, bool]]] = [[] for _ in range(N_BINS)]
    for probability, right in judged:
        members[min(int(probability * N_BINS), N_BINS - 1)].append((probability, right))
    return tuple(
        ConfidenceBin(
            low=number / N_BINS,
            high=(number + 1) / N_BINS,
            n=len(pairs),
            n_correct=sum(right for _, right in pairs),
            probability=sum(probability for probability, _ in pairs) / len(pairs) if pairs else None,
        )
        for number, pairs in enumerate(members)
    )


def area_under_curve(probabilities: npt.NDArray[np.float64], right: npt.NDArray[np.bool_]) -> float | None:
    """Chance that a right word is above a wrong one, ties counted half (Mann and Whitney); None without both kinds."""
    n_right, n_wrong = int(right.sum()), int((~right).sum())
    if not n_right or not n_wrong:
        return None
    _, number, count = np.unique(probabilities, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(count) - (count - 1) / 2)[number]  # the mean rank of equal ones
    return float((ranks[right].sum() - n_right * (n_right + 1) / 2) / (n_right * n_wrong))


def _judge(clip: ClipScore, words: Sequence[Word], name: NormalizerName) -> _Clip:
    language = clip.reference.language
    written = normalize_words(
        [word.word for word in words], normalizer=normalizer_for(name, language), language=language, unit=clip.unit
    )
    found = find_words(written, split_units(clip.reference_text, clip.unit))
    judged = [
        (words[number].probability, number in found)
        for number in written.positions
        if not math.isnan(words[number].probability)
    ]
    return _Clip(language=language_of(clip.reference), judged=judged, n_unclear=written.n_words - len(judged))


def _group(clips: Sequence[_Clip]) -> WordConfidenceGroup | None:
    judged = [pair for clip in clips for pair in clip.judged]
    if not judged:
        return None
    probabilities = np.array([probability for probability, _ in judged])
    right = np.array([is_right for _, is_right in judged])
    bins = [each for each in calibration_bins(judged) if each.n]
    return WordConfidenceGroup(
        n_clips=len(clips),
        n_words=len(judged),
        n_unclear=sum(clip.n_unclear for clip in clips),
        n_correct=int(right.sum()),
        probability=float(probabilities.mean()),
        ece=sum(abs(each.n_correct - each.n * (each.probability or 0.0)) for each in bins) / len(judged),
        brier=float(np.square(probabilities - right).mean()),
        auc=area_under_curve(probabilities, right),
    )
