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

__all__ = ["ShardWriter", "add_member", "encode_flac", "open_tar"]


class ShardWriter:
    """Appends examples to a file opened for writing; ``close`` ends the tar, not the file."""

    def __init__(self, file: BinaryIO) -> None:
        self._tar = open_tar(file)
        self.n_examples = 0

    def add(self, key: str, samples: NDArray[np.float32], fields: Mapping[str, Any]) -> bytes:
        """One example; the key has no dot, since WebDataset ends it at the first one. Returns the audio as written."""
        flac = encode_flac(samples)
        add_member(self._tar, key + AUDIO, flac)
        add_member(self._tar, key + FIELDS, to_json(fields))
        self.n_examples += 1
        return flac

    def close(self) -> None:
        """Write the end of the tar."""
        self._tar.close()


def open_tar(file: BinaryIO) -> tarfile.TarFile:
    """A tar to write into a file, which stays open when the tar is closed."""
    return tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT)


def add_member(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    """One file of which only name and bytes can differ: time, owner and group are 0, the mode 0644."""
    member = tarfile.TarInfo(name)
    member.size = len(data)
    tar.addfile(member, io.BytesIO(data))


def encode_flac(samples: NDArray[np.float32]) -> bytes:
    """16-bit FLAC at SAMPLE_RATE; what is beyond full scale is cut there."""
    file = io.BytesIO()
    whole = (samples.clip(-1.0, 1.0) * 32768).round().clip(-32768, 32767).astype(np.int16)
    soundfile.write(file, whole, SAMPLE_RATE, format="FLAC", subtype="PCM_16")
    return file.getvalue()
