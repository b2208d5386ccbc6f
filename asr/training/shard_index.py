"""Where each example lies in its shard. In: tars in WebDataset's layout. Out: any example, by its number.

Headers are read once; audio is read and decoded when it is asked for, so that a process pays for its own examples only.
"""

from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

from asr.errors import ShardError, TrainingError
from asr.shards import ShardExample, walk_shard

__all__ = ["ShardIndex", "find_shards"]


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
    """All examples of some shards, or those whose fields are as ``only`` says: ``task=transcribe``, ``language=de,fr``.

    Raises ShardError for a file that is none, TrainingError where no example is left, OSError.
    """

    def __init__(self, shards: Iterable[Path], *, only: Sequence[str] = ()) -> None:
        self._places = [place for path in shards for place in walk_shard(path)]
        if not self._places:
            raise TrainingError("shards: got no examples in them, expected some")
        for wanted in only:
            name, _, values = wanted.partition("=")
            self._places = [
                place for place in self._places if str(place.read_fields().get(name, "")) in values.split(",")
            ]
            if not self._places:
                raise TrainingError(
                    f"only: got no example with {wanted}, expected FIELD=VALUES as the shards have them"
                )

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, number: int) -> ShardExample:  # type: ignore[override] # one at a time: no slices
        """Read and decode one. Raises ShardError with file and key, OSError."""
        return self._places[number].read()

    def fields(self, number: int) -> Mapping[str, Any]:
        """What is said of one, without its audio. Raises ShardError, OSError."""
        return self._places[number].read_fields()

    @property
    def digest(self) -> str:
        """The same for the same examples in the same order, wherever they lie."""
        digest = sha256()
        for place in self._places:
            digest.update(f"{place.key} {place.audio[1]} {place.fields[1]}\n".encode())
        return digest.hexdigest()

    @property
    def audio_s(self) -> float:
        """Seconds of all examples, as the shards say them. Raises ShardError, OSError."""
        total = 0.0
        for place in self._places:
            duration = place.read_fields().get("duration")
            if not isinstance(duration, int | float):
                raise ShardError(f"{place.where}: duration: got {duration!r}, expected seconds")
            total += duration
        return total
