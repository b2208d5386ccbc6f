"""The whole service over real sockets and a real worker process, with a stub instead of a model."""

import os
import signal
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import uvicorn
from service_fakes import FakeDecoder, load_stub

from server.app import create_app
from server.models import ModelPools
from server.pool_types import QueueLimits
from server.settings import Settings
from server.worker_pool import WorkerPool

PATIENCE_S = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    client: httpx.Client
    pool: ModelPools
    spool_dir: Path

    def post(self, text: str, **fields: str) -> httpx.Response:
        return self.client.post("/transcribe", files={"file": text.encode()}, data=fields)

    def spooled(self) -> int:
        return sum(len(files) for _, _, files in os.walk(self.spool_dir))  # folders may go meanwhile


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.01)


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    limits = QueueLimits(max_queued_requests=2)
    pool = ModelPools(
        ("stub",), lambda _: WorkerPool(load_stub, limits=limits, max_running_requests=1), idle_timeout_s=0
    )
    app = create_app(Settings(spool_dir=tmp_path), pool, FakeDecoder())
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None, timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        until(lambda: server.started)
        port = server.servers[0].sockets[0].getsockname()[1]
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE_S) as client:
            until(lambda: client.get("/readyz").status_code == 200)
            yield Service(client=client, pool=pool, spool_dir=tmp_path)
    finally:
        server.should_exit = True
        thread.join(PATIENCE_S)
    assert not thread.is_alive()
    assert list(tmp_path.iterdir()) == []


def test_health_answers_while_the_model_works(service: Service) -> None:
    with ThreadPoolExecutor(1) as threads:
        answer = threads.submit(service.post, "sleep 3")
        time.sleep(0.2)
        took = []
        while not answer.done():
            began = time.perf_counter()
            assert service.client.get("/healthz").status_code == 200
            took.append(time.perf_counter() - began)
            time.sleep(0.02)
        assert answer.result().json()["text"] == "Hello there. How are you?"
    assert len(took) > 30
    assert statistics.median(took) < 0.05
    assert max(took) < 0.25
    until(lambda: service.spooled() == 0)


def test_a_killed_worker_comes_back_and_the_request_is_answered(service: Service) -> None:
    with ThreadPoolExecutor(1) as threads:
        answer = threads.submit(service.post, "sleep 2")
        until(lambda: service.spooled() == 1)
        time.sleep(0.2)
        assert service.pool.worker_pids
        os.kill(service.pool.worker_pids[0], signal.SIGKILL)
        seen: list[httpx.Response] = []
        until(lambda: seen.append(service.client.get("/readyz")) or seen[-1].status_code == 503)
        not_ready = seen[-1]
        assert not_ready.json()["error"]["code"] == "loading"
        assert "retry-after" in not_ready.headers
        assert service.client.get("/models").status_code == 200
        assert answer.result(PATIENCE_S).status_code == 200
    assert service.client.get("/readyz").status_code == 200
    until(lambda: service.spooled() == 0)


def test_a_recording_that_kills_every_worker_is_a_503(service: Service) -> None:
    refused = service.post("die")
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "worker_died")
    assert "retry-after" in refused.headers
    until(lambda: service.client.get("/readyz").status_code == 200)
    assert service.post("speech").status_code == 200
    until(lambda: service.spooled() == 0)


def test_a_full_queue_and_a_client_that_leaves_it(service: Service) -> None:
    with ThreadPoolExecutor(4) as threads:
        first = threads.submit(service.post, "sleep 2")
        until(lambda: service.spooled() == 1)
        time.sleep(0.1)

        def leave() -> None:
            with pytest.raises(httpx.ReadTimeout):
                service.client.post("/transcribe", files={"file": b"die"}, timeout=0.4)

        leaving = [threads.submit(leave) for _ in range(2)]
        until(lambda: service.spooled() == 3)
        time.sleep(0.1)
        full = service.post("speech")
        assert (full.status_code, full.json()["error"]["code"]) == (429, "queue_full")
        assert int(full.headers["retry-after"]) >= 1
        for left in leaving:
            left.result(PATIENCE_S)
        until(lambda: service.spooled() == 1)
        assert service.post("speech").status_code == 200
        assert first.result(PATIENCE_S).status_code == 200


def test_a_stream_over_a_real_socket(service: Service) -> None:
    with service.client.stream("POST", "/transcribe?stream=true", files={"file": b"speech"}) as answer:
        names = [line for line in answer.iter_lines() if line.startswith("event:")]
    assert names == ["event: segment", "event: segment", "event: done"]
    until(lambda: service.spooled() == 0)


def test_segments_arrive_as_they_are_decoded_and_a_reader_may_leave(service: Service) -> None:
    with service.client.stream("POST", "/transcribe?stream=true", files={"file": b"slowly"}) as answer:
        began = time.monotonic()
        assert next(answer.iter_lines()) == "event: segment"
        assert time.monotonic() - began < 0.5
    until(lambda: service.spooled() == 0)
    assert service.post("speech").status_code == 200


def test_an_upload_that_breaks_off_leaves_nothing(service: Service) -> None:
    def broken() -> Iterator[bytes]:
        yield b"x" * 100_000
        until(lambda: service.spooled() == 1)
        raise ConnectionAbortedError

    with pytest.raises(ConnectionAbortedError):
        service.client.post("/transcribe", content=broken(), headers={"Content-Type": "audio/wav"})
    until(lambda: service.spooled() == 0)
    assert service.post("speech").status_code == 200
