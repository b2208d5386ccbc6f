"""Who works on what. In: work from the routes. Out: segments and results, in the order the work came.

Keeps one worker process alive, hands it as many recordings as it decodes side by side and restarts it when it dies;
what it was working on is then done once more, each recording by itself, so that one that kills takes no other along.
Everything here runs on the event loop and none of it blocks. Knows nothing of HTTP requests, and of models only what
the worker says.
"""

import asyncio
import itertools
import logging
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from asr.transcript import LanguageDetection, Segment, Transcript
from server.errors import ApiError, api_error_from, internal_error, without_paths
from server.messages import (
    Crashed,
    Detected,
    Failed,
    FromWorker,
    Job,
    LoadFailed,
    ModelInfo,
    Ready,
    SegmentDecoded,
    Transcribed,
    Work,
)
from server.worker import MAX_RUNNING, RecognizerFactory
from server.worker_process import EXIT_PATIENCE_S, WorkerProcess

__all__ = ["Result", "Update", "WorkerPool", "WorkerState", "WorkerStatus", "Workers"]

logger = logging.getLogger("auricle.workers")

LONGEST_PAUSE_S = 60.0  # between two attempts to load a model that does not load
LOADING_RETRY_S = 5.0
MAX_DEATHS = 2  # of workers, after which a recording is the likely cause


class WorkerState(StrEnum):
    """Where the worker is in its life."""

    LOADING = "loading"
    READY = "ready"
    FAILED = "load_failed"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerStatus:
    """What /readyz and /models tell."""

    state: WorkerState
    model: ModelInfo | None = None
    """The model last loaded; stays known while a dead worker is replaced."""
    problem: str = ""
    """Why the model does not load."""
    retry_after_s: float = LOADING_RETRY_S


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """The last update of a piece of work: what came out, and how long it had waited."""

    output: Transcript | LanguageDetection
    queue_s: float


Update = Segment | Result


class Workers(Protocol):
    """What the routes need of whoever does the work; tests give them a fake."""

    @property
    def status(self) -> WorkerStatus:
        """Whether work can be done now."""

    async def start(self) -> None:
        """Begin to load the model; does not wait for it."""

    async def stop(self) -> None:
        """Refuse what waits and end within seconds."""

    def check_admission(self) -> None:
        """Raise the ApiError (429, 503) that ``run`` would raise now, before an upload is read."""

    def run(self, work: Work) -> AsyncGenerator[Update]:
        """Do the work: its segments if it asked for them, then one Result. Closing the generator gives up."""


@dataclass(eq=False, slots=True, kw_only=True)
class _Ticket:
    work: Work
    number: int
    submitted_at: float
    started_at: float = 0.0
    n_deaths: int = 0
    """Of workers, at this recording or beside it."""
    has_told: bool = False
    """Whether the client has seen a part of the answer already."""
    is_left: bool = False
    """Whether nobody waits for it any more."""
    updates: asyncio.Queue[Update | ApiError] = field(default_factory=asyncio.Queue)


