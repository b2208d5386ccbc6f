import librosa
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from asr.features import HOP_LENGTH, N_FFT, N_FRAMES, N_SAMPLES, SAMPLE_RATE, LogMel, log_mel_spectrogram, pad_or_trim

CPU = torch.device("cpu")


def reference_log_mel(samples: np.ndarray, n_mels: int) -> np.ndarray:
    spectrum = librosa.stft(samples, n_fft=N_FFT, hop_length=HOP_LENGTH, window="hann", pad_mode="reflect")
    power = np.abs(spectrum[:, :-1]) ** 2
    mel = librosa.filters.mel(sr=SAMPLE_RATE, n_fft=N_FFT, n_mels=n_mels) @ power
    log_mel = np.log10(np.maximum(mel, 1e-10))
    return (np.maximum(log_mel, log_mel.max() - 8) + 4) / 4


@pytest.mark.parametrize("n_mels", [80, 128])
def test_log_mel_equals_librosa(n_mels):
    time = np.arange(3 * SAMPLE_RATE) / SAMPLE_RATE
    noise = np.random.default_rng(0).normal(0, 0.01, len(time))
    samples = (0.3 * np.sin(2 * np.pi * 440 * time * (1 + time)) + noise).astype(np.float32)
    got = log_mel_spectrogram(torch.from_numpy(samples), n_mels=n_mels)
    assert got.shape == (n_mels, 300)
    np.testing.assert_allclose(got.numpy(), reference_log_mel(samples, n_mels), atol=1e-4)


def test_padding_is_silence_after_the_end():
    samples = torch.randn(SAMPLE_RATE, generator=torch.Generator().manual_seed(0)) * 0.1
    padded = pad_or_trim(samples, N_SAMPLES)
    got = log_mel_spectrogram(samples, n_mels=80, padding_samples=N_SAMPLES - SAMPLE_RATE)
    assert got.shape == (80, N_FRAMES)
    torch.testing.assert_close(got, log_mel_spectrogram(padded, n_mels=80))


def recording(n_samples: int) -> np.ndarray:
    """Noise whose level changes, so that the maximum is in one place only and quiet frames are cut off."""
    level = np.repeat(np.random.default_rng(1).uniform(-6, -0.5, n_samples // 3000 + 1), 3000)[:n_samples]
    return (np.random.default_rng(0).normal(0, 1, n_samples) * 10**level).astype(np.float32)


@settings(max_examples=60, deadline=None)
@given(
    n_samples=st.integers(1600, 80_000),
    start=st.floats(0, 1),
    n_frames=st.integers(1, N_FRAMES),
    block_frames=st.integers(1, 300),
    n_mels=st.sampled_from([80, 128]),
)
def test_any_window_equals_the_same_frames_of_the_whole(n_samples, start, n_frames, block_frames, n_mels):
    samples = recording(n_samples)
    whole = log_mel_spectrogram(torch.from_numpy(samples), n_mels=n_mels, padding_samples=N_SAMPLES)
    log_mel = LogMel(samples, n_mels=n_mels, device=CPU, block_frames=block_frames)
    assert log_mel.n_frames == whole.shape[1] - N_FRAMES
    start_frame = round(start * log_mel.n_frames)
    window = log_mel.window(start_frame, n_frames)
    assert window.shape == (n_mels, n_frames)
    torch.testing.assert_close(window, whole[:, start_frame : start_frame + n_frames], atol=1e-6, rtol=0)


@pytest.mark.parametrize("n_samples", [1600, 1601, 31 * SAMPLE_RATE, 65 * SAMPLE_RATE + 159, 90 * SAMPLE_RATE])
def test_full_windows_equal_the_whole(n_samples):
    samples = recording(n_samples)
    whole = log_mel_spectrogram(torch.from_numpy(samples), n_mels=80, padding_samples=N_SAMPLES)
    log_mel = LogMel(samples, n_mels=80, device=CPU)
    for start in range(0, log_mel.n_frames + 1, 997):
        torch.testing.assert_close(
            log_mel.window(start, N_FRAMES), whole[:, start : start + N_FRAMES], atol=1e-6, rtol=0
        )


def test_a_read_only_memory_map_will_do(tmp_path):
    samples = recording(50_000)
    samples.tofile(tmp_path / "samples")
    mapped = np.memmap(tmp_path / "samples", np.float32, "r")
    got, expected = (LogMel(array, n_mels=80, device=CPU).window(0, 300) for array in (mapped, samples))
    assert torch.equal(got, expected)


def test_silence_has_the_lowest_value_everywhere():
    window = LogMel(np.zeros(SAMPLE_RATE, np.float32), n_mels=80, device=CPU).window(0, N_FRAMES)
    assert torch.equal(window, torch.full((80, N_FRAMES), -1.5))


def test_pad_or_trim():
    assert pad_or_trim(torch.ones(2, 5), 3).shape == (2, 3)
    assert pad_or_trim(torch.ones(2, 2), 3).tolist() == [[1, 1, 0], [1, 1, 0]]


def test_silence_follows_a_window():
    samples = np.random.default_rng(0).normal(0, 0.1, 5 * SAMPLE_RATE).astype(np.float32)
    whole = log_mel_spectrogram(torch.from_numpy(samples), n_mels=80, padding_samples=N_SAMPLES)
    mel = LogMel(samples, n_mels=80, device=torch.device("cpu"))
    torch.testing.assert_close(mel.followed_by_silence(100, 400), whole[:, 100 : 100 + N_FRAMES])
    middle = mel.followed_by_silence(100, 200)
    assert middle.shape == (80, N_FRAMES)
    assert mel.followed_by_silence(100, 200, padded_to=600).equal(middle[:, :600])
    assert mel.followed_by_silence(100, 400, padded_to=600).equal(mel.followed_by_silence(100, 400)[:, :600])
    torch.testing.assert_close(middle[:, :200], whole[:, 100:300])
    assert middle[:, 200:].unique().tolist() == pytest.approx([whole.min().item()])
