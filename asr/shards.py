"""Training shards, read. In: tars in WebDataset's layout, each example KEY.flac then KEY.json. Out: audio and fields.

Members are streamed in their order and never extracted. ``read_shard`` reads one shard, ``ShardStream`` many, in an
order that seed and epoch decide, in parts, and from any place on. Knows no trainer, and nothing of how shards are made.
"""

import io
import json
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

from asr.audio import Waveform, load_audio
from asr.errors import AudioError, InvalidOptionError, ShardError

__all__ = ["AUDIO", "FIELDS", "Part", "ShardExample", "ShardStream", "UndecodedExample", "read_shard"]

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
    return (example.decode() for example in _read(path))


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One of those that read the same shards side by side: a loader's worker in a trainer's process."""

    rank: int = 0
    world_size: int = 1
    worker: int = 0
    n_workers: int = 1

    def __post_init__(self) -> None:
        if not (0 <= self.rank < self.world_size and 0 <= self.worker < self.n_workers):
            got = f"rank {self.rank} of {self.world_size}, worker {self.worker} of {self.n_workers}"
            raise InvalidOptionError(f"got {got}, expected numbers from 0 to one below how many there are")

    @property
    def number(self) -> int:
        """Among all parts."""
        return self.rank * self.n_workers + self.worker

    @property
    def n_parts(self) -> int:
        """How many there are."""
        return self.world_size * self.n_workers


class ShardStream:
    """The examples of one part, an epoch an iteration; all parts together read every example once an epoch.

    ``shards`` are the same, in the same order, for all parts; whole shards are dealt out, anew in each epoch, so that
    parts are of unequal length. ``shuffle_examples`` consecutive examples, below 1 MB each, are held undecoded and come
    in an order that is drawn: blocks, and no buffer that slides, so that a place in the order is a few numbers.

    Iterating again after a break goes on there. Raises InvalidOptionError for fewer shards than parts; iterating
    raises what ``read_shard`` does.
    """

    def __init__(
        self, shards: Sequence[Path], *, seed: int = 0, part: Part | None = None, shuffle_examples: int = 1
    ) -> None:
        self._shards = tuple(shards)
        self._seed = seed
        self._part = part or Part()
        self._block = shuffle_examples
        if shuffle_examples < 1:
            raise InvalidOptionError(f"shuffle_examples: got {shuffle_examples}, expected 1 or more")
        if len(self._shards) < self._part.n_parts:
            got = f"{len(self._shards)} shards for {self._part.n_parts} parts"
            raise InvalidOptionError(
                f"got {got}, expected one or more for each; write smaller shards, or read in fewer"
            )
        self._place = _Place()

    def __iter__(self) -> Iterator[ShardExample]:
        """What is left of the epoch; then the next epoch is there to be iterated."""
        for examples, after in self._blocks():
            while self._place.taken < len(examples):
                example = examples[self._place.taken].decode()
                self._place.taken += 1
                yield example
            self._place = after
        self._place = _Place(epoch=self._place.epoch + 1)

    def state_dict(self) -> dict[str, Any]:
        """Where the next example is, as plain data."""
        return {**asdict(self._place), "of": self._identity()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where ``state_dict`` was asked. Raises InvalidOptionError for a state of another stream."""
        if state["of"] != self._identity():
            raise InvalidOptionError(
                "got the state of a stream with other shards, seed, part or shuffle_examples, expected this one's"
            )
        self._place = _Place(**{name: value for name, value in state.items() if name != "of"})

    def _blocks(self) -> "Iterator[tuple[list[UndecodedExample], _Place]]":
        """From the block at the place on: its examples as they are drawn, and the place after it."""
        first, epoch = self._place, self._place.epoch
        numbers = sorted(range(len(self._shards)), key=lambda number: self._draw(epoch, number))
        numbers = numbers[self._part.number :: self._part.n_parts]
        block: list[tuple[bytes, UndecodedExample]] = []
        for shard in range(first.shard, len(numbers)):
            for number, example in enumerate(_read(self._shards[numbers[shard]])):
                if shard == first.shard and number < first.example:
                    continue
                block.append((self._draw(epoch, numbers[shard], number), example))
                if len(block) == self._block:
                    yield _drawn(block), _Place(epoch=epoch, shard=shard, example=number + 1)
                    block = []
        yield _drawn(block), _Place(epoch=epoch, shard=len(numbers))

    def _draw(self, *numbers: int) -> bytes:
        """By which things are sorted to be in a random order, the same on every machine."""
        return blake2b(" ".join(map(str, (self._seed, *numbers))).encode(), digest_size=8).digest()

    def _identity(self) -> str:
        names = [path.name for path in self._shards]
        told = json.dumps([names, self._seed, asdict(self._part), self._block])
        return blake2b(told.encode(), digest_size=8).hexdigest()


