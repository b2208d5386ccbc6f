"""Which models there are, and which are in memory. In: names. Out: work done by the pool of the model that was named.

The first model is loaded at the start and stays. The others are loaded when somebody asks for them, and unloaded when
nobody has for a while. Knows nothing of HTTP requests.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import AbstractContextManager, aclosing, contextmanager, suppress
from dataclasses import dataclass
from typing import Protocol

from server.errors import ApiError
from server.live_streams import LiveStream
from server.messages import ModelInfo, StreamWork, TranscribeWork, Work
from server.pool_types import PoolStats, Update, WorkerStatus
from server.worker_pool import WorkerPool, shutting_down
from server.worker_seat import WorkerState

__all__ = ["DEFAULT_MODEL_ALIAS", "UNLOADED", "ModelPools", "ModelStatus", "Workers"]

logger = logging.getLogger("auricle.models")

DEFAULT_MODEL_ALIAS = "whisper-1"  # OpenAI's name, which its clients send unasked
LOADING_PATIENCE_S = 120.0  # of a request whose model is not in memory
UNLOADED = "unloaded"
IDLE_CHECKS = 10  # in the time after which a model is idle


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelStatus:
    """One model that may be asked for."""

    name: str
    is_default: bool
    state: str
    """A WorkerState, or ``unloaded``."""
    model: ModelInfo | None
    """None until it has been loaded once."""
    stats: PoolStats | None
    """None while it is not in memory."""


class Workers(Protocol):
    """What the routes need of whoever does the work; tests give them a fake."""

    @property
    def status(self) -> WorkerStatus:
        """Of the default model: whether work can be done now."""

    @property
    def models(self) -> Sequence[ModelStatus]:
        """All that may be asked for, the default first."""

    def status_of(self, name: str) -> ModelStatus:
        """One of them. Raises ApiError (404)."""

    async def start(self) -> None:
        """Begin to load the default model; does not wait for it."""

    async def stop(self) -> None:
        """Refuse what waits and end within seconds."""

    def check_admission(self) -> None:
        """Raise the ApiError (429, 503) that ``run`` would raise now, before an upload is read."""

    def arriving(self) -> AbstractContextManager[None]:
        """Count as waiting while a recording is decoded, before ``run``. Raises as ``check_admission`` does.

        Without it all that come during a decoding find the same free place, and all but one are refused once they are
        decoded: under overload most of the time would go there.
        """

    async def model(self, name: str) -> ModelInfo:
        """The model of this name, loaded where it was not. Raises ApiError (404, 503)."""

    async def unload(self, name: str) -> None:
        """Take a model out of memory. Raises ApiError (404; 409 for the default)."""

    def run(self, work: Work, *, model: str = DEFAULT_MODEL_ALIAS) -> AsyncGenerator[Update]:
        """Do the work: what it asked to be told on the way, then one Result. Closing the generator gives it up.

        Jobs are not counted against the queue, have no deadline, and wait for their model.
        """

    def open_stream(self, work: StreamWork, *, model: str = DEFAULT_MODEL_ALIAS) -> LiveStream:
        """Begin a stream, which its caller closes. Raises ApiError: 503 while no model is ready, 429 when full."""


class ModelPools:
    """``Workers`` over real child processes, one pool of them a model."""

    def __init__(self, names: Sequence[str], make_pool: Callable[[str], WorkerPool], *, idle_timeout_s: float) -> None:
        """``names``: the default model and the others; one unused for ``idle_timeout_s`` is unloaded, 0: never."""
        self._names = tuple(names)
        self._make_pool = make_pool
        self._idle_timeout_s = idle_timeout_s
        self._pools: dict[str, WorkerPool] = {}
        self._known: dict[str, ModelInfo] = {}
        self._unloader: asyncio.Task[None] | None = None
        self._n_arriving = 0
        self._stopped = True

    @property
    def status(self) -> WorkerStatus:
        """See Workers."""
        pool = self._pools.get(self._names[0])
        return pool.status if pool else WorkerStatus(state=WorkerState.STOPPED)

    @property
    def models(self) -> Sequence[ModelStatus]:
        """See Workers."""
        return [self.status_of(name) for name in self._names]

    def status_of(self, name: str) -> ModelStatus:
        """See Workers."""
        name = self._resolve(name)
        pool = self._pools.get(name)
        status = pool.status if pool else None
        if status and status.model:
            self._known[name] = status.model
        return ModelStatus(
            name=name,
            is_default=name == self._names[0],
            state=status.state.value if status else UNLOADED,
            model=self._known.get(name),
            stats=pool.stats if pool else None,
        )

    @property
    def worker_pids(self) -> list[int]:
        """Process ids of all workers that there are."""
        return [pid for pool in self._pools.values() for pid in pool.worker_pids]

    async def start(self) -> None:
        """See Workers."""
        self._stopped = False
        self._open(self._names[0])
        if self._idle_timeout_s and len(self._names) > 1:
            self._unloader = asyncio.create_task(self._unload_idle())

    async def stop(self) -> None:
        """See Workers."""
        self._stopped = True
        if self._unloader:
            self._unloader.cancel()
            with suppress(asyncio.CancelledError):
                await self._unloader
        await asyncio.gather(*(pool.stop() for pool in self._pools.values()))

    def check_admission(self) -> None:
        """See Workers. Which model is asked for stands in the form, after the upload: one that has room is enough."""
        refusals = []
        for pool in self._pools.values():
            try:
                pool.check_admission(n_arriving=self._n_arriving)
            except ApiError as refusal:
                refusals.append(refusal)
        if len(refusals) == len(self._pools) and refusals:
            raise refusals[0]

    @contextmanager
    def arriving(self) -> Iterator[None]:
        """See Workers. For which model is not asked: all together are few."""
        self.check_admission()
        self._n_arriving += 1
        try:
            yield
        finally:
            self._n_arriving -= 1

    async def model(self, name: str) -> ModelInfo:
        """See Workers."""
        name = self._resolve(name)
        pool = self._pools.get(name) or self._open(name)
        pool.touch()
        if name != self._names[0]:
            with suppress(TimeoutError):
                async with asyncio.timeout(LOADING_PATIENCE_S):
                    await pool.settled()
            pool.check_ready()
        model = self.status_of(name).model
        if model is None:
            pool.check_ready()
            raise RuntimeError(f"the workers of {name} are ready but name no model")
        return model

    async def unload(self, name: str) -> None:
        """See Workers."""
        name = self._resolve(name)
        if name == self._names[0]:
            raise ApiError(
                409, "model_is_default", f"{name} is the default model, which stays in memory.", param="name"
            )
        pool = self._pools.pop(name, None)
        if pool:
            logger.info("unloading the model %s", name)
            await pool.stop()

    async def run(self, work: Work, *, model: str = DEFAULT_MODEL_ALIAS) -> AsyncGenerator[Update]:
        """See Workers."""
        name = self._resolve(model)
        pool = self._pools.get(name) or self._open(name)
        is_job = isinstance(work, TranscribeWork) and work.is_job
        if is_job or name != self._names[0]:
            await pool.settled()
        async with aclosing(pool.run(work)) as updates:
            async for update in updates:
                yield update

    def open_stream(self, work: StreamWork, *, model: str = DEFAULT_MODEL_ALIAS) -> LiveStream:
        """See Workers."""
        name = self._resolve(model)
        return (self._pools.get(name) or self._open(name)).open_stream(work)

    def _resolve(self, name: str) -> str:
        if name == DEFAULT_MODEL_ALIAS:
            return self._names[0]
        if name not in self._names:
            expected = ", ".join(repr(each) for each in self._names)
            message = f"model: got {name[:64]!r}, expected one that this service has: {expected}"
            raise ApiError(404, "model_not_found", message, param="model")
        return name

    def _open(self, name: str) -> WorkerPool:
        if self._stopped:
            raise shutting_down()
        pool = self._make_pool(name)
        self._pools[name] = pool
        pool.start()
        return pool

    async def _unload_idle(self) -> None:
        while True:
            await asyncio.sleep(self._idle_timeout_s / IDLE_CHECKS)
            idle = [name for name, pool in self._pools.items() if pool.idle_s > self._idle_timeout_s]
            for name in idle:
                if name != self._names[0]:
                    await self.unload(name)
