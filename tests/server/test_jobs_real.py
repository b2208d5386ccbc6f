"""A long recording, the packaged model, and a service that is killed: the same bytes come out.

Part of ``make chaos``, ten kills of each. The short forms are ``test_jobs_chaos.py``, over a stub, and
``tests/asr/test_memo.py``.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from chaos_record import count, measuring
from running_service import worker_pids_below

pytestmark = pytest.mark.weights

ROOT = Path(__file__).parents[2]
AUDIO = Path(os.environ.get("AURICLE_SHARED_DIR", ROOT.parent / "shared")) / "golden" / "audio"
LONG = AUDIO / "LJ001_long_5min.flac"
N_KILLS = count(10, 0)
N_A_JOB = 5  # kills; by then all of it is done
PATIENCE_S = 180.0
TOLD_OF_THE_ATTEMPT = ("timing", "request_id")


class Service:
    """The real command, which may be killed and started again."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.environment = os.environ | {
            "AURICLE_SPOOL_DIR": str(folder),
            "AURICLE_STATE_DIR": str(folder / "state"),
        }
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=60)
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [sys.executable, "-m", "server.cli", "--port", str(self.port)]
        self.process = subprocess.Popen(command, cwd=ROOT, env=self.environment, stderr=subprocess.DEVNULL)
        self.until(lambda: self.get("/readyz") is not None)

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def get(self, path: str) -> Any:
        try:
            answer = self.client.get(path)
        except httpx.TransportError:
            return None
        return answer.json() if answer.status_code == 200 else None

    def until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < deadline, "waited too long"
            time.sleep(0.05)

    def job(self) -> str:
        with LONG.open("rb") as file:
            answer = self.client.post("/jobs", files={"file": file}, data={"timestamps": "word"})
        assert answer.status_code == 202, answer.text
        return answer.headers["Location"]

    def result(self, location: str) -> dict[str, Any]:
        self.until(lambda: self.get(location)["status"] == "finished")
        body = self.get(f"{location}/result?format=verbose_json")
        return {name: value for name, value in body.items() if name not in TOLD_OF_THE_ATTEMPT}


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    if not N_KILLS:
        pytest.skip("minutes long; `make chaos` runs it")
    if not AUDIO.is_dir():
        pytest.skip(f"the recordings are not there: {AUDIO}")
    service = Service(tmp_path)
    service.start()
    yield service
    service.kill()


def kill_in_jobs(service: Service, kill: Callable[[], None], on_kill: Callable[[int], None]) -> tuple[int, int]:
    """Kill during jobs whenever a window more is done; how many jobs there were, and how many ended otherwise."""
    undisturbed = service.result(service.job())
    assert len(undisturbed["segments"]) > 30
    n_kills = n_jobs = n_unlike = 0
    while n_kills < N_KILLS:
        location, done_s = service.job(), 0.0
        for _ in range(min(N_A_JOB, N_KILLS - n_kills)):
            service.until(lambda reached=done_s, at=location: service.get(at)["progress"]["done_s"] > reached)
            done_s = service.get(location)["progress"]["done_s"]
            if done_s >= undisturbed["duration"]:
                break
            kill()
            n_kills += 1
            on_kill(n_kills)
            assert service.get(location)["progress"]["done_s"] >= done_s  # nothing is lost
        n_jobs += 1
        n_unlike += service.result(location) != undisturbed
    return n_jobs, n_unlike


def test_a_killed_service_ends_its_jobs_as_if_nothing_had_happened(service: Service) -> None:
    def kill() -> None:
        service.kill()
        service.start()

    with measuring("kill_api", worker="base", n=N_KILLS, asked=10, unit="kills in jobs of 5 minutes") as row:
        n_jobs, n_unlike = kill_in_jobs(service, kill, row.progress)
        row.check(f"jobs whose result is not that of an undisturbed one, of {n_jobs}", n_unlike, at_most=0)


def test_jobs_whose_worker_is_killed_end_as_if_nothing_had_happened(service: Service) -> None:
    back_s: list[float] = []

    def kill() -> None:
        assert service.process is not None
        (worker,) = worker_pids_below(service.process.pid)
        os.kill(worker, signal.SIGKILL)
        began = time.monotonic()
        service.until(lambda: worker_pids_below(service.process.pid) not in ([worker], []))
        service.until(lambda: service.get("/readyz") is not None)
        back_s.append(time.monotonic() - began)

    with measuring("kill_worker", worker="base", n=N_KILLS, asked=10, unit="kills in jobs of 5 minutes") as row:
        n_jobs, n_unlike = kill_in_jobs(service, kill, row.progress)
        row.check(f"jobs whose result is not that of an undisturbed one, of {n_jobs}", n_unlike, at_most=0)
        row.check(
            "until another worker is ready, with the model's loading, slowest",
            max(back_s),
            at_most=10,
            unit="s",
            slack=3,
        )
