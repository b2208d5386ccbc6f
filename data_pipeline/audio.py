"""A stretch of a recording → samples, or why it cannot be used. In: ``AudioPlace``. Knows no captions."""

import hashlib
import io
from dataclasses import dataclass, field
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from asr.audio import SAMPLE_RATE, Waveform, load_audio
from asr.errors import AudioError
from data_pipeline.types import AudioPlace, Blob, Drop

__all__ = ["AudioLimits", "AudioReader", "samples_sha256"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioLimits:
    """What is still a recording."""

    max_duration_s: float = 4 * 3600.0
    """Beyond it nothing more is decoded."""


@dataclass(slots=True)
class AudioReader:
    """Decodes; keeps the last file, since the lines of a list often are stretches of one."""

    limits: AudioLimits
    _last: tuple[Blob, Waveform | Drop] | None = field(default=None, init=False)

    def read(self, place: AudioPlace) -> NDArray[np.float32] | Drop:
        """Samples at SAMPLE_RATE, (n_samples,).

        Drops: those of ``AudioError.code``, ``unreadable_audio``, ``damaged_audio`` (part of it is missing, so that
        captions of the whole would teach words that nobody says), ``outside_the_recording``.
        """
        if self._last is None or self._last[0] != place.blob:
            self._last = (place.blob, self._decode(place.blob))
        waveform = self._last[1]
        if isinstance(waveform, Drop) or place.duration is None:
            return waveform if isinstance(waveform, Drop) else waveform.samples
        end = place.start + place.duration
        if end > waveform.duration + 1 / SAMPLE_RATE:
            return Drop(reason="outside_the_recording", value=round(end, 3), limit=round(waveform.duration, 3))
        return waveform.samples[round(place.start * SAMPLE_RATE) : round(end * SAMPLE_RATE)]

    def _decode(self, blob: Blob) -> Waveform | Drop:
        try:
            with blob.path.open("rb") as file:
                waveform = load_audio(_stream(blob, file), max_duration_s=self.limits.max_duration_s)
        except AudioError as error:
            return Drop(reason=error.code, value=str(error)[:200], limit=_limit(error.code, self.limits))
        except OSError as error:
            return Drop(reason="unreadable_audio", value=str(error.strerror or error)[:200])
        except MemoryError:  # also FFmpeg's, for what a header claims
            return Drop(reason="unreadable_audio", value="it takes too much memory")
        if waveform.warnings:
            return Drop(reason="damaged_audio", value=waveform.warnings[0][:200])
        return waveform


def samples_sha256(samples: NDArray[np.float32]) -> str:
    """The same for the same samples, whatever file they came in."""
    return hashlib.sha256(np.ascontiguousarray(samples).tobytes()).hexdigest()


def _stream(blob: Blob, file: BinaryIO) -> BinaryIO:
    if blob.size is None:
        return file
    file.seek(blob.offset)
    return io.BytesIO(file.read(blob.size))


def _limit(code: str, limits: AudioLimits) -> float | None:
    return limits.max_duration_s if code == "audio_too_long" else None
