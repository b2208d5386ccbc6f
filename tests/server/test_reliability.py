"""What a service goes through in its life: real processes, real sockets, real decoding, a stub that waits as the model.

``make chaos`` runs the full counts, and ten runs with the packaged model.
"""

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from chaos_record import IS_SHORT, count, measuring
from running_service import ROOT, WAITING, Service, ask, running, until, upload, waiting_wav

from asr.checkpoint import ModelStore
from asr.errors import UnknownModelError
from server.worker_pool import KEPT_PLACES

AUDIO = Path(os.environ.get("AURICLE_SHARED_DIR", ROOT.parent / "shared")) / "golden" / "audio"
CLIP, SHORT_CLIP, LONG = "jfk-jfk.flac", "an4-cen6-mcrt-b.flac", "LJ001_long_5min.flac"
N_RUNNING, N_QUEUED = 8, 8  # recordings that are worked on at once, and that may wait
N_MODEL = 10  # runs with a real model
MAX_STOP_S = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """The stub, or a model, and what it is given to do."""

    name: str

    @property
    def is_stub(self) -> bool:
        return self.name == "stub"

    def running(self, folder: Path, **settings: Any) -> AbstractContextManager[Service]:
        spool = folder / "spool"
        spool.mkdir(exist_ok=True)
        if self.is_stub:
            return running(spool, WAITING, max_queued_requests=N_QUEUED, **settings)
        return running(spool, model=self.name, max_queued_requests=N_QUEUED, **settings)

    def request(self, seconds: float, clip: str = CLIP) -> bytes:
        """One that the stub takes so many seconds for; a model as long as it takes."""
        return upload(waiting_wav(seconds, duration=10) if self.is_stub else (AUDIO / clip).read_bytes())

    def times(self, full: int, short: int) -> int:
        """How often; a model does ten runs at most."""
        return count(full, short) if self.is_stub else min(count(full, short), N_MODEL)


def _workers(model: str) -> list[str]:
    return ["stub"] if IS_SHORT else ["stub", model]


@pytest.fixture
def worker(request: pytest.FixtureRequest) -> Worker:
    name = request.param
    if name != "stub":
        try:
            ModelStore().resolve(name)
        except UnknownModelError as error:
            pytest.skip(str(error))
        if not AUDIO.is_dir():
            pytest.skip(f"the recordings are not there: {AUDIO}")
    return Worker(name=name)


def over(model: str) -> pytest.MarkDecorator:
    """With the stub, and beyond the short form with a model too."""
    return pytest.mark.parametrize("worker", _workers(model), indirect=True)


@pytest.fixture
def service(worker: Worker, tmp_path: Path) -> Iterator[Service]:
    with worker.running(tmp_path) as service:
        yield service
    assert list(service.spool_dir.iterdir()) == []


async def ask_all(service: Service, request: bytes, n: int) -> list[int]:
    return [status for status, _ in await asyncio.gather(*(ask(service.port, request) for _ in range(n)))]


@over("base")
def test_sigterm_under_load_fails_no_request_in_flight(worker: Worker, tmp_path: Path) -> None:
    """Some are worked on, some wait; together they take longer than a moment."""
    n_requests, n = N_RUNNING + N_QUEUED, worker.times(20, 1)

    async def terminated(service: Service, pause_s: float) -> tuple[list[int], float]:
        """The statuses, and when it was told to stop."""
        request = worker.request(1.5)
        asking = [asyncio.create_task(ask(service.port, request)) for _ in range(n_requests)]
        async with httpx.AsyncClient(base_url=service.url) as client, asyncio.timeout(60):
            # On a busy machine the first may be answered before the last has come.
            while sum(await load_of(client)) + sum(each.done() for each in asking) < n_requests:
                await asyncio.sleep(0.02)
        await asyncio.sleep(pause_s)
        service.process.send_signal(signal.SIGTERM)
        told_at = time.monotonic()
        return [status for status, _ in await asyncio.gather(*asking)], told_at

    failed, slowest = 0, 0.0
    with measuring(
        "sigterm", worker=worker.name, n=n, asked=20 if worker.is_stub else N_MODEL, unit="terminations"
    ) as row:
        for number in range(n):
            with worker.running(tmp_path) as service:
                statuses, told_at = asyncio.run(terminated(service, 0.3 * number / n))
                service.process.wait(MAX_STOP_S * 2)
                slowest = max(slowest, time.monotonic() - told_at)
            failed += sum(status != 200 for status in statuses)
            assert list(service.spool_dir.iterdir()) == []
            row.progress(number + 1)
        row.check(f"requests in flight that failed, of {n * n_requests}", failed, at_most=0)
        row.check("from the signal to the exit, slowest", slowest, at_most=MAX_STOP_S, unit="s")


