import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from asr.audio import load_audio
from asr.errors import CheckpointError
from asr.features import SAMPLE_RATE
from asr.vad import BLOCK_FRAMES, FRAME_SAMPLES, SpeechDetector, _gains, _model_path
from asr.voice_activity import FRAME_S, VoiceActivity


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


def at_level(samples: np.ndarray, dbfs: float) -> np.ndarray:
    """The samples with the RMS of their loudest second at ``dbfs``."""
    seconds = [samples[at : at + SAMPLE_RATE] for at in range(0, len(samples), SAMPLE_RATE)]
    loudest = max(np.sqrt(np.mean(np.square(second.astype(np.float64)))) for second in seconds)
    return (samples * (10 ** (dbfs / 20) / loudest)).astype(np.float32)


def times(found: VoiceActivity) -> list[float]:
    return [time for each in found.speech(min_silence_s=0.2) for time in (each.start, each.end)]


@pytest.mark.parametrize("dbfs", [-36, -60, -75])
def test_faint_speech_is_found_as_loud_speech_is(detector, shared, dbfs):
    spoken = load_audio(shared / "data/jfk/jfk.flac").samples
    loud = detector.probabilities(at_level(spoken, -20))
    faint = detector.probabilities(at_level(spoken, dbfs))
    assert faint.duration == loud.duration
    assert len(times(loud)) >= 6
    assert times(faint) == pytest.approx(times(loud), abs=0.1)


def test_faint_speech_of_16_bits_is_found(detector, shared):
    spoken = load_audio(shared / "data/jfk/jfk.flac").samples
    coarse = np.round(at_level(spoken, -60) * 32768).astype(np.float32) / 32768
    assert times(detector.probabilities(coarse)) == pytest.approx(times(detector.probabilities(spoken)), abs=0.2)


def silences() -> dict[str, np.ndarray]:
    """What recordings hold where nobody speaks, 20 s of each."""
    n_samples = 20 * SAMPLE_RATE
    draw = np.random.default_rng(0)
    step = 1 / 32768
    time_s = np.arange(n_samples) / SAMPLE_RATE
    return {
        "digital zero": np.zeros(n_samples),
        "an offset of one step": np.full(n_samples, step),
        "dither": step * np.round(draw.uniform(-0.5, 0.5, n_samples) + draw.uniform(-0.5, 0.5, n_samples)),
        "a room at -40 dBFS": draw.normal(0, 0.01, n_samples),
        "a room at -60 dBFS": draw.normal(0, 0.001, n_samples),
        "a room at -80 dBFS": draw.normal(0, 0.0001, n_samples),
        "mains hum": 0.001 * sum(np.sin(2 * np.pi * 50 * k * time_s) / k for k in range(1, 20)),
    }


@pytest.mark.parametrize("name", silences())
def test_silence_stays_silence_when_it_is_heard_louder(detector, name):
    found = detector.probabilities(silences()[name].astype(np.float32))
    assert found.probabilities.max() < 0.15  # not even a faint voice
    assert found.speech(0.15) == ()


@pytest.mark.parametrize("dbfs", [-34.9, -20, -6])
def test_a_normal_recording_is_untouched(detector, dbfs):
    samples = at_level(buzz(60_000), dbfs)
    np.testing.assert_allclose(detector.probabilities(samples).probabilities, frame_by_frame(samples), atol=1e-4)


def test_a_faint_speaker_beside_a_loud_one_is_found(detector, shared):
    spoken = load_audio(shared / "data/jfk/jfk.flac").samples
    alone = times(detector.probabilities(spoken))
    room = np.random.default_rng(0).normal(0, 10**-4.5, 3 * SAMPLE_RATE).astype(np.float32)
    found = times(detector.probabilities(np.concatenate([spoken, room, at_level(spoken, -60)])))
    later = len(spoken) / SAMPLE_RATE + 3
    assert found == pytest.approx([*alone, *(time + later for time in alone)], abs=0.2)


def test_what_is_beside_a_loud_second_is_untouched(detector):
    faint = at_level(buzz(SAMPLE_RATE), -60)
    samples = np.concatenate([faint, at_level(buzz(SAMPLE_RATE), -30), faint])
    np.testing.assert_allclose(detector.probabilities(samples).probabilities, frame_by_frame(samples), atol=1e-4)


@pytest.mark.parametrize(("dbfs", "gain_db"), [(-36, 16), (-60, 40), (-69, 49), (-80, 50), (-95, 50)])
def test_a_faint_recording_is_brought_to_20_below_full_scale_but_by_50_db_at_most(detector, dbfs, gain_db):
    samples = at_level(buzz(60_000), dbfs)
    louder = (samples * 10 ** (gain_db / 20)).astype(np.float32)
    np.testing.assert_allclose(detector.probabilities(samples).probabilities, frame_by_frame(louder), atol=1e-3)


@given(
    levels=st.lists(st.sampled_from([0.0, 1e-5, 1e-3, 0.0177, 0.0179, 0.5]), max_size=8), extra=st.integers(0, 15_999)
)
def test_gains_are_smooth_and_make_nothing_too_loud(levels, extra):
    samples = np.repeat(np.array([*levels, 0.1], np.float32), SAMPLE_RATE)[: len(levels) * SAMPLE_RATE + extra]
    n_frames = -(-len(samples) // FRAME_SAMPLES)
    if not n_frames:
        return
    gains_db = 20 * np.log10(_gains(samples, n_frames))
    assert gains_db.shape == (n_frames,)
    assert gains_db.min() > -1e-5
    assert gains_db.max() < 50 + 1e-5
    assert np.abs(np.diff(gains_db)).max(initial=0.0) <= 50 * FRAME_S + 1e-4  # by a second's length
    for frame, gain_db in enumerate(gains_db):
        level = samples[min(int((frame + 0.5) * FRAME_SAMPLES), len(samples) - 1)]
        assert gain_db < 1e-5 or level * 10 ** (gain_db / 20) < 0.1 + 1e-5  # -20 dBFS


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
