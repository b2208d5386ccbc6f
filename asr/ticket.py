"""One recording to whoever shares out the engine: how urgent it is, and what it has cost. Imports nothing heavy."""

import enum
import math
from dataclasses import dataclass

from asr.errors import CancelledError

__all__ = ["MAX_INTERACTIVE_S", "Lane", "Ticket"]

MAX_INTERACTIVE_S = 60.0  # a longer recording is bulk work, which others are not to wait for


class Lane(enum.Enum):
    """How urgent a recording is."""

    INTERACTIVE = "interactive"
    BULK = "bulk"

    @classmethod
    def of(cls, duration_s: float) -> "Lane":
        """Where a recording of this length belongs."""
        return cls.INTERACTIVE if duration_s <= MAX_INTERACTIVE_S else cls.BULK


@dataclass(slots=True, eq=False)
class Ticket:
    """One recording under way. Any thread may cancel it."""

    lane: Lane = Lane.INTERACTIVE
    deadline: float = math.inf
    """On the engine's clock; of interactive work."""
    cancelled: bool = False
    """Its windows are dropped, those under way too."""
    encode_s: float = 0.0
    """Spent in the encoder for it so far."""
    decode_s: float = 0.0
    """Spent in the decoder, divided by the windows that shared the time."""
    finish_tag: float = 0.0
    """The scheduler's: the virtual time at which all it asked for will have been served."""

    def check(self) -> None:
        """Raise CancelledError if nobody waits any more: between two parts of what takes long outside the engine."""
        if self.cancelled:
            raise CancelledError("the transcription was cancelled")
