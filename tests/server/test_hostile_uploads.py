"""Hostile uploads through the whole API over a real decoder: refused with a code, quickly, with nothing left behind."""

import asyncio
import os
import re
import selectors
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
from chaos_record import count, measuring
from hostile_media import by_hand, mutants, originals, usable
from media_makers import encode, tone, wav
from service_fakes import FakeWorkers

from server.app import create_app
from server.settings import Settings

N_MUTANTS = count(5000, 150)
REFUSALS = {400, 413, 415, 422}
PATIENCE_S = 10.0
API_GROWTH_BYTES = 20e6
RAW = {"Content-Type": "application/octet-stream"}

Post = Callable[..., Awaitable[httpx.Response]]


def over_service(check: Callable[[httpx.AsyncClient], Awaitable[None]], folder: Path, **settings: object) -> None:
    """Run the check against the application, whose spool must be empty afterwards."""

    async def go() -> None:
        app = create_app(Settings(spool_dir=folder, max_decoders=2, **settings), FakeWorkers())
        async with app.router.lifespan_context(app):
            transport = httpx.ASGITransport(app=app)
            async with httpx.AsyncClient(transport=transport, base_url="http://test", timeout=60) as client:
                await check(client)
            (spool,) = folder.iterdir()
            assert list(spool.iterdir()) == []
        assert list(folder.iterdir()) == []

    asyncio.run(go())


async def post(client: httpx.AsyncClient, data: bytes | AsyncIterator[bytes]) -> httpx.Response:
    began = time.monotonic()
    answer = await client.post("/transcribe", content=data, headers=RAW)
    assert time.monotonic() - began < PATIENCE_S
    return answer


def check_refusal(answer: httpx.Response, what: object) -> None:
    assert answer.status_code in REFUSALS, (what, answer.text)
    error = answer.json()["error"]
    assert error["code"], what
    assert error["message"], what
    assert not re.search(r"(?<!\w)/\w", error["message"]), error["message"]  # no path


def resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """A port of this machine; the test fails when anybody has connected to it."""
    with socket.create_server(("127.0.0.1", 0)) as listening, selectors.DefaultSelector() as selector:
        selector.register(listening, selectors.EVENT_READ)
        yield listening
        assert not selector.select(0), "somebody connected"


def test_damaged_recordings(tmp_path: Path) -> None:
    async def check(client: httpx.AsyncClient) -> None:
        for data in originals():
            assert (await post(client, data)).status_code == 200
        before = most = resident_bytes()
        odd, slowest = 0, 0.0
        for number, data in enumerate(mutants(N_MUTANTS)):
            began = time.monotonic()
            answer = await post(client, data)
            slowest = max(slowest, time.monotonic() - began)
            if answer.status_code != 200:
                odd += answer.status_code not in REFUSALS
                check_refusal(answer, number)
            most = max(most, resident_bytes())
            row.progress(number)
        row.check("answers other than 200, 400, 413, 415 and 422", odd, at_most=0)
        row.check("slowest answer", slowest, at_most=PATIENCE_S, unit="s")
        row.check("memory of the API process, growth", (most - before) / 1e6, at_most=API_GROWTH_BYTES / 1e6, unit="MB")

    unit = f"mutants of {len(originals())} recordings"
    with measuring("malformed", part="generated", n=N_MUTANTS, asked=5000, unit=unit) as row:
        over_service(check, tmp_path)


def test_files_made_to_do_harm(tmp_path: Path, listener: socket.socket) -> None:
    async def check(client: httpx.AsyncClient) -> None:
        before = resident_bytes()
        slowest = 0.0
        for name, data in files.items():
            began = time.monotonic()
            check_refusal(await post(client, data), name)
            slowest = max(slowest, time.monotonic() - began)
        growth_mb = (resident_bytes() - before) / 1e6
        for name, data in usable().items():
            assert (await post(client, data)).status_code == 200, name
        row.check("slowest answer", slowest, at_most=PATIENCE_S, unit="s")
        row.check("memory of the API process, growth", growth_mb, at_most=API_GROWTH_BYTES / 1e6, unit="MB")

    files = by_hand(listener.getsockname()[1])
    n = len(files) + len(usable())
    with measuring("malformed", part="by hand", n=n, asked=60, unit="files, each refused with a code") as row:
        over_service(check, tmp_path)


@pytest.mark.parametrize(("container", "codec", "rate"), [("flac", "flac", 8_000), ("ogg", "libopus", 8_000)])
def test_hours_of_silence_in_a_small_file(tmp_path: Path, container: str, codec: str, rate: int) -> None:
    bomb = encode(container, codec, rate, 1, np.zeros((1, rate * 700), np.int16))
    assert len(bomb) < 1_000_000

    async def check(client: httpx.AsyncClient) -> None:
        before = resident_bytes()
        # Without a limit of its own: what lasts gives way to all else on the machine.
        answer = await client.post("/transcribe", content=bomb, headers=RAW)
        assert (answer.status_code, answer.json()["error"]["code"]) == (413, "audio_too_long")
        assert resident_bytes() - before < API_GROWTH_BYTES

    over_service(check, tmp_path, max_duration_s=600)


def test_many_channels_do_not_fill_the_disk(tmp_path: Path) -> None:
    samples = np.zeros((64, 16_000 * 10), np.int16)  # 40 MB once decoded

    async def check(client: httpx.AsyncClient) -> None:
        form = {"file": ("a.wav", wav(samples))}
        answer = await client.post("/transcribe", files=form, data={"channels": "split"})
        assert (answer.status_code, answer.json()["error"]["code"]) == (413, "decoded_audio_too_large")
        assert (await client.post("/transcribe", files=form)).status_code == 200

    over_service(check, tmp_path, max_decoded_bytes=2**22)


def test_one_byte_at_a_time(tmp_path: Path) -> None:
    data = wav(tone(16_000, 1, duration=0.3))

    async def bytes_of(data: bytes) -> AsyncIterator[bytes]:
        for byte in data:
            yield bytes([byte])

    async def check(client: httpx.AsyncClient) -> None:
        assert (await post(client, bytes_of(data))).status_code == 200

    over_service(check, tmp_path)


def test_ten_thousand_parts_and_headers_without_end(tmp_path: Path) -> None:
    async def check(client: httpx.AsyncClient) -> None:
        headers = {"Content-Type": "multipart/form-data; boundary=x"}
        part = b'--x\r\nContent-Disposition: form-data; name="%b"\r\n\r\n1\r\n'
        for body in (
            part % b"language" * 10_000,
            part % (b"a" * 2_000_000),
            b"--x\r\n" + b"A: b\r\n" * 100_000,
            b"--x\r\n" + b"A" * 2_000_000,
            b"-" * 2_000_000,
        ):
            check_refusal(await client.post("/transcribe", content=body, headers=headers), body[:80])

    over_service(check, tmp_path)


def test_slow_bodies_beside_each_other(tmp_path: Path) -> None:
    async def slow() -> AsyncIterator[bytes]:
        yield b"RIFF"
        await asyncio.sleep(30)
        yield b"WAVE"

    async def check(client: httpx.AsyncClient) -> None:
        answers = [asyncio.create_task(post(client, slow())) for _ in range(100)]
        assert (await client.get("/healthz")).status_code == 200
        for answer in await asyncio.gather(*answers):
            assert (answer.status_code, answer.json()["error"]["code"]) == (408, "upload_timeout")

    over_service(check, tmp_path, upload_idle_timeout_s=0.5)
