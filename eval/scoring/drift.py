"""Does an error of time grow with time? In: points (time, error) by recording. Out: ``Drift``. Knows no word.

The slope is Theil and Sen's, the median over all pairs of points of a recording: a word matched to the wrong place
moves it little, where least squares would follow it. Its interval is Sen's (JASA 1968), from the variance of Kendall's
S, added over recordings.
"""

from collections.abc import Iterable, Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from eval.scoring.evidence import Drift
from eval.scoring.interval import Interval

__all__ = ["Points", "drift"]

Points: TypeAlias = Sequence[tuple[float, float]]
"""Time and error at that time, seconds."""

MIN_POINTS = 10
MIN_SPAN_S = 60.0  # between the first and the last point: a shorter clip shows no drift
MAX_POINTS = 1_000  # of a recording, evenly chosen; pairs grow with the square
MS_PER_HOUR = 1000 * 3600  # of seconds per second
NORMAL_95 = 1.96


def drift(recordings: Iterable[Points]) -> Drift | None:
    """The drift over all recordings that are long enough to show any; None when none is."""
    chosen = [points for points in map(_chosen, recordings) if points is not None]
    if not chosen:
        return None
    slopes = np.sort(np.concatenate([_slopes(points) for points in chosen]))
    spread = NORMAL_95 * np.sqrt(sum(_kendall_variance(len(points)) for points in chosen))
    low, high = ((len(slopes) + side * spread) / 2 for side in (-1, 1))
    ranks = np.clip(np.rint([low, high]).astype(int) - [1, 0], 0, len(slopes) - 1)
    return Drift(
        ms_per_hour=float(np.median(slopes)) * MS_PER_HOUR,
        interval=Interval(low=float(slopes[ranks[0]]) * MS_PER_HOUR, high=float(slopes[ranks[1]]) * MS_PER_HOUR),
        n_points=sum(len(points) for points in chosen),
    )


def _chosen(points: Points) -> npt.NDArray[np.float64] | None:
    ordered: npt.NDArray[np.float64] = np.array(sorted(points), dtype=np.float64).reshape(-1, 2)
    if len(ordered) < MIN_POINTS or ordered[-1, 0] - ordered[0, 0] < MIN_SPAN_S:
        return None
    evenly = np.linspace(0, len(ordered) - 1, min(len(ordered), MAX_POINTS)).round().astype(int)
    return np.asarray(ordered[evenly])


def _slopes(points: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    first, second = np.triu_indices(len(points), k=1)
    apart = points[second] - points[first]
    apart = apart[apart[:, 0] > 0]
    return np.asarray(apart[:, 1] / apart[:, 0], dtype=np.float64)


def _kendall_variance(n: int) -> float:
    return n * (n - 1) * (2 * n + 5) / 18
