"""How far a number could be luck. In: counts, one row a cluster. Out: 95 % intervals, and differences with their p.

Clusters (speakers, or clips where no speaker is known) are drawn with replacement, as many as there are, and the
corpus figure is computed anew from their added counts: Bisani & Ney, ICASSP 2004, for word errors, Koehn, EMNLP 2004,
for BLEU. Clips of one speaker are right or wrong together; drawing clips would make the interval too narrow.
What never happened cannot be drawn: no errors at all give [0, 0], however few the clips.
Seeded, and blind to the order of the clusters: the same counts, the same interval. Knows no clip and no measure.
"""

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from eval.scoring.interval import Interval

__all__ = [
    "Counts",
    "Difference",
    "Statistic",
    "interval_of",
    "intervals",
    "paired_difference",
    "ratio",
    "resampled_sums",
    "sum_by_cluster",
]

N_RESAMPLES = 2_000
N_PAIRED_RESAMPLES = 10_000  # a p below 0.05 / rows has to be possible, or Holm's correction could never be passed
SEED = 0
PERCENTILES = (2.5, 97.5)
DRAWS_AT_ONCE = 1_000_000  # clusters drawn in one array; bounds memory, changes no number

Counts: TypeAlias = npt.NDArray[np.float64]
"""Counts that are added: one row a cluster (or a resample), one column a kind of count."""

Statistic: TypeAlias = Callable[[Counts], npt.NDArray[np.float64]]
"""From added counts, a row a corpus, to the figure of each; NaN where it has none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """B less A, on the same clips."""

    value: float
    interval: Interval | None
    """None with a single cluster."""
    p: float | None
    """Two-sided; None with a single cluster."""


def sum_by_cluster(clusters: Iterable[Hashable], counts: npt.ArrayLike) -> Counts:
    """Add the rows of each cluster: (clips, columns) → (clusters, columns)."""
    rows = np.asarray(counts, dtype=np.float64)
    numbers: dict[Hashable, int] = {}
    index = [numbers.setdefault(cluster, len(numbers)) for cluster in clusters]
    sums = np.zeros((len(numbers), rows.shape[1]))
    np.add.at(sums, index, rows)
    return sums


def ratio(numerator: int, denominator: int) -> Statistic:
    """The statistic that divides one column by another."""

    def divide(sums: Counts) -> npt.NDArray[np.float64]:
        rates = np.full(len(sums), np.nan)
        np.divide(sums[:, numerator], sums[:, denominator], out=rates, where=sums[:, denominator] > 0)
        return rates

    return divide


def intervals(counts: Counts, *statistics: Statistic) -> tuple[Interval | None, ...]:
    """An interval for each statistic, from the same resamples; None with a single cluster, or where it has no value."""
    if len(counts) < 2:
        return (None,) * len(statistics)
    sums = resampled_sums(counts)
    return tuple(interval_of(statistic(sums)) for statistic in statistics)


def paired_difference(counts_a: Counts, counts_b: Counts, statistic: Statistic) -> Difference | None:
    """B less A for two runs on the same clusters, which are drawn together; None where the statistic has no value.

    p is the share of resamples on the other side of zero, doubled, the observed one counted among them so that it is
    never 0 (Davison & Hinkley 1997, § 4.2). It is never below 2 / 2^n either, the chance that n clusters all lean the
    same way: a handful of speakers who agree are no proof, however often they are drawn.
    """
    n_columns = counts_a.shape[1]
    (a,), (b,) = (statistic(counts.sum(axis=0, keepdims=True)) for counts in (counts_a, counts_b))
    if np.isnan(a) or np.isnan(b):
        return None
    if len(counts_a) < 2:
        return Difference(value=float(b - a), interval=None, p=None)
    sums = resampled_sums(np.hstack([counts_a, counts_b]), N_PAIRED_RESAMPLES)
    differences = statistic(sums[:, n_columns:]) - statistic(sums[:, :n_columns])
    differences = differences[np.isfinite(differences)]
    n_beyond = min(int((differences <= 0).sum()), int((differences >= 0).sum()))
    p = max(2 * (n_beyond + 1) / (len(differences) + 1), 2.0 ** (1 - len(counts_a)))
    return Difference(value=float(b - a), interval=interval_of(differences), p=min(1.0, p))


def resampled_sums(counts: Counts, n_resamples: int = N_RESAMPLES) -> Counts:
    """Draw clusters with replacement, as many as there are, and add: (clusters, columns) → (resamples, columns)."""
    ordered = counts[np.lexsort(counts.T[::-1])]  # equal rows are interchangeable, so the order given no longer matters
    rng = np.random.default_rng(SEED)
    n_clusters = len(ordered)
    step = max(1, DRAWS_AT_ONCE // n_clusters)
    parts = []
    for start in range(0, n_resamples, step):
        n_rows = min(step, n_resamples - start)
        drawn = rng.integers(n_clusters, size=(n_rows, n_clusters)) + n_clusters * np.arange(n_rows)[:, None]
        times_drawn = np.bincount(drawn.ravel(), minlength=n_rows * n_clusters).reshape(n_rows, n_clusters)
        parts.append(times_drawn.astype(np.float64) @ ordered)
    return np.concatenate(parts)


def interval_of(values: npt.NDArray[np.float64]) -> Interval | None:
    """What holds 95 % of the values of resamples, those without one left out; None where none has."""
    values = values[np.isfinite(values)]
    if not len(values):
        return None
    low, high = np.percentile(values, PERCENTILES)
    return Interval(low=float(low), high=float(high))
