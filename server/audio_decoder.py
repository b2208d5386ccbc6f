"""Uploads to samples, each in a process of its own with limits. In: a file's path. Out: ``DecodedAudio``.

Keeps the process that forks them alive (``server.decoder_process``) and turns what they report into errors that say
which limit was met and what to do. Knows nothing of requests, queues or models.
"""

import asyncio
import logging
import os
import signal
import time
import uuid
from contextlib import suppress
from typing import Literal, Protocol

from asr.assembling import SAMPLE_RATE
from asr.errors import (
    AudioError,
    AudioTooLongError,
    AudioTooShortError,
    CorruptAudioError,
    EmptyAudioError,
    UnsupportedMediaError,
)
from asr.options import Channels
from server.decoder_places import DecoderPlaces
from server.decoder_process import DecoderProcess
from server.decoder_protocol import (
    LASTING_AFTER_S,
    Crashed,
    Decoded,
    DecodeLimits,
    DecodeRequest,
    Ended,
    Interrupted,
    Refused,
    Report,
)
from server.errors import ApiError, insufficient_storage
from server.messages import DecodedAudio
from server.uploads import storage_errors

__all__ = ["AudioDecoder", "Decoder"]

logger = logging.getLogger("auricle.decoder")

AUDIO_ERRORS: dict[str, type[AudioError]] = {
    kind.code: kind
    for kind in (EmptyAudioError, UnsupportedMediaError, CorruptAudioError, AudioTooShortError, AudioTooLongError)
}
BYTES_PER_SAMPLE = 4  # float32
MAX_ATTEMPTS = 2  # at one file, when the process that forks dies over it
START_PATIENCE_S = 15.0
LONGEST_PAUSE_S = 30.0  # between two attempts to start a process that does not start
RETRY_AFTER_S = 5.0


class Decoder(Protocol):
    """What the routes need of whoever decodes; tests give them a fake."""

    async def start(self) -> None:
        """Begin to get ready; does not wait for it."""

    async def stop(self) -> None:
        """End what is being decoded, within seconds."""

    async def decode(self, path: str, *, channels: Channels, max_duration_s: float) -> DecodedAudio:
        """Decode a file into a new one beside it, which is the caller's to delete; nothing is left after an error."""


