"""What is varied, and how people write it. In: numbers of parameters, hours. Out: names, texts, levels."""

from collections.abc import Iterable
from enum import StrEnum

__all__ = ["Axis", "amount_text", "level_of", "levels"]

SAME_LEVEL = 1.05  # two draws of "10 hours" are never equally long
UNITS = ((1e9, "G"), (1e6, "M"), (1e3, "k"))


class Axis(StrEnum):
    """What error rates are held against."""

    PARAMETERS = "parameters"
    HOURS = "audio_hours"

    @property
    def other(self) -> "Axis":
        """The one that a curve over this one keeps fixed."""
        return Axis.HOURS if self is Axis.PARAMETERS else Axis.PARAMETERS


def amount_text(axis: Axis, amount: float) -> str:
    """39.2 M, 10 h, 30 min."""
    if axis is Axis.HOURS:
        return f"{_three_digits(amount)} h" if amount >= 1 else f"{_three_digits(60 * amount)} min"
    size, unit = next(((size, unit) for size, unit in UNITS if amount >= size), (1.0, ""))
    return f"{_three_digits(amount / size)} {unit}".rstrip()


def _three_digits(number: float) -> str:
    return f"{float(f'{number:.3g}'):,g}"


def levels(amounts: Iterable[float]) -> list[float]:
    """The smallest of each group of amounts that are as good as equal, rising."""
    found: list[float] = []
    for amount in sorted(amounts):
        if not found or amount > SAME_LEVEL * found[-1]:
            found.append(amount)
    return found


def level_of(amount: float, among: Iterable[float]) -> float:
    """The level that an amount belongs to."""
    return max(level for level in among if level <= amount)
