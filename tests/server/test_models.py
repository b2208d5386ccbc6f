"""Several models over real child processes that run stubs."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
from service_fakes import fail_to_load, keep_text, load_named

from asr.options import TranscribeOptions
from server.app import model_pools
from server.errors import ApiError
from server.messages import TranscribeWork
from server.models import ModelPools
from server.pool_types import QueueLimits, Result
from server.settings import Settings
from server.worker_pool import WorkerPool
from server.worker_seat import WorkerState

PATIENCE_S = 20.0


@asynccontextmanager
async def running(*, idle_timeout_s: float = 0.0, n_places: int = 8, n_queued: int = 64) -> AsyncIterator[ModelPools]:
    def make_pool(name: str) -> WorkerPool:
        factory = fail_to_load if name == "broken" else partial(load_named, name)
        limits = QueueLimits(max_queued_requests=n_queued)
        return WorkerPool(factory, limits=limits, max_running_requests=n_places)

    pools = ModelPools(("base", "tiny.en", "broken"), make_pool, idle_timeout_s=idle_timeout_s)
    await pools.start()
    try:
        async with asyncio.timeout(PATIENCE_S):
            while pools.status.state is not WorkerState.READY:
                await asyncio.sleep(0.01)
        yield pools
    finally:
        await pools.stop()


async def pid_that_answers(pools: ModelPools, model: str, folder: Path) -> str:
    audio = keep_text(folder / "upload", b"where")
    work = TranscribeWork(audio=audio, options=TranscribeOptions(), send_segments=False)
    (result,) = [update async for update in pools.run(work, model=model)]
    assert isinstance(result, Result)
    return result.output.warnings[0]


def states(pools: ModelPools) -> dict[str, str]:
    return {status.name: status.state for status in pools.models}


def test_a_model_is_loaded_when_it_is_asked_for_and_unloaded_when_told(tmp_path: Path) -> None:
    async def go() -> None:
        async with running() as pools:
            assert states(pools) == {"base": "ready", "tiny.en": "unloaded", "broken": "unloaded"}
            assert [status.is_default for status in pools.models] == [True, False, False]
            assert (await pools.model("whisper-1")).name == "base"
            assert (await pools.model("tiny.en")).name == "tiny.en"
            assert states(pools)["tiny.en"] == "ready"
            first = await pid_that_answers(pools, "tiny.en", tmp_path)
            assert await pid_that_answers(pools, "base", tmp_path) != first
            await pools.unload("tiny.en")
            assert states(pools)["tiny.en"] == "unloaded"
            known = pools.status_of("tiny.en").model
            assert known is not None
            assert known.hash == "abc"  # what was learnt of it stays known
            again = await pid_that_answers(pools, "tiny.en", tmp_path)
            assert again != first
            await pools.unload("tiny.en")
            await pools.model("tiny.en")
            assert states(pools)["tiny.en"] == "ready"  # though it was known all the while
            with pytest.raises(ApiError) as kept:
                await pools.unload("base")
            assert (kept.value.status, kept.value.code) == (409, "model_is_default")

    asyncio.run(go())


def test_what_is_not_there_or_does_not_load_is_refused(tmp_path: Path) -> None:
    async def go() -> None:
        async with running() as pools:
            with pytest.raises(ApiError, match="got 'large-v9', expected one that this service has: 'base'") as unknown:
                await pools.model("large-v9")
            assert (unknown.value.status, unknown.value.code) == (404, "model_not_found")
            with pytest.raises(ApiError) as broken:
                await pools.model("broken")
            assert (broken.value.status, broken.value.code) == (503, "load_failed")
            await pid_that_answers(pools, "base", tmp_path)

    asyncio.run(go())


def test_a_model_that_nobody_asks_for_any_more_is_unloaded(tmp_path: Path) -> None:
    async def go() -> None:
        async with running(idle_timeout_s=0.5) as pools:
            await pid_that_answers(pools, "tiny.en", tmp_path)
            assert states(pools)["tiny.en"] == "ready"
            async with asyncio.timeout(PATIENCE_S):
                while states(pools)["tiny.en"] != "unloaded":
                    await asyncio.sleep(0.05)
            assert states(pools)["base"] == "ready"
            assert len(pools.worker_pids) == 1

    asyncio.run(go())


def test_after_the_end_nothing_is_loaded() -> None:
    async def go() -> None:
        async with running() as pools:
            pass
        with pytest.raises(ApiError, match="shutting down"):
            await pools.model("tiny.en")

    began = time.monotonic()
    asyncio.run(go())
    assert time.monotonic() - began < PATIENCE_S


def test_the_settings_name_the_models(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AURICLE_MORE_MODELS", "tiny.en, openai/whisper-small,/models/mine")
    names = [status.name for status in model_pools(Settings()).models]
    assert names == ["base", "tiny.en", "openai/whisper-small", "mine"]


def test_recordings_that_are_being_decoded_count_as_waiting() -> None:
    async def go() -> None:
        async with running(n_places=2, n_queued=1) as pools:
            with ExitStack() as decoding:
                for _ in range(3):
                    pools.check_admission()
                    decoding.enter_context(pools.arriving())
                for refused in (pools.check_admission, pools.arriving().__enter__):
                    with pytest.raises(ApiError) as refusal:
                        refused()
                    assert (refusal.value.status, refusal.value.code) == (429, "queue_full")
            pools.check_admission()

    asyncio.run(go())
