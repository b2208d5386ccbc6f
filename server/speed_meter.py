"""How fast work is done. In: when recordings begin and end. Out: seconds of audio a second. Knows no clock."""

__all__ = ["SpeedMeter"]

FIRST_GUESS = 10.0  # times real time, until something was measured
HALF_LIFE_S = 120.0  # of busy time: what happened longer ago counts for less


class SpeedMeter:
    """Seconds of audio done per second in which there was work, of late."""

    def __init__(self) -> None:
        self._audio_s = FIRST_GUESS
        self._busy_s = 1.0
        self._n_running = 0
        self._counted_until = 0.0

    @property
    def speed(self) -> float:
        """Times real time."""
        return self._audio_s / self._busy_s

    def begin(self, now: float) -> None:
        """A recording is begun."""
        if not self._n_running:
            self._counted_until = now
        self._n_running += 1

    def end(self, audio_s: float, now: float) -> None:
        """A recording is through, with so much of it done."""
        busy_s = now - self._counted_until
        kept = 0.5 ** (busy_s / HALF_LIFE_S)
        self._audio_s = kept * self._audio_s + audio_s
        self._busy_s = kept * self._busy_s + busy_s
        self._counted_until = now
        self._n_running -= 1