class WorkerPool:
    """``Workers`` over one real child process."""

    def __init__(
        self,
        factory: RecognizerFactory,
        *,
        max_queued_requests: int,
        max_running_requests: int = MAX_RUNNING,
        on_ready: Callable[[ModelInfo], None] | None = None,
    ) -> None:
        self._factory = factory
        self._max_queued_requests = max_queued_requests
        self._max_running_requests = max_running_requests
        self._on_ready = on_ready
        self._status = WorkerStatus(state=WorkerState.STOPPED)
        self._worker: WorkerProcess | None = None
        self._supervisor: asyncio.Task[None] | None = None
        self._stopping = asyncio.Event()
        self._waiting: deque[_Ticket] = deque()
        self._running: dict[int, _Ticket] = {}
        self._numbers = itertools.count(1)
        self._load_problem = ""  # what the worker said before it died, of the present attempt only
        self._service_s = 10.0  # moving mean of the time a recording takes; a guess until one was measured

    @property
    def status(self) -> WorkerStatus:
        """Whether work can be done now."""
        return self._status

    @property
    def worker_pid(self) -> int | None:
        """Process id of the worker, while there is one."""
        return self._worker.pid if self._worker else None

    async def start(self) -> None:
        """Begin to load the model; does not wait for it."""
        self._status = WorkerStatus(state=WorkerState.LOADING)
        self._supervisor = asyncio.create_task(self._supervise())

    async def stop(self) -> None:
        """Refuse what waits and end the worker within seconds."""
        self._stopping.set()
        self._status = WorkerStatus(state=WorkerState.STOPPED, model=self._status.model)
        self._refuse_all(_stopped())
        if self._worker:
            self._worker.ask_to_exit()
        if self._supervisor is None:
            return
        _, late = await asyncio.wait({self._supervisor}, timeout=EXIT_PATIENCE_S)
        if late and self._worker:
            self._worker.kill()
        await self._supervisor

    def check_admission(self) -> None:
        """Raise ApiError: 503 while no model is ready, 429 when the queue is full."""
        status = self._status
        if status.state is WorkerState.STOPPED:
            raise _stopped()
        if status.state is not WorkerState.READY:
            problem = without_paths(status.problem)  # whole in the log only
            why = f"The model could not be loaded: {problem}" if problem else "The model is being loaded."
            raise ApiError(503, status.state.value, why, retry_after_s=status.retry_after_s)
        if len(self._running) >= self._max_running_requests and len(self._waiting) >= self._max_queued_requests:
            wait_s = min(600.0, self._service_s * (len(self._waiting) + 1) / self._max_running_requests)
            raise ApiError(429, "queue_full", "Too many requests are waiting; try again later.", retry_after_s=wait_s)

    async def run(self, work: Work) -> AsyncGenerator[Update]:
        """Do the work; see ``Workers.run``. Raises ApiError."""
        self.check_admission()
        ticket = _Ticket(work=work, number=next(self._numbers), submitted_at=time.monotonic())
        self._waiting.append(ticket)
        self._dispatch()
        try:
            while True:
                update = await ticket.updates.get()
                if isinstance(update, ApiError):
                    raise update
                yield update
                if isinstance(update, Result):
                    return
        finally:
            # A client that left while it waited costs nothing; what the worker has begun it finishes.
            ticket.is_left = True
            if ticket in self._waiting:
                self._waiting.remove(ticket)

    async def _supervise(self) -> None:
        loop = asyncio.get_running_loop()
        failures = 0
        while not self._stopping.is_set():
            self._load_problem = ""
            worker = await asyncio.to_thread(WorkerProcess, self._factory, loop=loop, deliver=self._on_message)
            self._worker = worker
            if self._stopping.is_set():
                worker.ask_to_exit()
            await worker.gone.wait()
            await asyncio.to_thread(worker.reap)
            self._worker = None
            if self._stopping.is_set():
                return
            was_ready = self._status.state is WorkerState.READY
            failures = 0 if was_ready else failures + 1
            self._on_death(worker.exit_code, was_ready=was_ready, pause_s=_pause_s(failures))
            await _wait_until(self._stopping, _pause_s(failures))
            if failures and not self._stopping.is_set():
                logger.info("loading the model again, attempt %d", failures + 1)

    def _on_death(self, exit_code: int | None, *, was_ready: bool, pause_s: float) -> None:
        model = self._status.model
        if was_ready:
            logger.error("the worker died (exit code %s) and is restarted", exit_code)
            self._status = WorkerStatus(state=WorkerState.LOADING, model=model)
            self._give_back()
            return
        problem = self._load_problem
        if not problem:
            problem = f"the worker process died while loading (exit code {exit_code})"
            logger.error("%s", problem)
        logger.info("next attempt to load the model in %.0f s", pause_s)
        self._status = WorkerStatus(state=WorkerState.FAILED, model=model, problem=problem, retry_after_s=pause_s)
        self._refuse_all(ApiError(503, "load_failed", "The model could not be loaded.", retry_after_s=pause_s))

    def _give_back(self) -> None:
        """Put what the dead worker was at before all that waits, unless it may be the cause, or is half told."""
        again = []
        for ticket in self._running.values():
            ticket.n_deaths += 1
            if ticket.has_told or ticket.n_deaths >= MAX_DEATHS:
                message = "The worker process died during this request."
                ticket.updates.put_nowait(
                    ApiError(503, "worker_died", message, retry_after_s=self._status.retry_after_s)
                )
            elif not ticket.is_left:
                again.append(ticket)
        self._running.clear()
        self._waiting.extendleft(reversed(again))

    def _on_message(self, message: FromWorker) -> None:
        if isinstance(message, Ready):
            self._on_worker_ready(message.model)
        elif isinstance(message, LoadFailed):
            logger.error("the model could not be loaded: %s", message.message)
            self._load_problem = message.message
            self._status = WorkerStatus(state=WorkerState.FAILED, model=self._status.model, problem=message.message)
        elif ticket := self._running.get(message.number):
            self._on_progress(ticket, message)

    def _on_worker_ready(self, model: ModelInfo) -> None:
        if self._stopping.is_set():
            return
        logger.info("the model %s is ready (%s)", model.name, model.hash)
        self._status = WorkerStatus(state=WorkerState.READY, model=model)
        if self._on_ready:
            self._on_ready(model)
            self._on_ready = None  # for the first start only, not for each replaced worker
        self._dispatch()

    def _on_progress(
        self, ticket: _Ticket, message: SegmentDecoded | Transcribed | Detected | Failed | Crashed
    ) -> None:
        if isinstance(message, SegmentDecoded):
            ticket.has_told = True
            ticket.updates.put_nowait(message.segment)
            return
        if isinstance(message, Failed):
            ticket.updates.put_nowait(api_error_from(message.kind, message.message, message.param))
        elif isinstance(message, Crashed):
            logger.error("a request failed in the worker\n%s", message.traceback)
            ticket.updates.put_nowait(internal_error())
        else:
            output = message.transcript if isinstance(message, Transcribed) else message.detection
            ticket.updates.put_nowait(Result(output=output, queue_s=ticket.started_at - ticket.submitted_at))
            self._service_s += 0.2 * (time.monotonic() - ticket.started_at - self._service_s)
        del self._running[ticket.number]
        self._dispatch()

    def _dispatch(self) -> None:
        while self._waiting and len(self._running) < self._max_running_requests:
            if not self._worker or self._status.state is not WorkerState.READY:
                return
            if self._running and any(each.n_deaths for each in (self._waiting[0], *self._running.values())):
                return  # what was under way at a death runs by itself
            ticket = self._waiting.popleft()
            ticket.started_at = time.monotonic()
            self._running[ticket.number] = ticket
            self._worker.send(Job(number=ticket.number, work=ticket.work))

    def _refuse_all(self, error: ApiError) -> None:
        for ticket in (*self._waiting, *self._running.values()):
            ticket.updates.put_nowait(error)
        self._waiting.clear()
        self._running.clear()


def _stopped() -> ApiError:
    return ApiError(503, "shutting_down", "The service is shutting down.", retry_after_s=LOADING_RETRY_S)


def _pause_s(failures: int) -> float:
    """None after a death at work; then 1, 2, 4 ... seconds, so that a model that never loads does not spin."""
    return min(LONGEST_PAUSE_S, 2.0 ** (failures - 1)) if failures else 0.0


async def _wait_until(event: asyncio.Event, timeout_s: float) -> None:
    try:
        await asyncio.wait_for(event.wait(), timeout_s)
    except TimeoutError:
        return
