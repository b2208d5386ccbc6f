"""Decoded audio, block by block → float32 samples at 16 kHz. Knows no file format and no torch.

In: blocks of any sample type, channel count and rate. Out: their mean, or each channel apart; in memory while it is
short, beyond that on disk, so that three hours take no more memory than two minutes; or all in a file of the caller's.
"""

import math
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import IO, Any, Literal

import numpy as np
import soxr
from numpy.typing import NDArray

from asr.errors import AudioTooLongError, AudioTooShortError, CorruptAudioError

__all__ = ["MIN_DURATION_S", "SAMPLE_RATE", "Assembler", "ChannelMode"]

SAMPLE_RATE = 16_000
MIN_DURATION_S = 0.1
MAX_BYTES_IN_MEMORY = 120 * SAMPLE_RATE * 4  # two minutes of all channels together; more is written to disk

ChannelMode = Literal["mean", "each"]


@dataclass(slots=True)
class Assembler:
    """Collects blocks of any type, channel count and rate; gives float32 at SAMPLE_RATE.

    Works on about a second at a time, so that frames of 20 ms do not pay for a call each, and holds only the result.
    """

    mode: ChannelMode = "mean"
    """What becomes of several channels: their mean, or each of them."""
    max_duration_s: float | None = None
    file: IO[bytes] | None = None
    """Where all samples go, if the caller has a place for them: float32, (n_samples, n_channels) row by row."""
    n_channels: int = 0
    """Of the result; 0 until the first block is worked on."""
    _store: "_SampleStore | None" = None
    _n_stored: int = 0
    _pending: list[NDArray[Any]] = field(default_factory=list)
    _n_pending: int = 0
    _rate: int = SAMPLE_RATE
    _resampler: Any = None

    @property
    def duration(self) -> float:
        """Seconds taken in so far."""
        return self._n_stored / SAMPLE_RATE + self._n_pending / self._rate

    def add(self, block: NDArray[Any], rate: int) -> None:
        """Append samples of shape (n_channels, n_samples)."""
        if rate != self._rate:
            self._flush(last=True)
            self._rate = rate
        if self._pending and (len(block), block.dtype) != (len(self._pending[0]), self._pending[0].dtype):
            self._flush(last=False)
        self._pending.append(block)
        self._n_pending += block.shape[1]
        if self._n_pending >= rate:
            self._flush(last=False)

    def end(self) -> int:
        """Take in what still waits; returns n_samples. Raises AudioTooShortError below MIN_DURATION_S."""
        if self._pending or self._resampler is not None:
            self._flush(last=True)
        if self._n_stored < MIN_DURATION_S * SAMPLE_RATE or self._store is None:
            got = f"{self._n_stored / SAMPLE_RATE:.3f} s"
            raise AudioTooShortError(f"got {got} of audio, expected at least {MIN_DURATION_S} s")
        self._store.flush()
        return self._n_stored

    def finish(self) -> tuple[NDArray[np.float32], ...]:
        """Everything: one array (n_samples,) of the mean, or one per channel; a long one is a read-only memory map."""
        self.end()
        return () if self._store is None else tuple(self._store.samples().reshape(-1, self.n_channels).T)

    def close(self) -> None:
        """Let go of what is on disk, save what ``finish`` gave away and the caller's own file."""
        if self._store is not None:
            self._store.close()

    def _flush(self, *, last: bool) -> None:
        start_s = self.duration - self._n_pending / self._rate
        samples = self._take_pending(start_s)
        is_finite = np.isfinite(samples).all(axis=0)
        if not is_finite.all():
            where_s = start_s + int(np.argmin(is_finite)) / self._rate
            raise CorruptAudioError(f"got a sample that is NaN or infinite at {where_s:.3f} s, expected finite samples")
        resampled = self._resample(samples, last=last)
        if self._store is not None:
            self._store.append(resampled.T)
        self._n_stored += resampled.shape[1]
        if self.max_duration_s is not None and self.duration > self.max_duration_s:
            limit = f"expected at most {self.max_duration_s:g} s"
            raise AudioTooLongError(f"got more than {math.floor(self.duration)} s of audio, {limit}")

    def _take_pending(self, start_s: float) -> NDArray[np.float32]:
        """What waits, (n_channels, n_samples); the first block decides how many channels there are."""
        if not self._pending:
            return np.zeros((self.n_channels, 0), np.float32)
        samples = _scaled(np.concatenate(self._pending, axis=1))
        self._pending, self._n_pending = [], 0
        if self.mode == "mean":
            samples = samples.mean(axis=0, keepdims=True, dtype=np.float32) if len(samples) > 1 else samples
        if self._store is None:
            self._store, self.n_channels = _SampleStore(self.file), len(samples)
        if len(samples) != self.n_channels:
            expected = f"the {self.n_channels} that it begins with; read the mean of its channels"
            raise CorruptAudioError(f"got {len(samples)} channels at {start_s:.1f} s, expected {expected}")
        return samples

    def _resample(self, samples: NDArray[np.float32], *, last: bool) -> NDArray[np.float32]:
        if self._rate == SAMPLE_RATE or self._store is None:
            return samples  # untouched, so that samples stay exact
        if self._resampler is None:
            self._resampler = soxr.ResampleStream(
                self._rate, SAMPLE_RATE, self.n_channels, dtype="float32", quality="HQ"
            )
        frames = np.ascontiguousarray(samples.T)  # soxr's order: (n_samples, n_channels), or (n_samples,) of one
        resampled: NDArray[np.float32] = self._resampler.resample_chunk(
            frames.ravel() if len(samples) == 1 else frames, last=last
        )
        if last:
            self._resampler = None
        return resampled.reshape(len(resampled), len(samples)).T


