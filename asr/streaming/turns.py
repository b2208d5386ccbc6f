"""Who speaks when, as it happens. In: the probability of speech of each 32 ms. Out: turns, from pause to pause.

A pure state machine with three verbs: ``hear``, ``take`` and ``finish``. Its times are samples, so that they are exact
after days. Knows no audio, no text and no model; ``asr.voice_activity`` judges whole recordings.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from asr.assembling import SAMPLE_RATE
from asr.voice_activity import FRAME_S

__all__ = ["FRAME_SAMPLES", "PAD_S", "SpeechStarted", "SpeechStopped", "Turn", "TurnTracker"]

FRAME_SAMPLES = round(FRAME_S * SAMPLE_RATE)  # 512
PAD_S = 0.3  # heard on either side of a turn: the breath before a word and its fading end
PAD_SAMPLES = round(PAD_S * SAMPLE_RATE)
HYSTERESIS = 0.15  # speech that has begun goes on until its probability is this far below the threshold
MIN_OFF_THRESHOLD = 0.01
N_FRAMES_TO_START = 3  # about 0.1 s of speech; less is a click


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeechStarted:
    """Somebody began to speak."""

    time: float
    """Seconds from the stream's start; what is heard from a little before it is decoded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeechStopped:
    """Nobody has spoken since ``time`` for the longest pause that a turn may have, or the stream ended."""

    time: float


@dataclass(slots=True)
class Turn:
    """A stretch of speech without a long pause; the tracker moves its end while it is open. In samples."""

    start: int
    """Where decoding starts: before the onset."""
    onset: int
    """First sample of speech."""
    end: int
    """After the last speech so far."""
    audible_end: int | None = None
    """Where decoding ends for now; None: with the last sample that there is."""
    is_open: bool = True


class TurnTracker:
    """Follows one stream. Without voice activity, the whole stream is one turn."""

    def __init__(self, *, threshold: float, max_pause_s: float, uses_voice_activity: bool) -> None:
        self._on = threshold
        self._off = max(threshold - HYSTERESIS, MIN_OFF_THRESHOLD)
        self._max_pause_samples = round(max_pause_s * SAMPLE_RATE)
        self._waiting: deque[Turn] = deque()
        self._current: Turn | None = None  # the one that is open
        self._n_frames = 0
        self._run = 0  # frames of speech in a row, while nobody's turn is open
        self._free_from = 0  # the next turn may start here
        self._uses_voice_activity = uses_voice_activity
        if not uses_voice_activity:
            self._open(Turn(start=0, onset=0, end=0))

    @property
    def heard_samples(self) -> int:
        """Samples that the frames so far cover."""
        return self._n_frames * FRAME_SAMPLES

    @property
    def needed_from(self) -> int:
        """First sample that a turn which nobody took yet, or which is still to come, may need."""
        if self._waiting:
            return self._waiting[0].start
        return self._start_of(self.heard_samples - self._run * FRAME_SAMPLES)

    def hear(self, probabilities: Iterable[float]) -> list[SpeechStarted | SpeechStopped]:
        """Take the probabilities of the next frames; returns what they show, in order."""
        changes: list[SpeechStarted | SpeechStopped] = []
        for probability in probabilities:
            self._n_frames += 1
            if self._current is None:
                changes += self._wait(probability)
            else:
                changes += self._follow(self._current, probability)
        return changes

    def take(self) -> Turn | None:
        """The earliest turn that nobody took yet."""
        return self._waiting.popleft() if self._waiting else None

    def finish(self, n_samples: int) -> list[SpeechStarted | SpeechStopped]:
        """The stream ends after ``n_samples``: close the turn that is open."""
        turn = self._current
        if turn is None:
            return []
        if turn.audible_end is None:
            turn.end = n_samples
        stopped = self._close(turn, audible_end=min(turn.end + PAD_SAMPLES, n_samples))
        return stopped if self._uses_voice_activity else []

    def _start_of(self, onset: int) -> int:
        return max(onset - PAD_SAMPLES, self._free_from, 0)

    def _open(self, turn: Turn) -> list[SpeechStarted | SpeechStopped]:
        self._current = turn
        self._waiting.append(turn)
        return [SpeechStarted(time=turn.onset / SAMPLE_RATE)]

    def _wait(self, probability: float) -> list[SpeechStarted | SpeechStopped]:
        # A run may dip below the upper threshold, as in ``VoiceActivity.speech``.
        self._run = self._run + 1 if probability >= (self._off if self._run else self._on) else 0
        if self._run < N_FRAMES_TO_START:
            return []
        onset = self.heard_samples - self._run * FRAME_SAMPLES
        self._run = 0
        return self._open(Turn(start=self._start_of(onset), onset=onset, end=self.heard_samples))

    def _follow(self, turn: Turn, probability: float) -> list[SpeechStarted | SpeechStopped]:
        is_speaking = turn.audible_end is None
        if probability >= (self._off if is_speaking else self._on):
            turn.end, turn.audible_end = self.heard_samples, None
            return []
        turn.audible_end = turn.end + PAD_SAMPLES
        if self.heard_samples - turn.end < self._max_pause_samples:
            return []
        return self._close(turn, audible_end=turn.audible_end)

    def _close(self, turn: Turn, *, audible_end: int) -> list[SpeechStarted | SpeechStopped]:
        turn.audible_end, turn.is_open = audible_end, False
        self._free_from = audible_end
        self._current = None
        return [SpeechStopped(time=turn.end / SAMPLE_RATE)]
