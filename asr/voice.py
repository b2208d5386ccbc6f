"""Voice activity at the caller's threshold, in the frames of 10 ms that walks count in. Pure; knows no model.

Two levels, so that nothing said is lost: what reaches the threshold is speech; what stays below it but above
FAINT_VOICE is decoded too, and kept only when the text is convincing (``asr.quality``).
"""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence

from asr.features import FRAMES_PER_SECOND, WINDOW_S
from asr.quality import FAINT_VOICE, VoiceEvidence
from asr.voice_activity import SpeechStretch, VoiceActivity

__all__ = ["Voice"]

LEAD_S = 0.3  # a walk that skips silence begins this much before the voice
MIN_FAINT_S = 0.2
MIN_FAINT_NEIGHBOUR_S = 3.0  # a shorter faint voice beside a loud one is a pause, which windows hold anyway
MIN_LOST_S = 1.5  # of speech without text: less may be a word drawn out
LOST_MARGIN_S = 0.2  # around what was lost, so that no word is cut
LOST_PAUSE_S = 1.0  # a shorter pause does not end what was lost
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
        self._speech_starts = [each.start for each in self.speech]
        self._speech_ends = [each.end for each in self.speech]
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
        if following - start < WINDOW_S:
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
        first = bisect_right(self._speech_ends, start)
        last = bisect_left(self._speech_starts, end)
        return [(each.start, each.end) for each in self.speech[first:last]]

    def lost(self, covered: Sequence[tuple[float, float]], begin: float, end: float) -> list[SpeechStretch]:
        """Where between ``begin`` and ``end`` somebody speaks for MIN_LOST_S or more without text.

        ``covered``: where there is text, sorted by start.
        """
        found: list[list[tuple[float, float]]] = []
        for gap in _without((begin, end), covered):
            pieces = [(max(low, gap[0]), min(high, gap[1])) for low, high in self.speech_between(*gap)]
            for place, piece in enumerate(pieces):
                if place and piece[0] - pieces[place - 1][1] <= LOST_PAUSE_S:
                    found[-1].append(piece)
                else:
                    found.append([piece])
        return [
            SpeechStretch(max(pieces[0][0] - LOST_MARGIN_S, begin), min(pieces[-1][1] + LOST_MARGIN_S, end))
            for pieces in found
            if sum(high - low for low, high in pieces) >= MIN_LOST_S
        ]


def _united(certain: tuple[SpeechStretch, ...], faint: tuple[SpeechStretch, ...]) -> tuple[SpeechStretch, ...]:
    taken = [(each.start, each.end) for each in certain]
    starts, ends = [each.start for each in certain], [each.end for each in certain]
    apart = []
    for each in faint:
        touching = taken[bisect_right(ends, each.start) : bisect_left(starts, each.end)]
        least = MIN_FAINT_NEIGHBOUR_S if touching else MIN_FAINT_S
        left = _without((each.start, each.end), touching)
        apart += [SpeechStretch(start, end) for start, end in left if end - start >= least]
    return tuple(sorted((*certain, *apart), key=lambda each: each.start))


def _without(stretch: tuple[float, float], taken: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """What none of the ``taken`` stretches, sorted by start, leaves of one."""
    start, end = stretch
    left = []
    for low, high in taken:
        if high <= start or low >= end:
            continue
        if low > start:
            left.append((start, low))
        start = max(start, high)
    return [*left, (start, end)] if start < end else left
