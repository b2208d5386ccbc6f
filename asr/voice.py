"""Voice activity at the caller's threshold, in the frames of 10 ms that walks count in. Pure; knows no model.

Two levels, so that nothing said is lost: what reaches the threshold is speech; what stays below it but above
FAINT_VOICE is decoded too, and kept only when the text is convincing (``asr.quality``).
"""

import math
from bisect import bisect_right

from asr.features import FRAMES_PER_SECOND
from asr.quality import FAINT_VOICE, VoiceEvidence
from asr.voice_activity import SpeechStretch, VoiceActivity

__all__ = ["Voice"]

LEAD_S = 0.3  # a walk that skips silence begins this much before the voice
NEIGHBOUR_S = 0.25  # predicted times are that rough: evidence for a segment is looked for that far beyond it


class Voice:
    """Answers of one recording's voice activity at one threshold."""

    def __init__(self, activity: VoiceActivity, *, threshold: float) -> None:
        self.activity = activity
        self.threshold = threshold
        self.speech = activity.speech(threshold, min_silence_s=0.2)
        """Stretches of speech."""
        faint = activity.speech(min(FAINT_VOICE, threshold), min_silence_s=0.2)
        self.possible = _united(self.speech, faint)
        """Stretches of speech, and the faint voices that are apart from it."""
        self._possible_starts = [each.start for each in self.possible]

    def next_voice(self, begin: int, end: int) -> int:
        """The frame from which on to decode: ``begin`` itself where there is a voice in the window, else ``end``."""
        start = begin / FRAMES_PER_SECOND
        place = bisect_right(self._possible_starts, start)
        if place and self.possible[place - 1].end > start:
            return begin
        if place == len(self.possible):
            return end
        following = self.possible[place].start
        if following - start <= 30.0:
            return begin if following < end / FRAMES_PER_SECOND else end
        return min(max(begin, math.floor((following - LEAD_S) * FRAMES_PER_SECOND)), end)

    def speech_s(self, begin: int, n_frames: int) -> float:
        """Seconds of speech in a window."""
        start = begin / FRAMES_PER_SECOND
        return self.activity.speech_s_between(start, start + n_frames / FRAMES_PER_SECOND, self.threshold)

    def evidence(self, start: float, end: float) -> VoiceEvidence:
        """What speaks for a voice near ``start`` to ``end`` seconds."""
        start, end = start - NEIGHBOUR_S, end + NEIGHBOUR_S
        return VoiceEvidence(
            max_probability=self.activity.max_between(start, end),
            speech_s=self.activity.speech_s_between(start, end, self.threshold),
        )

    def speech_between(self, start: float, end: float) -> list[tuple[float, float]]:
        """Stretches of speech that touch ``start`` to ``end``, as pairs of seconds."""
        return [(each.start, each.end) for each in self.speech if each.start < end and each.end > start]

    def uncovered(self, covered: list[tuple[float, float]], begin: float, end: float) -> list[SpeechStretch]:
        """Speech between ``begin`` and ``end`` that none of the sorted ``covered`` stretches touches."""
        left = []
        for stretch in self.speech:
            start, stop = max(stretch.start, begin), min(stretch.end, end)
            for low, high in covered:
                if high <= start or low >= stop:
                    continue
                if low > start:
                    left.append(SpeechStretch(start, low))
                start = max(start, high)
            if start < stop:
                left.append(SpeechStretch(start, stop))
        return left


def _united(certain: tuple[SpeechStretch, ...], faint: tuple[SpeechStretch, ...]) -> tuple[SpeechStretch, ...]:
    apart = [each for each in faint if not any(other.start < each.end and each.start < other.end for other in certain)]
    return tuple(sorted((*certain, *apart), key=lambda each: each.start))
