"""Uploads made to eat time, memory or connections, beside clients who mean no harm; a stub is the model.

``make chaos`` sends them in full size; the short form is of slow clients only: test_hostile_uploads.py has the others.
"""

import asyncio
import io
import itertools
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import av
import numpy as np
import pytest
from chaos_record import FORM, IS_FULL, IS_SHORT, SHARE, Measurement, measuring
from running_service import MB, WAITING, Service, ask, running, upload, waiting_wav

needs_chaos = pytest.mark.skipif(IS_SHORT, reason="test_hostile_uploads.py has the short form")
HEALTHY_S = 0.25  # what `base` takes for a recording of 10 s on two cores
HEALTHY_RATE = 5.0  # a second
BASELINE_S = {"short": 1.0, "scaled": 5.0, "full": 20.0}[FORM]
MAX_MB = 256.0
MAX_REFUSAL_S = 120.0  # of what has to be decoded for hours first, four at once and none before the others
PATIENT = "import server.connections; server.connections.HEAD_PATIENCE_S = {0}; server.connections.LINGER_S = {0}"
HEAD_PATIENCE_S, UPLOAD_TIMEOUT_S = 3.0, 4.0

Attack = Callable[[Service], Awaitable[list[tuple[int, float]]]]


def _packets_of(container: str, codec: str, rate: int, options: dict[str, str]) -> Callable[[float], bytes]:
    """So many hours of silence: one packet of it, again and again."""

    def made(hours: float) -> bytes:
        file = io.BytesIO()
        with av.open(file, "w", container) as output:
            stream = output.add_stream(codec, rate=rate, layout="mono", options=options)
            stream.codec_context.open()
            n_samples = stream.codec_context.frame_size
            frame = av.AudioFrame.from_ndarray(np.zeros((1, n_samples), np.int16), "s16", "mono")
            frame.sample_rate = rate
            silence = b""
            for number in range(20):  # the first ones are not like the others
                frame.pts = number * n_samples
                for packet in stream.encode(frame):
                    silence = bytes(packet)
            for number in range(int(hours * 3600 * rate / n_samples)):
                packet = av.Packet(silence)
                packet.stream, packet.duration = stream, n_samples
                packet.pts = packet.dts = number * n_samples
                packet.time_base = stream.codec_context.time_base
                output.mux(packet)
        return file.getvalue()

    return made


flac = _packets_of("flac", "flac", 8_000, {"compression_level": "0", "frame_size": "512"})
opus = _packets_of("ogg", "libopus", 8_000, {"frame_duration": "60", "b": "6000"})


@asynccontextmanager
async def watched(service: Service) -> AsyncIterator[list[float]]:
    """The service's memory, in MB, again and again."""
    seen = [service.memory_mb()]

    async def look() -> None:
        while True:
            await asyncio.sleep(0.2)
            seen.append(await asyncio.to_thread(service.memory_mb))

    looking = asyncio.create_task(look())
    yield seen
    looking.cancel()


async def healthy(service: Service, until: Callable[[], bool]) -> list[float]:
    """Short recordings at a steady rate; the seconds that each answer took."""
    request = upload(waiting_wav(HEALTHY_S))
    began = time.monotonic()
    asking = []
    for number in itertools.count():
        if until():
            break
        asking.append(asyncio.create_task(ask(service.port, request)))
        await asyncio.sleep(max(0.0, began + (number + 1) / HEALTHY_RATE - time.monotonic()))
    outcomes = await asyncio.gather(*asking)
    assert {status for status, _ in outcomes} <= {200}
    return [seconds for _, seconds in outcomes]


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    spool = tmp_path / "spool"
    spool.mkdir()
    lines = (WAITING, PATIENT.format(HEAD_PATIENCE_S))
    with running(spool, *lines, upload_timeout_s=UPLOAD_TIMEOUT_S, upload_idle_timeout_s=2) as service:
        yield service
    assert list(spool.iterdir()) == []


def besieged(service: Service, attack: Attack, row: Measurement, expected: set[int]) -> list[float]:
    """Attack; note what it does to memory and to the others. Returns the seconds of each of the attack's answers."""

    async def go() -> tuple[list[float], list[float], list[float], list[tuple[int, float]]]:
        began = time.monotonic()
        before = await healthy(service, lambda: time.monotonic() > began + BASELINE_S)
        async with watched(service) as memory_mb:
            attacking = asyncio.ensure_future(attack(service))
            beside = await healthy(service, attacking.done)
            outcomes = await attacking
        return before, beside, memory_mb, outcomes

    before, beside, memory_mb, outcomes = asyncio.run(go())
    wanted = " or ".join(map(str, sorted(expected)))
    row.check(f"answers other than {wanted}", sum(status not in expected for status, _ in outcomes), at_most=0)
    row.check("memory beyond the baseline", max(memory_mb) - memory_mb[0], at_most=MAX_MB, unit="MB")
    if len(beside) >= 10:  # of a refusal at once nobody can notice anything
        slower = 100 * (np.quantile(beside, 0.99) / np.quantile(before, 0.99) - 1)
        row.check(f"healthy p99 ({len(beside)} beside it)", slower, at_most=20, unit="% more", slack=100)
    return [seconds for _, seconds in outcomes]