async def load_of(client: httpx.AsyncClient) -> tuple[int, int]:
    """Requests that run and that wait."""
    (model,) = (await client.get("/capacity")).json()["models"]
    return model["running_requests"], model["queued_requests"]


@over("base")
def test_after_disconnects_every_slot_is_back(worker: Worker, service: Service) -> None:
    """Clients leave while they send, while they wait and while they are worked on: eight or sixteen of them at once."""
    request = worker.request(20.0, LONG)
    n = count(1000, 32) if worker.is_stub else min(count(1000, 32), N_MODEL * N_RUNNING)
    n_places = N_RUNNING if worker.is_stub else N_RUNNING - KEPT_PLACES  # five minutes are a long recording
    batches = [(N_RUNNING, 1.0), (N_RUNNING + N_QUEUED, 1.0), (N_RUNNING, 0.5)]  # how many, what share of the upload

    async def stopped_after(client: httpx.AsyncClient, size: int, share: float) -> float:
        """Seconds from the moment when they leave until nothing runs and nothing waits."""
        connections = [await asyncio.open_connection("127.0.0.1", service.port) for _ in range(size)]
        for _, writer in connections:
            writer.write(request[: int(len(request) * share)])
        n_running = min(size, n_places) if share == 1 else 0
        wanted = (n_running, size - n_running) if share == 1 else (0, 0)
        async with asyncio.timeout(60):
            while await load_of(client) != wanted or any(w.transport.get_write_buffer_size() for _, w in connections):
                await asyncio.sleep(0.01)
        began = time.monotonic()
        for _, writer in connections:
            writer.transport.abort()
        async with asyncio.timeout(60):
            while await load_of(client) != (0, 0):
                await asyncio.sleep(0.005)
        return time.monotonic() - began

    async def all_leave() -> tuple[int, list[float]]:
        left, times, number = 0, [], 0
        async with httpx.AsyncClient(base_url=service.url) as client:
            while left < n:
                size, share = batches[number % len(batches)]
                times.append(await stopped_after(client, size, share))
                left, number = left + size, number + 1
                row.progress(left)
        return left, times

    with measuring(
        "disconnect", worker=worker.name, n=n, asked=1000 if worker.is_stub else N_MODEL * N_RUNNING, unit="clients"
    ) as row:
        row.record.n, times = asyncio.run(all_leave())
        row.check("until computing stops, slowest", max(times), at_most=0.5, unit="s", slack=10)
        # All places at once, as before the first of them left.
        again = asyncio.run(ask_all(service, worker.request(0.2), N_RUNNING + N_QUEUED))
        row.check("places that did not come back", sum(status != 200 for status in again), at_most=0)
        until(lambda: service.spooled() == 0)


