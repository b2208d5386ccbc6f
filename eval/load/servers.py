"""Servers under test. In: names, interpreters, addresses. Out: specifications, and processes that are up and watched.

Each server gets every core: one process with as many threads, or as many processes. Knows no client and no clip.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Self

import httpx

from eval.engines import OURS
from eval.errors import EvaluationError, TargetUnavailableError
from eval.load.types import Dialect, ServerSpec
from eval.targets.http import HttpService

__all__ = ["PEERS", "MemoryWatch", "Server", "openai_server", "our_server", "peer_server"]

START_S = 120.0  # to load a model
END_S = 15.0  # to end by itself when asked
POLL_S = 0.2
SAMPLING_S = 0.1  # between two looks at memory
MAX_SHOWN = 800  # characters of what a server wrote before it ended
PAGE_MB = os.sysconf("SC_PAGE_SIZE") / 2**20
NEXT_STEP = "Start the server, or correct the address."
FASTER_WHISPER_SERVER: Mapping[str, tuple[int, int]] = {  # processes, windows decoded together
    "faster-whisper-server": (1, 1),
    "faster-whisper-server-2-workers": (2, 1),
    "faster-whisper-server-batched-8": (1, 8),
}
"""One package, as its README starts it, with two processes, and with batches; int8 each."""
PEERS = tuple(FASTER_WHISPER_SERVER)


def our_server(url: str | None, *, model: str, beam_size: int) -> ServerSpec:
    """Auricle at an address, or started here; without fallback, and streamed, so that the first text is seen."""

    def command(port: int, _: Path) -> list[str]:
        return [sys.executable, "-m", "server.cli", "--port", str(port), "--model", model]

    return ServerSpec(
        name=OURS,
        dialect=Dialect.AURICLE,
        ready_route="/readyz",
        url=url,
        command=None if url else command,
        fields={"stream": "true", "temperature": "0", "beam_size": str(beam_size)},
    )


def openai_server(name: str, url: str) -> ServerSpec:
    """A running server that speaks OpenAI's API; how many beams it takes is its own affair."""
    base = url.rstrip("/").removesuffix("/v1")
    return ServerSpec(name=name, dialect=Dialect.OPENAI, ready_route="/", url=base, fields=_openai_fields())