@dataclass(slots=True, kw_only=True)
class _Place:
    """Where a stream is."""

    epoch: int = 0
    shard: int = 0
    """Of the part's shards, in the order of this epoch: where the block begins."""
    example: int = 0
    """In that shard."""
    taken: int = 0
    """Of the block."""


@dataclass(frozen=True, slots=True)
class UndecodedExample:
    """An example as it lies in its shard."""

    key: str
    audio: bytes
    fields: bytes
    where: str
    """File and member, for people."""

    def decode(self) -> ShardExample:
        """Raises ShardError, which says ``where``."""
        try:
            waveform = load_audio(io.BytesIO(self.audio), max_duration_s=MAX_AUDIO_S)
            fields = json.loads(self.fields)
        except (AudioError, ValueError, RecursionError) as error:
            raise ShardError(f"{self.where}: {error}; expected an example's audio and JSON") from error
        if waveform.warnings:
            raise ShardError(f"{self.where}: {waveform.warnings[0]}; expected audio without damage")
        if not isinstance(fields, dict):
            raise ShardError(f"{self.where}: got {type(fields).__name__}, expected a JSON object")
        return ShardExample(key=self.key, waveform=waveform, fields=fields)


def _drawn(block: list[tuple[bytes, UndecodedExample]]) -> list[UndecodedExample]:
    return [example for _, example in sorted(block, key=lambda pair: pair[0])]


def _read(path: Path) -> Iterator[UndecodedExample]:
    """The examples of a shard in order."""
    where = f"{path}"
    audio: tuple[str, bytes] | None = None
    with path.open("rb") as file:
        try:
            with tarfile.open(fileobj=file, mode="r:") as tar:
                for member in tar:
                    where = f"{path}, {member.name}"
                    key, data = _member(tar, member, audio[0] if audio else None, where)
                    if audio is None:
                        audio = (key, data)
                    else:
                        yield UndecodedExample(key, audio[1], data, where)
                        audio = None
                file.seek(tar.offset)
                if file.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):  # tarfile takes any other for the end too
                    raise ShardError(f"{where}: followed by no header and no end; expected a whole tar")
        except (tarfile.TarError, ValueError, OverflowError, MemoryError, RecursionError) as error:
            raise ShardError(f"{where}: {error}; expected a tar of {AUDIO} and {FIELDS} files") from error
    if audio:
        raise ShardError(f"{path}: ends after {audio[0]}{AUDIO}, expected {audio[0]}{FIELDS}")


def _member(tar: tarfile.TarFile, member: tarfile.TarInfo, awaited: str | None, where: str) -> tuple[str, bytes]:
    """Key and bytes of the member that must come next."""
    key, dot, suffix = member.name.rpartition(".")
    file = tar.extractfile(member) if member.isreg() and member.size <= MAX_MEMBER_BYTES else None
    if file is None or dot + suffix != (FIELDS if awaited else AUDIO) or (awaited and awaited != key):
        expected = f"{awaited}{FIELDS}" if awaited else f"a {AUDIO} file"
        raise ShardError(f"{where}: expected {expected}, of at most {MAX_MEMBER_BYTES >> 20} MB")
    return key, file.read()
