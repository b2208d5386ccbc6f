import librosa
import numpy as np
import pytest
import torch

from asr.features import HOP_LENGTH, N_FFT, N_FRAMES, N_SAMPLES, SAMPLE_RATE, log_mel_spectrogram, pad_or_trim


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


def test_pad_or_trim():
    assert pad_or_trim(torch.ones(2, 5), 3).shape == (2, 3)
    assert pad_or_trim(torch.ones(2, 2), 3).tolist() == [[1, 1, 0], [1, 1, 0]]