def peer_server(name: str, interpreter: Path, *, model: str, beam_size: int) -> ServerSpec:
    """A peer that is started here by its own interpreter; ``model``: what it loads. Raises EvaluationError."""
    if name not in FASTER_WHISPER_SERVER:
        raise EvaluationError(f"--peer: got {name!r}, expected one of {', '.join(PEERS)}")
    n_processes, batch_size = FASTER_WHISPER_SERVER[name]

    def command(port: int, folder: Path) -> list[str]:
        threads = max(1, (os.cpu_count() or 1) // n_processes)
        served = {
            "name": "whisper-1",
            "path": model,
            "batch_size": batch_size,
            "model_options": {"device": "cpu", "compute_type": "int8", "cpu_threads": threads},
            "transcribe_options": {"beam_size": beam_size},
        }
        config = folder / "config.yaml"
        config.write_text(json.dumps({"models": [served]}), encoding="utf-8")  # JSON is YAML
        started = [str(interpreter), "-m", "faster_whisper_server", "--config", str(config), "--host", "127.0.0.1"]
        return [*started, "--port", str(port), "--workers", str(n_processes)]

    return ServerSpec(
        name=name, dialect=Dialect.OPENAI, ready_route="/health", command=command, fields=_openai_fields()
    )


def _openai_fields() -> dict[str, str]:
    return {"model": "whisper-1", "temperature": "0"}


class Server:
    """One server that answers: a context manager, which starts and ends those that are ours to start."""

    def __init__(self, spec: ServerSpec) -> None:
        self.spec = spec
        self._url = spec.url or ""
        self._process: subprocess.Popen[bytes] | None = None
        self._folder = tempfile.TemporaryDirectory(prefix="auricle-load-")

    @property
    def url(self) -> str:
        """Where it answers."""
        return self._url

    @property
    def pid(self) -> int | None:
        """Of the process that was started; None: the server runs on its own."""
        return None if self._process is None else self._process.pid

    def __enter__(self) -> Self:
        """Wait until it serves. Raises TargetUnavailableError."""
        self._start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        """End it, with all its processes."""
        self._end()
        self._folder.cleanup()

    def renew(self) -> None:
        """Start it anew, so that nothing it still works on is left; a server that runs on its own stays as it is."""
        if self.spec.command is not None:
            self._end()
            self._start()

    def _start(self) -> None:
        try:
            if self.spec.command is not None:
                self._launch(self.spec.command)
            self._wait_until_ready()
        except BaseException:
            self._end()
            raise

    def _launch(self, command: Callable[[int, Path], list[str]]) -> None:
        port, folder = _free_port(), Path(self._folder.name)
        self._url = f"http://127.0.0.1:{port}"
        told = command(port, folder)
        with self._log.open("wb") as log:
            try:
                self._process = subprocess.Popen(  # noqa: S603  (the command is the user's own)
                    told, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True
                )
            except OSError as error:
                message = f"{self.spec.name}: {told[0]} cannot be run: {error.strerror or error}"
                raise TargetUnavailableError(message) from error

    def _wait_until_ready(self) -> None:
        service = HttpService(self._url, next_step=NEXT_STEP, patience_s=START_S)
        deadline = time.monotonic() + START_S
        while True:
            self._check_running()
            try:
                response = service.get(self.spec.ready_route)
            except TargetUnavailableError as error:
                is_starting = self._process is not None and isinstance(error.__cause__, httpx.RequestError)
                if not is_starting or time.monotonic() > deadline:
                    raise
                time.sleep(POLL_S)
                continue
            if response.is_success or self.spec.ready_route == "/":  # where any answer will do
                return
            got = f"{response.status_code} for {self.spec.ready_route}, expected 200 from {self.spec.name}"
            raise service.unavailable(f"got {got}: another server seems to be there")

    def _check_running(self) -> None:
        if self._process is not None and self._process.poll() is not None:
            said = self._log.read_text(encoding="utf-8", errors="replace").strip()[-MAX_SHOWN:]
            message = f"{self.spec.name} ended with status {self._process.returncode} before it served: {said}"
            raise TargetUnavailableError(message)

    @property
    def _log(self) -> Path:
        return Path(self._folder.name) / "log"

    def _end(self) -> None:
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(END_S)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)  # its session is its own: nothing else is in the group
            self._process.wait()
        self._process = None


class MemoryWatch:
    """The most resident memory that a process and its children hold together meanwhile; a context manager.

    Looks every SAMPLING_S; pages that processes share count in each.
    """

    def __init__(self, pid: int | None) -> None:
        self._pid = pid
        self.peak_mb: float | None = None
        """None: there is no process to look at."""
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        """Begin to look."""
        if self._pid is not None:
            self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        """Look no more."""
        self._stop.set()
        if self._pid is not None:
            self._thread.join()

    def _watch(self) -> None:
        while True:
            self.peak_mb = max(self.peak_mb or 0.0, _tree_mb(self._pid or 0))
            if self._stop.wait(SAMPLING_S):
                return


def _tree_mb(pid: int) -> float:
    try:
        resident = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]) * PAGE_MB
        threads = list(Path(f"/proc/{pid}/task").iterdir())
    except OSError:  # it has ended meanwhile, or there is no /proc
        return 0.0
    return resident + sum(_tree_mb(child) for thread in threads for child in _children(thread))


def _children(thread: Path) -> list[int]:
    try:
        return [int(child) for child in (thread / "children").read_text(encoding="ascii").split()]
    except OSError:
        return []


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
