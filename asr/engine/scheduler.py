"""Whose window is next. In: jobs as they come. Out: one at a time, as there is room. Knows no model and no clock.

Two lanes. Interactive: somebody waits; the earliest deadline first, and an eighth of the places is kept for them.
Bulk: recordings share what is left by seconds of audio (start-time fair queueing, Goyal et al. 1996), so that ten hours
of one do not hold up ten minutes of another; a window that has waited long enough is as urgent as interactive ones.
"""

import math
from collections import Counter
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from asr.ticket import Lane, Ticket

__all__ = ["Scheduler", "Waiting"]

RESERVED_SHARE = 8  # one place in so many, at least one, is for interactive work
MAX_SHARE = 0.5  # of the bulk places that one recording may hold while others wait
PATIENCE_S = 30.0  # after which bulk work is as urgent as interactive


@dataclass(slots=True, eq=False)
class Waiting:
    """One window that waits."""

    ticket: Ticket
    audio_s: float
    since: float
    start_tag: float = field(default=0.0, init=False)


W = TypeVar("W", bound=Waiting)


class Scheduler(Generic[W]):
    """Orders waiting windows, of whatever kind; ``places`` is how many may be under way at once."""

    def __init__(self, places: int) -> None:
        self._n_bulk_places = max(places - max(math.ceil(places / RESERVED_SHARE), 1), 1)
        self._interactive: list[W] = []
        self._bulk: list[W] = []
        self._virtual = 0.0
        self._active: Counter[Ticket] = Counter()

    def __len__(self) -> int:
        return len(self._interactive) + len(self._bulk)

    def add(self, waiting: W) -> None:
        """Put a window into the line of its lane."""
        ticket = waiting.ticket
        if ticket.lane is Lane.INTERACTIVE:
            self._interactive.append(waiting)
            return
        waiting.start_tag = max(self._virtual, ticket.finish_tag)
        ticket.finish_tag = waiting.start_tag + waiting.audio_s
        self._bulk.append(waiting)

    def take(self, now: float) -> W | None:
        """The next window, to be decoded now; None when nothing that waits may begin. The caller sees to the places."""
        waiting = self._urgent(now) or self._fair()
        if waiting is not None:
            self._active[waiting.ticket] += 1
        return waiting

    def done(self, waiting: W) -> None:
        """A window that was taken is through."""
        self._active[waiting.ticket] -= 1
        if not self._active[waiting.ticket]:
            del self._active[waiting.ticket]

    def drop_cancelled(self) -> list[W]:
        """Remove and return what waits for nobody."""
        dropped = [each for line in (self._interactive, self._bulk) for each in line if each.ticket.cancelled]
        self._interactive = [each for each in self._interactive if not each.ticket.cancelled]
        self._bulk = [each for each in self._bulk if not each.ticket.cancelled]
        return dropped

    def _urgent(self, now: float) -> W | None:
        aged = [each for each in self._bulk if now - each.since >= PATIENCE_S] if self._has_bulk_place() else []
        # Bulk work that has waited long is due at the end of its patience.
        due = [(each.ticket.deadline, each.since, each) for each in self._interactive]
        due += [(each.since + PATIENCE_S, each.since, each) for each in aged]
        if not due:
            return None
        _, _, waiting = min(due, key=lambda entry: entry[:2])
        (self._interactive if waiting.ticket.lane is Lane.INTERACTIVE else self._bulk).remove(waiting)
        return waiting

    def _fair(self) -> W | None:
        if not self._bulk or not self._has_bulk_place():
            return None
        most = max(int(self._n_bulk_places * MAX_SHARE), 1)
        is_alone = len({each.ticket for each in self._bulk}) == 1
        may = [each for each in self._bulk if is_alone or self._active[each.ticket] < most]
        if not may:
            return None
        waiting = min(may, key=lambda each: each.start_tag)
        self._bulk.remove(waiting)
        self._virtual = waiting.start_tag
        return waiting

    def _has_bulk_place(self) -> bool:
        return sum(n for ticket, n in self._active.items() if ticket.lane is Lane.BULK) < self._n_bulk_places
