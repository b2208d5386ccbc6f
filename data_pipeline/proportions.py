"""So many of so many, and how sure that is. Plain arithmetic."""

import math
from dataclasses import dataclass

__all__ = ["Proportion"]

Z = 1.959964  # of a normal distribution, 95 % are so many deviations from its mean


@dataclass(frozen=True, slots=True, kw_only=True)
class Proportion:
    """``k`` of ``n``."""

    k: int
    n: int

    @property
    def rate(self) -> float | None:
        """None of none."""
        return self.k / self.n if self.n else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """Wilson's 95 % interval (JASA 22, 1927), which holds for small n and at 0 and 1; None of none."""
        if not self.n:
            return None
        rate, weight = self.k / self.n, Z**2 / self.n
        middle = (rate + weight / 2) / (1 + weight)
        half = math.sqrt(rate * (1 - rate) * weight + weight**2 / 4) / (1 + weight)
        return max(middle - half, 0.0), min(middle + half, 1.0)
