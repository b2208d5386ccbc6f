"""Real processes on a real socket, to be treated badly. In: what decodes, what recognizes, settings. Out: a service.

The worker is a stub that waits, unless the packaged model is asked for; the decoder hands bytes on as they are, unless
the real one is.
"""

import asyncio
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np
from media_makers import tone, wav

ROOT = Path(__file__).parents[2]
PATIENCE_S = 60.0
MB = 1e6

IMPORTS = "import server.app, server.cli, server.serving, service_fakes"
STUB = "server.app.load_recognizer = service_fakes.load_stub_for"  # the upload's text says what to do
WAITING = "server.app.load_recognizer = service_fakes.load_waiting_for"  # ``waiting_wav`` says how long
FAKE_DECODER = "server.app.AudioDecoder = lambda *_, **__: service_fakes.FakeDecoder()"
MAIN = "server.cli.main()"


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A service and the processes below it."""

    process: subprocess.Popen[bytes]
    url: str
    spool_dir: Path

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def client(self) -> httpx.AsyncClient:
        """One whose every request comes over a connection of its own."""
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)
        return httpx.AsyncClient(base_url=self.url, timeout=PATIENCE_S, limits=limits)

    def is_ready(self) -> bool:
        try:
            return httpx.get(f"{self.url}/readyz", timeout=5).is_success
        except httpx.HTTPError:
            return False

    def spooled(self) -> int:
        return sum(len(files) for _, _, files in os.walk(self.spool_dir))  # folders may go meanwhile

    def pids(self) -> list[int]:
        """Of the API process and all below it."""
        return pids_from(self.process.pid)

    def worker_pids(self) -> list[int]:
        return worker_pids_below(self.process.pid)

    def n_descriptors(self) -> int:
        return sum(len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in self.pids())

    def memory_mb(self) -> float:
        """Of all processes; pages that several share count once, those of files not at all: others map them too."""
        lines = (_read(pid, "smaps_rollup").split(b"\n") for pid in self.pids())
        own = (b"Pss_Anon:", b"Pss_Shmem:")
        return sum(int(line.split()[1]) for of_one in lines for line in of_one if line.startswith(own)) * 1024 / MB

    def cpu_s(self) -> float:
        """Of the API process alone, so far."""
        user, system = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def pids_from(root: int) -> list[int]:
    """Of a process and all below it."""
    found = [root]
    for pid in found:
        for children in Path(f"/proc/{pid}/task").glob("*/children"):
            try:
                found += map(int, children.read_text().split())
            except OSError:  # it has ended
                continue
    return found


def worker_pids_below(root: int) -> list[int]:
    """Of those processes that hold the model; the others fork decoders, or look after semaphores."""
    return [pid for pid in pids_from(root)[1:] if b"spawn_main" in _read(pid, "cmdline")]


def _read(pid: int, name: str) -> bytes:
    """A file of /proc; nothing of a process that has ended."""
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:
        return b""


def waiting_wav(seconds: float, *, duration: float = 1.0) -> bytes:
    """A recording that the waiting recognizer takes so many seconds for."""
    samples = tone(16_000, 1, duration=duration)
    samples[0, 0] = np.int16(round(seconds * 1000))
    return wav(samples)


def upload(data: bytes, *, route: str = "/transcribe") -> bytes:
    """A whole request."""
    head = f"POST {route} HTTP/1.1\r\nHost: x\r\nContent-Type: application/octet-stream\r\nConnection: close\r\n"
    return head.encode() + b"Content-Length: %d\r\n\r\n" % len(data) + data


async def ask(port: int, request: bytes, *, patience_s: float = PATIENCE_S) -> tuple[int, float]:
    """Send a request over a connection of its own; its status, 0 for none, and the seconds that the answer took.

    By hand, since a client library takes more time for a request than the service does.
    """
    began = time.perf_counter()
    answer = b""
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            writer.write(request)
            async with asyncio.timeout(patience_s):
                answer = await reader.read()
        finally:
            writer.close()
    except (OSError, TimeoutError):
        pass
    return int(answer[9:12] or 0), time.perf_counter() - began


def until(condition: Callable[[], bool], what: str = "the condition") -> float:
    """Wait for it; returns the seconds that it took."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() < began + PATIENCE_S, f"waited too long for {what}"
        time.sleep(0.02)
    return time.monotonic() - began


@contextmanager
def running(spool_dir: Path, *lines: str, command: tuple[str, ...] = (), **settings: object) -> Iterator[Service]:
    """A service of the real command over these stand-ins, ready; ``settings`` as AURICLE_* names them.

    What its processes say on standard error lies beside the spool, in ``service.log``.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(Path(__file__).parent)]),
        "AURICLE_SPOOL_DIR": str(spool_dir),
        "AURICLE_LOG_LEVEL": "warning",
    }
    environment |= {f"AURICLE_{name.upper()}": str(value) for name, value in settings.items()}
    called = [*command, sys.executable, "-c", "\n".join((IMPORTS, *lines, MAIN)), "--port", str(port)]
    log = spool_dir.with_name("service.log").open("ab")
    with log, subprocess.Popen(called, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=log) as process:
        service = Service(process=process, url=f"http://127.0.0.1:{port}", spool_dir=spool_dir)
        try:
            until(service.is_ready, "the service")
            yield service
        finally:
            process.terminate()
            process.wait(PATIENCE_S)
