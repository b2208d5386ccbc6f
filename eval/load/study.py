"""Servers under load, taking turns. In: ``LoadPlan``. Out: ``Turn``s and ``Overload``s, round by round.

All servers are up all the time and one is asked at a time: in each round every server gets the same requests in the
same order, and what the machine does besides falls on all alike. Knows no statistics.
"""

import asyncio
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Protocol

import numpy as np

from eval.errors import TargetUnavailableError
from eval.load.background import Lasting, working_on
from eval.load.clients import Address, ask_at_rate, ask_in_turn
from eval.load.servers import MemoryWatch, Server
from eval.load.types import LoadClip, LoadPlan, Overload, Turn

__all__ = ["LoadProgress", "LoadResults", "draw_requests", "n_requests", "run_load"]

PER_LONG = 5  # of so many requests one sends the long recording
PER_CLIENT = 2  # requests at least, each turn
WARM_UP_CLIENTS = 8  # at once, so that each process of a server loads its model before it is measured
TIMES_CAPACITY = 4  # of the overload


class LoadProgress(Protocol):
    """Who watches."""

    def step(self, description: str) -> None:
        """Something begins."""

    def answered(self) -> None:
        """A request of a turn has its outcome."""


@dataclass(slots=True, kw_only=True)
class LoadResults:
    """Everything that was measured, in the order it was."""

    turns: list[Turn] = field(default_factory=list)
    overloads: list[Overload] = field(default_factory=list)


def n_requests(plan: LoadPlan) -> int:
    """Of all turns; how many an overload has follows from what is measured before it."""
    a_sweep = sum(_turn_length(plan, clients) for clients in plan.clients)
    return plan.rounds * len(plan.servers) * a_sweep * (1 if plan.background is None else 2)


def run_load(plan: LoadPlan, progress: LoadProgress) -> LoadResults:
    """Start what has to be started, and measure. Raises EvaluationError."""
    results = LoadResults()
    with ExitStack() as stack:
        stands = []
        for spec in plan.servers:
            progress.step(f"starting {spec.name}")
            stands.append(_Stand(plan, stack.enter_context(Server(spec)), progress))
            stands[-1].warm_up()
        for number in range(plan.rounds):
            for stand in stands:
                turns = stand.sweep(number)
                if stand is stands[0] and plan.overload_s is not None:
                    results.overloads.append(stand.overload(turns, plan.overload_s))
                if plan.background is not None:
                    turns += stand.sweep_beside(plan.background, number)
                results.turns += turns
    return results


class _Stand:
    """One server with its clients."""

    def __init__(self, plan: LoadPlan, server: Server, progress: LoadProgress) -> None:
        self._plan = plan
        self._server = server
        self._progress = progress

    @property
    def _address(self) -> Address:
        return Address(spec=self._server.spec, url=self._server.url, timeout_s=self._plan.timeout_s)

    def warm_up(self) -> None:
        """Raises TargetUnavailableError when nothing at all is answered."""
        clips = tuple(self._plan.clips[place % len(self._plan.clips)] for place in range(WARM_UP_CLIENTS))
        outcomes, _ = asyncio.run(ask_in_turn(self._address, clips, WARM_UP_CLIENTS))
        if all(outcome.code is not None for outcome in outcomes):
            name, got = self._server.spec.name, f"{outcomes[0].status or 'no status'} {outcomes[0].code}"
            raise TargetUnavailableError(
                f"{name} at {self._server.url}: got {got} for each of the first {len(outcomes)} clips, expected text. "
                "Correct the address or --model, or try a clip by hand."
            )

    def sweep(self, number: int) -> list[Turn]:
        """All numbers of clients, one after another."""
        return asyncio.run(self._turns(number, None))

    def sweep_beside(self, recording: Path, number: int) -> list[Turn]:
        """The same while the server works on a recording; afterwards the server is as if it had never had it."""
        self._progress.step(f"{self._heading(number)}: sending {recording.name}")
        turns = asyncio.run(self._turns_beside(recording, number))
        self._server.renew()
        self.warm_up()
        return turns

    def overload(self, turns: list[Turn], duration_s: float) -> Overload:
        """Short clips at four times the rate at which the turns before were answered at best."""
        self._progress.step(f"{self._server.spec.name}: {TIMES_CAPACITY} times what it can answer")
        peak_rate = max(sum(each.code is None for each in turn.outcomes) / turn.elapsed_s for turn in turns)
        rate = TIMES_CAPACITY * peak_rate
        clips = tuple(
            islice(_shuffled(self._plan.clips, np.random.default_rng(self._plan.seed)), int(rate * duration_s))
        )
        outcomes, elapsed_s = asyncio.run(ask_at_rate(self._address, clips, rate))
        return Overload(rate=rate, peak_rate=peak_rate, outcomes=outcomes, elapsed_s=elapsed_s)

    async def _turns_beside(self, recording: Path, number: int) -> list[Turn]:
        plan = self._plan
        async with working_on(recording, self._address, as_request=plan.as_request, settle_s=plan.settle_s) as lasting:
            return await self._turns(number, lasting)

    async def _turns(self, number: int, lasting: Lasting | None) -> list[Turn]:
        return [await self._turn(number, clients, lasting) for clients in self._plan.clients]

    async def _turn(self, number: int, clients: int, lasting: Lasting | None) -> Turn:
        beside = "" if lasting is None else ", a long recording beside"
        self._progress.step(f"{self._heading(number)}, {clients} at once{beside}")
        requests = draw_requests(self._plan, clients, number)
        cpu = time.process_time()
        with MemoryWatch(self._server.pid) as memory:
            outcomes, elapsed_s = await ask_in_turn(self._address, requests, clients, on_answer=self._progress.answered)
        return Turn(
            server=self._server.spec.name,
            clients=clients,
            with_background=lasting is not None,
            outcomes=outcomes,
            elapsed_s=elapsed_s,
            clients_cpu_s=time.process_time() - cpu,
            peak_mb=memory.peak_mb,
            background_lasted=lasting is None or await lasting(),
        )

    def _heading(self, number: int) -> str:
        return f"round {number + 1} of {self._plan.rounds}: {self._server.spec.name}"


def draw_requests(plan: LoadPlan, clients: int, number: int) -> tuple[LoadClip, ...]:
    """What is asked in one turn, of every server alike; with a long recording, one of five in a row is that."""
    rng = np.random.default_rng([plan.seed, number, clients])
    short = _shuffled(plan.clips, rng)
    requests: list[LoadClip] = []
    while len(requests) < _turn_length(plan, clients):
        few = list(islice(short, PER_LONG if plan.long is None else PER_LONG - 1))
        if plan.long is not None:
            few.insert(int(rng.integers(PER_LONG)), plan.long)
        requests += few
    return tuple(requests[: _turn_length(plan, clients)])


def _turn_length(plan: LoadPlan, clients: int) -> int:
    return max(plan.requests, PER_CLIENT * clients)


def _shuffled(clips: tuple[LoadClip, ...], rng: np.random.Generator) -> Iterator[LoadClip]:
    """Each once, before any comes again."""
    while True:
        for place in rng.permutation(len(clips)):
            yield clips[place]
