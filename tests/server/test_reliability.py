"""What a service goes through in its life, in short: real processes, real sockets, a stub instead of a model.

``CHAOS=full`` runs the full counts, which take about half an hour.
"""

import asyncio
import os
import signal
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

ROOT = Path(__file__).parents[2]
IS_FULL = os.environ.get("CHAOS") == "full"
N_SIGTERM = 20 if IS_FULL else 2
N_DISCONNECTS = 1000 if IS_FULL else 50
N_SOAK = 10_000 if IS_FULL else 500
OVERLOAD_S = 600 if IS_FULL else 3
N_RUNNING, N_QUEUED = 8, 8  # recordings that are worked on at once, and that may wait
PATIENCE_S = 30.0
SERVE = """
import server.app, server.cli, service_fakes
server.app.load_recognizer = service_fakes.load_stub_for
server.app.AudioDecoder = lambda *_, **__: service_fakes.FakeDecoder()
server.cli.main()
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    process: subprocess.Popen[bytes]
    url: str
    spool_dir: Path

    def client(self) -> httpx.AsyncClient:
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)
        return httpx.AsyncClient(base_url=self.url, timeout=PATIENCE_S, limits=limits)

    def spooled(self) -> int:
        return sum(len(files) for _, _, files in os.walk(self.spool_dir))  # folders may go meanwhile

    def pids(self) -> list[int]:
        """Of the API process and all below it."""
        found = [self.process.pid]
        for pid in found:
            for children in Path(f"/proc/{pid}/task").glob("*/children"):
                found += map(int, children.read_text().split())
        return found

    def n_descriptors(self) -> int:
        return sum(len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in self.pids())

    def resident_mb(self) -> float:
        pages = sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in self.pids())
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.02)


def is_ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz").is_success
    except httpx.HTTPError:
        return False


@contextmanager
def running(spool_dir: Path) -> Iterator[Service]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(Path(__file__).parent)]),
        "AURICLE_SPOOL_DIR": str(spool_dir),
        "AURICLE_MAX_QUEUED_REQUESTS": str(N_QUEUED),
        "AURICLE_LOG_LEVEL": "warning",
    }
    command = [sys.executable, "-c", SERVE, "--port", str(port)]
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL) as process:
        try:
            url = f"http://127.0.0.1:{port}"
            until(lambda: is_ready(url))
            yield Service(process=process, url=url, spool_dir=spool_dir)
        finally:
            process.terminate()
            process.wait(PATIENCE_S)


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    with running(tmp_path) as service:
        yield service
    assert list(tmp_path.iterdir()) == []


async def post(client: httpx.AsyncClient, text: str) -> tuple[int, float]:
    """Status, and the seconds that the answer took."""
    began = time.perf_counter()
    answer = await client.post("/transcribe", files={"file": text.encode()})
    return answer.status_code, time.perf_counter() - began


async def post_all(service: Service, text: str, count: int) -> list[int]:
    async with service.client() as client:
        return [status for status, _ in await asyncio.gather(*(post(client, text) for _ in range(count)))]


@pytest.mark.parametrize("number", range(N_SIGTERM))
def test_sigterm_under_load_fails_no_request_in_flight(tmp_path: Path, number: int) -> None:
    """Some are worked on, some wait; together they take longer than a moment."""
    n_requests = N_RUNNING + N_QUEUED

    async def terminated() -> list[int]:
        asking = asyncio.create_task(post_all(service, "sleep 2", n_requests))
        async with asyncio.timeout(PATIENCE_S):
            while service.spooled() < n_requests:
                await asyncio.sleep(0.02)
        await asyncio.sleep(0.3 * number / N_SIGTERM)
        service.process.send_signal(signal.SIGTERM)
        return await asking

    with running(tmp_path) as service:
        statuses = asyncio.run(terminated())
        began = time.monotonic()
        service.process.wait(PATIENCE_S)
        assert time.monotonic() - began < 10
    assert statuses == [200] * n_requests
    assert list(tmp_path.iterdir()) == []


def test_after_disconnects_every_slot_is_back(service: Service) -> None:
    """Clients leave while they send, while they wait and while they are worked on."""

    async def leave(client: httpx.AsyncClient, after_s: float) -> None:
        try:
            async with asyncio.timeout(after_s):
                await post(client, "sleep 0.1")
        except TimeoutError:
            return

    async def all_leave() -> None:
        async with service.client() as client:
            for _ in range(N_DISCONNECTS // 10):
                await asyncio.gather(*(leave(client, 0.03 * place) for place in range(10)))

    asyncio.run(all_leave())
    until(lambda: service.spooled() == 0)
    time.sleep(0.5)  # what the worker has begun it finishes
    statuses = asyncio.run(post_all(service, "sleep 0.1", N_RUNNING + N_QUEUED))
    assert statuses == [200] * (N_RUNNING + N_QUEUED)
    until(lambda: service.spooled() == 0)


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc")
def test_a_soak_leaves_nothing_behind(service: Service) -> None:
    async def ask(count: int) -> list[int]:
        async with service.client() as client:
            statuses = []
            for _ in range(count // 4):
                statuses += [status for status, _ in await asyncio.gather(*(post(client, "speech") for _ in range(4)))]
            return statuses

    assert set(asyncio.run(ask(N_SOAK // 5))) == {200}
    until(lambda: service.spooled() == 0)
    n_descriptors, resident_mb = service.n_descriptors(), service.resident_mb()
    assert set(asyncio.run(ask(N_SOAK * 4 // 5))) == {200}
    until(lambda: service.spooled() == 0)
    until(lambda: service.n_descriptors() <= n_descriptors)
    assert service.resident_mb() < 1.05 * resident_mb


def test_an_overload_is_refused_quickly_and_what_is_accepted_is_answered(service: Service) -> None:
    """Four times as many as can be answered, at a steady rate."""
    work_s = 1.0
    capacity = N_RUNNING / work_s

    async def ask_later(client: httpx.AsyncClient, place: int) -> tuple[int, float]:
        await asyncio.sleep(place / (4 * capacity))
        return await post(client, f"sleep {work_s}")

    async def overload() -> list[tuple[int, float]]:
        async with service.client() as client:
            return await asyncio.gather(*(ask_later(client, place) for place in range(int(4 * capacity * OVERLOAD_S))))

    outcomes = asyncio.run(overload())
    refused = [seconds for status, seconds in outcomes if status == 429]
    accepted = [seconds for status, seconds in outcomes if status == 200]
    assert len(refused) + len(accepted) == len(outcomes)
    assert len(accepted) > 0.8 * capacity * OVERLOAD_S
    assert statistics.median(refused) < 0.1
    assert max(accepted) < 3 * (work_s + N_QUEUED / capacity)
    until(lambda: service.spooled() == 0)
