"""A long recording, the packaged model, and a service that is killed: the same bytes come out.

Part of ``make chaos``; the short forms are ``test_jobs_chaos.py``, over a stub, and ``tests/asr/test_memo.py``.
"""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

pytestmark = pytest.mark.weights

ROOT = Path(__file__).parents[2]
AUDIO = Path(os.environ.get("AURICLE_SHARED_DIR", ROOT.parent / "shared")) / "golden" / "audio"
LONG = AUDIO / "LJ001_long_5min.flac"
N_KILLS = min(5, int(os.environ.get("CHAOS_KILLS", "0")))  # by then all of it is done
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


def test_a_killed_service_ends_its_job_as_if_nothing_had_happened(tmp_path: Path) -> None:
    if not N_KILLS:
        pytest.skip("a minute long; `make chaos` runs it, and so does CHAOS_KILLS=1")
    if not AUDIO.is_dir():
        pytest.skip(f"the recordings are not there: {AUDIO}")
    service = Service(tmp_path)
    service.start()
    try:
        undisturbed = service.result(service.job())
        location = service.job()
        done_s = 0.0
        for _ in range(N_KILLS):
            service.until(lambda reached=done_s: service.get(location)["progress"]["done_s"] > reached)
            done_s = service.get(location)["progress"]["done_s"]
            assert done_s < undisturbed["duration"], "it was done before it could be killed"
            service.kill()
            service.start()
            assert service.get(location)["progress"]["done_s"] >= done_s  # nothing is lost
        assert service.result(location) == undisturbed
    finally:
        service.kill()
    assert len(undisturbed["segments"]) > 30
