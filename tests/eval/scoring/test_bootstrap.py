import time

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eval.scoring.bootstrap import (
    N_RESAMPLES,
    SEED,
    intervals,
    paired_difference,
    ratio,
    sum_by_cluster,
)
from eval.scoring.types import Interval

RATE = ratio(0, 1)
clusters = st.lists(st.tuples(st.integers(0, 9), st.integers(1, 30)), min_size=2, max_size=12)


def rate_interval(errors: npt.ArrayLike, units: npt.ArrayLike) -> Interval | None:
    return intervals(np.column_stack([errors, units]).astype(float), RATE)[0]


@settings(max_examples=10, deadline=None)
@given(counts=clusters)
def test_an_interval_is_that_of_a_naive_loop(counts: list[tuple[int, int]]) -> None:
    ordered, rng, rates = sorted(counts), np.random.default_rng(SEED), []
    for _ in range(N_RESAMPLES):
        drawn = [ordered[number] for number in rng.integers(len(ordered), size=len(ordered))]
        rates.append(sum(errors for errors, _ in drawn) / sum(units for _, units in drawn))
    found = rate_interval(*zip(*counts, strict=True))
    assert (found.low, found.high) == pytest.approx(np.percentile(rates, [2.5, 97.5]), abs=1e-12)


@settings(max_examples=20, deadline=None)
@given(counts=clusters, shuffle=st.randoms())
def test_the_order_of_clusters_changes_nothing(counts: list[tuple[int, int]], shuffle) -> None:
    shuffled = counts.copy()
    shuffle.shuffle(shuffled)
    assert rate_interval(*zip(*counts, strict=True)) == rate_interval(*zip(*shuffled, strict=True))


def speakers(rng: np.random.Generator, n_speakers: int) -> np.ndarray:
    """(errors, words) of speakers who are not equally easy: a mean rate of 20 %."""
    n_words = rng.integers(30, 90, size=n_speakers)
    return np.column_stack([rng.binomial(n_words, rng.beta(4, 16, size=n_speakers)), n_words]).astype(float)


def test_about_95_of_100_intervals_hold_the_true_rate() -> None:
    rng = np.random.default_rng(7)
    found = [rate_interval(*speakers(rng, 40).T) for _ in range(300)]
    assert 0.90 <= np.mean([each.low <= 0.2 <= each.high for each in found]) <= 0.98


def test_drawing_clips_of_the_same_speakers_would_promise_too_much() -> None:
    rng = np.random.default_rng(7)
    of_speaker = np.repeat(np.arange(12), 20)
    clips = np.column_stack([rng.binomial(10, rng.beta(2, 8, size=12)[of_speaker]), np.full(240, 10)])
    by_clip, by_speaker = (rate_interval(*sum_by_cluster(names, clips).T) for names in (range(240), of_speaker))
    assert by_speaker.high - by_speaker.low > 1.5 * (by_clip.high - by_clip.low)


def test_degenerate_cases() -> None:
    assert rate_interval([3], [10]) is None  # one cluster
    assert rate_interval([3, 2], [0, 0]) is None  # no reference units
    perfect = rate_interval([0, 0], [10, 10])
    assert (perfect.low, perfect.high) == (0, 0)
    silent_and_spoken = rate_interval([2, 1], [0, 10])  # resamples of the silent one alone have no rate
    assert (silent_and_spoken.low, silent_and_spoken.high) == (0.1, pytest.approx(0.3))


def test_a_hundred_groups_take_less_than_two_seconds() -> None:
    groups = [speakers(np.random.default_rng(number), 40) for number in range(100)]
    started = time.perf_counter()
    for counts in groups:
        intervals(counts, RATE, RATE, RATE)
    assert time.perf_counter() - started < 2


def test_a_paired_difference_sees_what_two_intervals_would_not() -> None:
    a = speakers(np.random.default_rng(1), 40)
    b = a - [[2, 0]] * (a[:, :1] > 2)  # two errors fewer for most speakers
    difference = paired_difference(a, b, RATE)
    assert difference.value == pytest.approx(b[:, 0].sum() / b[:, 1].sum() - a[:, 0].sum() / a[:, 1].sum())
    assert difference.interval.low < difference.value < difference.interval.high < 0
    assert difference.p < 0.001
    assert rate_interval(*b.T).high > rate_interval(*a.T).low


@pytest.mark.parametrize(("n_clusters", "p"), [(2, 0.5), (5, 1 / 16), (6, 1 / 32)])
def test_a_few_speakers_who_agree_are_no_proof(n_clusters: int, p: float) -> None:
    a = np.full((n_clusters, 2), 10.0)
    assert paired_difference(a, a - [5, 0], RATE).p == p


def test_swapping_the_runs_turns_the_sign_only() -> None:
    a, b = (speakers(np.random.default_rng(seed), 30) for seed in (1, 2))
    there, back = paired_difference(a, b, RATE), paired_difference(b, a, RATE)
    assert back.value == -there.value
    assert back.p == pytest.approx(there.p, abs=0.05)
    assert back.interval.low == pytest.approx(-there.interval.high, abs=0.01)


def test_p_is_uniform_where_nothing_differs() -> None:
    rng = np.random.default_rng(3)
    found = []
    for _ in range(120):
        n_errors = rng.integers(1, 20, size=(2, 30))  # of two runs that are equally good, on the same clips
        found.append(paired_difference(*(np.column_stack([errors, [30] * 30]) for errors in n_errors), RATE).p)
    assert 0.01 <= np.mean(np.array(found) < 0.05) <= 0.10
    assert 0.4 <= np.mean(np.array(found) < 0.5) <= 0.6


def test_equal_runs_do_not_differ() -> None:
    a = speakers(np.random.default_rng(1), 5)
    difference = paired_difference(a, a, RATE)
    assert (difference.value, difference.p, difference.interval.low, difference.interval.high) == (0, 1, 0, 0)
    single = paired_difference(a[:1], a[1:2], RATE)
    assert (single.interval, single.p) == (None, None)
    assert paired_difference(a * [1, 0], a, RATE) is None
