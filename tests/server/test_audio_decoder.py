"""Decoding in real child processes: what comes out, which limits hold, and that nothing else can be reached."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import numpy as np
import pytest
from media_makers import encode, tone, wav

from asr.audio import load_audio, load_channels, map_stored
from asr.errors import AudioTooLongError, AudioTooShortError, CorruptAudioError, EmptyAudioError, UnsupportedMediaError
from asr.options import Channels
from server.audio_decoder import AudioDecoder
from server.decoder_process import DecoderProcess
from server.decoder_protocol import DecodeLimits, DecodeRequest
from server.errors import ApiError
from server.messages import DecodedAudio

ROOT = Path(__file__).parents[2]
LIMITS = DecodeLimits(timeout_s=20, memory_bytes=256 * 2**20, max_decoded_bytes=2**30)
PATIENCE_S = 30.0


def over_decoder(
    check: Callable[[AudioDecoder], Awaitable[None]], limits: DecodeLimits = LIMITS, *, max_decoders: int = 2
) -> None:
    async def go() -> None:
        decoder = AudioDecoder(limits, max_decoders=max_decoders)
        await decoder.start()
        try:
            async with asyncio.timeout(PATIENCE_S):
                await check(decoder)
        finally:
            await decoder.stop()

    asyncio.run(go())


async def decode(
    decoder: AudioDecoder, folder: Path, data: bytes, *, channels: Channels = Channels.MIX, max_duration_s: float = 3600
) -> DecodedAudio:
    path = folder / "upload"
    path.write_bytes(data)
    return await decoder.decode(str(path), channels=channels, max_duration_s=max_duration_s)


async def refusal(decoder: AudioDecoder, folder: Path, data: bytes, **options: float) -> ApiError:
    with pytest.raises(ApiError) as caught:
        await decode(decoder, folder, data, **options)
    assert [path.name for path in folder.iterdir()] == ["upload"]
    return caught.value


async def until(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0.01)


def children_of(pid: int | None) -> list[int]:
    assert pid is not None
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.fixture(scope="module")
def slow() -> bytes:
    """Half an hour of silence, which takes seconds to decode."""
    return encode("flac", "flac", 44_100, 1, np.zeros((1, 44_100 * 1800), np.int16))


async def until_decoding(decoder: AudioDecoder) -> None:
    await until(lambda: decoder.pid is not None and len(children_of(decoder.pid)) == 1)


FORMATS = [
    ("wav", "pcm_s16le", 16_000), ("flac", "flac", 44_100), ("ogg", "libopus", 48_000), ("mp3", "libmp3lame", 44_100),
    ("ipod", "aac", 44_100), ("webm", "libopus", 48_000),
]  # fmt: skip


def test_every_format_comes_out_as_in_process(tmp_path: Path) -> None:
    async def check(decoder: AudioDecoder) -> None:
        for container, codec, rate in FORMATS:
            data = encode(container, codec, rate, 2, tone(rate, 2, duration=1.5))
            for channels, load in ((Channels.MIX, load_audio), (Channels.SPLIT, load_channels)):
                audio = await decode(decoder, tmp_path, data, channels=channels)
                expected = load(tmp_path / "upload")
                expected = expected if isinstance(expected, tuple) else (expected,)
                found = map_stored(audio.path, n_channels=audio.n_channels, warnings=audio.warnings)
                assert (audio.n_channels, audio.n_samples) == (len(expected), len(expected[0].samples))
                assert Path(audio.path).stat().st_mode & 0o777 == 0o600
                assert audio.decode_s > 0
                for ours, theirs in zip(found, expected, strict=True):
                    np.testing.assert_array_equal(ours.samples, theirs.samples)
                    assert ours.warnings == theirs.warnings

    over_decoder(check)


def test_errors_and_warnings_are_those_of_the_library(tmp_path: Path) -> None:
    async def check(decoder: AudioDecoder) -> None:
        whole = wav(tone(16_000, 1, duration=2.0))
        truncated = await decode(decoder, tmp_path, whole[: len(whole) // 2])
        assert "truncated" in truncated.warnings[0]
        Path(truncated.path).unlink()
        for data, kind, message in (
            (b"", EmptyAudioError, "0 bytes"),
            (b"Dear madam, " * 100, UnsupportedMediaError, "no known audio"),
            (b"fLaC" + bytes(1000), CorruptAudioError, "flac header"),
            (whole[:100], AudioTooShortError, "at least 0.1 s"),
        ):
            with pytest.raises(kind, match=message):
                await decode(decoder, tmp_path, data)
        with pytest.raises(AudioTooLongError, match="at most 1 s"):
            await decode(decoder, tmp_path, whole, max_duration_s=1)
        assert [path.name for path in tmp_path.iterdir()] == ["upload"]

    over_decoder(check)


def test_a_decoder_that_is_late_is_killed_and_the_next_one_is_not(tmp_path: Path, slow: bytes) -> None:
    async def check(decoder: AudioDecoder) -> None:
        error = await refusal(decoder, tmp_path, slow)
        assert (error.status, error.code) == (422, "decoding_timeout")
        assert "AURICLE_DECODE_TIMEOUT_S" in error.message
        assert (await decode(decoder, tmp_path, wav(tone(16_000, 1)))).n_samples == 16_000

    over_decoder(check, DecodeLimits(timeout_s=0.3, memory_bytes=2**28, max_decoded_bytes=2**30))


def test_what_is_written_is_limited(tmp_path: Path) -> None:
    async def check(decoder: AudioDecoder) -> None:
        error = await refusal(decoder, tmp_path, wav(tone(16_000, 1, duration=30)))
        assert (error.status, error.code) == (413, "decoded_audio_too_large")
        assert "AURICLE_MAX_DECODED_BYTES" in error.message

    over_decoder(check, DecodeLimits(timeout_s=20, memory_bytes=2**28, max_decoded_bytes=2**20))


def test_memory_is_limited(tmp_path: Path) -> None:
    async def check(decoder: AudioDecoder) -> None:
        error = await refusal(decoder, tmp_path, wav(tone(16_000, 1, duration=30)))
        assert (error.status, error.code) == (422, "decoding_memory")
        assert "AURICLE_DECODE_MEMORY_BYTES" in error.message

    over_decoder(check, DecodeLimits(timeout_s=20, memory_bytes=2**16, max_decoded_bytes=2**30))


def test_a_full_disk_is_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """/dev/full answers every write as a full disk does."""

    async def check(decoder: AudioDecoder) -> None:
        source = tmp_path / "upload"
        source.write_bytes(wav(tone(16_000, 1)))
        monkeypatch.setattr(
            "server.audio_decoder._open",
            lambda *_: (os.open(source, os.O_RDONLY), os.open("/dev/full", os.O_WRONLY)),
        )
        with pytest.raises(ApiError) as caught:
            await decoder.decode(str(source), channels=Channels.MIX, max_duration_s=10)
        assert (caught.value.status, caught.value.code) == (507, "insufficient_storage")
        assert "Retry-After" in caught.value.headers

    over_decoder(check)


def test_a_client_that_leaves_ends_its_decoding(tmp_path: Path, slow: bytes) -> None:
    async def check(decoder: AudioDecoder) -> None:
        task = asyncio.create_task(decode(decoder, tmp_path, slow))
        await until_decoding(decoder)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await until(lambda: children_of(decoder.pid) == [])
        assert [path.name for path in tmp_path.iterdir()] == ["upload"]

    over_decoder(check)


def test_a_decoder_that_crashes_is_the_file_s_fault(tmp_path: Path, slow: bytes) -> None:
    async def check(decoder: AudioDecoder) -> None:
        task = asyncio.create_task(refusal(decoder, tmp_path, slow))
        await until_decoding(decoder)
        os.kill(children_of(decoder.pid)[0], signal.SIGSEGV)
        error = await task
        assert (error.status, error.code) == (422, "undecodable_audio")
        assert (await decode(decoder, tmp_path, wav(tone(16_000, 1)))).n_samples == 16_000

    over_decoder(check)


def test_no_more_than_allowed_are_decoded_at_once(tmp_path: Path, slow: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.audio_decoder.LASTING_AFTER_S", PATIENCE_S)

    async def check(decoder: AudioDecoder) -> None:
        first = asyncio.create_task(decode(decoder, tmp_path, slow))
        await until_decoding(decoder)
        (tmp_path / "second").mkdir()
        second = asyncio.create_task(decode(decoder, tmp_path / "second", wav(tone(16_000, 1))))
        await asyncio.sleep(0.2)
        assert not second.done()
        assert len(children_of(decoder.pid)) == 1
        first.cancel()
        assert (await second).n_samples == 16_000

    over_decoder(check, max_decoders=1)


def test_one_that_lasts_makes_room_for_the_next(tmp_path: Path, slow: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.audio_decoder.LASTING_AFTER_S", 0.05)

    async def check(decoder: AudioDecoder) -> None:
        lasting = asyncio.create_task(decode(decoder, tmp_path, slow))
        await until_decoding(decoder)
        os.kill(children_of(decoder.pid)[0], signal.SIGSTOP)
        (tmp_path / "second").mkdir()
        assert (await decode(decoder, tmp_path / "second", wav(tone(16_000, 1)))).n_samples == 16_000
        assert not lasting.done()
        lasting.cancel()
        await asyncio.gather(lasting, return_exceptions=True)

    over_decoder(check, max_decoders=1)


def test_one_that_lasts_gives_way(tmp_path: Path, slow: bytes) -> None:
    own = os.getpriority(os.PRIO_PROCESS, 0)

    async def check(decoder: AudioDecoder) -> None:
        lasting = asyncio.create_task(decode(decoder, tmp_path, slow))
        await until_decoding(decoder)
        (pid,) = children_of(decoder.pid)
        await until(lambda: os.getpriority(os.PRIO_PROCESS, pid) > own)
        lasting.cancel()
        await asyncio.gather(lasting, return_exceptions=True)

    over_decoder(check)


def test_a_killed_process_is_replaced_and_the_file_decoded(tmp_path: Path) -> None:
    async def check(decoder: AudioDecoder) -> None:
        Path((await decode(decoder, tmp_path, wav(tone(16_000, 1)))).path).unlink()
        first = decoder.pid
        assert first is not None
        os.kill(first, signal.SIGKILL)
        assert (await decode(decoder, tmp_path, wav(tone(16_000, 1)))).n_samples == 16_000
        assert decoder.pid not in {first, None}

    over_decoder(check)


def test_a_stuck_process_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.decoder_process.GRACE_S", 0.2)

    async def check(decoder: AudioDecoder) -> None:
        Path((await decode(decoder, tmp_path, wav(tone(16_000, 1)))).path).unlink()
        assert decoder.pid is not None
        os.kill(decoder.pid, signal.SIGSTOP)
        error = await refusal(decoder, tmp_path, wav(tone(16_000, 1)))
        assert (error.status, error.code) == (503, "decoder_unavailable")
        assert "Retry-After" in error.headers
        assert (await decode(decoder, tmp_path, wav(tone(16_000, 1)))).n_samples == 16_000

    over_decoder(check, DecodeLimits(timeout_s=4, memory_bytes=2**28, max_decoded_bytes=2**30))


def test_who_finds_a_process_dead_is_the_first_to_know(tmp_path: Path) -> None:
    """Else the next requests would go to the same one, before its socket has told."""
    limits = DecodeLimits(timeout_s=4, memory_bytes=2**28, max_decoded_bytes=2**30)

    async def go(*, told: bool) -> None:
        process = await DecoderProcess.start()
        await process.ready()
        if told:
            process.kill()
        else:
            os.kill(process.pid, signal.SIGKILL)
            with (tmp_path / "upload").open("wb") as file:
                request = DecodeRequest(mode="mean", max_duration_s=10, limits=limits)
                assert await process.decode(file.fileno(), file.fileno(), request) == []
        assert process.gone.is_set()
        await process.stop()

    for told in (True, False):
        asyncio.run(go(told=told))


def test_a_process_that_cannot_start_is_a_503(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")

    async def check(decoder: AudioDecoder) -> None:
        began = time.monotonic()
        error = await refusal(decoder, tmp_path, wav(tone(16_000, 1)))
        assert (error.status, error.code) == (503, "decoder_unavailable")
        assert time.monotonic() - began < 5

    over_decoder(check)


def test_nothing_outlives_the_decoder(tmp_path: Path, slow: bytes) -> None:
    pids: list[int] = []

    async def check(decoder: AudioDecoder) -> None:
        task = asyncio.create_task(decode(decoder, tmp_path, slow))
        await until_decoding(decoder)
        assert decoder.pid is not None
        pids.extend([decoder.pid, *children_of(decoder.pid)])
        await decoder.stop()
        with pytest.raises(ApiError):
            await task

    over_decoder(check)
    assert len(pids) == 2
    deadline = time.monotonic() + 5
    while any(Path(f"/proc/{pid}").exists() for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)


CONFINED = """
import json, os, resource, socket
from server.decoder_protocol import DecodeLimits
from server.sandbox import confine, isolate

