"""Live streams over real sockets and a real worker process, with a stub instead of a model."""

import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from socket import SHUT_RDWR
from typing import Any

import httpx
import pytest
import uvicorn
from service_fakes import load_stub
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from server import live_streams
from server.app import create_app
from server.models import ModelPools
from server.pool_types import QueueLimits
from server.settings import Settings
from server.worker_pool import WorkerPool

PATIENCE_S = 20.0
SECOND = bytes(32_000)
STOP = json.dumps({"type": "stop"})


class Service:
    """A running one."""

    def __init__(self, server: uvicorn.Server, pool: ModelPools) -> None:
        self.pool = pool
        self.address = f"127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
        self._server = server

    def stream(self, query: str = "language=en") -> ClientConnection:
        return connect(f"ws://{self.address}/stream?{query}", open_timeout=PATIENCE_S)

    def is_ready(self) -> bool:
        return httpx.get(f"http://{self.address}/readyz").status_code == 200

    def streams(self) -> int:
        stats = self.pool.models[0].stats
        assert stats is not None
        return stats.streams

    def stop(self) -> None:
        self._server.should_exit = True


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.01)


def rest_of(socket: ClientConnection) -> tuple[list[dict[str, Any]], int]:
    events = []
    with suppress(ConnectionClosed):
        while True:
            events.append(json.loads(socket.recv(timeout=PATIENCE_S)))
    assert socket.close_code is not None
    return events, socket.close_code


@contextmanager
def running(spool_dir: Path) -> Iterator[Service]:
    limits = QueueLimits(max_queued_requests=2, max_streams=2)
    pool = ModelPools(("stub",), lambda _: WorkerPool(load_stub, limits=limits), idle_timeout_s=0)
    app = create_app(Settings(spool_dir=spool_dir), pool)
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None, timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        until(lambda: server.started)
        service = Service(server, pool)
        until(service.is_ready)
        yield service
    finally:
        server.should_exit = True
        thread.join(PATIENCE_S)
        assert not thread.is_alive()


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with running(tmp_path_factory.mktemp("spool")) as service:
        yield service


def test_all_audio_is_heard_at_either_rate(service: Service) -> None:
    for rate, n_bytes in ((16_000, 1_600), (24_000, 2_402)):
        with service.stream(f"sample_rate={rate}") as socket:
            for _ in range(40):
                socket.send(bytes(n_bytes))
            socket.send(STOP)
            events, code = rest_of(socket)
        duration = 40 * n_bytes / 2 / rate
        assert events[0]["type"] == "speech_started"
        assert (events[-1]["type"], code) == ("done", 1000)
        assert events[-1]["duration"] == pytest.approx(duration, abs=0.001)
        assert events[-1]["text"] == f"{duration:.2f}"


def test_windows_are_skipped_where_decoding_falls_behind_and_audio_is_not(service: Service) -> None:
    with service.stream("prompt=slow") as socket:
        for _ in range(60):
            socket.send(bytes(3_200))
            time.sleep(0.005)
        socket.send(STOP)
        events, _ = rest_of(socket)
    assert events[-1]["duration"] == pytest.approx(6.0)
    assert events[-1]["windows"] <= 5


def test_streams_go_side_by_side_and_beyond_the_limit_are_refused(service: Service) -> None:
    def follow(_: int) -> int:
        with service.stream("prompt=slow") as socket:
            socket.send(SECOND)
            socket.recv(timeout=PATIENCE_S)
            socket.send(STOP)
            return rest_of(socket)[1]

    with service.stream() as first, service.stream() as second:
        for socket in (first, second):
            socket.send(SECOND)
            socket.recv(timeout=PATIENCE_S)
        with service.stream() as third:
            events, code = rest_of(third)
        assert (events[-1]["error"]["code"], code) == ("too_many_streams", 1013)
    until(lambda: service.streams() == 0)
    began = time.monotonic()
    with ThreadPoolExecutor(2) as threads:
        assert list(threads.map(follow, range(2))) == [1000, 1000]
    assert time.monotonic() - began < PATIENCE_S / 2


def test_a_client_that_leaves_stops_the_decoding(service: Service) -> None:
    for _ in range(3):  # more than there are places
        with service.stream("prompt=slow") as socket:
            socket.send(SECOND)
            socket.recv(timeout=PATIENCE_S)
            socket.send(json.dumps({"type": "cancel"}))
            assert rest_of(socket)[1] == 1000
    for _ in range(3):
        with service.stream("prompt=slow") as socket:
            socket.send(SECOND)
            socket.recv(timeout=PATIENCE_S)
            socket.socket.shutdown(SHUT_RDWR)  # without a word
            until(lambda: service.streams() == 0)


@pytest.mark.parametrize("how", ["die", "killed"])
def test_a_stream_whose_worker_dies_says_so_and_the_next_one_works(service: Service, how: str) -> None:
    with service.stream(f"prompt={how}") as socket:
        socket.send(SECOND)
        if how == "killed":
            assert json.loads(socket.recv(timeout=PATIENCE_S))["type"] == "speech_started"
            assert service.pool.worker_pids
            os.kill(service.pool.worker_pids[0], signal.SIGKILL)
        events, code = rest_of(socket)
    assert (events[-1]["error"]["code"], code) == ("worker_died", 1011)
    until(service.is_ready)
    with service.stream() as socket:
        socket.send(SECOND)
        socket.send(STOP)
        assert rest_of(socket)[0][-1]["text"] == "1.00"


def test_what_the_worker_refuses_or_trips_over_is_that_streams_error_alone(service: Service) -> None:
    with service.stream() as good:
        for query, code, closed in (("language=fr", "invalid_value", 1008), ("prompt=bug", "internal_error", 1011)):
            with service.stream(query) as socket:
                with suppress(ConnectionClosed):  # refused before anything was sent
                    socket.send(SECOND)
                events, got = rest_of(socket)
            assert (events[-1]["error"]["code"], got) == (code, closed)
            assert "secret" not in json.dumps(events)
            until(lambda: service.streams() == 1)
        good.send(SECOND)
        good.send(STOP)
        assert rest_of(good)[0][-1]["type"] == "done"


def test_a_client_faster_than_the_worker_is_held_up(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """A minute at once: the worker is never sent more than a few seconds that it has not taken up."""
    ahead: list[int] = []
    feed = live_streams._WorkerStream.feed

    async def watched(stream: live_streams._WorkerStream, pcm: bytes) -> None:
        await feed(stream, pcm)
        ahead.append(stream._n_ahead)

    monkeypatch.setattr(live_streams._WorkerStream, "feed", watched)
    with service.stream("prompt=slow") as socket:
        for _ in range(30):
            socket.send(bytes(64_000))
        socket.send(STOP)
        events, _ = rest_of(socket)
    assert events[-1]["duration"] == pytest.approx(60.0)  # and nothing is lost
    assert len(ahead) == 30
    assert max(ahead) <= live_streams.MAX_AHEAD_S * 32_000


def test_a_service_that_ends_closes_its_streams(tmp_path: Path) -> None:
    with running(tmp_path) as service, service.stream() as socket:
        socket.send(SECOND)
        socket.recv(timeout=PATIENCE_S)
        service.stop()
        assert rest_of(socket)[1] in {1001, 1006, 1012}
