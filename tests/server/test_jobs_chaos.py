"""Jobs while processes are killed: every 202 is there afterwards, and ends exactly once.

``CHAOS_KILLS`` raises the number of kills from the short form's.
"""

import collections
import json
import os
import random
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

N_KILLS = int(os.environ.get("CHAOS_KILLS", "8"))
N_WINDOWS, WINDOW_S = 6, 0.03
PATIENCE_S = 30.0
SCRIPT = Path(__file__).parent / "chaos_service.py"


def until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, f"waited too long for {what}"
        time.sleep(0.02)


@dataclass
class Service:
    """A service process that may die and be started again, on the same port and the same folder."""

    folder: Path
    port: int
    environment: dict[str, str]
    client: httpx.Client
    process: "subprocess.Popen[bytes] | None" = None
    accepted: list[str] = field(default_factory=list)

    def start(self) -> None:
        command = [sys.executable, str(SCRIPT), str(self.port)]
        self.process = subprocess.Popen(command, env=os.environ | self.environment)

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def get(self, path: str) -> httpx.Response | None:
        try:
            return self.client.get(path)
        except httpx.TransportError:
            return None

    def job(self, job_id: str) -> dict[str, Any] | None:
        answer = self.get(f"/jobs/{job_id}")
        return answer.json() if answer is not None and answer.status_code == 200 else None

    def until_ready(self) -> None:
        def is_ready() -> bool:
            answer = self.get("/readyz")
            return answer is not None and answer.status_code == 200

        until(is_ready, "the service")

    def submit(self, text: str, key: str, webhook_url: str) -> str | None:
        """The id that a 202 has told; None when the connection broke or the service was not ready."""
        try:
            answer = self.client.post(
                "/jobs",
                files={"file": text.encode() + b" " * 200_000},
                data={"webhook_url": webhook_url},
                headers={"Idempotency-Key": key},
            )
        except httpx.TransportError:
            return None
        if answer.status_code != 202:
            assert answer.status_code == 503, answer.text
            return None
        self.accepted.append(answer.json()["id"])
        return self.accepted[-1]

    def worker_pids(self) -> list[int]:
        assert self.process is not None
        command = ["ps", "-ww", "-o", "pid=,args=", "--ppid", str(self.process.pid)]
        children = subprocess.run(command, capture_output=True, text=True, check=False).stdout.splitlines()
        # The other child is multiprocessing's resource tracker.
        return [int(child.split()[0]) for child in children if "spawn_main" in child]

    def decoded(self) -> list[str]:
        log = self.folder / "decoded"
        return log.read_text().split() if log.exists() else []

    def check_store(self) -> None:
        with sqlite3.connect(self.folder / "state" / "jobs.sqlite3") as db:
            assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)


@pytest.fixture
def webhooks() -> Iterator[tuple[str, list[tuple[str, dict[str, Any]]]]]:
    """A receiver's address, and the ids and messages that came."""
    got: list[tuple[str, dict[str, Any]]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            got.append((self.headers["webhook-id"], message))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/hook", got
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {
        "AURICLE_STATE_DIR": str(tmp_path / "state"),
        "AURICLE_SPOOL_DIR": str(tmp_path),
        "AURICLE_WEBHOOK_SECRET": "secret",
        "AURICLE_WEBHOOK_ALLOWED_HOSTS": "127.0.0.1",
        "AURICLE_MAX_DURATION_S": "1000000",
        "STUB_LOG": str(tmp_path / "decoded"),
    }
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=5) as client:
        running = Service(folder=tmp_path, port=port, environment=environment, client=client)
        running.start()
        yield running
    assert running.process is not None
    running.process.send_signal(signal.SIGTERM)
    running.process.wait(10)


