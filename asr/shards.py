"""Training shards, read. In: tars in WebDataset's layout, each example KEY.flac then KEY.json. Out: audio and fields.

Members are read where they lie and never extracted. Knows no trainer, and nothing of how shards are made.
"""

import io
import json
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asr.audio import Waveform, load_audio
from asr.errors import AudioError, ShardError

__all__ = ["AUDIO", "FIELDS", "ExamplePlace", "ShardExample", "read_shard", "walk_shard"]

AUDIO, FIELDS = ".flac", ".json"
MAX_MEMBER_BYTES = 64 << 20  # 30 s of FLAC at 16 kHz are below 1 MB
MAX_AUDIO_S = 30.5


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardExample:
    """One training example."""

    key: str
    """Unique in the data set."""
    waveform: Waveform
    fields: Mapping[str, Any]
    """Text, cues, language, task and the rest, as the shard's writer has them."""


@dataclass(frozen=True, slots=True)
class ExamplePlace:
    """Where an example lies in its shard; offsets and sizes in bytes."""

    path: Path
    key: str
    audio: tuple[int, int]
    fields: tuple[int, int]

    @property
    def where(self) -> str:
        """File and key, for people."""
        return f"{self.path}, {self.key}"

    def read(self) -> ShardExample:
        """Read and decode it. Raises ShardError with file and key, OSError."""
        audio, _ = self._bytes()
        try:
            waveform = load_audio(io.BytesIO(audio), max_duration_s=MAX_AUDIO_S)
        except AudioError as error:
            raise ShardError(f"{self.where}: {error}; expected an example's audio") from error
        if waveform.warnings:
            raise ShardError(f"{self.where}: {waveform.warnings[0]}; expected audio without damage")
        return ShardExample(key=self.key, waveform=waveform, fields=self.read_fields())

    def read_fields(self) -> Mapping[str, Any]:
        """What is said of it, without its audio. Raises ShardError, OSError."""
        _, data = self._bytes()
        try:
            fields = json.loads(data)
        except (ValueError, RecursionError) as error:
            raise ShardError(f"{self.where}: {error}; expected an example's JSON") from error
        if not isinstance(fields, dict):
            raise ShardError(f"{self.where}: got {type(fields).__name__}, expected a JSON object")
        return fields

    def _bytes(self) -> tuple[bytes, bytes]:
        with self.path.open("rb") as file:
            parts = []
            for offset, size in (self.audio, self.fields):
                file.seek(offset)
                parts.append(file.read(size))
        return parts[0], parts[1]


def read_shard(path: Path) -> Iterator[ShardExample]:
    """The examples in order. Raises ShardError with file and member for what is not such a shard, OSError."""
    return (place.read() for place in walk_shard(path))


def walk_shard(path: Path) -> Iterator[ExamplePlace]:
    """Where its examples lie, in order; headers alone are read. Raises ShardError with file and member, OSError."""
    where = f"{path}"
    audio: tuple[str, int, int] | None = None
    with path.open("rb") as file:
        try:
            with tarfile.open(fileobj=file, mode="r:") as tar:
                for member in tar:
                    where = f"{path}, {member.name}"
                    key = _key(member, audio[0] if audio else None, where)
                    if audio is None:
                        audio = (key, member.offset_data, member.size)
                    else:
                        yield ExamplePlace(path, key, audio[1:], (member.offset_data, member.size))
                        audio = None
                file.seek(tar.offset)
                if file.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):  # tarfile takes any other for the end too
                    raise ShardError(f"{where}: followed by no header and no end; expected a whole tar")
        except (tarfile.TarError, ValueError, OverflowError, MemoryError, RecursionError) as error:
            raise ShardError(f"{where}: {error}; expected a tar of {AUDIO} and {FIELDS} files") from error
    if audio:
        raise ShardError(f"{path}: ends after {audio[0]}{AUDIO}, expected {audio[0]}{FIELDS}")


def _key(member: tarfile.TarInfo, awaited: str | None, where: str) -> str:
    """Of the member that must come next."""
    key, dot, suffix = member.name.rpartition(".")
    is_file = member.isreg() and 0 <= member.size <= MAX_MEMBER_BYTES
    if not is_file or dot + suffix != (FIELDS if awaited else AUDIO) or (awaited and awaited != key):
        expected = f"{awaited}{FIELDS}" if awaited else f"a {AUDIO} file"
        raise ShardError(f"{where}: expected {expected}, of at most {MAX_MEMBER_BYTES >> 20} MB")
    return key
