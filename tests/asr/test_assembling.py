import errno
import tempfile
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr import assembling
from asr.assembling import SAMPLE_RATE, Assembler
from asr.errors import AudioTooLongError


def noise(n_channels: int, duration: float, rate: int = SAMPLE_RATE) -> np.ndarray:
    return np.random.default_rng(0).uniform(-1, 1, (n_channels, int(duration * rate))).astype(np.float32)


def assemble(block: np.ndarray, rate: int, **options) -> tuple[np.ndarray, ...]:
    with closing(Assembler(**options)) as assembler:
        for start in range(0, block.shape[1], 1000):
            assembler.add(block[:, start : start + 1000], rate)
        return assembler.finish()


@pytest.fixture
def on_disk(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The folder in which whatever is longer than a second is kept."""
    monkeypatch.setattr(assembling, "MAX_BYTES_IN_MEMORY", SAMPLE_RATE * 4)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("mode", ["mean", "each"])
@pytest.mark.parametrize("rate", [SAMPLE_RATE, 44100])
def test_on_disk_are_the_same_samples(monkeypatch, mode, rate):
    block = noise(2, 5.3, rate)
    in_memory = assemble(block, rate, mode=mode)
    monkeypatch.setattr(assembling, "MAX_BYTES_IN_MEMORY", SAMPLE_RATE * 4)
    mapped = assemble(block, rate, mode=mode)
    assert len(in_memory) == len(mapped) == (1 if mode == "mean" else 2)
    for memory, disk in zip(in_memory, mapped, strict=True):
        assert not isinstance(memory, np.memmap)
        assert isinstance(disk, np.memmap)
        assert not disk.flags.writeable
        np.testing.assert_array_equal(disk, memory)


def test_the_file_has_no_name_and_lives_as_long_as_the_samples(on_disk):
    (samples,) = assemble(noise(1, 3.0), SAMPLE_RATE)
    assert list(on_disk.iterdir()) == []
    np.testing.assert_array_equal(samples, noise(1, 3.0)[0])


def test_what_fits_stays_in_memory(on_disk):
    (samples,) = assemble(noise(1, 1.0), SAMPLE_RATE)
    assert not isinstance(samples, np.memmap)


def test_channels_share_the_room_in_memory(on_disk):
    assert all(isinstance(samples, np.memmap) for samples in assemble(noise(4, 0.5), SAMPLE_RATE, mode="each"))


def test_a_refused_recording_leaves_no_file_open(on_disk):
    assembler = Assembler(max_duration_s=3.0)
    with closing(assembler):
        assembler.add(noise(1, 1.0), SAMPLE_RATE)
        assembler.add(noise(1, 1.0), SAMPLE_RATE)
        with pytest.raises(AudioTooLongError):
            assembler.add(noise(1, 2.0), SAMPLE_RATE)
    assert assembler._store._file.closed


def test_a_full_disk_says_what_to_do(on_disk, monkeypatch):
    def fail(*_args, **_kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(tempfile, "TemporaryFile", fail)
    with pytest.raises(OSError, match=r"temporary folder .*: No space left on device; free some space") as caught:
        assemble(noise(1, 3.0), SAMPLE_RATE)
    assert caught.value.errno == errno.ENOSPC
    assert str(on_disk) in str(caught.value)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full, a device that is always full")
@pytest.mark.parametrize("buffering", [4096, 1_000_000])
def test_a_device_that_is_full_in_mid_write(on_disk, monkeypatch, buffering):
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda **_: Path("/dev/full").open("wb", buffering=buffering))  # noqa: SIM115
    with pytest.raises(OSError, match="let TMPDIR name a folder"):
        assemble(noise(1, 3.0), SAMPLE_RATE)


@settings(max_examples=50, deadline=None)
@given(
    sizes=st.lists(st.integers(0, 5000), min_size=1, max_size=20),
    n_channels=st.integers(1, 4),
    mode=st.sampled_from(["mean", "each"]),
)
def test_blocks_of_any_size_give_the_same_samples(sizes, n_channels, mode):
    block = noise(n_channels, (sum(sizes) + 1600) / SAMPLE_RATE)
    with closing(Assembler(mode)) as assembler:
        for start, end in zip(np.cumsum([0, *sizes]), np.cumsum([*sizes, 1600]), strict=True):
            assembler.add(block[:, start:end], SAMPLE_RATE)
        assert assembler.duration == pytest.approx(block.shape[1] / SAMPLE_RATE)
        got = np.stack(assembler.finish())
    expected = block if mode == "each" or n_channels == 1 else block.mean(axis=0, keepdims=True, dtype=np.float32)
    np.testing.assert_array_equal(got, expected)
