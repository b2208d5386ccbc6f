"""Training shards, read. In: a tar in WebDataset's layout, each example KEY.flac then KEY.json. Out: audio and fields.

Members are streamed in their order and never extracted. Knows no trainer, and nothing of how shards are made.
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

__all__ = ["AUDIO", "FIELDS", "ShardExample", "read_shard"]

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


def read_shard(path: Path) -> Iterator[ShardExample]:
    """The examples in order. Raises ShardError with file and member for what is not such a shard, OSError."""
    with path.open("rb") as file:
        try:
            with tarfile.open(fileobj=file, mode="r|") as tar:
                yield from _examples(tar, path)
        except tarfile.TarError as error:
            raise ShardError(f"{path}: {error}; expected a tar of {AUDIO} and {FIELDS} files") from error


def _examples(tar: tarfile.TarFile, path: Path) -> Iterator[ShardExample]:
    audio: tuple[str, bytes] | None = None
    for member in tar:
        where = f"{path}, {member.name}"
        key, dot, suffix = member.name.rpartition(".")
        file = tar.extractfile(member) if member.isreg() and member.size <= MAX_MEMBER_BYTES else None
        if file is None or dot + suffix != (FIELDS if audio else AUDIO) or (audio and audio[0] != key):
            expected = f"{audio[0]}{FIELDS}" if audio else f"a {AUDIO} file"
            raise ShardError(f"{where}: expected {expected}, of at most {MAX_MEMBER_BYTES >> 20} MB")
        data = file.read()
        if audio is None:
            audio = (key, data)
        else:
            yield _example(key, audio[1], data, where)
            audio = None
    if audio:
        raise ShardError(f"{path}: ends after {audio[0]}{AUDIO}, expected {audio[0]}{FIELDS}")


def _example(key: str, audio: bytes, fields: bytes, where: str) -> ShardExample:
    try:
        waveform = load_audio(io.BytesIO(audio), max_duration_s=MAX_AUDIO_S)
        value = json.loads(fields)
    except (AudioError, ValueError) as error:
        raise ShardError(f"{where}: {error}; expected an example's audio and JSON") from error
    if not isinstance(value, dict):
        raise ShardError(f"{where}: got {type(value).__name__}, expected a JSON object")
    return ShardExample(key=key, waveform=waveform, fields=value)
