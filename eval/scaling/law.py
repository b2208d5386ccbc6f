"""Laws of scaling, fitted. In: logarithms of what was varied and of error rates. Out: a law's parameters, its rates.

    Line    rate = a · x₁^-α₁ · x₂^-α₂          a straight line where all axes are logarithmic
    Floor   rate = e + a₁ · x₁^-α₁ + a₂ · x₂^-α₂    what no size and no amount takes away stays as e

The second is that of Hoffmann et al. 2022 (arXiv:2203.15556, § 3.3), whose parameters and tokens are here parameters
and hours. Both have the least squares of logarithms, so that 1 % counts alike at every rate. Many rates of the same
models, as resamples have them, are fitted at once. Knows no model, corpus or bootstrap.

Shapes: S sets of rates, N models, K things varied (1 or 2), P parameters of a law; exponents come first among these.
"""

from dataclasses import dataclass
from itertools import product
from typing import Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

__all__ = ["Array", "Floor", "Law", "Line", "r_squared"]

Array: TypeAlias = npt.NDArray[np.float64]

MAX_EXPONENT = 4.0  # beyond it the smallest model alone has any excess, and a larger exponent fits no better
LOWEST = 9.0  # e^-9 of the lowest rate is as good as nothing
STARTS = (0.1, 0.3, 0.6, 1.0)  # exponents; published ones are between 0.05 and 0.5
FLOORS = (0.05, 0.5, 0.95)  # of the lowest rate, as first guesses
MAX_STEPS = 200
TOLERANCE = 1e-7  # of a sum of squares: a step that gains less is the last of its set
MAX_DAMPING = 1e6  # no step was downhill for long


class Law(Protocol):
    """One form of law."""

    @property
    def n_free(self) -> int:
        """P, the number of parameters that rates decide."""

    def fit(self, log_x_NK: Array, log_rates_SN: Array) -> Array:
        """The parameters (S, P) of each set of rates."""

    def log_rates(self, parameters_SP: Array, log_x_NK: Array) -> Array:
        """What the law says (S, N)."""


@dataclass(frozen=True, slots=True)
class Line:
    """Parameters: exponents, log a."""

    n_varied: int

    @property
    def n_free(self) -> int:
        """See Law."""
        return self.n_varied + 1

    def fit(self, log_x_NK: Array, log_rates_SN: Array) -> Array:
        """See Law."""
        return log_rates_SN @ np.linalg.pinv(_columns(log_x_NK)).T

    def log_rates(self, parameters_SP: Array, log_x_NK: Array) -> Array:
        """See Law."""
        return parameters_SP @ _columns(log_x_NK).T


