"""Jobs while processes are killed: every 202 is there afterwards, and ends exactly once.

``make chaos`` kills a hundred times.
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
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
import scipy.stats
from chaos_record import count, measuring

N_KILLS = count(100, 6)
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

    def cut_upload(self, webhook_url: str, *, after_body_s: float | None) -> None:
        """Kill the service in the middle of a body, or so long after its last byte; a 202 that still came counts."""
        form = {"file": b"windows 1 0" + b" " * 200_000}
        request = self.client.build_request("POST", "/jobs", files=form, data={"webhook_url": webhook_url})
        body = request.read()
        head = [b"POST /jobs HTTP/1.1\r\n", *(b"%b: %b\r\n" % pair for pair in request.headers.raw), b"\r\n"]
        with socket.create_connection(("127.0.0.1", self.port), timeout=5) as connection:
            connection.sendall(b"".join(head) + body[: len(body) // 2])
            if after_body_s is None:
                time.sleep(0.02)
            else:
                connection.sendall(body[len(body) // 2 :])
                time.sleep(after_body_s)
            self.kill()
            answer = b""
            with suppress(OSError):
                while data := connection.recv(65_536):
                    answer += data
            head, _, told = answer.partition(b"\r\n\r\n")
            if head.startswith(b"HTTP/1.1 202 ") and told.endswith(b"}"):  # else nobody has been told an id
                self.accepted.append(json.loads(told)["id"])

    def worker_pids(self) -> list[int]:
        assert self.process is not None
        command = ["ps", "-ww", "-o", "pid=,args=", "--ppid", str(self.process.pid)]
        children = subprocess.run(command, capture_output=True, text=True, check=False).stdout.splitlines()
        # The other child is multiprocessing's resource tracker.
        return [int(child.split()[0]) for child in children if "spawn_main" in child]

    def decoded(self) -> list[str]:
        log = self.folder / "decoded"
        return log.read_text().split() if log.exists() else []

    def is_store_whole(self) -> bool:
        with sqlite3.connect(self.folder / "state" / "jobs.sqlite3") as db:
            return bool(db.execute("PRAGMA integrity_check").fetchone() == ("ok",))


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Ends:
    """What became of the accepted jobs."""

    jobs: int
    lost: int
    """Not there, not finished in time, or without one of their windows."""
    refused: int
    """Told that the worker died three times in a row at them, which chance brings about too."""
    twice: int
    """Told to have ended in more than one way, or as failed without this reason."""
    windows: int


def ends_of(service: Service, webhooks: tuple[str, list[tuple[str, dict[str, Any]]]]) -> Ends:
    """Wait for all of them, and look at what was told of them."""
    ids = sorted(set(service.accepted))
    known = [_n_windows_at_end(service, job_id) for job_id in ids]
    n_windows = [n for n in known if n is not None]
    refused = {f"msg_{job_id}" for job_id, n in zip(ids, known, strict=True) if n is None}
    told = webhooks[1]
    until(lambda: {f"msg_{job_id}" for job_id in ids} <= {name for name, _ in told}, "the webhooks")
    ended_at = collections.defaultdict(set)
    for name, message in told:  # a repeated message is the same one: the job has ended once
        ended_at[name].add((message["type"], message["timestamp"]))
    twice = sum(
        {kind for kind, _ in ends} != {"job.failed" if name in refused else "job.finished"} or len(ends) != 1
        for name, ends in ended_at.items()
    )
    media = service.folder / "state" / "media"
    until(lambda: not list(media.glob("job_*")), "the deletion of the recordings")
    return Ends(jobs=len(ids), lost=n_windows.count(0), refused=len(refused), twice=twice, windows=sum(n_windows))


def _n_windows_at_end(service: Service, job_id: str) -> int | None:
    """0 where the job is not there, or not whole; None where it was refused with a reason."""

    def has_ended() -> bool:
        job = service.job(job_id)
        return job is not None and (job["status"] == "finished" or _killed_workers(job))

    try:
        until(has_ended, f"the end of {job_id}: {service.job(job_id)}")
    except AssertionError as error:
        print(error)
        return 0
    if _killed_workers(service.job(job_id) or {}):
        return None
    answer = service.get(f"/jobs/{job_id}/result?format=verbose_json")
    assert answer is not None
    numbers = [int(segment["text"].split()[1]) for segment in answer.json()["segments"]]
    return len(numbers) if numbers in ([0], list(range(N_WINDOWS))) else 0


def _killed_workers(job: dict[str, Any]) -> bool:
    return job.get("status") == "failed" and job["error"]["code"] == "recording_kills_worker"


def check_ends(service: Service, webhooks: tuple[str, list[tuple[str, dict[str, Any]]]]) -> None:
    """Every accepted job has ended once, with every window, and told so under one id; the store is whole."""
    ends = ends_of(service, webhooks)
    assert (ends.lost, ends.refused, ends.twice) == (0, 0, 0)
    assert service.is_store_whole()


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

    def kill(number: int) -> None:
        """In the middle of an upload, around its commit, or whenever it may be."""
        time.sleep(chance.uniform(0.05, 0.6))
        if number % 3 == 2:
            service.kill()
        else:
            after_body_s = None if number % 3 == 0 else chance.uniform(0.0, 0.06)
            service.cut_upload(webhooks[0], after_body_s=after_body_s)

    service.until_ready()
    n_broken = 0
    with measuring("kill_api", n=N_KILLS, asked=100, unit="kills") as row, ThreadPoolExecutor(2) as threads:
        senders = [threads.submit(keep_sending) for _ in range(2)]
        try:
            for number in range(N_KILLS):
                kill(number)
                n_broken += not service.is_store_whole()
                service.start()
                service.until_ready()
                row.progress(number + 1)
        finally:
            is_over.set()
        for sender in senders:
            sender.result(PATIENCE_S)
        assert len(service.accepted) >= N_KILLS
        ends = ends_of(service, webhooks)
        row.check(f"jobs with a 202 that are lost afterwards, of {ends.jobs}", ends.lost + ends.refused, at_most=0)
        row.check("jobs that ended twice", ends.twice, at_most=0)
        row.check("kills after which integrity_check was not ok", n_broken, at_most=0)
        # A window is decoded again only where a kill came before it was written: at most by each running job each time.
        again = len(service.decoded()) - ends.windows
        row.check("windows decoded again, for each kill", again / N_KILLS, at_most=8)


def test_workers_are_killed_at_random_moments(
    service: Service, webhooks: tuple[str, list[tuple[str, dict[str, Any]]]]
) -> None:
    chance = random.Random(11)  # noqa: S311
    slowest, n_decoded, n_in_vain = 0.0, 0, 0
    with measuring("kill_worker", n=N_KILLS, asked=100, unit="kills") as row:
        for n_killed in range(N_KILLS):
            service.until_ready()
            if n_killed % 3 == 0:
                assert service.submit(f"windows {N_WINDOWS} 0.08", uuid.uuid4().hex, webhooks[0])
            time.sleep(chance.uniform(0.05, 0.4))
            [pid] = service.worker_pids()
            os.kill(pid, signal.SIGKILL)
            killed_at = time.monotonic()
            n_before, n_decoded = n_decoded, len(service.decoded())
            n_in_vain += n_decoded == n_before
            until(lambda pid=pid: service.worker_pids() != [pid], "the worker's end")
            service.until_ready()
            slowest = max(slowest, time.monotonic() - killed_at)
            row.progress(n_killed + 1)
        ends = ends_of(service, webhooks)
        row.check(f"accepted jobs that were lost, of {ends.jobs}", ends.lost, at_most=0)
        row.check("jobs that ended twice", ends.twice, at_most=0)
        # Three in a row before a window was done: so many are to be expected of kills that know nothing of windows.
        by_chance = float(scipy.stats.poisson.ppf(0.999, N_KILLS * (n_in_vain / N_KILLS) ** 3))
        row.check("jobs refused, since three kills in a row hit them", ends.refused, at_most=by_chance)
        row.check("until another worker is ready, slowest", slowest, at_most=5, unit="s", slack=6)


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
