"""What can be done to speech, as names. In: the command's options. Out: ``Condition``s, each with its own folder name.

Knows no samples and no file.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from eval.errors import EvaluationError

__all__ = [
    "DEFAULT_SNRS_DB",
    "Babble",
    "Clean",
    "Condition",
    "NoiseKind",
    "Recorded",
    "Reverberant",
    "White",
    "make_conditions",
    "parse_snrs",
]

DEFAULT_SNRS_DB = (40.0, 30.0, 20.0, 10.0, 5.0, 0.0, -5.0, -10.0)  # the paper's Fig. 5 spans 40 to -10 dB
MAX_SNR_DB = 100.0  # either way; float32 itself has about 140 dB
ROOM_FAMILY = "room"


class NoiseKind(StrEnum):
    """Noise that needs no recording of noise."""

    WHITE = "white"
    BABBLE = "babble"


@dataclass(frozen=True, slots=True, kw_only=True)
class Clean:
    """Nothing: the level that the others are held against."""

    family: ClassVar[str] = "clean"
    snr_db: ClassVar[None] = None
    name: ClassVar[str] = "clean"


@dataclass(frozen=True, slots=True, kw_only=True)
class White:
    """White noise."""

    snr_db: float
    family: ClassVar[str] = NoiseKind.WHITE.value

    @property
    def name(self) -> str:
        """Folder, ``white/+10dB``."""
        return _name(self.family, self.snr_db)


@dataclass(frozen=True, slots=True, kw_only=True)
class Babble:
    """Other speakers of the corpus, talking at once."""

    snr_db: float
    family: ClassVar[str] = NoiseKind.BABBLE.value

    @property
    def name(self) -> str:
        """Folder, ``babble/-5dB``."""
        return _name(self.family, self.snr_db)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """Recorded noise."""

    family: str
    """Of the folder or file that the recordings come from."""
    snr_db: float

    @property
    def name(self) -> str:
        """Folder, ``pub/0dB``."""
        return _name(self.family, self.snr_db)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reverberant:
    """A room, by its impulse response."""

    room: str
    snr_db: ClassVar[None] = None

    @property
    def family(self) -> str:
        """``room/hall``: each room is its own, there is no level to order rooms by."""
        return f"{ROOM_FAMILY}/{self.room}"

    @property
    def name(self) -> str:
        """Folder, ``room/hall``."""
        return self.family


Condition = Clean | White | Babble | Recorded | Reverberant

RESERVED = frozenset({Clean.family, White.family, Babble.family, ROOM_FAMILY})


def make_conditions(
    kinds: Iterable[NoiseKind], recorded: Iterable[str], rooms: Iterable[str], snrs_db: Sequence[float]
) -> tuple[Condition, ...]:
    """Clean first, then each family from the highest ratio to the lowest, then rooms.

    Raises EvaluationError when a recorded family has the name of another.
    """
    levels = sorted(set(snrs_db), reverse=True)
    conditions: list[Condition] = [Clean()]
    for kind in dict.fromkeys(kinds):
        conditions += [White(snr_db=level) if kind is NoiseKind.WHITE else Babble(snr_db=level) for level in levels]
    for family in recorded:
        if family in RESERVED:
            message = f"--noise-dir: got {family!r}, which names another kind of noise; rename it"
            raise EvaluationError(message)
        conditions += [Recorded(family=family, snr_db=level) for level in levels]
    return (*conditions, *(Reverberant(room=room) for room in rooms))


def parse_snrs(value: str) -> tuple[float, ...]:
    """Decibels between commas. Raises EvaluationError."""
    try:
        snrs_db = tuple(float(number) for number in value.split(","))
    except ValueError as error:
        raise EvaluationError(f"--snr: got {value!r}, expected a number, or several with commas") from error
    for snr_db in snrs_db:
        if not -MAX_SNR_DB <= snr_db <= MAX_SNR_DB:  # NaN, too
            raise EvaluationError(f"--snr: got {snr_db:g}, expected {-MAX_SNR_DB:g} to {MAX_SNR_DB:g} dB")
    return snrs_db


def _name(family: str, snr_db: float) -> str:
    return f"{family}/{snr_db:+g}dB" if snr_db else f"{family}/0dB"