@dataclass(frozen=True, slots=True)
class Floor:
    """Parameters: exponents, log a of each, log e. Exponents are 0 to MAX_EXPONENT, and e is never quite 0."""

    n_varied: int

    @property
    def n_free(self) -> int:
        """See Law."""
        return 2 * self.n_varied + 1

    def fit(self, log_x_NK: Array, log_rates_SN: Array) -> Array:
        """See Law. The first set is searched from many places, the others from what it finds."""
        first = log_rates_SN[:1]
        starts = self._starts(first)
        found = self._search(starts, log_x_NK, np.repeat(first, len(starts), axis=0))
        best = found[np.argmin(self._costs(found, log_x_NK, first))]
        return self._search(np.tile(best, (len(log_rates_SN), 1)), log_x_NK, log_rates_SN)

    def log_rates(self, parameters_SP: Array, log_x_NK: Array) -> Array:
        """See Law."""
        rates: Array = self._terms(parameters_SP, log_x_NK).sum(axis=2)
        return np.log(rates)

    def _terms(self, parameters_SP: Array, log_x_NK: Array) -> Array:
        """(S, N, K + 1): a₁ · x₁^-α₁, …, e."""
        n = self.n_varied
        powers = parameters_SP[:, None, n : 2 * n] - parameters_SP[:, None, :n] * log_x_NK
        floors = np.broadcast_to(parameters_SP[:, None, 2 * n :], (*powers.shape[:2], 1))
        terms: Array = np.exp(np.concatenate([powers, floors], axis=2))
        return terms

    def _costs(self, parameters_SP: Array, log_x_NK: Array, log_rates_SN: Array) -> Array:
        costs: Array = np.square(log_rates_SN - self.log_rates(parameters_SP, log_x_NK)).sum(axis=1)
        return costs

    def _starts(self, log_rates_1N: Array) -> Array:
        lowest, middle = np.exp(log_rates_1N.min()), np.exp(log_rates_1N.mean())
        starts = []
        for *exponents, share in product(*[STARTS] * self.n_varied, FLOORS):
            floor = share * lowest
            excess = np.log(max(middle - floor, 0.01 * middle) / self.n_varied)
            starts.append([*exponents, *[excess] * self.n_varied, np.log(floor)])
        return np.array(starts)

    def _search(self, parameters_SP: Array, log_x_NK: Array, log_rates_SN: Array) -> Array:
        """Levenberg and Marquardt's steps for all sets side by side, each with a damping of its own, inside bounds."""
        low_SP, high_SP = self._bounds(log_rates_SN)
        found_SP = np.clip(parameters_SP, low_SP, high_SP)
        costs_S, damping_S = self._costs(found_SP, log_x_NK, log_rates_SN), np.full(len(found_SP), 1e-2)
        going = np.arange(len(found_SP))
        for _ in range(MAX_STEPS):
            at_SP, bounds = found_SP[going], (low_SP[going], high_SP[going])
            steps_SP = self._steps(at_SP, log_x_NK, log_rates_SN[going], damping_S[going], bounds)
            tried_SP = np.clip(at_SP + steps_SP, *bounds)
            tried_S, before_S = self._costs(tried_SP, log_x_NK, log_rates_SN[going]), costs_S[going]
            better_S = tried_S < before_S
            found_SP[going] = np.where(better_S[:, None], tried_SP, at_SP)
            costs_S[going] = np.where(better_S, tried_S, before_S)
            damping_S[going] = np.where(better_S, np.maximum(damping_S[going] / 3, 1e-9), damping_S[going] * 4)
            is_last = better_S & (before_S - tried_S <= TOLERANCE * before_S)
            going = going[~is_last & (damping_S[going] < MAX_DAMPING)]
            if not len(going):
                break
        return found_SP

    def _steps(
        self, at_SP: Array, log_x_NK: Array, log_rates_SN: Array, damping_S: Array, bounds: tuple[Array, Array]
    ) -> Array:
        terms_SNT = self._terms(at_SP, log_x_NK)
        total_SN = terms_SNT.sum(axis=2)
        shares_SNT = terms_SNT / total_SN[:, :, None]
        slopes_SNP = np.concatenate([-shares_SNT[:, :, : self.n_varied] * log_x_NK, shares_SNT], axis=2)
        pull_SP = np.einsum("snp,sn->sp", slopes_SNP, log_rates_SN - np.log(total_SN))
        low_SP, high_SP = bounds
        # A parameter that is at its bound and would go beyond it stays, and the others move as if it were fixed.
        free_SP = ~(((at_SP <= low_SP) & (pull_SP < 0)) | ((at_SP >= high_SP) & (pull_SP > 0)))
        slopes_SNP = slopes_SNP * free_SP[:, None, :]
        normal_SPP = np.einsum("snp,snq->spq", slopes_SNP, slopes_SNP)
        diagonal_SP = np.einsum("spp->sp", normal_SPP)
        damped_SPP = normal_SPP + np.eye(self.n_free) * (damping_S[:, None] * (diagonal_SP + 1e-6) + 1e-12)[:, None, :]
        steps: Array = np.linalg.solve(damped_SPP, (pull_SP * free_SP)[:, :, None])[:, :, 0]
        return steps

    def _bounds(self, log_rates_SN: Array) -> tuple[Array, Array]:
        n, n_sets = self.n_varied, len(log_rates_SN)
        smallest, largest = log_rates_SN.min(axis=1) - LOWEST, log_rates_SN.max(axis=1)
        low = np.column_stack([np.zeros((n_sets, n)), np.tile(smallest[:, None], (1, n + 1))])
        high = np.column_stack([np.full((n_sets, n), MAX_EXPONENT), np.tile(largest[:, None], (1, n + 1))])
        return low, high


def r_squared(log_rates_N: Array, fitted_N: Array) -> float:
    """The share of the variance of logarithms that a law explains; 1 where all rates are equal."""
    total = float(np.square(log_rates_N - log_rates_N.mean()).sum())
    return 1.0 - float(np.square(log_rates_N - fitted_N).sum()) / total if total else 1.0


def _columns(log_x_NK: Array) -> Array:
    return np.column_stack([-log_x_NK, np.ones(len(log_x_NK))])
