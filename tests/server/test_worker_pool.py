"""The pool over real child processes that run a stub instead of a model."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from service_fakes import DETECTION, SEGMENTS, die_while_loading, fail_to_load, load_slowly, load_stub, make_transcript

from asr.options import TranscribeOptions
from asr.transcript import LanguageDetection
from server.errors import ApiError
from server.messages import DetectWork, TranscribeWork
from server.worker import RecognizerFactory
from server.worker_pool import Result, Update, WorkerPool, WorkerState

PATIENCE_S = 20.0


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():
            await asyncio.sleep(0.01)


async def until_ready(pool: WorkerPool) -> None:
    await until(lambda: pool.status.state is WorkerState.READY)


@asynccontextmanager
async def running(
    factory: RecognizerFactory = load_stub, *, max_queued_requests: int = 8, max_running_requests: int = 1
) -> AsyncIterator[WorkerPool]:
    pool = WorkerPool(factory, max_queued_requests=max_queued_requests, max_running_requests=max_running_requests)
    await pool.start()
    try:
        yield pool
    finally:
        await pool.stop()


def over_ready_pool(check: Callable[[WorkerPool, Path], Awaitable[None]], tmp_path: Path) -> None:
    async def go() -> None:
        async with running() as pool:
            await until_ready(pool)
            await check(pool, tmp_path)

    asyncio.run(go())


def work(folder: Path, text: str, *, max_duration_s: float = 100, send_segments: bool = False) -> TranscribeWork:
    path = folder / f"upload-{text.replace(' ', '-')}"
    path.write_text(text)
    options = TranscribeOptions()
    return TranscribeWork(path=path, options=options, max_duration_s=max_duration_s, send_segments=send_segments)


async def updates(pool: WorkerPool, job: TranscribeWork | DetectWork) -> list[Update]:
    return [update async for update in pool.run(job)]


async def refusal(coroutine: Coroutine[None, None, object]) -> ApiError:
    with pytest.raises(ApiError) as caught:
        await coroutine
    return caught.value


def is_alive(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def test_segments_come_first_and_the_result_last(tmp_path: Path) -> None:
    async def check(pool: WorkerPool, folder: Path) -> None:
        assert pool.status.model is not None
        assert pool.status.model.name == "stub"
        *segments, result = await updates(pool, work(folder, "speech", send_segments=True))
        assert tuple(segments) == SEGMENTS
        assert isinstance(result, Result)
        assert result.output == make_transcript()
        (detected,) = await updates(pool, DetectWork(path=folder / "upload-speech", max_duration_s=100))
        assert isinstance(detected, Result)
        assert detected.output == DETECTION
        unsure = DetectWork(
            path=folder / "upload-speech", max_duration_s=100, languages=("en",), language_threshold=0.5
        )
        (detected,) = await updates(pool, unsure)
        assert isinstance(detected, Result)
        assert detected.output == LanguageDetection(language=None, language_probs={"en": 0.1})

    over_ready_pool(check, tmp_path)


def test_work_is_done_in_order_one_at_a_time(tmp_path: Path) -> None:
    async def check(pool: WorkerPool, folder: Path) -> None:
        done: list[str] = []

        async def do(text: str) -> float:
            (result,) = await updates(pool, work(folder, text))
            done.append(text)
            assert isinstance(result, Result)
            return result.queue_s

        waits = await asyncio.gather(do("sleep 0.3"), do("sleep 0.2"), do("sleep 0"))
        assert done == ["sleep 0.3", "sleep 0.2", "sleep 0"]
        assert waits[0] < 0.1
        assert waits[1] > 0.25
        assert waits[2] > 0.45

    over_ready_pool(check, tmp_path)


def test_as_many_are_under_way_as_may_be(tmp_path: Path) -> None:
    async def go() -> None:
        async with running(max_running_requests=2) as pool:
            await until_ready(pool)
            done: list[str] = []

            async def do(text: str) -> float:
                (result,) = await updates(pool, work(tmp_path, text))
                done.append(text)
                assert isinstance(result, Result)
                return result.queue_s

            waits = await asyncio.gather(do("sleep 0.8"), do("sleep 0.2"), do("sleep 0.1"))
            assert done == ["sleep 0.2", "sleep 0.1", "sleep 0.8"]  # the third took the place of the second
            assert max(waits[:2]) < 0.15
            assert 0.15 < waits[2] < 0.6

    asyncio.run(go())


def test_what_was_under_way_beside_a_death_is_done_again(tmp_path: Path) -> None:
    async def go() -> None:
        async with running(max_running_requests=3) as pool:
            await until_ready(pool)
            others = [asyncio.create_task(updates(pool, work(tmp_path, f"sleep {s}"))) for s in ("0.5", "0.6")]
            await asyncio.sleep(0.05)
            killer = asyncio.create_task(refusal(updates(pool, work(tmp_path, "die"))))
            async with asyncio.timeout(PATIENCE_S):
                assert [len(await other) for other in others] == [1, 1]
                died = await killer
            assert (died.status, died.code) == (503, "worker_died")
            assert "Retry-After" in died.headers
            await until_ready(pool)
            assert len(await updates(pool, work(tmp_path, "speech"))) == 1

    asyncio.run(go())


def test_a_stream_that_has_begun_is_not_begun_again(tmp_path: Path) -> None:
    async def check(pool: WorkerPool, folder: Path) -> None:
        heard: list[Update] = []

        async def listen() -> None:
            async for update in pool.run(work(folder, "slowly", send_segments=True)):
                heard.append(update)  # noqa: PERF401 (what came before the end is looked at)

        listening = asyncio.create_task(refusal(listen()))
        await until(lambda: bool(heard))
        assert pool.worker_pid is not None
        os.kill(pool.worker_pid, signal.SIGKILL)
        assert (await asyncio.wait_for(listening, PATIENCE_S)).code == "worker_died"
        assert heard == [SEGMENTS[0]]

    over_ready_pool(check, tmp_path)


def test_what_nobody_waits_for_is_not_done_again(tmp_path: Path) -> None:
    async def check(pool: WorkerPool, folder: Path) -> None:
        left = asyncio.create_task(updates(pool, work(folder, "sleep 60")))
        await asyncio.sleep(0.1)
        left.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await left
        assert pool.worker_pid is not None
        os.kill(pool.worker_pid, signal.SIGKILL)
        waiting = asyncio.create_task(updates(pool, work(folder, "speech")))
        assert len(await asyncio.wait_for(waiting, PATIENCE_S)) == 1

    over_ready_pool(check, tmp_path)


def test_failures_carry_their_class_and_no_path(tmp_path: Path) -> None:
    async def check(pool: WorkerPool, folder: Path) -> None:
        corrupt = await refusal(updates(pool, work(folder, "corrupt")))
        assert (corrupt.status, corrupt.message) == (422, "the file: no frame could be decoded")
        long = await refusal(updates(pool, work(folder, "speech", max_duration_s=3)))
        assert (long.status, long.message) == (413, "the file: got 6 s, expected at most 3 s")
        bug = await refusal(updates(pool, work(folder, "bug")))
        assert (bug.status, bug.code) == (500, "internal_error")
        assert "secret" not in bug.message
        assert len(await updates(pool, work(folder, "speech"))) == 1

    over_ready_pool(check, tmp_path)


def test_a_full_queue_refuses_and_a_client_that_left_frees_its_place(tmp_path: Path) -> None:
    async def check(pool: WorkerPool, folder: Path) -> None:
        first = asyncio.create_task(updates(pool, work(folder, "sleep 0.6")))
        await asyncio.sleep(0.05)
        second = asyncio.create_task(updates(pool, work(folder, "die")))
        await asyncio.sleep(0.05)
        full = await refusal(updates(pool, work(folder, "speech")))
        assert (full.status, full.code) == (429, "queue_full")
        assert full.headers["Retry-After"]
        second.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await second
        await updates(pool, work(folder, "speech"))
        assert len(await first) == 1

    async def go() -> None:
        async with running(max_queued_requests=1) as pool:
            await until_ready(pool)
            await check(pool, tmp_path)

    asyncio.run(go())


def test_a_killed_worker_is_replaced_and_its_work_done(tmp_path: Path) -> None:
    async def check(pool: WorkerPool, folder: Path) -> None:
        old_pid = pool.worker_pid
        assert old_pid is not None
        victim = asyncio.create_task(updates(pool, work(folder, "sleep 1")))
        waiting = asyncio.create_task(updates(pool, work(folder, "speech")))
        await asyncio.sleep(0.1)
        os.kill(old_pid, signal.SIGKILL)
        await until(lambda: pool.status.state is not WorkerState.READY)
        with pytest.raises(ApiError, match="being loaded"):
            pool.check_admission()
        async with asyncio.timeout(PATIENCE_S):
            assert (len(await victim), len(await waiting)) == (1, 1)
        assert pool.status.state is WorkerState.READY
        assert pool.worker_pid != old_pid

    over_ready_pool(check, tmp_path)


def test_a_recording_that_kills_every_worker_fails_and_the_queue_goes_on(tmp_path: Path) -> None:
    async def check(pool: WorkerPool, folder: Path) -> None:
        killer = asyncio.create_task(refusal(updates(pool, work(folder, "die"))))
        waiting = asyncio.create_task(updates(pool, work(folder, "speech")))
        async with asyncio.timeout(PATIENCE_S):
            died = await killer
            assert len(await waiting) == 1
        assert (died.status, died.code) == (503, "worker_died")
        assert "Retry-After" in died.headers

    over_ready_pool(check, tmp_path)


@pytest.mark.parametrize(
    ("factory", "why"), [(fail_to_load, "no such file"), (die_while_loading, "died while loading")]
)
def test_a_model_that_does_not_load_is_reported_and_retried_slowly(factory: RecognizerFactory, why: str) -> None:
    async def go() -> None:
        async with running(factory) as pool:
            with pytest.raises(ApiError) as loading:
                pool.check_admission()
            assert loading.value.code == "loading"
            await until(lambda: pool.status.state is WorkerState.FAILED)
            await until(lambda: pool.worker_pid is None)
            assert why in pool.status.problem
            failed_at = time.monotonic()
            with pytest.raises(ApiError, match=why) as failed:
                pool.check_admission()
            assert (failed.value.status, failed.value.code) == (503, "load_failed")
            assert "/var/models" not in failed.value.message
            await until(lambda: pool.worker_pid is not None)
            assert time.monotonic() - failed_at > 0.7

    asyncio.run(go())


@pytest.mark.parametrize("factory", [load_stub, load_slowly])
def test_stop_ends_a_busy_or_loading_worker_at_once(tmp_path: Path, factory: RecognizerFactory) -> None:
    async def go() -> None:
        pool = WorkerPool(factory, max_queued_requests=8, max_running_requests=1)
        await pool.start()
        await until(lambda: pool.worker_pid is not None)
        pid = pool.worker_pid
        assert pid is not None
        busy = None
        if factory is load_stub:
            await until_ready(pool)
            busy = asyncio.create_task(updates(pool, work(tmp_path, "sleep 60")))
            await asyncio.sleep(0.1)
        began = time.monotonic()
        await pool.stop()
        assert time.monotonic() - began < 3
        assert not is_alive(pid)
        if busy:
            assert (await refusal(busy)).code == "shutting_down"
        with pytest.raises(ApiError, match="shutting down"):
            pool.check_admission()

    asyncio.run(go())


def test_the_worker_ignores_ctrl_c(tmp_path: Path) -> None:
    async def check(pool: WorkerPool, folder: Path) -> None:
        assert pool.worker_pid is not None
        os.kill(pool.worker_pid, signal.SIGINT)
        assert len(await updates(pool, work(folder, "sleep 0.1"))) == 1

    over_ready_pool(check, tmp_path)


ORPHAN_MAKER = """
import asyncio, sys
from pathlib import Path
from service_fakes import load_stub
from test_worker_pool import until_ready, updates, work
from server.worker_pool import WorkerPool

async def go():
    pool = WorkerPool(load_stub, max_queued_requests=1, max_running_requests=1)
    await pool.start()
    await until_ready(pool)
    asyncio.create_task(updates(pool, work(Path(sys.argv[1]), "sleep 60")))
    await asyncio.sleep(0.2)
    print(pool.worker_pid, flush=True)
    await asyncio.sleep(60)

if __name__ == "__main__":
    asyncio.run(go())
"""


def test_a_busy_worker_ends_when_the_api_process_is_killed(tmp_path: Path) -> None:
    script = tmp_path / "orphan_maker.py"
    script.write_text(ORPHAN_MAKER)
    here = Path(__file__).parent
    environment = os.environ | {"PYTHONPATH": f"{here}:{here.parents[1]}"}
    with subprocess.Popen([sys.executable, script, tmp_path], stdout=subprocess.PIPE, env=environment) as parent:
        assert parent.stdout is not None
        worker_pid = int(parent.stdout.readline())
        assert is_alive(worker_pid)
        parent.kill()
    asyncio.run(until(lambda: not is_alive(worker_pid)))
