"""Where each example lies in its shard. In: tars in WebDataset's layout. Out: any example, by its number.

Headers are read once; audio is read and decoded when it is asked for, so that a process pays for its own examples only.
"""

import json
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from asr.errors import ShardError, TrainingError
from asr.shards import AUDIO, FIELDS, ShardExample, UndecodedExample

__all__ = ["ShardIndex", "find_shards"]


@dataclass(frozen=True, slots=True)
class _Place:
    """Two members, one after the other."""

    path: Path
    key: str
    audio_offset: int
    audio_size: int
    fields_offset: int
    fields_size: int


def find_shards(sources: Iterable[Path]) -> list[Path]:
    """The tars themselves, and those of folders, in order of their names. Raises TrainingError where there is none."""
    shards: list[Path] = []
    for source in sources:
        found = sorted(source.rglob("*.tar")) if source.is_dir() else [source]
        if not found or not source.exists():
            got = "a folder without .tar files" if source.is_dir() else "no such file"
            raise TrainingError(f"shards: {source}: {got}; expected shards, as `auricle-data run` writes them")
        shards += found
    return shards


class ShardIndex(Sequence[ShardExample]):
    """All examples of some shards. Raises ShardError for a file that is none, OSError."""

    def __init__(self, shards: Iterable[Path]) -> None:
        self._places = [place for path in shards for place in _places(path)]
        if not self._places:
            raise TrainingError("shards: got no examples in them, expected some")

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, number: int) -> ShardExample:  # type: ignore[override] # one at a time: no slices
        """Read and decode one. Raises ShardError with file and member, OSError."""
        place = self._places[number]
        with place.path.open("rb") as file:
            file.seek(place.audio_offset)
            audio = file.read(place.audio_size)
            file.seek(place.fields_offset)
            fields = file.read(place.fields_size)
        return UndecodedExample(place.key, audio, fields, self.where(number)).decode()

    def fields(self, number: int) -> Mapping[str, Any]:
        """What is said of one, without its audio. Raises ShardError, OSError."""
        place = self._places[number]
        with place.path.open("rb") as file:
            file.seek(place.fields_offset)
            data = file.read(place.fields_size)
        try:
            fields: dict[str, Any] = json.loads(data)
        except ValueError as error:
            raise ShardError(f"{self.where(number)}: {error}; expected an example's JSON") from error
        return fields

    def where(self, number: int) -> str:
        """File and key of one, for people."""
        return f"{self._places[number].path}, {self._places[number].key}"

    @property
    def digest(self) -> str:
        """The same for the same examples in the same order, wherever they lie."""
        digest = sha256()
        for place in self._places:
            digest.update(f"{place.key} {place.audio_size} {place.fields_size}\n".encode())
        return digest.hexdigest()

    @property
    def audio_s(self) -> float:
        """Seconds of all examples, as the shards say them. Raises ShardError, OSError."""
        total = 0.0
        for number in range(len(self)):
            duration = self.fields(number).get("duration")
            if not isinstance(duration, int | float):
                raise ShardError(f"{self.where(number)}: duration: got {duration!r}, expected seconds")
            total += duration
        return total


def _places(path: Path) -> list[_Place]:
    try:
        with tarfile.open(path, mode="r:") as tar:
            members = tar.getmembers()
    except tarfile.TarError as error:
        raise ShardError(f"{path}: {error}; expected a tar of {AUDIO} and {FIELDS} files") from error
    places = []
    for audio, fields in zip(members[::2], [*members[1::2], None], strict=False):
        key = audio.name.removesuffix(AUDIO)
        if fields is None or audio.name != key + AUDIO or fields.name != key + FIELDS:
            got = f"{audio.name}, then {fields.name if fields else 'the end'}"
            raise ShardError(f"{path}: got {got}, expected KEY{AUDIO} and KEY{FIELDS} in turn")
        places.append(_Place(path, key, audio.offset_data, audio.size, fields.offset_data, fields.size))
    return places
