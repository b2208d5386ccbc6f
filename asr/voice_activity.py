"""Where somebody speaks. In: the probability of speech of every 32 ms. Out: stretches of speech, evidence, pauses.

All times are seconds from the recording's start. Knows no model and no torch: ``asr.vad`` computes the probabilities.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["FRAME_S", "SpeechDetection", "SpeechStretch", "VoiceActivity"]

FRAME_S = 0.032
HYSTERESIS = 0.15  # speech that has begun goes on until its probability is this far below the threshold, or half of it
PAUSE_PROBABILITY = 0.35  # frames below it belong to a pause


@dataclass(frozen=True, slots=True)
class SpeechStretch:
    """From the first to the last moment of uninterrupted speech."""

    start: float
    end: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeechDetection:
    """Where in a recording somebody speaks."""

    duration: float
    """Of the recording, seconds."""
    speech: tuple[SpeechStretch, ...]
    """In order and disjoint."""

    @property
    def speech_s(self) -> float:
        """Seconds of speech."""
        return sum(stretch.end - stretch.start for stretch in self.speech)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class VoiceActivity:
    """The probability of speech along one recording."""

    probabilities: NDArray[np.float32]
    """Shape (n_frames,), 0 to 1; frame i covers FRAME_S from ``i * FRAME_S``."""
    duration: float
    """Of the recording, seconds; the last frame may reach beyond it."""

    def speech(
        self, threshold: float = 0.5, *, min_speech_s: float = 0.1, min_silence_s: float = 0.1, pad_s: float = 0.0
    ) -> tuple[SpeechStretch, ...]:
        """Stretches of speech, in order and disjoint.

        A stretch begins where the probability reaches ``threshold`` and ends where it falls HYSTERESIS below it.
        Pauses shorter than ``min_silence_s`` are bridged, then stretches shorter than ``min_speech_s`` dropped; the
        others grow by ``pad_s`` on both sides, inside the recording, and become one where they then meet.
        """
        runs = _runs(self._is_speech(threshold))
        runs = _bridge(runs, min_silence_s)
        runs = runs[runs[:, 1] - runs[:, 0] >= min_speech_s]
        runs = np.clip(runs + np.array([-pad_s, pad_s]), 0.0, self.duration)
        return tuple(SpeechStretch(float(start), float(end)) for start, end in _bridge(runs, 0.0) if start < end)

    def max_between(self, start: float, end: float) -> float:
        """The highest probability of any frame that touches start … end; 0 where the recording has none."""
        probabilities, _ = self._between(start, end)
        return float(probabilities.max(initial=0.0))

    def mean_between(self, start: float, end: float) -> float:
        """The mean probability over start … end; 0 where the recording has no frame."""
        probabilities, overlaps_s = self._between(start, end)
        return float(np.average(probabilities, weights=overlaps_s)) if len(probabilities) else 0.0

    def speech_s_between(self, start: float, end: float, threshold: float = 0.5) -> float:
        """Seconds of start … end in frames whose probability reaches the threshold."""
        probabilities, overlaps_s = self._between(start, end)
        return float(overlaps_s[probabilities >= threshold].sum())

    def quietest(self, start: float, end: float) -> float:
        """The best time in start … end to cut at: the middle of the pause that is longest and deepest.

        Where nobody pauses, the middle of the least probable frame; where the recording has no frame, the middle.
        """
        probabilities, overlaps_s = self._between(start, end)
        if not len(probabilities):
            return (start + end) / 2
        ends = max(start, 0.0) + np.cumsum(overlaps_s)
        starts = ends - overlaps_s
        first = last = int(probabilities.argmin())
        if probabilities[first] < PAUSE_PROBABILITY:
            silence_s = np.concatenate([[0.0], np.cumsum((PAUSE_PROBABILITY - probabilities) * overlaps_s)])
            pauses = _frame_runs(probabilities < PAUSE_PROBABILITY)
            best = int(np.argmax(silence_s[pauses[:, 1]] - silence_s[pauses[:, 0]]))
            first, last = int(pauses[best, 0]), int(pauses[best, 1]) - 1
        return float(min(max((starts[first] + ends[last]) / 2, start), end))

    def _is_speech(self, threshold: float) -> NDArray[np.bool_]:
        """Per frame, with hysteresis: each frame follows the last one that was clearly speech or clearly none."""
        begins = self.probabilities >= threshold
        ends = self.probabilities < max(threshold - HYSTERESIS, threshold / 2)
        clear = np.where(begins | ends, np.arange(len(begins)), -1)
        last_clear = np.maximum.accumulate(clear)
        is_speech: NDArray[np.bool_] = (last_clear >= 0) & begins[np.maximum(last_clear, 0)]
        return is_speech

    def _between(self, start: float, end: float) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
        """The frames that touch start … end, and how many seconds of each lie in it."""
        start, end = max(start, 0.0), min(end, self.duration)
        first, last = int(start / FRAME_S), int(np.ceil(end / FRAME_S))
        probabilities = self.probabilities[first : max(first, last)]
        starts = (first + np.arange(len(probabilities))) * FRAME_S
        overlaps_s = np.minimum(starts + FRAME_S, end) - np.maximum(starts, start)
        touching = overlaps_s > 0
        return probabilities[touching], overlaps_s[touching]


def _frame_runs(mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    """(n_runs, 2): first frame and the one after the last of every run of True."""
    edges = np.flatnonzero(np.diff(mask, prepend=False, append=False))
    return edges.reshape(-1, 2)


def _runs(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(n_runs, 2): start and end in seconds of every run of True."""
    return _frame_runs(mask) * np.float64(FRAME_S)


def _bridge(runs: NDArray[np.float64], min_gap_s: float) -> NDArray[np.float64]:
    """The runs, joined where the gap between two is shorter than ``min_gap_s``, or none."""
    if not len(runs):
        return runs
    gaps_s = runs[1:, 0] - runs[:-1, 1]
    is_cut = (gaps_s > 0) & (gaps_s >= min_gap_s)
    return np.stack([runs[np.append(True, is_cut), 0], runs[np.append(is_cut, True), 1]], axis=1)