class AudioDecoder:
    """``Decoder`` over real child processes."""

    def __init__(self, limits: DecodeLimits, *, max_decoders: int) -> None:
        self._limits = limits
        self._places = DecoderPlaces(max_decoders, lasting_after_s=LASTING_AFTER_S)
        self._process: DecoderProcess | None = None
        self._supervisor: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()
        """Set whenever the process has become ready or has failed to start."""
        self._is_ready = False
        self._has_failed = False

    @property
    def pid(self) -> int | None:
        """Process id of the process that forks, while there is one."""
        return self._process.pid if self._process else None

    async def start(self) -> None:
        """Begin to start the process; does not wait for it."""
        self._supervisor = asyncio.create_task(self._supervise())

    async def stop(self) -> None:
        """End the process and whatever it decodes."""
        if self._supervisor:
            self._supervisor.cancel()
            await asyncio.gather(self._supervisor, return_exceptions=True)
            self._supervisor = None
            self._changed.set()  # whoever waits for a process waits in vain

    async def decode(self, path: str, *, channels: Channels, max_duration_s: float) -> DecodedAudio:
        """Decode a file into a new one beside it, which is the caller's to delete; nothing is left after an error.

        Waits while as many as may be are at work. Raises AudioError for the recording's faults, ApiError (413, 422) for
        a limit that it met, 507 for a full disk and 503 while there is no process to decode in.
        """
        request = DecodeRequest(
            mode="each" if channels is Channels.SPLIT else "mean", max_duration_s=max_duration_s, limits=self._limits
        )
        output = f"{path}-{uuid.uuid4().hex}"
        async with self._places.taken():
            began = time.monotonic()
            try:
                decoded = await self._decode(path, output, request)
                return DecodedAudio(
                    path=output,
                    n_channels=decoded.n_channels,
                    n_samples=decoded.n_samples,
                    warnings=decoded.warnings,
                    decode_s=time.monotonic() - began,
                )
            except BaseException:
                with suppress(FileNotFoundError):
                    os.unlink(output)
                raise

    async def _decode(self, path: str, output: str, request: DecodeRequest) -> Decoded:
        for _ in range(MAX_ATTEMPTS):
            process = await self._ready_process()
            descriptors = _open(path, output)
            try:
                reports = await process.decode(*descriptors, request)
                if reports:
                    return self._outcome(reports, os.fstat(descriptors[1]).st_size)
            except TimeoutError:
                logger.error("the decoding process is stuck and is replaced")
                process.kill()
                break
            except ValueError as error:
                raise _crashed("it answered in an unknown way") from error
            finally:
                for descriptor in descriptors:
                    os.close(descriptor)
        raise _unavailable()

    def _outcome(self, reports: list[Report], n_bytes: int) -> Decoded:
        report, *_, end = (Crashed(traceback=""), *reports)[-2:]
        if not isinstance(end, Ended):
            raise _unavailable()  # the process that forks died after the fork had answered
        if end.has_timed_out or end.exit_code == -signal.SIGXCPU:
            raise self._limit_error("time")
        if isinstance(report, Interrupted):
            raise self._limit_error(report.limit)
        if isinstance(report, Refused):
            raise AUDIO_ERRORS.get(report.code, AudioError)(report.message)
        if isinstance(report, Decoded) and end.exit_code == 0:
            if n_bytes == report.n_channels * report.n_samples * BYTES_PER_SAMPLE > 0:
                return report
            raise _crashed(f"it claims {report.n_samples} samples and wrote {n_bytes} bytes")
        if isinstance(report, Crashed) and report.traceback:
            logger.error("decoding failed\n%s", report.traceback)
        raise _crashed(f"exit code {end.exit_code}")

    def _limit_error(self, limit: Literal["time", "memory", "size", "disk"]) -> ApiError:
        if limit == "disk":
            return insufficient_storage()
        if limit == "time":
            allowed = f"within {self._limits.timeout_s:g} s (AURICLE_DECODE_TIMEOUT_S)"
            message = f"The file could not be decoded {allowed}; send a shorter one, or convert it to wav or flac."
            return ApiError(422, "decoding_timeout", message, param="file")
        if limit == "memory":
            allowed = f"{self._limits.memory_bytes} bytes of memory (AURICLE_DECODE_MEMORY_BYTES)"
            message = f"Decoding the file takes more than {allowed}; convert it to wav or flac first."
            return ApiError(422, "decoding_memory", message, param="file")
        hour = SAMPLE_RATE * BYTES_PER_SAMPLE * 3600 / 1e6
        allowed = f"at most {self._limits.max_decoded_bytes} bytes (AURICLE_MAX_DECODED_BYTES)"
        message = f"The decoded recording is too large: {allowed}, {hour:.0f} MB an hour and channel; send it in parts."
        return ApiError(413, "decoded_audio_too_large", message, param="file")

    async def _ready_process(self) -> DecoderProcess:
        try:
            async with asyncio.timeout(START_PATIENCE_S):
                while not self._is_ready or self._process is None or self._process.gone.is_set():
                    if self._has_failed or self._supervisor is None:
                        raise _unavailable()
                    self._changed.clear()
                    await self._changed.wait()
                return self._process
        except TimeoutError:
            raise _unavailable() from None

    async def _supervise(self) -> None:
        failures = 0
        while True:
            try:
                self._process = await DecoderProcess.start()
                await self._watch(self._process)
                failures = 0
                logger.error("the decoding process died and is replaced")
            except OSError as error:
                failures += 1
                logger.error("the decoding process cannot be started: %s", error)
                self._set(is_ready=False, has_failed=True)
                await asyncio.sleep(min(LONGEST_PAUSE_S, 2.0 ** (failures - 1)))

    async def _watch(self, process: DecoderProcess) -> None:
        try:
            ready = await process.ready()
            logger.info("decoding is isolated from: %s", ", ".join(ready.isolated_from) or "nothing")
            self._set(is_ready=True, has_failed=False)
            await process.gone.wait()
        finally:
            self._set(is_ready=False, has_failed=self._has_failed)
            self._process = None
            await process.stop()

    def _set(self, *, is_ready: bool, has_failed: bool) -> None:
        self._is_ready = is_ready
        self._has_failed = has_failed
        self._changed.set()


def _open(path: str, output: str) -> tuple[int, int]:
    """Descriptors of the upload and of a new private file. Raises ApiError (507) where there is no room for one."""
    source = os.open(path, os.O_RDONLY)
    try:
        with storage_errors():
            return source, os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    except BaseException:
        os.close(source)
        raise


def _unavailable() -> ApiError:
    message = "Recordings cannot be decoded at the moment; try again later."
    return ApiError(503, "decoder_unavailable", message, retry_after_s=RETRY_AFTER_S)


def _crashed(why: str) -> ApiError:
    logger.warning("decoding a file broke off: %s", why)
    message = "The file makes the decoder break off; convert it first, with: ffmpeg -i FILE -ar 16000 file.wav"
    return ApiError(422, "undecodable_audio", message, param="file")
