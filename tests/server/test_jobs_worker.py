"""Jobs' work in a real worker process: windows told and handed in again, and nobody else's queue."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import pytest
from service_fakes import keep_text, load_stub

from asr.options import TranscribeOptions
from asr.ticket import Lane
from asr.transcript import Progress, Segment
from server.errors import ApiError
from server.messages import TranscribeWork
from server.pool_types import DecodedWindow, QueueLimits, Result, Update
from server.worker_pool import WorkerPool
from server.worker_seat import WorkerState

PATIENCE_S = 20.0


@asynccontextmanager
async def ready_pool() -> AsyncIterator[WorkerPool]:
    pool = WorkerPool(load_stub, limits=QueueLimits(max_queued_requests=0), max_running_requests=1)
    pool.start()
    async with asyncio.timeout(PATIENCE_S):
        while pool.status.state is not WorkerState.READY:
            await asyncio.sleep(0.01)
    try:
        yield pool
    finally:
        await pool.stop()


def over_ready_pool(check: Callable[[WorkerPool], Awaitable[None]]) -> None:
    async def go() -> None:
        async with ready_pool() as pool:
            await check(pool)

    asyncio.run(go())


def bulk(folder: Path, text: str, known: dict[str, str]) -> TranscribeWork:
    windows = folder / "windows"
    windows.write_text(json.dumps(known))
    return TranscribeWork(
        audio=keep_text(folder / "recording", text.encode()),
        options=TranscribeOptions(),
        send_segments=True,
        lane=Lane.BULK,
        is_job=True,
        windows=windows,
    )


async def told(pool: WorkerPool, work: TranscribeWork) -> list[Update]:
    return [update async for update in pool.run(work)]


def test_windows_are_told_before_their_segments_and_known_ones_are_not_decoded(tmp_path: Path) -> None:
    async def check(pool: WorkerPool) -> None:
        updates = await told(pool, bulk(tmp_path, "windows 3 0", {}))
        kinds = [type(update) for update in updates]
        assert kinds == [DecodedWindow, Segment, Progress] * 3 + [Result]
        known = {update.key: update.payload for update in updates if isinstance(update, DecodedWindow)}
        del known["window 1"]
        again = await told(pool, bulk(tmp_path, "windows 3 0", known))
        assert [update.key for update in again if isinstance(update, DecodedWindow)] == ["window 1"]
        texts = [update.text for update in updates if isinstance(update, Segment)]
        texts_again = [update.text for update in again if isinstance(update, Segment)]
        assert (texts_again[0], texts_again[2]) == (texts[0], texts[2])
        assert texts_again[1] != texts[1]

    over_ready_pool(check)


def test_a_job_waits_where_a_request_is_refused(tmp_path: Path) -> None:
    async def check(pool: WorkerPool) -> None:
        first = asyncio.create_task(told(pool, bulk(tmp_path, "windows 3 0.1", {})))
        await asyncio.sleep(0.1)
        with pytest.raises(ApiError, match="Too much is waiting"):
            pool.check_admission()
        assert isinstance((await told(pool, bulk(tmp_path, "windows 1 0", {})))[-1], Result)
        await first

    over_ready_pool(check)


def test_a_dead_worker_is_the_runners_business(tmp_path: Path) -> None:
    async def check(pool: WorkerPool) -> None:
        async with aclosing(pool.run(bulk(tmp_path, "die", {}))) as updates:
            with pytest.raises(ApiError) as died:
                await anext(updates)
        assert died.value.code == "worker_died"
        assert died.value.retry_after_s is not None

    over_ready_pool(check)
