"""A 95 % interval, as every measure has it. Knows no measure."""

from dataclasses import dataclass

__all__ = ["Interval"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A 95 % interval, by bootstrap unless its owner says otherwise."""

    low: float
    high: float