async def _detected_at(service: Service) -> float:
    """When the decoded files grew last: then, or soon after, it was seen that they are too long."""
    n_bytes, grew_at = 0, time.monotonic()
    while service.spooled():
        await asyncio.sleep(0.02)
        try:
            now = sum(path.stat().st_size for path in service.spool_dir.rglob("*") if path.is_file())
        except OSError:  # deleted meanwhile
            continue
        if now > n_bytes:
            grew_at = time.monotonic()
        n_bytes = now
    return grew_at


@needs_chaos
@pytest.mark.parametrize(("what", "make", "hours"), [("FLAC silence", flac, 29.6), ("Opus silence", opus, 18.4)])
def test_hours_of_silence_in_a_small_file(
    service: Service, what: str, make: Callable[[float], bytes], hours: float
) -> None:
    """Four at once: more than there are cores here."""
    n = 4
    if not IS_FULL:
        hours = max(3.5, hours * SHARE)  # three are allowed
    bomb = upload(make(hours))
    with measuring("bombs", part=what, n=n, asked=n, unit=f"at once, {hours:g} h in {len(bomb) / MB:.1f} MB") as row:

        async def attack(service: Service) -> list[tuple[int, float]]:
            patient = (ask(service.port, bomb, patience_s=2 * MAX_REFUSAL_S) for _ in range(n))
            return await asyncio.gather(*patient)

        seconds = besieged(service, attack, row, {413})
        alone_s = asyncio.run(_refused_after_detection(service, bomb))
        row.check("refused after it was detected", alone_s, at_most=2, unit="s", slack=3)
        row.check("refused after it began to be sent, slowest", max(seconds), at_most=MAX_REFUSAL_S, unit="s")


async def _refused_after_detection(service: Service, bomb: bytes) -> float:
    asking = asyncio.create_task(ask(service.port, bomb, patience_s=2 * MAX_REFUSAL_S))
    began = time.monotonic()
    while not service.spooled():
        await asyncio.sleep(0.01)
    detecting = asyncio.create_task(_detected_at(service))
    status, seconds = await asking
    assert status == 413
    return max(0.0, began + seconds - await detecting)


@needs_chaos
def test_bodies_that_are_refused_unread(service: Service) -> None:
    body = bytes(25_000_000)
    head = b"POST /transcribe HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
    gzipped = b"Content-Type: audio/wav\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    part = b'--x\r\nContent-Disposition: form-data; name="language"\r\n\r\n1\r\n' * 10_000
    parts = b"Content-Type: multipart/form-data; boundary=x\r\nContent-Length: %d\r\n\r\n" % len(part) + part
    for what, rest, expected in (("gzip body", gzipped, {415}), ("10,000 parts", parts, {400})):

        async def attack(service: Service, rest: bytes = rest) -> list[tuple[int, float]]:
            return await asyncio.gather(*(ask(service.port, head + rest) for _ in range(8)))

        with measuring("bombs", part=what, n=8, asked=8, unit="at once") as row:
            seconds = besieged(service, attack, row, expected)
            row.check("refused after it began to be sent, slowest", max(seconds), at_most=2, unit="s", slack=5)


@needs_chaos
def test_one_byte_chunks(service: Service) -> None:
    """A recording, each byte of it in a chunk of its own."""
    data = waiting_wav(0.0, duration=30.0)
    head = b"POST /transcribe HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: audio/wav\r\n"
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in data) + b"0\r\n\r\n"

    async def attack(service: Service) -> list[tuple[int, float]]:
        request = head + b"Transfer-Encoding: chunked\r\n\r\n" + chunks
        return await asyncio.gather(*(ask(service.port, request) for _ in range(4)))

    with measuring("bombs", part="one-byte chunks", n=4, asked=4, unit=f"at once, {len(data):,} chunks each") as row:
        besieged(service, attack, row, {200, 408})  # 408 where a machine takes longer than the time for an upload


def test_slow_clients(service: Service) -> None:
    """Half of them trickle a head, half of them a body, a byte a moment."""
    n = 20 if IS_SHORT else 200
    head = b"POST /transcribe HTTP/1.1\r\nHost: x\r\nContent-Type: audio/wav\r\n"

    async def trickle(port: int, first: bytes, due_s: float) -> tuple[int, float]:
        """The status, and how long after its time was up the answer came."""
        began = time.monotonic()
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        answering = asyncio.create_task(reader.read(12))
        writer.write(first)
        while not answering.done() and time.monotonic() < began + 60:
            writer.write(b"a")
            await asyncio.wait({answering}, timeout=0.3)
        writer.close()
        return int((await answering)[9:12] or 0), max(0.0, time.monotonic() - began - due_s)

    async def attack(service: Service) -> list[tuple[int, float]]:
        heads = (trickle(service.port, head + b"X: ", HEAD_PATIENCE_S) for _ in range(n // 2))
        bodies = (
            trickle(service.port, head + b"Content-Length: 9999\r\n\r\nRIFF", UPLOAD_TIMEOUT_S) for _ in range(n // 2)
        )
        return await asyncio.gather(*heads, *bodies)

    with measuring("bombs", part="slow clients", n=n, asked=200, unit="at once") as row:
        late = besieged(service, attack, row, {408})
        row.check("refused after their time was up, slowest", max(late), at_most=2, unit="s", slack=5)