def check_ends(service: Service, webhooks: tuple[str, list[tuple[str, dict[str, Any]]]]) -> None:
    """Every accepted job has ended once, with every window, and told so under one id."""
    ids = set(service.accepted)

    def has_ended(job_id: str) -> bool:
        job = service.job(job_id)
        return job is not None and job["status"] == "finished"

    for job_id in ids:
        until(lambda job_id=job_id: has_ended(job_id), f"the end of {job_id}: {service.job(job_id)}")
        answer = service.get(f"/jobs/{job_id}/result?format=verbose_json")
        assert answer is not None
        texts = [segment["text"] for segment in answer.json()["segments"]]
        assert [text.split()[1] for text in texts] == [str(number) for number in range(N_WINDOWS)]
    told = webhooks[1]
    until(lambda: {f"msg_{job_id}" for job_id in ids} <= {name for name, _ in told}, "the webhooks")
    ended_at = collections.defaultdict(set)
    for name, message in told:
        ended_at[name].add((message["type"], message["timestamp"]))
    # A repeated message is the same one: the job has ended once.
    assert all(len(ends) == 1 for ends in ended_at.values())
    assert {kind for ends in ended_at.values() for kind, _ in ends} == {"job.finished"}
    media = service.folder / "state" / "media"
    until(lambda: not list(media.glob("job_*")), "the deletion of the recordings")
    service.check_store()


def test_the_service_is_killed_at_random_moments(
    service: Service, webhooks: tuple[str, list[tuple[str, dict[str, Any]]]]
) -> None:
    chance = random.Random(7)  # noqa: S311  (no secret)
    is_over = threading.Event()

    def keep_sending() -> None:
        while not is_over.is_set():
            key = uuid.uuid4().hex
            while service.submit(f"windows {N_WINDOWS} {WINDOW_S}", key, webhooks[0]) is None:
                if is_over.wait(0.05):
                    return
            is_over.wait(0.5)

    service.until_ready()
    with ThreadPoolExecutor(2) as threads:
        senders = [threads.submit(keep_sending) for _ in range(2)]
        for _ in range(N_KILLS):
            time.sleep(chance.uniform(0.05, 1.0))
            service.kill()
            service.check_store()
            service.start()
            service.until_ready()
        is_over.set()
        for sender in senders:
            sender.result(PATIENCE_S)
    assert len(service.accepted) >= N_KILLS
    check_ends(service, webhooks)
    # A window is decoded again only where a kill came before it was written: at most by each running job, each time.
    assert len(service.decoded()) <= len(set(service.accepted)) * N_WINDOWS + N_KILLS * 2 * 4


def test_workers_are_killed_at_random_moments(
    service: Service, webhooks: tuple[str, list[tuple[str, dict[str, Any]]]]
) -> None:
    chance = random.Random(11)  # noqa: S311
    for n_killed in range(N_KILLS):
        service.until_ready()
        if n_killed % 3 == 0:
            assert service.submit(f"windows {N_WINDOWS} 0.08", uuid.uuid4().hex, webhooks[0])
        time.sleep(chance.uniform(0.05, 0.4))
        [pid] = service.worker_pids()
        os.kill(pid, signal.SIGKILL)
        until(lambda pid=pid: service.worker_pids() != [pid], "the worker's end")
    check_ends(service, webhooks)


def test_clients_that_leave_change_nothing(
    service: Service, webhooks: tuple[str, list[tuple[str, dict[str, Any]]]]
) -> None:
    service.until_ready()
    job_id = service.submit(f"windows {N_WINDOWS} {WINDOW_S}", "k", webhooks[0])
    for _ in range(5):  # of the events
        with service.client.stream("GET", f"/jobs/{job_id}/events") as answer:
            next(answer.iter_bytes())

    def half_a_body() -> Iterator[bytes]:
        yield b"windows 1 0"
        raise ConnectionError

    for _ in range(5):  # in the middle of an upload
        with pytest.raises(ConnectionError):
            service.client.post("/jobs", content=half_a_body(), headers={"Content-Type": "audio/wav"})
    check_ends(service, webhooks)
    receiving = list((service.folder / "state" / "media").glob("receiving-*/auricle-*"))
    assert receiving == []


def test_who_follows_a_job_does_not_keep_the_service_from_stopping(
    service: Service, webhooks: tuple[str, list[tuple[str, dict[str, Any]]]]
) -> None:
    service.until_ready()
    job_id = service.submit(f"windows {N_WINDOWS} 0.5", "k", webhooks[0])
    assert service.process is not None
    with service.client.stream("GET", f"/jobs/{job_id}/events") as answer:
        lines = answer.iter_lines()
        assert next(lines) == "event: progress"
        service.process.send_signal(signal.SIGTERM)
        rest = list(lines)  # ends in good order, so that a browser comes back
    assert not any(line in {"event: done", "event: error"} for line in rest)
    assert service.process.wait(5) == -signal.SIGTERM  # as uvicorn ends
    service.start()
    service.until_ready()
    check_ends(service, webhooks)