isolated_from = isolate()
parent = os.getpid()

def can(action):
    try:
        action()
    except Exception:
        return False
    return True

if os.fork() == 0:
    limits = DecodeLimits(timeout_s=1, memory_bytes=0, max_decoded_bytes=9)
    confine(limits, [0, 0, 1], parent=parent, base_bytes=2**33)
    hard = {name: resource.getrlimit(getattr(resource, "RLIMIT_" + name))[1]
            for name in ("AS", "CPU", "FSIZE", "NOFILE", "NPROC", "CORE")}
    os.close(0)  # even with a free descriptor ...
    found = {
        "isolated_from": isolated_from, "hard": hard, "environment": dict(os.environ),
        "reads": can(lambda: os.close(os.open("/etc/passwd", os.O_RDONLY))),
        "connects": can(lambda: socket.create_connection(("127.0.0.1", PORT), 1)),
        "runs": can(lambda: os.execv("/bin/true", ["true"])),
    }
    os.write(5, json.dumps(found).encode())
    os._exit(0)
os.wait()
"""


def test_a_confined_process_reaches_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        code = CONFINED.replace("PORT", str(listener.getsockname()[1]))
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, capture_output=True, stdin=subprocess.DEVNULL, check=False
        )
    assert done.stdout, done.stderr
    found = json.loads(done.stdout)
    assert found["environment"] == {}
    assert found["hard"] == {"AS": 2**33, "CPU": 2, "FSIZE": 9, "NOFILE": 6, "NPROC": 0, "CORE": 0}
    if "files" in found["isolated_from"]:
        assert not found["reads"]
        assert not found["runs"]
    if "network" in found["isolated_from"]:
        assert not found["connects"]


def test_memory_stays_flat_over_a_long_recording(tmp_path: Path, slow: bytes) -> None:
    """115 MB of samples, decoded within 24 MB of address space."""

    async def check(decoder: AudioDecoder) -> None:
        assert (await decode(decoder, tmp_path, slow)).duration == 1800

    over_decoder(check, DecodeLimits(timeout_s=30, memory_bytes=24 * 2**20, max_decoded_bytes=2**30))