@over("tiny.en")
def test_a_soak_leaves_nothing_behind(worker: Worker, service: Service) -> None:
    n = count(10_000, 300)
    request = worker.request(0.0, SHORT_CLIP)
    n_samples = 20 if IS_SHORT else 100

    async def part(n_requests: int) -> int:
        """Four at a time; how many were not answered."""
        wrong = 0
        waiting = iter(range(n_requests))

        async def client() -> None:
            nonlocal wrong
            for _ in waiting:
                wrong += (await ask(service.port, request))[0] != 200

        await asyncio.gather(*(client() for _ in range(4)))
        return wrong

    memory_mb, descriptors, wrong = [], [], 0
    with measuring("soak", worker=worker.name, n=n, asked=10_000, unit="requests") as row:
        for number in range(n_samples):
            wrong += asyncio.run(part(n // n_samples))
            until(lambda: service.spooled() == 0)
            memory_mb.append(service.memory_mb())
            descriptors.append(service.n_descriptors())
            row.progress((number + 1) * n // n_samples)
        settled = n_samples // 10  # of which the first tenth warms up
        slope, start = np.polyfit(np.arange(n_samples - settled), memory_mb[settled:], 1)
        growth = 100 * slope * (n_samples - settled) / start
        row.check("requests that were not answered", wrong, at_most=0)
        row.check("growth of memory after the first tenth, by a line", growth, at_most=1, unit="%", slack=8)
        row.check("descriptors more than after the first tenth", descriptors[-1] - descriptors[settled], at_most=0)
        row.check("files left in the spool", service.spooled(), at_most=0)


@over("base")
def test_an_overload_is_refused_quickly_and_what_is_accepted_is_answered(worker: Worker, service: Service) -> None:
    """What can be answered at best, by as many clients as there are places; then four times that, at a steady rate."""
    work_s = 0.5 if IS_SHORT else 1.0
    duration_s = (3 if IS_SHORT else count(600, 20)) if worker.is_stub else count(120, 20)
    request = worker.request(work_s)
    n_clients = N_RUNNING + N_QUEUED
    Outcome = tuple[int, float, float]  # status, seconds, when it came

    async def at_best() -> float:
        began, peak_s = time.monotonic(), max(2.0, duration_s / 10)
        ended: list[float] = []

        async def client() -> None:
            while time.monotonic() < began + peak_s:
                status, _ = await ask(service.port, request)
                assert status == 200
                ended.append(time.monotonic())

        await asyncio.gather(*(client() for _ in range(n_clients)))
        # From the first answers on: before them the places are being filled.
        return (len(ended) - N_RUNNING) / (max(ended) - sorted(ended)[N_RUNNING - 1])

    async def overload(rate: float) -> list[Outcome]:
        began = time.monotonic()

        async def later(place: int) -> Outcome:
            await asyncio.sleep(place / rate - (time.monotonic() - began))
            status, seconds = await ask(service.port, request)
            row.progress(round(place / rate))
            return status, seconds, time.monotonic() - began

        return await asyncio.gather(*(later(place) for place in range(int(rate * duration_s))))

    asked = 600 if worker.is_stub else 120
    with measuring("overload", worker=worker.name, n=round(duration_s), asked=asked, unit="s") as row:
        peak = asyncio.run(at_best())
        cpu_s = service.cpu_s()
        outcomes = asyncio.run(overload(4 * peak))
        cpu_s = service.cpu_s() - cpu_s
        refused = [seconds for status, seconds, _ in outcomes if status == 429]
        accepted = [seconds for status, seconds, _ in outcomes if status == 200]
        full_s = n_clients / peak  # that the last of those takes who find all places taken and wait
        answered = [at for status, _, at in outcomes if status == 200 and full_s / 2 < at <= duration_s]
        goodput = len(answered) / (duration_s - full_s / 2)
        others = len(outcomes) - len(refused) - len(accepted)
        row.check(f"goodput, of {peak:.2f} a second at best", goodput / peak, at_least=0.95, slack=1.5)
        row.check(f"refusals' p50, of {len(refused):,}", np.quantile(refused, 0.5), at_most=0.1, unit="s", slack=5)
        row.check("refusals' p99", np.quantile(refused, 0.99), at_most=0.1, unit="s", slack=20)
        row.check(
            f"accepted p99 ({len(accepted):,}), of {full_s:.2f} s for a full queue",
            np.quantile(accepted, 0.99) / full_s,
            at_most=1.2,
            slack=3,
        )
        row.check("neither answered nor refused", others, at_most=0)
        row.check("API process, of a core", cpu_s / duration_s, at_most=1)
        until(lambda: service.spooled() == 0)


@pytest.mark.skipif(IS_SHORT, reason="test_worker_pool.py has the short form")
@over("base")
def test_a_hung_worker_is_replaced(worker: Worker, service: Service) -> None:
    n = worker.times(20, 2)

    async def hang(client: httpx.AsyncClient) -> tuple[float, list[int]]:
        """Seconds until another worker is there, and what became of the requests under way."""
        (hung,) = service.worker_pids()
        asking = asyncio.create_task(ask_all(service, worker.request(1.0), 4))
        async with asyncio.timeout(60):
            while (await load_of(client))[0] < 2:
                await asyncio.sleep(0.01)
        os.kill(hung, signal.SIGSTOP)
        began = time.monotonic()
        async with asyncio.timeout(60):
            while service.worker_pids() in ([hung], []):
                await asyncio.sleep(0.02)
        seconds = time.monotonic() - began
        return seconds, await asking

    async def all_hang() -> tuple[list[float], int]:
        replaced, failed = [], 0
        async with httpx.AsyncClient(base_url=service.url) as client:
            for number in range(n):
                seconds, statuses = await hang(client)
                replaced.append(seconds)
                failed += sum(status != 200 for status in statuses)
                row.progress(number + 1)
        return replaced, failed

    with measuring("hang", worker=worker.name, n=n, asked=20 if worker.is_stub else N_MODEL, unit="hangs") as row:
        replaced, failed = asyncio.run(all_hang())
        row.check("until it is replaced, slowest", max(replaced), at_most=10, unit="s", slack=3)
        row.check(f"requests under way that failed, of {4 * n}", failed, at_most=0)
