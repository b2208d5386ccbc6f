"""Lhotse Shar, written. In: examples as their shard has them. Out: a chunk's cuts and recordings, equal to the byte.

Lhotse reads a folder of such pairs as ``CutSet.from_shar(in_dir=…)``. The layout is that of lhotse 1.33: a cut a line,
and for each cut its FLAC and then its manifest in a tar. Knows no lhotse: the format is little, the package is much.
"""

import gzip
import tarfile
from collections.abc import Mapping
from typing import Any, BinaryIO

from asr.audio import SAMPLE_RATE
from asr.shards import AUDIO, FIELDS
from data_pipeline.shards import add_member, open_tar
from data_pipeline.storage import to_json

__all__ = ["SharWriter"]

OWN = frozenset({"text", "language", "start", "duration"})  # lhotse has places for them


class SharWriter:
    """Appends examples to two files opened for writing; ``close`` ends what is in them, not the files."""

    def __init__(self, cuts: BinaryIO, recordings: BinaryIO) -> None:
        # Name and time would be in the header.
        self._cuts = gzip.GzipFile(filename="", mode="wb", compresslevel=6, fileobj=cuts, mtime=0)
        self._recordings: tarfile.TarFile = open_tar(recordings)

    def add(self, key: str, flac: bytes, n_samples: int, fields: Mapping[str, Any]) -> None:
        """One example: a cut of the whole recording, with one supervision if anybody speaks in it.

        What lhotse has no name for is the cut's ``custom``; ``record_start`` is the manifest's ``start``.
        """
        recording = _recording(key, n_samples)
        add_member(self._recordings, key + AUDIO, flac)
        add_member(self._recordings, key + FIELDS, to_json(recording))
        supervision = {
            "id": key,
            "recording_id": key,
            "start": 0,
            "duration": recording["duration"],
            "channel": 0,
            "text": fields["text"],
            "language": fields["language"],
        }
        cut = {
            "id": key,
            "start": 0,
            "duration": recording["duration"],
            "channel": 0,
            "supervisions": [supervision] if fields["text"] else [],
            "recording": recording,
            "custom": {
                "record_start": fields["start"],
                **{name: value for name, value in fields.items() if name not in OWN},
            },
            "type": "MonoCut",
        }
        self._cuts.write(to_json(cut) + b"\n")

    def close(self) -> None:
        """Write the ends."""
        self._cuts.close()
        self._recordings.close()


def _recording(key: str, n_samples: int) -> dict[str, Any]:
    """A place in the cut that the tar's member fills."""
    return {
        "id": key,
        "sources": [{"type": "shar", "channels": [0], "source": ""}],
        "sampling_rate": SAMPLE_RATE,
        "num_samples": n_samples,
        "duration": n_samples / SAMPLE_RATE,
        "channel_ids": [0],
    }
