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
from dataclasses import replace
from pathlib import Path

import pytest
from service_fakes import (
    DETECTION,
    SEGMENTS,
    SPEECH,
    die_while_loading,
    fail_to_load,
    keep_text,
    load_slowly,
    load_stub,
    make_transcript,
)

from asr.options import TranscribeOptions
from asr.transcript import LanguageDetection, Timing, Transcript
from server import worker_pool
from server.errors import ApiError
from server.messages import DecodedAudio, DetectWork, TranscribeWork, VadWork, Work
from server.pool_types import QueueLimits, Result, Update
from server.worker import RecognizerFactory
from server.worker_pool import WorkerPool
from server.worker_seat import WorkerState

PATIENCE_S = 20.0


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():
            await asyncio.sleep(0.01)


async def until_ready(pool: WorkerPool) -> None:
    await until(lambda: pool.status.state is WorkerState.READY)


@asynccontextmanager
async def running(
    factory: RecognizerFactory = load_stub,
    *,
    max_queued_requests: int = 8,
    max_running_requests: int = 1,
    n_workers: int = 1,
    **limits: float,
) -> AsyncIterator[WorkerPool]:
    pool = WorkerPool(
        factory,
        limits=QueueLimits(max_queued_requests=max_queued_requests, **limits),
        max_running_requests=max_running_requests,
        n_workers=n_workers,
    )
    pool.start()
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


def audio(folder: Path, text: str) -> DecodedAudio:
    return replace(keep_text(folder / text.replace(" ", "-"), text.encode()), decode_s=0.5)


def work(folder: Path, text: str, *, send_segments: bool = False) -> TranscribeWork:
    return TranscribeWork(audio=audio(folder, text), options=TranscribeOptions(), send_segments=send_segments)


def lasting(each: TranscribeWork, audio_s: float) -> TranscribeWork:
    """The same, of a recording that claims this length."""
    return replace(each, audio=replace(each.audio, n_samples=round(16_000 * audio_s)))


async def updates(pool: WorkerPool, job: Work) -> list[Update]:
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
        assert isinstance(result.output, Transcript)
        assert result.output.timing == Timing(decode_audio=0.5, encode=0.2, decode=0.6, total=1.4)  # with the decoder's
        assert replace(result.output, timing=make_transcript().timing) == make_transcript()
        (detected,) = await updates(pool, DetectWork(audio=audio(folder, "speech")))
        assert isinstance(detected, Result)
        assert detected.output == DETECTION
        unsure = DetectWork(audio=audio(folder, "speech"), languages=("en",), language_threshold=0.5)
        (detected,) = await updates(pool, unsure)
        assert isinstance(detected, Result)
        assert detected.output == LanguageDetection(language=None, language_probs={"en": 0.1})
        (found,) = await updates(pool, VadWork(audio=audio(folder, "speech"), threshold=0.5))
        assert isinstance(found, Result)
        assert found.output == SPEECH

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
        assert pool.worker_pids
        os.kill(pool.worker_pids[0], signal.SIGKILL)
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
        assert pool.worker_pids
        os.kill(pool.worker_pids[0], signal.SIGKILL)
        waiting = asyncio.create_task(updates(pool, work(folder, "speech")))
        assert len(await asyncio.wait_for(waiting, PATIENCE_S)) == 1

    over_ready_pool(check, tmp_path)


def test_failures_carry_their_class_and_no_path(tmp_path: Path) -> None:
    async def check(pool: WorkerPool, folder: Path) -> None:
        corrupt = await refusal(updates(pool, work(folder, "corrupt")))
        assert (corrupt.status, corrupt.message) == (422, "no frame could be decoded")
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
        (old_pid,) = pool.worker_pids
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
        assert pool.worker_pids != [old_pid]

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
            await until(lambda: not pool.worker_pids)
            assert why in pool.status.problem
            failed_at = time.monotonic()
            with pytest.raises(ApiError, match=why) as failed:
                pool.check_admission()
            assert (failed.value.status, failed.value.code) == (503, "load_failed")
            assert "/var/models" not in failed.value.message
            await until(lambda: pool.worker_pids)
            assert time.monotonic() - failed_at > 0.7

    asyncio.run(go())


