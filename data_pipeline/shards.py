"""Training shards, written. In: samples and fields of examples. Out: a tar in WebDataset's layout, equal to the byte.

``asr.shards`` reads it. Every field of a member's header is fixed, so that equal examples give equal files.
"""

import io
import tarfile
from collections.abc import Mapping
from typing import Any, BinaryIO

import numpy as np
import soundfile  # type: ignore[import-untyped]
from numpy.typing import NDArray

from asr.audio import SAMPLE_RATE
from asr.shards import AUDIO, FIELDS
from data_pipeline.storage import to_json

__all__ = ["ShardWriter", "encode_flac"]


class ShardWriter:
    """Appends examples to a file opened for writing; ``close`` ends the tar, not the file."""

    def __init__(self, file: BinaryIO) -> None:
        self._tar = tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT)  # noqa: SIM115 (closed below)
        self.n_examples = 0

    def add(self, key: str, samples: NDArray[np.float32], fields: Mapping[str, Any]) -> None:
        """One example; the key has no dot, since WebDataset ends it at the first one."""
        self._member(key + AUDIO, encode_flac(samples))
        self._member(key + FIELDS, to_json(fields))
        self.n_examples += 1

    def close(self) -> None:
        """Write the end of the tar."""
        self._tar.close()

    def _member(self, name: str, data: bytes) -> None:
        member = tarfile.TarInfo(name)  # time, owner and group are 0, the mode 0644
        member.size = len(data)
        self._tar.addfile(member, io.BytesIO(data))


def encode_flac(samples: NDArray[np.float32]) -> bytes:
    """16-bit FLAC at SAMPLE_RATE; what is beyond full scale is cut there."""
    file = io.BytesIO()
    whole = (samples.clip(-1.0, 1.0) * 32768).round().clip(-32768, 32767).astype(np.int16)
    soundfile.write(file, whole, SAMPLE_RATE, format="FLAC", subtype="PCM_16")
    return file.getvalue()
