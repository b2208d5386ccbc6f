"""Who works on what. In: work from the routes. Out: segments and results, in the order the work came.

The pool of one model: keeps its worker processes alive and hands each as many recordings as it decodes side by side.
What a dead worker was working on is done once more, each recording by itself, so that one that kills takes no other
along. Work is admitted by count and by seconds of audio; recordings that take long leave places to short ones.
Everything here runs on the event loop and none of it blocks. Knows nothing of HTTP requests, and of models only what
the workers say.
"""

import asyncio
import itertools
import logging
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable

from asr.engine_counts import EngineCounts
from server.errors import ApiError, api_error_from, internal_error, out_of_memory, without_paths
from server.live_streams import LiveStream, LiveStreams
from server.messages import (
    Cancel,
    Crashed,
    Failed,
    Job,
    ModelInfo,
    OfJob,
    Progressed,
    SegmentDecoded,
    StreamReport,
    StreamWork,
    Transcribed,
    WindowDecoded,
    Work,
)
from server.pool_types import PoolRequest, PoolStats, QueueLimits, Result, Update, WorkerStatus, update_of
from server.speed_meter import SpeedMeter
from server.worker import MAX_RUNNING, Place, RecognizerFactory
from server.worker_seat import LOADING_RETRY_S, Listener, WorkerSeat, WorkerState

__all__ = ["WorkerPool", "shutting_down"]

logger = logging.getLogger("auricle.workers")

MAX_DEATHS = 2  # of workers, after which a recording is the likely cause
KEPT_PLACES = 2  # of a worker's, for short recordings
LONGEST_RETRY_S = 600.0
LET_GO_S = 60.0  # in which a worker drops what was cancelled; the preparation of three hours takes seconds