def test_several_workers_share_the_work_and_one_that_dies_stops_nobody_else(tmp_path: Path) -> None:
    async def go() -> None:
        async with running(n_workers=2, max_queued_requests=0) as pool:
            await until(lambda: pool.stats.workers_ready == 2)
            one, other = pool.worker_pids
            first = asyncio.create_task(updates(pool, work(tmp_path, "sleep 0.5")))
            second = asyncio.create_task(updates(pool, work(tmp_path, "sleep 0.6")))
            await asyncio.sleep(0.1)
            assert (await refusal(updates(pool, work(tmp_path, "where")))).code == "queue_full"
            await asyncio.gather(first, second)
            await until(lambda: pool.stats.engine.steps == 2 * 7)
            os.kill(one, signal.SIGKILL)
            await until(lambda: pool.stats.workers_ready == 1)
            pool.check_admission()
            (result,) = await updates(pool, work(tmp_path, "where"))
            assert isinstance(result, Result)
            assert isinstance(result.output, Transcript)
            assert result.output.warnings == (str(other),)
            await until(lambda: pool.stats.workers_ready == 2)
            assert pool.stats.deaths == 1
            await until(lambda: pool.stats.engine.steps == 3 * 7)  # of the dead one too

    asyncio.run(go())


@pytest.mark.parametrize("text", ["stall 61", "sleep 5"])
def test_a_worker_that_hangs_is_replaced_and_its_work_done_again(tmp_path: Path, text: str) -> None:
    """One whose engine makes no step, and one that the kernel has stopped."""

    async def go() -> None:
        async with running() as pool:
            await until_ready(pool)
            (hung,) = pool.worker_pids
            victim = work(tmp_path, text)
            began = time.monotonic()
            doing = asyncio.create_task(updates(pool, victim))
            await asyncio.sleep(0.3)
            if text.startswith("sleep"):
                os.kill(hung, signal.SIGSTOP)
            keep_text(Path(victim.audio.path), b"speech")
            async with asyncio.timeout(PATIENCE_S):
                assert len(await doing) == 1
            assert time.monotonic() - began < PATIENCE_S
            assert not is_alive(hung)

    asyncio.run(go())


def test_what_nobody_waits_for_any_more_gives_its_place_back_at_once(tmp_path: Path) -> None:
    async def check(pool: WorkerPool, folder: Path) -> None:
        left = asyncio.create_task(updates(pool, work(folder, "sleep 60")))
        await until(lambda: pool.stats.running_requests == 1)
        left.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await left
        async with asyncio.timeout(PATIENCE_S):
            await updates(pool, work(folder, "speech"))
        assert pool.stats.running_requests == 0

    over_ready_pool(check, tmp_path)


def test_a_worker_that_does_not_let_go_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_pool, "LET_GO_S", 0.3)

    async def check(pool: WorkerPool, folder: Path) -> None:
        left = asyncio.create_task(updates(pool, work(folder, "deaf 60")))
        await until(lambda: pool.stats.running_requests == 1)
        left.cancel()
        async with asyncio.timeout(PATIENCE_S):
            await updates(pool, work(folder, "speech"))
        assert pool.stats.deaths == 1

    over_ready_pool(check, tmp_path)


def test_an_answer_that_takes_too_long_is_given_up_unless_it_is_a_job(tmp_path: Path) -> None:
    async def go() -> None:
        async with running(request_timeout_s=0.3, max_running_requests=2) as pool:
            await until_ready(pool)
            job = asyncio.create_task(anext(pool.run(replace(work(tmp_path, "sleep 0.6"), is_job=True))))
            late = await refusal(updates(pool, work(tmp_path, "sleep 60")))
            assert (late.status, late.code) == (504, "deadline_exceeded")
            assert late.headers == {"x-should-retry": "false"}
            assert isinstance(await job, Result)
            assert pool.stats.running_requests == 0

    asyncio.run(go())


