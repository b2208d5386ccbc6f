import subprocess
import sys
import time

import numpy as np
import pytest
import torch

from asr.audio import load_audio
from asr.errors import CheckpointError
from asr.features import SAMPLE_RATE
from asr.vad import BLOCK_FRAMES, FRAME_SAMPLES, SpeechDetector, _model_path
from asr.voice_activity import FRAME_S


@pytest.fixture(scope="module")
def detector() -> SpeechDetector:
    return SpeechDetector()


def frame_by_frame(samples: np.ndarray) -> np.ndarray:
    """Silero's own model, called as its authors call it: 512 samples at a time."""
    model = torch.jit.load(str(_model_path()))
    model.reset_states()
    frames = np.pad(samples, (0, -len(samples) % FRAME_SAMPLES)).reshape(-1, 1, FRAME_SAMPLES)
    with torch.no_grad():
        return np.array([model(torch.from_numpy(frame), SAMPLE_RATE).item() for frame in frames])


def buzz(n_samples: int) -> np.ndarray:
    """Something like vowels with pauses: harmonics of a moving pitch, so that probabilities take all values."""
    time_s = np.arange(n_samples) / SAMPLE_RATE
    phase = 2 * np.pi * np.cumsum(120 + 30 * np.sin(2 * np.pi * 0.7 * time_s)) / SAMPLE_RATE
    voice = sum(np.sin(k * phase) / k for k in range(1, 25)) * (np.sin(2 * np.pi * 1.5 * time_s) > -0.3)
    noise = np.random.default_rng(0).normal(0, 0.01, n_samples)
    return (0.1 * voice + noise).astype(np.float32)


@pytest.mark.parametrize("n_samples", [1, 511, 512, 513, 30_001, BLOCK_FRAMES * FRAME_SAMPLES + 700])
def test_equals_the_frame_by_frame_walk(detector, n_samples):
    samples = buzz(n_samples)
    got = detector.probabilities(samples)
    assert got.duration == n_samples / SAMPLE_RATE
    assert got.probabilities.dtype == np.float32
    np.testing.assert_allclose(got.probabilities, frame_by_frame(samples), atol=1e-4)


def test_no_samples_no_frames(detector):
    assert detector.probabilities(np.zeros(0, np.float32)).probabilities.shape == (0,)


def test_silence_is_no_speech(detector):
    assert detector.probabilities(np.zeros(10 * SAMPLE_RATE, np.float32)).probabilities.max() < 0.1


def test_speech_is_found_where_it_is(detector, shared):
    spoken = load_audio(shared / "data/jfk/jfk.flac").samples
    silence = np.zeros(5 * SAMPLE_RATE, np.float32)
    found = detector.probabilities(np.concatenate([silence, spoken, silence]))
    stretches = found.speech(pad_s=0.1)
    assert 4.8 < stretches[0].start < 5.6
    assert 15 < stretches[-1].end < 16.3
    assert sum(stretch.end - stretch.start for stretch in stretches) > 7
    assert found.max_between(0, 4.5) < 0.1


def test_a_memory_map_is_read_block_by_block(detector, tmp_path):
    samples = buzz(3 * BLOCK_FRAMES * FRAME_SAMPLES)
    path = tmp_path / "samples"
    samples.tofile(path)
    mapped = np.memmap(path, np.float32, "r")
    np.testing.assert_array_equal(
        detector.probabilities(mapped).probabilities, detector.probabilities(samples).probabilities
    )


def test_an_hour_takes_seconds(detector):
    samples = buzz(SAMPLE_RATE * 360)
    started = time.process_time()
    found = detector.probabilities(samples)
    assert time.process_time() - started < 10  # 0.25 s on one idle core
    assert len(found.probabilities) == pytest.approx(360 / FRAME_S)


def test_the_package_that_sets_the_thread_count_is_not_imported():
    code = "import sys; from asr.vad import SpeechDetector; SpeechDetector(); print('silero_vad' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert done.stdout.strip() == "False"


def test_the_figures_need_no_torch():
    code = "import sys; import asr.voice_activity; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert done.stdout.strip() == "False"


def test_a_missing_wheel_is_named(monkeypatch):
    monkeypatch.setattr("asr.vad.find_spec", lambda _: None)
    with pytest.raises(CheckpointError, match="install silero-vad"):
        SpeechDetector()
