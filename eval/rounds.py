"""Systems that took turns, compared within each round. In: a number a round and system. Out: their ratio.

Machines are shared and their speed drifts: what was measured in the same round stood under the same weather. Knows no
system.
"""

from collections.abc import Sequence

import numpy as np

__all__ = ["MAX_LOST", "ratio_of_rounds"]

N_RESAMPLES = 10_000
MAX_LOST = 0.05  # of the words: who leaves out or invents more does not count


def ratio_of_rounds(above: Sequence[float], below: Sequence[float]) -> dict[str, float]:
    """The median of the rounds' ratios, with the ends of its 95 % interval by resampling the rounds."""
    ratios = np.array(above) / np.array(below)
    drawn = np.random.default_rng(0).choice(ratios, (N_RESAMPLES, len(ratios)))
    low, high = np.percentile(np.median(drawn, axis=1), [2.5, 97.5])
    return {"median": float(np.median(ratios)), "low": float(low), "high": float(high)}
