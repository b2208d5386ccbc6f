import io
import json
import tarfile
from pathlib import Path

import numpy as np
import pytest

from asr.audio import SAMPLE_RATE
from asr.errors import ShardError
from asr.shards import read_shard
from data_pipeline.shards import ShardWriter, encode_flac

NOISE = (0.1 * np.random.default_rng(0).standard_normal(SAMPLE_RATE)).astype(np.float32)
FIELDS = {"text": 'Grüße, 世界 \\ "', "cues": [{"start": 0.0, "end": 1.0, "text": "Grüße"}], "language": None}


def write(path: Path) -> Path:
    with path.open("wb") as file:
        shard = ShardWriter(file)
        shard.add("00000-00000", NOISE, FIELDS)
        shard.add("00000-00001", np.array([0.5, -0.25, 1.0, -1.0, 7.0, -7.0] * 400, np.float32), {"text": ""})
        shard.close()
    return path


def test_what_is_written_is_read(tmp_path: Path):
    first, second = read_shard(write(tmp_path / "a.tar"))
    assert (first.key, second.key) == ("00000-00000", "00000-00001")
    assert first.fields == FIELDS
    assert np.abs(first.waveform.samples - NOISE).max() <= 0.5 / 32768
    top = 32767 / 32768
    assert np.array_equal(second.waveform.samples, np.array([0.5, -0.25, top, -1.0, top, -1.0] * 400, np.float32))


def test_samples_that_are_16_bit_come_back_exactly(tmp_path: Path):
    whole = (np.arange(-32768, 32768, 7) / 32768).astype(np.float32)
    with (tmp_path / "a.tar").open("wb") as file:
        shard = ShardWriter(file)
        shard.add("0", whole, {})
        shard.close()
    (example,) = read_shard(tmp_path / "a.tar")
    assert np.array_equal(example.waveform.samples, whole)


def test_equal_examples_give_equal_bytes(tmp_path: Path):
    first = write(tmp_path / "a.tar").read_bytes()
    assert first == write(tmp_path / "b.tar").read_bytes()
    with tarfile.open(tmp_path / "a.tar") as tar:
        headers = {(member.mtime, member.uid, member.gid, member.uname, member.mode) for member in tar}
    assert headers == {(0, 0, 0, "", 0o644)}


def tar_of(path: Path, *members: tuple[str, bytes]) -> Path:
    with tarfile.open(path, "w") as tar:
        for name, data in members:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return path


@pytest.mark.parametrize(
    "members",
    [
        [("a.flac", encode_flac(NOISE))],
        [("a.json", b"{}"), ("a.flac", encode_flac(NOISE))],
        [("a.flac", encode_flac(NOISE)), ("b.json", b"{}")],
        [("a.flac", b"noise"), ("a.json", b"{}")],
        [("a.flac", encode_flac(NOISE)), ("a.json", b"{")],
        [("a.flac", encode_flac(NOISE)), ("a.json", b"[]")],
        [("a.flac", encode_flac(np.zeros(31 * SAMPLE_RATE, np.float32))), ("a.json", b"{}")],
    ],
)
def test_another_layout_is_an_error_that_names_the_place(tmp_path: Path, members: list[tuple[str, bytes]]):
    with pytest.raises(ShardError, match=r"x\.tar"):
        list(read_shard(tar_of(tmp_path / "x.tar", *members)))


@pytest.mark.parametrize("n_bytes", [0, 100, 512, 5_000])
def test_a_cut_shard_is_an_error(tmp_path: Path, n_bytes: int):
    path = write(tmp_path / "a.tar")
    path.write_bytes(path.read_bytes()[:n_bytes])
    with pytest.raises(ShardError, match=r"a\.tar"):
        list(read_shard(path))


def test_webdataset_reads_the_same_members(tmp_path: Path):
    """Its rule: the key ends at the first dot of the file's name, and members of one key stand together."""
    with tarfile.open(write(tmp_path / "a.tar")) as tar:
        names = [member.name.split(".", 1) for member in tar]
        assert names == [[key, kind] for key in ("00000-00000", "00000-00001") for kind in ("flac", "json")]
        data = tar.extractfile("00000-00001.json")
        assert data is not None
        assert json.loads(data.read()) == {"text": ""}


def test_damage_is_an_error_that_names_file_and_example(tmp_path: Path):
    flac = encode_flac(NOISE)
    good = tar_of(tmp_path / "x.tar", ("a.flac", flac), ("a.json", b"{}"), ("b.flac", flac), ("b.json", b"{}"))
    whole = good.read_bytes()
    for damaged in (
        whole[: whole.index(b"b.flac")],  # cut between two examples
        whole.replace(b"b.flac", b"\0.flac"),  # a header whose checksum is wrong
    ):
        good.write_bytes(damaged)
        with pytest.raises(ShardError, match=r"x\.tar, a\.json: .*whole tar"):
            list(read_shard(good))
    for number in range(40):  # a byte of the audio is another
        place = int(np.random.default_rng(number).integers(100, len(flac)))
        damaged = flac[:place] + bytes([flac[place] ^ 0x41]) + flac[place + 1 :]
        with pytest.raises(ShardError, match=r"y\.tar, a: "):
            list(read_shard(tar_of(tmp_path / "y.tar", ("a.flac", damaged), ("a.json", b"{}"))))
    with pytest.raises(ShardError, match=r"z\.tar, a: .*recursion"):
        list(read_shard(tar_of(tmp_path / "z.tar", ("a.flac", flac), ("a.json", b"[" * 100_000))))
