"""Laws that are known are found, from rates that follow them exactly and from rates that nearly do."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eval.scaling.law import Floor, Line, r_squared

LOG_X = np.log([(size, hours) for size in (1e6, 4e6, 16e6) for hours in (1.0, 10.0, 100.0)])
LOG_X = LOG_X - LOG_X.mean(axis=0)
ONE_SIZE = LOG_X[:3, 1:]


def floor_rates(floor: float, scales: tuple[float, ...], exponents: tuple[float, ...]) -> np.ndarray:
    return floor + sum(
        scale * np.exp(-exponent * LOG_X[:, place])
        for place, (scale, exponent) in enumerate(zip(scales, exponents, strict=True))
    )


@pytest.mark.parametrize(("log_x", "exponents"), [(LOG_X, [0.3, 0.15]), (ONE_SIZE, [0.4]), (LOG_X, [0.0, -0.1])])
def test_a_straight_line_is_found_exactly(log_x, exponents):
    log_rates = np.log(0.2) - log_x @ np.array(exponents)
    law = Line(log_x.shape[1])
    (found,) = law.fit(log_x, log_rates[None])
    assert found == pytest.approx([*exponents, np.log(0.2)])
    assert law.log_rates(found[None], log_x)[0] == pytest.approx(log_rates)
    assert law.n_free == len(exponents) + 1


@settings(max_examples=20, deadline=None)
@given(
    floor=st.floats(0.02, 0.2), scale=st.floats(0.05, 0.3), other=st.floats(0.05, 0.3),
    exponent=st.floats(0.15, 0.8), other_exponent=st.floats(0.15, 0.8),
)  # fmt: skip
def test_a_law_with_a_floor_is_found(floor, scale, other, exponent, other_exponent):
    rates = floor_rates(floor, (scale, other), (exponent, other_exponent))
    (found,) = Floor(2).fit(LOG_X, np.log(rates)[None])
    assert found[:2] == pytest.approx([exponent, other_exponent], rel=0.02)
    assert np.exp(found[2:]) == pytest.approx([scale, other, floor], rel=0.05)
    assert np.exp(Floor(2).log_rates(found[None], LOG_X)[0]) == pytest.approx(rates, rel=1e-3)


def test_sets_fitted_together_are_those_fitted_alone():
    rng = np.random.default_rng(3)
    log_rates = np.log(floor_rates(0.05, (0.1, 0.2), (0.4, 0.3))) + rng.normal(0, 0.02, (20, 9))
    together = Floor(2).fit(LOG_X, log_rates)
    for parameters, rates in zip(together, log_rates, strict=True):
        alone = Floor(2).fit(LOG_X, rates[None])
        assert Floor(2).log_rates(parameters[None], LOG_X) == pytest.approx(Floor(2).log_rates(alone, LOG_X), abs=2e-4)


def test_no_other_numbers_near_the_found_ones_are_better():
    rng = np.random.default_rng(4)
    log_rates = np.log(floor_rates(0.05, (0.1, 0.2), (0.4, 0.3))) + rng.normal(0, 0.05, 9)
    (found,) = Floor(2).fit(LOG_X, log_rates[None])
    nearby = found + rng.normal(0, 0.05, (500, 5))
    cost = np.square(Floor(2).log_rates(found[None], LOG_X) - log_rates).sum()
    assert np.square(Floor(2).log_rates(nearby, LOG_X) - log_rates).sum(axis=1).min() >= cost


def test_exponents_stay_inside_their_bounds():
    flat, cliff = np.zeros(9), np.where(LOG_X[:, 0] < -1, 0.0, -6.0)
    found = Floor(2).fit(LOG_X, np.vstack([flat, cliff]))
    assert (found[:, :2] >= 0).all()
    assert (found[:, :2] <= 4).all()
    assert np.isfinite(found).all()


def test_r_squared():
    rates = np.array([1.0, 2.0, 3.0])
    assert r_squared(rates, rates) == 1.0
    assert r_squared(rates, np.full(3, 2.0)) == pytest.approx(0.0)
    assert r_squared(np.ones(3), np.ones(3)) == 1.0
