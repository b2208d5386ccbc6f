"""Raw 16-bit samples, as they come → float32 samples at 16 kHz. Knows no model, no file format and no torch.

In: bytes of mono PCM, little-endian, in pieces of any number of whole samples. Out: the samples that they complete.
"""

from typing import Any

import numpy as np
import soxr
from numpy.typing import NDArray

from asr.assembling import SAMPLE_RATE
from asr.errors import AuricleError

__all__ = ["BYTES_PER_SAMPLE", "PcmReader"]

BYTES_PER_SAMPLE = 2
FULL_SCALE = np.float32(32_768)


class PcmReader:
    """Reads one stream at ``sample_rate`` Hz; what is at 16 kHz already comes out exactly as ``sample / 32768``."""

    def __init__(self, sample_rate: int) -> None:
        self._resampler: Any = None
        if sample_rate != SAMPLE_RATE:
            self._resampler = soxr.ResampleStream(sample_rate, SAMPLE_RATE, 1, dtype="float32", quality="HQ")

    def read(self, pcm: bytes, *, is_last: bool = False) -> NDArray[np.float32]:
        """(n_samples,) at 16 kHz. A resampler keeps a few milliseconds back until the last piece.

        Raises AuricleError for half a sample.
        """
        if len(pcm) % BYTES_PER_SAMPLE:
            raise AuricleError(f"got {len(pcm)} bytes of 16-bit audio, expected an even number")
        samples: NDArray[np.float32] = np.frombuffer(pcm, "<i2").astype(np.float32) / FULL_SCALE
        if self._resampler is None:
            return samples
        resampled: NDArray[np.float32] = self._resampler.resample_chunk(samples, last=is_last)
        return resampled
