"""One place for a worker process. In: how to load a model. Out: a worker that is alive, and what it says.

Starts the process, watches it, and replaces it when it dies or hangs. Everything here runs on the event loop and none
of it blocks. Knows nothing of queues and requests.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from asr.engine_counts import EngineCounts
from server.messages import Beat, FromWorker, LoadFailed, ModelInfo, OfJob, Ready, StreamReport, ToWorker
from server.waiting import is_set_within
from server.worker import BEAT_S, Place, RecognizerFactory
from server.worker_process import EXIT_PATIENCE_S, WorkerProcess

__all__ = ["LOADING_RETRY_S", "Listener", "WorkerSeat", "WorkerState"]

logger = logging.getLogger("auricle.workers")

LONGEST_PAUSE_S = 60.0  # between two attempts to load a model that does not load
LOADING_RETRY_S = 5.0
MAX_SILENCE_S = 6.0  # a worker gives a sign of life every second
MAX_LOADING_SILENCE_S = 60.0  # imports hold the interpreter for long on a cold disk
MAX_STALL_S = 60.0  # at one step of the engine; the largest model on a slow processor takes a third of it


class WorkerState(StrEnum):
    """Where a worker is in its life."""

    LOADING = "loading"
    READY = "ready"
    FAILED = "load_failed"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True, kw_only=True)
class Listener:
    """Who hears of a seat."""

    on_ready: Callable[["WorkerSeat", ModelInfo], None]
    on_message: Callable[["WorkerSeat", OfJob | StreamReport], None]
    on_down: Callable[["WorkerSeat", bool], None]
    """The process is gone; whether it had been ready."""


class WorkerSeat:
    """A place that holds one worker process at a time."""

    def __init__(self, factory: RecognizerFactory, place: Place, listener: Listener) -> None:
        self.state = WorkerState.STOPPED
        self.problem = ""
        """Why the model does not load."""
        self.retry_after_s = LOADING_RETRY_S
        self._factory = factory
        self._place = place
        self._listener = listener
        self._process: WorkerProcess | None = None
        self._supervisor: asyncio.Task[None] | None = None
        self._stopping = asyncio.Event()
        self._heard_at = 0.0
        self._counts = EngineCounts()  # of the worker of now
        self._counts_before = EngineCounts()  # of those that are gone
        self._load_problem = ""  # what the worker said before it died, of the present attempt only

    @property
    def pid(self) -> int | None:
        """Process id of the worker, while there is one."""
        return self._process.pid if self._process else None

    @property
    def counts(self) -> EngineCounts:
        """What the engines of all workers of this seat have done."""
        return self._counts_before + self._counts

    def start(self) -> None:
        """Begin to load the model; does not wait for it."""
        self.state = WorkerState.LOADING
        self._supervisor = asyncio.create_task(self._supervise())

    def ask_to_stop(self) -> None:
        """Tell the worker to leave, and start no other."""
        self._stopping.set()
        self.state = WorkerState.STOPPED
        if self._process:
            self._process.ask_to_exit()

    async def stopped(self) -> None:
        """Wait for its end after ``ask_to_stop``; seconds at most."""
        if self._supervisor is None:
            return
        _, late = await asyncio.wait({self._supervisor}, timeout=EXIT_PATIENCE_S)
        if late and self._process:
            self._process.kill()
        await self._supervisor

    def send(self, message: ToWorker) -> None:
        """Tell the worker something; lost where it is dying, which ``on_down`` tells."""
        if self._process:
            self._process.send(message)

    def replace(self, why: str) -> None:
        """End a worker that is of no use; another follows."""
        logger.error("the worker %s and is replaced", why)
        if self._process:
            self._process.kill()

    async def _supervise(self) -> None:
        loop = asyncio.get_running_loop()
        failures = 0
        while not self._stopping.is_set():
            self._load_problem = ""
            self._heard_at = time.monotonic()
            process = await asyncio.to_thread(
                WorkerProcess, self._factory, self._place, loop=loop, deliver=self._on_message
            )
            self._process = process
            if self._stopping.is_set():
                process.ask_to_exit()
            await self._watch(process)
            await asyncio.to_thread(process.reap)
            self._process = None
            if self._stopping.is_set():
                return
            was_ready = self.state is WorkerState.READY
            failures = 0 if was_ready else failures + 1
            self._on_death(process.exit_code, was_ready=was_ready, pause_s=_pause_s(failures))
            await is_set_within(self._stopping, _pause_s(failures))
            if failures and not self._stopping.is_set():
                logger.info("loading the model again, attempt %d", failures + 1)

    async def _watch(self, process: WorkerProcess) -> None:
        """Until it is gone; one that gives no sign of life is ended."""
        while not process.gone.is_set():
            looked_at = time.monotonic()
            await is_set_within(process.gone, BEAT_S)
            now = time.monotonic()
            if now - looked_at > 2 * BEAT_S:
                self._heard_at = now  # this process itself was held up, and has not read what lies in the pipe
            longest = MAX_SILENCE_S if self.state is WorkerState.READY else MAX_LOADING_SILENCE_S
            if now - self._heard_at > longest and not process.gone.is_set():
                self._heard_at = now  # once is enough
                self.replace(f"has given no sign of life for {longest:.0f} s")

    def _on_death(self, exit_code: int | None, *, was_ready: bool, pause_s: float) -> None:
        self._counts_before, self._counts = self.counts, EngineCounts()
        if was_ready:
            logger.error("the worker died (exit code %s) and is restarted", exit_code)
            self.state = WorkerState.LOADING
        else:
            self.state = WorkerState.FAILED
            self.problem = self._load_problem
            self.retry_after_s = pause_s
            if not self.problem:
                self.problem = f"the worker process died while loading (exit code {exit_code})"
                logger.error("%s", self.problem)
            logger.info("next attempt to load the model in %.0f s", pause_s)
        self._listener.on_down(self, was_ready)

    def _on_message(self, message: FromWorker) -> None:
        self._heard_at = time.monotonic()
        if isinstance(message, Beat):
            self._counts = message.counts
            if message.stalled_s > MAX_STALL_S:
                self.replace(f"has been at one step for {message.stalled_s:.0f} s")
        elif isinstance(message, LoadFailed):
            logger.error("the model could not be loaded: %s", message.message)
            self._load_problem = self.problem = message.message
            self.state = WorkerState.FAILED
        elif not isinstance(message, Ready):
            self._listener.on_message(self, message)
        elif not self._stopping.is_set():
            self.state = WorkerState.READY
            self.retry_after_s = LOADING_RETRY_S
            self._listener.on_ready(self, message.model)


def _pause_s(failures: int) -> float:
    """None after a death at work; then 1, 2, 4 ... seconds, so that a model that never loads does not spin."""
    return min(LONGEST_PAUSE_S, 2.0 ** (failures - 1)) if failures else 0.0
