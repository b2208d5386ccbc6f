"""A service for the page's tests, and what a visitor does there. Imported by name, as the service's fakes are."""

import os
import shutil
import socket
import subprocess
import sys
import threading
import time
import wave
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import numpy as np
import pytest
import uvicorn
from playwright.sync_api import Browser, Page, Playwright
from service_fakes import FakeDecoder, FakeWorkers

from asr.audio import load_audio
from server.app import create_app
from server.models import Workers
from server.settings import Settings

ROOT = Path(__file__).parents[2]
PATIENCE_S = 20.0
LOADING_PATIENCE_S = 180.0
ARGUMENTS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update")
PHONE, DESK = {"width": 390, "height": 844}, {"width": 1440, "height": 900}
WITHOUT_CHROMIUM = "there is no chromium on this machine (Debian: apt-get install chromium)"

Visit = Callable[..., Page]


@contextmanager
def running(folder: Path, workers: Workers, decoder: FakeDecoder | None = None, **settings: object) -> Iterator[str]:
    """The address of a service in a thread."""
    folders = {"spool_dir": folder, "state_dir": folder / "state"}
    app = create_app(Settings(**folders | settings), workers, decoder or FakeDecoder())
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None, timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run)
    thread.start()
    deadline = time.monotonic() + PATIENCE_S
    while not server.started:
        assert time.monotonic() < deadline, "the server does not start"
        time.sleep(0.01)
    try:
        yield f"http://localhost:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(PATIENCE_S)


@contextmanager
def real_service(folder: Path) -> Iterator[str]:
    """The address of the real command with the packaged model, as soon as it is ready."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"http://localhost:{probe.getsockname()[1]}"
    folders = {"AURICLE_SPOOL_DIR": str(folder), "AURICLE_STATE_DIR": str(folder / "state")}
    command = [sys.executable, "-m", "server.cli", "--port", url.rpartition(":")[2]]
    with subprocess.Popen(command, cwd=ROOT, env=os.environ | folders, stderr=subprocess.DEVNULL) as process:
        try:
            deadline = time.monotonic() + LOADING_PATIENCE_S
            while not _is_ready(url):
                assert process.poll() is None, "the service has ended"
                assert time.monotonic() < deadline, "the service is not ready"
                time.sleep(0.1)
            yield url
        finally:
            process.terminate()


def _is_ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz").status_code == 200
    except httpx.TransportError:
        return False


def microphone_file(recording: Path, folder: Path) -> Path:
    """A recording as Chromium takes it for a microphone."""
    samples = np.append(load_audio(recording).samples, np.zeros(3 * 16_000, np.float32))
    path = folder / "microphone.wav"
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes((32_767 * samples.clip(-1, 1)).astype("<i2").tobytes())
    return path


def microphone_arguments(path: Path) -> tuple[str, ...]:
    """Chromium's options for it: played once, and allowed without a question."""
    return (
        "--use-fake-ui-for-media-stream",
        "--use-fake-device-for-media-stream",
        f"--use-file-for-fake-audio-capture={path}%noloop",
    )


@dataclass
class Site:
    """One service, and what a test may make of it."""

    workers: FakeWorkers = field(default_factory=FakeWorkers)
    decoder: FakeDecoder = field(default_factory=FakeDecoder)
    url: str = ""


def launch(playwright: Playwright, *arguments: str) -> Browser:
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip(WITHOUT_CHROMIUM)
    return playwright.chromium.launch(executable_path=chromium, args=[*ARGUMENTS, *arguments])


def watch(page: Page, problems: list[str]) -> None:
    """Write down what goes wrong in the page's code, its policy's violations among it."""
    page.on("pageerror", lambda error: problems.append(str(error)))
    # Chromium's own lines about answers that are refusals: the page shows those to people.
    known = ("Failed to load resource", "WebSocket connection")
    page.on(
        "console",
        lambda message: (
            problems.append(message.text) if message.type == "error" and not message.text.startswith(known) else None
        ),
    )


def choose(page: Page, name: str = "talk.wav", content: bytes = b"words") -> None:
    """Take a file, as the visitor does."""
    page.set_input_files("#file", {"name": name, "mimeType": "audio/wav", "buffer": content})