def _scaled(block: NDArray[Any]) -> NDArray[np.float32]:
    """Samples of any type at full scale 1: float32 of the same shape."""
    with np.errstate(over="ignore", invalid="ignore"):  # what overflows is Inf, which the caller refuses
        scaled: NDArray[np.float32] = block.astype(np.float32)
        if block.dtype == np.uint8:
            scaled = (scaled - np.float32(128)) / np.float32(128)
        elif block.dtype.kind == "i":
            scaled /= -np.float32(np.iinfo(block.dtype).min)
        return scaled


class _SampleStore:
    """Float32 samples: in a given file, or in memory up to MAX_BYTES_IN_MEMORY and in a nameless file beyond."""

    def __init__(self, given: IO[bytes] | None) -> None:
        self._given = given
        self._memory = bytearray()
        self._file: IO[bytes] | None = None

    def append(self, samples: NDArray[np.float32]) -> None:
        data = samples.tobytes()
        if self._given is not None:
            self._given.write(data)
            return
        if self._file is None and len(self._memory) + len(data) <= MAX_BYTES_IN_MEMORY:
            self._memory += data
            return
        with _disk_errors():
            if self._file is None:
                self._file = tempfile.TemporaryFile(prefix="auricle-")  # noqa: SIM115  (close closes it)
                self._file.write(self._memory)
                self._memory = bytearray()
            self._file.write(data)

    def flush(self) -> None:
        if self._given is not None:
            self._given.flush()
        elif self._file is not None:
            with _disk_errors():
                self._file.flush()

    def samples(self) -> NDArray[np.float32]:
        """Everything, in the order it came."""
        file = self._given or self._file
        if file is None:
            return np.frombuffer(self._memory, np.float32)
        with _disk_errors():
            return np.memmap(file, np.float32, "r")  # keeps the pages, not the file object

    def close(self) -> None:
        if self._file is not None:
            with suppress(OSError):  # what a full disk did not take was reported already, or is not wanted
                self._file.close()


@contextmanager
def _disk_errors() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        where = f"decoded audio cannot be kept in the temporary folder {tempfile.gettempdir()}: {error.strerror}"
        next_step = "free some space there, or let TMPDIR name a folder that has it: 230 MB an hour and channel"
        raise OSError(error.errno, f"{where}; {next_step}") from None