def test_jobs_that_wait_take_no_place_in_the_queue(tmp_path: Path) -> None:
    async def go() -> None:
        async with running(max_queued_requests=1, max_queued_audio_s=1000.0) as pool:
            await until_ready(pool)
            first = asyncio.create_task(updates(pool, work(tmp_path, "sleep 0.5")))
            await until(lambda: pool.stats.running_requests == 1)
            job = replace(lasting(work(tmp_path, "speech"), 50_000), is_job=True)
            jobs = [asyncio.create_task(updates(pool, job)) for _ in range(2)]
            await until(lambda: pool.stats.queued_requests == 2)
            request = asyncio.create_task(updates(pool, lasting(work(tmp_path, "speech"), 900)))
            await asyncio.gather(first, *jobs, request)

    asyncio.run(go())


def test_seconds_of_audio_are_admitted_up_to_the_limit_and_the_wait_is_told(tmp_path: Path) -> None:
    async def go() -> None:
        async with running(max_queued_audio_s=1000.0) as pool:
            await until_ready(pool)
            texts = {"sleep 1": 1.0, "sleep 0.1": 5000.0, "speech": 90.0}
            works = [lasting(work(tmp_path, text), audio_s) for text, audio_s in texts.items()]
            tasks = []
            for each in works[:2]:  # the second finds an empty queue
                tasks.append(asyncio.create_task(updates(pool, each)))
                await asyncio.sleep(0.05)
            full = await refusal(updates(pool, works[2]))
            assert (full.status, full.code) == (429, "queue_full")
            assert float(full.headers["Retry-After"]) == pytest.approx(5000 / pool.stats.speed, abs=1)
            await asyncio.gather(*tasks)

    asyncio.run(go())


def test_long_recordings_leave_places_to_short_ones(tmp_path: Path) -> None:
    async def go() -> None:
        async with running(max_running_requests=4) as pool:
            await until_ready(pool)
            long = [lasting(work(tmp_path, f"sleep 1.{i}"), 600.0) for i in range(3)]
            tasks = [asyncio.create_task(updates(pool, each)) for each in long]
            await until(lambda: pool.stats.running_requests == 2)
            assert pool.stats.queued_audio_s == 600.0
            await updates(pool, lasting(work(tmp_path, "speech"), 3.0))
            assert not any(task.done() for task in tasks)
            await asyncio.gather(*tasks)

    asyncio.run(go())


@pytest.mark.parametrize("factory", [load_stub, load_slowly])
def test_stop_ends_a_busy_or_loading_worker_at_once(tmp_path: Path, factory: RecognizerFactory) -> None:
    async def go() -> None:
        pool = WorkerPool(factory, limits=QueueLimits(), max_running_requests=1)
        pool.start()
        await until(lambda: pool.worker_pids)
        (pid,) = pool.worker_pids
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
        assert pool.worker_pids
        os.kill(pool.worker_pids[0], signal.SIGINT)
        assert len(await updates(pool, work(folder, "sleep 0.1"))) == 1

    over_ready_pool(check, tmp_path)


ORPHAN_MAKER = """
import asyncio, sys
from pathlib import Path
from service_fakes import load_stub
from test_worker_pool import until_ready, updates, work
from server.pool_types import QueueLimits
from server.worker_pool import WorkerPool

async def go():
    pool = WorkerPool(load_stub, limits=QueueLimits(), max_running_requests=1)
    pool.start()
    await until_ready(pool)
    asyncio.create_task(updates(pool, work(Path(sys.argv[1]), "sleep 60")))
    await asyncio.sleep(0.2)
    print(pool.worker_pids[0], flush=True)
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
