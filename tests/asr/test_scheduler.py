"""Who is next: lanes, deadlines, shares, patience. Windows of so many seconds, a clock by hand."""

import random

import pytest

from asr.engine.scheduler import PATIENCE_S, Scheduler, Waiting
from asr.ticket import Lane, Ticket


def bulk() -> Ticket:
    return Ticket(lane=Lane.BULK)


def fill(scheduler: Scheduler, ticket: Ticket, n: int, *, audio_s: float = 30.0, since: float = 0.0) -> list[Waiting]:
    windows = [Waiting(ticket, audio_s, since) for _ in range(n)]
    for window in windows:
        scheduler.add(window)
    return windows


def test_one_recording_alone_is_served_in_order():
    scheduler = Scheduler(8)
    windows = fill(scheduler, bulk(), 5)
    assert [scheduler.take(0) for _ in range(6)] == [*windows, None]


def test_places_are_kept_for_those_who_wait():
    scheduler = Scheduler(8)
    fill(scheduler, bulk(), 20)
    taken = [scheduler.take(0) for _ in range(8)]
    assert (taken.count(None), len(scheduler)) == (1, 13)
    [short] = fill(scheduler, Ticket(), 1, audio_s=3)
    assert scheduler.take(0) is short


def test_the_earliest_deadline_is_first_then_who_came_first():
    scheduler = Scheduler(8)
    [late] = fill(scheduler, Ticket(deadline=9), 1)
    [none] = fill(scheduler, Ticket(), 1, since=0)
    [soon] = fill(scheduler, Ticket(deadline=2), 1, since=1)
    [later] = fill(scheduler, Ticket(), 1, since=2)
    assert [scheduler.take(3) for _ in range(4)] == [soon, late, none, later]


def test_an_interactive_window_passes_all_bulk_work():
    scheduler = Scheduler(8)
    fill(scheduler, bulk(), 4)
    [short] = fill(scheduler, Ticket(), 1)
    assert scheduler.take(0) is short


def test_seconds_of_audio_are_shared_fairly():
    """One asks for windows of 30 s, one for windows of 5 s: after any while both have got as many seconds."""
    scheduler = Scheduler(8)
    long, short = bulk(), bulk()
    fill(scheduler, long, 40, audio_s=30)
    fill(scheduler, short, 240, audio_s=5)
    served = {long: 0.0, short: 0.0}
    for _ in range(140):
        window = scheduler.take(0)
        served[window.ticket] += window.audio_s
        scheduler.done(window)
    assert served[long] == pytest.approx(served[short], abs=60)


def test_who_comes_late_does_not_get_the_past_back():
    scheduler = Scheduler(8)
    first, second = bulk(), bulk()
    fill(scheduler, first, 20)
    for _ in range(10):
        scheduler.done(scheduler.take(0))
    fill(scheduler, second, 20)
    order = []
    for _ in range(10):
        window = scheduler.take(0)
        order.append(window.ticket)
        scheduler.done(window)
    assert 4 <= order.count(second) <= 6


def test_no_recording_holds_more_than_half_while_others_wait():
    scheduler = Scheduler(8)
    greedy, modest = bulk(), bulk()
    fill(scheduler, greedy, 20)
    for _ in range(3):
        assert scheduler.take(0).ticket is greedy
    fill(scheduler, modest, 20)
    assert {scheduler.take(0).ticket for _ in range(3)} == {modest}
    assert scheduler.take(0) is None  # each has its half of seven, and one place is kept


def test_patience_ends():
    scheduler = Scheduler(8)
    [old] = fill(scheduler, bulk(), 1, since=0)
    [urgent] = fill(scheduler, Ticket(deadline=PATIENCE_S + 5), 1, since=PATIENCE_S)
    assert scheduler.take(PATIENCE_S + 1) is old
    assert scheduler.take(PATIENCE_S + 1) is urgent


def test_impatience_takes_no_reserved_place():
    scheduler = Scheduler(8)
    fill(scheduler, bulk(), 20, since=0)
    assert [scheduler.take(1e6) is None for _ in range(8)] == [False] * 7 + [True]


def test_what_is_cancelled_is_dropped():
    scheduler = Scheduler(8)
    gone, stays = bulk(), Ticket()
    dropped, kept = fill(scheduler, gone, 3), fill(scheduler, stays, 2)
    gone.cancelled = True
    assert scheduler.drop_cancelled() == dropped
    assert [scheduler.take(0) for _ in range(3)] == [*kept, None]


@pytest.mark.parametrize("places", [1, 2, 8, 64])
def test_everything_is_served_once_and_places_never_overflow(places):
    rng = random.Random(places)  # noqa: S311 (a test)
    scheduler = Scheduler(places)
    tickets = [Ticket(lane=rng.choice(list(Lane)), deadline=rng.uniform(0, 100)) for _ in range(6)]
    waiting = {w for ticket in tickets for w in fill(scheduler, ticket, 10, audio_s=rng.uniform(1, 30))}
    active: list[Waiting] = []
    for now in range(10_000):
        if len(active) < places and (window := scheduler.take(now / 10)) is not None:
            waiting.remove(window)
            active.append(window)
        elif active:
            scheduler.done(active.pop(rng.randrange(len(active))))
        if not waiting:
            break
    assert not waiting
