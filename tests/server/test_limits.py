"""The limiter against a clock that the test turns."""

import pytest

from server.limits import Decision, Limiter, Limits, RateState


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def ask(limiter: Limiter, limits: Limits, name: str = "a") -> Decision:
    decision = limiter.acquire(name, limits)
    if not decision.refused:
        limiter.release(name)
    return decision


@pytest.mark.parametrize(
    ("limits", "at_once", "wait_s"),
    [
        (Limits(requests_per_minute=60), 60, 1.0),
        (Limits(requests_per_minute=6), 6, 10.0),
        (Limits(requests_per_minute=6, burst=1), 1, 10.0),
        (Limits(requests_per_minute=1, burst=5), 5, 60.0),
        (Limits(requests_per_minute=600, burst=2), 2, 0.1),
    ],
)
def test_a_burst_passes_and_the_next_comes_when_it_is_told_to(limits: Limits, at_once: int, wait_s: float) -> None:
    clock = Clock()
    limiter = Limiter(clock)
    assert [ask(limiter, limits).refused for _ in range(at_once)] == [None] * at_once
    refused = ask(limiter, limits)
    assert (refused.refused, refused.retry_after_s) == ("rate", pytest.approx(wait_s))
    clock.now += wait_s * 0.99
    assert ask(limiter, limits).refused == "rate"
    clock.now += wait_s * 0.02
    assert ask(limiter, limits).refused is None
    assert ask(limiter, limits).refused == "rate"


def test_a_long_pause_earns_no_more_than_the_burst() -> None:
    clock = Clock()
    limiter, limits = Limiter(clock), Limits(requests_per_minute=60, burst=2)
    ask(limiter, limits)
    clock.now += 3600
    assert [ask(limiter, limits).refused for _ in range(3)] == [None, None, "rate"]


def test_the_rate_tells_what_is_left_and_when_it_is_whole() -> None:
    clock = Clock()
    limiter, limits = Limiter(clock), Limits(requests_per_minute=30)
    assert ask(limiter, limits).rate == RateState(limit=30, remaining=29, reset_s=pytest.approx(2.0))
    clock.now += 1
    assert ask(limiter, limits).rate == RateState(limit=30, remaining=28, reset_s=pytest.approx(3.0))


def test_concurrency_counts_what_is_not_released() -> None:
    limiter, limits = Limiter(Clock()), Limits(concurrent=2)
    assert limiter.acquire("a", limits).refused is None
    assert limiter.acquire("a", limits) == Decision()
    third = limiter.acquire("a", limits)
    assert third.refused == "concurrency"
    assert third.retry_after_s > 0
    limiter.release("a")
    assert limiter.acquire("a", limits).refused is None


def test_what_concurrency_refuses_costs_no_token() -> None:
    limiter, limits = Limiter(Clock()), Limits(requests_per_minute=2, concurrent=1)
    limiter.acquire("a", limits)
    for _ in range(5):
        assert limiter.acquire("a", limits).refused == "concurrency"
    limiter.release("a")
    assert limiter.acquire("a", limits).refused is None


def test_keys_do_not_share() -> None:
    limiter, limits = Limiter(Clock()), Limits(requests_per_minute=1, concurrent=1)
    assert limiter.acquire("a", limits).refused is None
    assert limiter.acquire("b", limits).refused is None


def test_no_limits_refuse_nothing() -> None:
    limiter = Limiter(Clock())
    assert all(limiter.acquire("a", Limits()) == Decision() for _ in range(1000))


def test_limits_that_change_hold_from_the_next_request() -> None:
    limiter = Limiter(Clock())
    ask(limiter, Limits(requests_per_minute=100))
    assert ask(limiter, Limits(requests_per_minute=2)).rate == RateState(
        limit=2, remaining=1, reset_s=pytest.approx(30.0)
    )
