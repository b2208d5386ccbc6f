"""The rooms and noises of the shared folder, through the real decoder."""

from pathlib import Path

import numpy as np
import pytest

from asr.audio import load_audio
from eval.noise.materials import read_families, read_rooms
from eval.noise.mixing import excerpt, mix_at_snr, power, reverberate


@pytest.fixture
def speech(shared: Path) -> np.ndarray:
    return load_audio(min((shared / "data" / "librispeech").rglob("*.flac"))).samples


def test_rooms_of_the_field_keep_length_and_level(shared: Path, speech: np.ndarray) -> None:
    rooms = read_rooms(shared / "data" / "rir")
    assert {"sb_rir1", "sb_rir2"} <= rooms.keys()
    for room in rooms.values():
        wet = reverberate(speech, room.samples)
        assert len(wet) == len(speech)
        assert np.abs(wet).max() <= 1.0
        turned_down = np.abs(wet).max() == 1.0
        assert turned_down or power(wet) == pytest.approx(power(speech), rel=1e-6)


def test_noise_of_the_field_is_mixed_at_its_ratio(shared: Path, speech: np.ndarray) -> None:
    crowd = shared / "data" / "noise" / "max_crowd_cheering.flac"
    ((recording,),) = read_families([crowd]).values()
    assert recording.name == "max_crowd_cheering"
    noise = excerpt(recording.samples, len(speech), np.random.default_rng(0))
    mix = mix_at_snr(speech, noise, 20.0).astype(np.float64)
    assert 10 * np.log10(power(speech) / power(mix - speech)) == pytest.approx(20.0, abs=1e-6)
