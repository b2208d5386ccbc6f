"""The loader that training uses, on shards as the pipeline writes them."""

import io
import json
import tarfile
from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from asr.audio import SAMPLE_RATE
from asr.errors import InvalidOptionError, ShardError
from asr.shards import Part, ShardExample, ShardStream, read_shard
from data_pipeline.shards import ShardWriter, encode_flac

SIZES = (5, 1, 0, 7, 3, 4)  # examples in each shard


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ...]:
    folder = tmp_path_factory.mktemp("shards")
    samples = (0.1 * np.random.default_rng(0).standard_normal(SAMPLE_RATE // 5)).astype(np.float32)
    for number, size in enumerate(SIZES):
        with (folder / f"{number:05d}.tar").open("wb") as file:
            writer = ShardWriter(file)
            for n in range(size):
                writer.add(f"{number:05d}-{n:05d}", samples, {"text": f"{number} {n}"})
            writer.close()
    return tuple(sorted(folder.iterdir()))


def keys(examples: Iterable[ShardExample]) -> list[str]:
    return [example.key for example in examples]


def everything(shards: Sequence[Path]) -> list[str]:
    return [key for shard in shards for key in keys(read_shard(shard))]


@pytest.mark.parametrize("shuffle_examples", [1, 4, 100])
@pytest.mark.parametrize(("world_size", "n_workers"), [(1, 1), (2, 1), (1, 3), (3, 2)])
def test_all_parts_together_read_everything_once_an_epoch(
    shards: tuple[Path, ...], world_size: int, n_workers: int, shuffle_examples: int
):
    streams = [
        ShardStream(
            shards,
            seed=3,
            part=Part(rank=rank, world_size=world_size, worker=worker, n_workers=n_workers),
            shuffle_examples=shuffle_examples,
        )
        for rank in range(world_size)
        for worker in range(n_workers)
    ]
    for _ in range(2):
        assert sorted(key for stream in streams for key in keys(stream)) == everything(shards)


def test_epochs_and_seeds_differ_and_come_again(shards: tuple[Path, ...]):
    def three_epochs(seed: int) -> list[list[str]]:
        stream = ShardStream(shards, seed=seed, shuffle_examples=6)
        return [keys(stream) for _ in range(3)]

    orders = three_epochs(0)
    assert len({tuple(order) for order in (*orders, *three_epochs(1))}) == 6
    assert three_epochs(0) == orders


def test_blocks_mix_examples_of_several_shards(shards: tuple[Path, ...]):
    in_order, mixed = (keys(ShardStream(shards, shuffle_examples=size)) for size in (1, 8))
    assert in_order == sorted(in_order, key=lambda key: (in_order.index(f"{key[:5]}-00000"), key))
    assert len({key[:5] for key in mixed[:8]}) > 1
    assert set(mixed[:8]) == set(in_order[:8])
    assert mixed[:8] != in_order[:8]


@pytest.mark.parametrize("shuffle_examples", [1, 4])
def test_what_follows_a_state_is_the_same_after_it_is_loaded(shards: tuple[Path, ...], shuffle_examples: int):
    def stream() -> ShardStream:
        return ShardStream(shards, seed=1, part=Part(rank=1, world_size=2), shuffle_examples=shuffle_examples)

    straight = stream()
    expected = [keys(straight) for _ in range(3)]
    for taken in range(len(expected[1]) + 1):
        stopped = stream()
        keys(stopped)
        assert keys(islice(iter(stopped), taken)) == expected[1][:taken]
        resumed = stream()
        resumed.load_state_dict(json.loads(json.dumps(stopped.state_dict())))
        assert [keys(resumed), keys(resumed)] == [expected[1][taken:], expected[2]]


def test_iterating_again_goes_on_where_it_was_left(shards: tuple[Path, ...]):
    stream = ShardStream(shards, shuffle_examples=4)
    first = keys(islice(iter(stream), 9))
    assert first + keys(stream) == keys(ShardStream(shards, shuffle_examples=4))


@pytest.mark.parametrize(
    "other",
    [{"seed": 1}, {"shuffle_examples": 2}, {"part": Part(rank=0, world_size=2)}],
)
def test_the_state_of_another_stream_is_refused(shards: tuple[Path, ...], other: dict):
    with pytest.raises(InvalidOptionError, match="state of a stream with other"):
        ShardStream(shards).load_state_dict(ShardStream(shards, **other).state_dict())
    with pytest.raises(InvalidOptionError, match="state of a stream with other"):
        ShardStream(shards).load_state_dict(ShardStream(shards[1:]).state_dict())


def test_parts_without_a_shard_are_refused(shards: tuple[Path, ...]):
    with pytest.raises(InvalidOptionError, match="6 shards for 8 parts"):
        ShardStream(shards, part=Part(rank=1, world_size=4, n_workers=2))
    with pytest.raises(InvalidOptionError, match="rank 2 of 2"):
        Part(rank=2, world_size=2)
    with pytest.raises(InvalidOptionError, match="shuffle_examples"):
        ShardStream(shards, shuffle_examples=0)


def write(path: Path, *members: tuple[str, bytes]) -> Path:
    with tarfile.open(path, "w") as tar:
        for name, data in members:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return path


def test_a_damaged_shard_is_an_error_that_names_file_and_member(tmp_path: Path):
    noise = (0.1 * np.random.default_rng(0).standard_normal(SAMPLE_RATE)).astype(np.float32)
    flac = encode_flac(noise)
    good = write(tmp_path / "x.tar", ("a.flac", flac), ("a.json", b"{}"), ("b.flac", flac), ("b.json", b"{}"))
    whole = good.read_bytes()
    good.write_bytes(whole[: whole.index(b"b.flac") + 2000])
    with pytest.raises(ShardError, match=r"x\.tar, b\.flac: "):
        list(ShardStream([good]))
    good.write_bytes(whole[: whole.index(b"b.flac")])  # cut between two examples
    with pytest.raises(ShardError, match=r"x\.tar, a\.json: .*whole tar"):
        list(ShardStream([good]))
    good.write_bytes(whole.replace(b"b.flac", b"\0.flac"))  # a header whose checksum is wrong
    with pytest.raises(ShardError, match=r"x\.tar, a\.json: .*whole tar"):
        list(ShardStream([good]))
    for number in range(40):  # a byte of the audio is another: found, or of no consequence
        place = int(np.random.default_rng(number).integers(100, len(flac)))
        damaged = flac[:place] + bytes([flac[place] ^ 0x41]) + flac[place + 1 :]
        path = write(tmp_path / "y.tar", ("a.flac", damaged), ("a.json", b"{}"))
        with pytest.raises(ShardError, match=r"y\.tar, a\.json: "):
            list(ShardStream([path]))
    path = write(tmp_path / "z.tar", ("a.flac", flac), ("a.json", b"[" * 100_000))
    with pytest.raises(ShardError, match=r"z\.tar, a\.json: .*recursion"):
        list(ShardStream([path]))