class WorkerPool:
    """One model's workers; see ``server.models.Workers`` for what they do together."""

    def __init__(
        self,
        factory: RecognizerFactory,
        *,
        n_workers: int = 1,
        limits: QueueLimits,
        max_running_requests: int = MAX_RUNNING,
        on_ready: Callable[[ModelInfo], None] | None = None,
    ) -> None:
        self._limits = limits
        self._max_running = max_running_requests
        self._on_ready = on_ready
        self._model: ModelInfo | None = None
        listener = Listener(on_ready=self._on_seat_ready, on_message=self._on_message, on_down=self._on_seat_down)
        self._running: dict[WorkerSeat, dict[int, PoolRequest]] = {
            WorkerSeat(factory, Place(index=index, n_workers=n_workers), listener): {} for index in range(n_workers)
        }
        self._streams = {seat: LiveStreams(max_streams=limits.max_streams) for seat in self._running}
        self._stopped = True
        self._waiting: dict[bool, deque[PoolRequest]] = {False: deque(), True: deque()}  # by whether they are bulk
        self._numbers = itertools.count(1)
        self._meter = SpeedMeter()
        self._n_deaths = 0
        self._n_retried = 0
        self._news = asyncio.Event()  # set, and replaced, when the state of a worker changes
        self._used_at = time.monotonic()

    @property
    def status(self) -> WorkerStatus:
        """Whether work can be done now: by one worker at least."""
        if self._stopped:
            return WorkerStatus(state=WorkerState.STOPPED, model=self._model)
        order = [WorkerState.READY, WorkerState.LOADING, WorkerState.FAILED, WorkerState.STOPPED]
        best = min(self._running, key=lambda seat: order.index(seat.state))
        problem = best.problem if best.state is WorkerState.FAILED else ""
        return WorkerStatus(state=best.state, model=self._model, problem=problem, retry_after_s=best.retry_after_s)

    @property
    def stats(self) -> PoolStats:
        """For those who watch."""
        waiting = [request for line in self._waiting.values() for request in line]
        running = [request for requests in self._running.values() for request in requests.values()]
        return PoolStats(
            workers=len(self._running),
            workers_ready=sum(seat.state is WorkerState.READY for seat in self._running),
            places=self._max_running * len(self._running),
            queued_requests=len(waiting),
            queued_audio_s=sum(request.work.audio_s for request in waiting),
            running_requests=len(running),
            running_audio_s=sum(request.work.audio_s for request in running),
            streams=sum(streams.n_open for streams in self._streams.values()),
            speed=self._meter.speed,
            deaths=self._n_deaths,
            retried=self._n_retried,
            engine=sum((seat.counts for seat in self._running), start=EngineCounts()),
        )

    @property
    def worker_pids(self) -> list[int]:
        """Process ids of the workers that there are."""
        return [seat.pid for seat in self._running if seat.pid is not None]

    @property
    def idle_s(self) -> float:
        """How long there has been no work, in seconds."""
        is_loading = self.status.state is WorkerState.LOADING
        has_work = any(self._waiting.values()) or any(self._running.values())
        is_busy = is_loading or has_work or any(streams.n_open for streams in self._streams.values())
        return 0.0 if is_busy else time.monotonic() - self._used_at

    def touch(self) -> None:
        """Somebody is about to ask for work."""
        self._used_at = time.monotonic()

    def start(self) -> None:
        """Begin to load the model; does not wait for it."""
        self._stopped = False
        for seat in self._running:
            seat.start()

    async def settled(self) -> WorkerStatus:
        """Wait until the model is loaded, or cannot be."""
        while self.status.state is WorkerState.LOADING:
            await self._news.wait()
        return self.status

    async def stop(self) -> None:
        """Refuse what waits and end the workers within seconds."""
        self._stopped = True
        self._refuse_all(shutting_down())
        for seat in self._running:
            self._streams[seat].end_all(shutting_down())
            seat.ask_to_stop()
        self._tell_change()
        await asyncio.gather(*(seat.stopped() for seat in self._running))

    def check_admission(self, audio_s: float = 0.0, *, n_arriving: int = 0) -> None:
        """Raise ApiError: 503 while no worker is ready, 429 where so much audio more would be too much.

        ``n_arriving``: others that were admitted and are not here yet; each will take a place, or wait.
        """
        self.check_ready()
        queued = [request.work.audio_s for line in self._waiting.values() for request in line if not request.is_job]
        is_full = len(queued) + n_arriving >= self._limits.max_queued_requests + self._n_free_places()
        is_long = sum(queued) > 0 and sum(queued) + audio_s > self._limits.max_queued_audio_s
        if is_full or is_long:
            wait_s = min(LONGEST_RETRY_S, max(self.stats.wait_s, 1.0))
            raise ApiError(429, "queue_full", "Too much is waiting to be recognized.", retry_after_s=wait_s)

    def check_ready(self) -> None:
        """Raise ApiError (503) while no worker is ready."""
        status = self.status
        if status.state is WorkerState.STOPPED:
            raise shutting_down()
        if status.state is not WorkerState.READY:
            problem = without_paths(status.problem)  # whole in the log only
            why = f"The model could not be loaded: {problem}" if problem else "The model is being loaded."
            raise ApiError(503, status.state.value, why, retry_after_s=status.retry_after_s)

    def open_stream(self, work: StreamWork) -> LiveStream:
        """Begin a stream at the worker that has the fewest. Raises ApiError (429, 503)."""
        self.check_ready()
        ready = [seat for seat in self._streams if seat.state is WorkerState.READY]
        seat = min(ready, key=lambda seat: (self._streams[seat].n_open, len(self._running[seat])))
        return self._streams[seat].open(next(self._numbers), work, seat.send)

    async def run(self, work: Work) -> AsyncGenerator[Update]:
        """Do the work; see ``server.models.Workers.run``. Raises ApiError."""
        request = PoolRequest(work=work, number=next(self._numbers), submitted_at=time.monotonic())
        if request.is_job:
            self.check_ready()
        else:
            self.check_admission(work.audio_s)
        self._waiting[request.is_bulk].append(request)
        self._dispatch()
        try:
            while True:
                update = await self._next_update(request)
                if isinstance(update, ApiError):
                    raise update
                yield update
                if isinstance(update, Result):
                    return
        finally:
            self._give_up(request)

    async def _next_update(self, request: PoolRequest) -> Update | ApiError:
        if request.is_job:
            return await request.updates.get()
        timeout_s = self._limits.request_timeout_s
        try:
            left_s = request.submitted_at + timeout_s - time.monotonic()
            async with asyncio.timeout(left_s):
                return await request.updates.get()
        except TimeoutError:
            message = f"The answer took longer than {timeout_s:g} s. Send long recordings as jobs."
            return ApiError(504, "deadline_exceeded", message)

    def _give_up(self, request: PoolRequest) -> None:
        """Nobody waits for it any more: its place is for others."""
        request.is_left = True
        self.touch()
        line = self._waiting[request.is_bulk]
        if request in line:
            line.remove(request)
        for seat, requests in self._running.items():
            if request.number in requests:
                seat.send(Cancel(number=request.number))
                asyncio.get_running_loop().call_later(LET_GO_S, self._check_let_go, seat, request)

    def _check_let_go(self, seat: WorkerSeat, request: PoolRequest) -> None:
        if request.number in self._running[seat]:
            seat.replace(f"does not let go of what was cancelled {LET_GO_S:.0f} s ago")

    # --- what the workers say ---

    def _on_seat_ready(self, _: WorkerSeat, model: ModelInfo) -> None:
        logger.info("the model %s is ready (%s)", model.name, model.hash)
        self._model = model
        self.touch()
        if self._on_ready:
            self._on_ready(model)
            self._on_ready = None  # for the first start only, not for each replaced worker
        self._tell_change()
        self._dispatch()

    def _on_seat_down(self, seat: WorkerSeat, was_ready: bool) -> None:
        self._n_deaths += was_ready
        self._streams[seat].end_all(ApiError(503, "worker_died", "The worker process died during this stream."))
        self._give_back(seat)
        status = self.status
        if status.state is WorkerState.FAILED:
            problem = "The model could not be loaded."
            self._refuse_all(ApiError(503, "load_failed", problem, retry_after_s=status.retry_after_s))
        self._tell_change()
        self._dispatch()

    def _tell_change(self) -> None:
        self._news.set()
        self._news = asyncio.Event()

    def _give_back(self, seat: WorkerSeat) -> None:
        """Put what the dead worker was at before all that waits, unless it may be the cause, or is half told."""
        again = []
        for request in self._running[seat].values():
            self._meter.end(0.0, time.monotonic())
            request.n_deaths += 1
            if request.has_told or request.n_deaths >= MAX_DEATHS:
                message = "The worker process died during this request."
                request.updates.put_nowait(ApiError(503, "worker_died", message, retry_after_s=seat.retry_after_s))
            elif not request.is_left:
                again.append(request)
        self._running[seat].clear()
        self._n_retried += len(again)
        for request in reversed(again):
            self._waiting[request.is_bulk].appendleft(request)

    def _on_message(self, seat: WorkerSeat, message: OfJob | StreamReport) -> None:
        if isinstance(message, StreamReport):
            self._streams[seat].deliver(message)
            return
        request = self._running[seat].get(message.number)
        if request is None:
            return
        if isinstance(message, SegmentDecoded | WindowDecoded | Progressed):
            request.has_told = True
            request.updates.put_nowait(update_of(message))
            if isinstance(message, WindowDecoded) and request.n_deaths:
                request.n_deaths = 0  # past where it was: others need not wait for a long recording's end
                self._dispatch()
            return
        now = time.monotonic()
        if isinstance(message, Failed):
            request.updates.put_nowait(api_error_from(message.kind, message.message, message.param))
        elif isinstance(message, Crashed):
            logger.error("a request failed in the worker\n%s", message.traceback)
            request.updates.put_nowait(out_of_memory() if message.is_out_of_memory else internal_error())
        else:
            output = message.transcript if isinstance(message, Transcribed) else message.detection
            request.updates.put_nowait(Result(output=output, queue_s=request.started_at - request.submitted_at))
        del self._running[seat][request.number]
        is_done = not isinstance(message, Failed | Crashed)
        self._meter.end(request.work.audio_s if is_done else 0.0, now)
        self._dispatch()

    # --- who is next ---

    def _dispatch(self) -> None:
        for line in self._waiting.values():
            while line:
                seat = self._seat_for(line[0])
                if seat is None:
                    break
                request = line.popleft()
                request.started_at = time.monotonic()
                self._running[seat][request.number] = request
                self._meter.begin(request.started_at)
                seat.send(Job(number=request.number, work=request.work))

    def _seat_for(self, request: PoolRequest) -> WorkerSeat | None:
        """The least busy worker that may take it."""
        if not request.n_deaths and any(line and line[0].n_deaths for line in self._waiting.values()):
            return None  # what was under way at a death waits for a worker of its own, and comes first
        free = [seat for seat in self._running if self._may_take(seat, request)]
        return min(free, key=lambda seat: len(self._running[seat]), default=None)

    def _may_take(self, seat: WorkerSeat, request: PoolRequest) -> bool:
        running = self._running[seat].values()
        if seat.state is not WorkerState.READY or len(running) >= self._max_running:
            return False
        if running and (request.n_deaths or any(each.n_deaths for each in running)):
            return False  # what was under way at a death runs by itself
        n_bulk = sum(each.is_bulk for each in running)
        return not request.is_bulk or n_bulk < max(self._max_running - KEPT_PLACES, 1)

    def _n_free_places(self) -> int:
        ready = (running for seat, running in self._running.items() if seat.state is WorkerState.READY)
        return sum(max(self._max_running - len(running), 0) for running in ready)

    def _refuse_all(self, error: ApiError) -> None:
        for line in self._waiting.values():
            for request in line:
                request.updates.put_nowait(error)
            line.clear()
        for requests in self._running.values():
            for request in requests.values():
                request.updates.put_nowait(error)
            requests.clear()


def shutting_down() -> ApiError:
    """The refusal of all that comes after the end has begun."""
    return ApiError(503, "shutting_down", "The service is shutting down.", retry_after_s=LOADING_RETRY_S)
