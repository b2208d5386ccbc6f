import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eval.noise.mixing import babble, excerpt, mix_at_snr, power, reverberate, white_noise


def decibels(ratio: float) -> float:
    return 10 * np.log10(ratio)


def measured_snr_db(mix: np.ndarray, speech: np.ndarray, noise: np.ndarray) -> float:
    """From the amounts of speech and of noise that together make the mix, whatever both were scaled by."""
    parts = np.stack([speech, noise], axis=1).astype(np.float64)
    amounts, *_ = np.linalg.lstsq(parts, mix.astype(np.float64))
    assert np.allclose(parts @ amounts, mix, atol=1e-6)
    return decibels((amounts[0] ** 2 * power(speech)) / (amounts[1] ** 2 * power(noise)))


def make_noise(kind: str, n_samples: int, rng: np.random.Generator) -> np.ndarray:
    if kind == "white":
        return white_noise(n_samples, rng)
    recordings = [rng.uniform(-0.5, 0.5, length).astype(np.float32) for length in (500, 900, 5_000, 20_000)]
    if kind == "babble":
        return babble(recordings, n_samples, rng)
    return excerpt(recordings[0 if kind == "looped" else -1], n_samples, rng)


@pytest.mark.parametrize("kind", ["white", "babble", "looped", "cropped"])
@pytest.mark.parametrize("snr_db", [40.0, 10.0, 0.0, -10.0])
@pytest.mark.parametrize("amplitude", [0.001, 0.9])
def test_the_ratio_is_exact(kind: str, snr_db: float, amplitude: float) -> None:
    rng = np.random.default_rng(1)
    speech = rng.uniform(-amplitude, amplitude, 8_000).astype(np.float32)
    noise = make_noise(kind, len(speech), rng)
    mix = mix_at_snr(speech, noise, snr_db)
    assert (mix.dtype, mix.shape) == (np.float32, speech.shape)
    assert measured_snr_db(mix, speech, noise) == pytest.approx(snr_db, abs=1e-6)


def test_beyond_full_scale_both_are_scaled_down(make_tone) -> None:
    speech = make_tone(440, amplitude=0.9)
    loud = mix_at_snr(speech, white_noise(len(speech), np.random.default_rng(0)), -10.0)
    assert np.abs(loud).max() == 1.0
    quiet = mix_at_snr(speech, white_noise(len(speech), np.random.default_rng(0)), 60.0)
    assert np.allclose(quiet, speech, atol=0.01), "a mix that fits is left at its level"


@pytest.mark.parametrize(("speech", "noise", "which"), [(0.0, 1.0, "speech"), (1.0, 0.0, "noise")])
def test_silence_has_no_ratio(speech: float, noise: float, which: str) -> None:
    with pytest.raises(ValueError, match=f"{which} that is digital silence"):
        mix_at_snr(np.full(10, speech, np.float32), np.full(10, noise, np.float32), 0.0)
    with pytest.raises(ValueError, match="shape"):
        mix_at_snr(np.ones(10, np.float32), np.ones(11, np.float32), 0.0)


@given(n_recording=st.integers(1, 50), n_samples=st.integers(1, 120), seed=st.integers(0, 2**32))
def test_an_excerpt_is_a_run_of_the_recording(n_recording: int, n_samples: int, seed: int) -> None:
    recording = np.arange(1, n_recording + 1, dtype=np.float32)
    part = excerpt(recording, n_samples, np.random.default_rng(seed))
    assert len(part) == n_samples
    steps = np.diff(part)
    wraps = steps == 1 - n_recording
    assert np.all((steps == 1) | wraps)
    if n_recording > n_samples:
        assert not wraps.any(), "a longer recording is cropped, never wrapped"


def test_excerpts_begin_anywhere() -> None:
    rng = np.random.default_rng(0)
    recording = np.arange(1, 11, dtype=np.float32)
    assert {float(excerpt(recording, 30, rng)[0]) for _ in range(200)} == set(range(1, 11))
    assert {float(excerpt(recording, 8, rng)[0]) for _ in range(200)} == {1, 2, 3}


def test_an_excerpt_is_never_silent() -> None:
    recording = np.zeros(1_000, np.float32)
    recording[700] = 1.0
    for seed in range(20):
        assert excerpt(recording, 10, np.random.default_rng(seed)).any()
    with pytest.raises(ValueError, match="digital silence"):
        excerpt(np.zeros(10, np.float32), 5, np.random.default_rng(0))


def test_voices_of_babble_are_equally_loud(make_tone) -> None:
    voices = [make_tone(200, amplitude=0.01), make_tone(900, amplitude=0.9)]
    mixed = babble(voices, 8_000, np.random.default_rng(0))
    assert power(mixed) == pytest.approx(2.0, rel=1e-3)
    spectrum = np.abs(np.fft.rfft(mixed))
    assert spectrum[100] == pytest.approx(spectrum[450], rel=1e-3)  # 2 Hz a bin


def test_the_generator_decides_everything() -> None:
    for kind in ("white", "babble", "looped", "cropped"):
        first, again, other = (make_noise(kind, 2_000, np.random.default_rng(seed)) for seed in (7, 7, 8))
        assert np.array_equal(first, again)
        assert not np.array_equal(first, other)


@pytest.mark.parametrize("delay", [0, 1, 400])
def test_a_delayed_delta_changes_nothing(delay: int, make_tone) -> None:
    speech = make_tone(440)
    delta = np.zeros(delay + 100, np.float32)
    delta[delay] = 0.25
    assert np.allclose(reverberate(speech, delta), speech, atol=1e-6)


def test_a_room_keeps_length_power_and_timing() -> None:
    rng = np.random.default_rng(3)
    speech = np.zeros(8_000, np.float32)
    speech[2_000:2_400] = 0.1 * rng.standard_normal(400)
    room = (0.2 * rng.standard_normal(3_000) * np.exp(-np.arange(3_000) / 500)).astype(np.float32)
    room[50] = 3.0
    wet = reverberate(speech, room)
    assert (wet.dtype, len(wet)) == (np.float32, len(speech))
    assert power(wet) == pytest.approx(power(speech), rel=1e-6)
    lags = np.correlate(wet, speech, "full")
    assert int(np.argmax(lags)) == len(speech) - 1, "the direct path is where the speech was"
    assert power(wet[2_500:4_000]) > 0, "the room sounds on"
    with pytest.raises(ValueError, match="digital silence"):
        reverberate(speech, np.zeros(100, np.float32))
