"""Waveform to log-Mel spectrogram (Whisper 2.2). In: samples at 16 kHz. Out: (n_mels, n_frames) float32.

Knows no model and no file format.
"""

from functools import lru_cache

import torch
from torch import Tensor
from torchaudio.functional import melscale_fbanks

__all__ = [
    "FRAMES_PER_SECOND",
    "HOP_LENGTH",
    "N_FFT",
    "N_FRAMES",
    "N_SAMPLES",
    "SAMPLE_RATE",
    "WINDOW_S",
    "log_mel_spectrogram",
    "pad_or_trim",
]

SAMPLE_RATE = 16_000
N_FFT = 400  # 25 ms window
HOP_LENGTH = 160  # 10 ms
WINDOW_S = 30
N_SAMPLES = WINDOW_S * SAMPLE_RATE  # 480,000 samples in a 30 s window
N_FRAMES = N_SAMPLES // HOP_LENGTH  # 3,000 frames in a 30 s window
FRAMES_PER_SECOND = SAMPLE_RATE // HOP_LENGTH  # 100


@lru_cache(maxsize=4)
def _mel_filters(n_mels: int, device: torch.device) -> Tensor:
    """(n_mels, N_FFT // 2 + 1): Slaney's Mel scale and area normalization, equal to librosa's to 1e-7."""
    filters: Tensor = melscale_fbanks(
        N_FFT // 2 + 1, 0.0, SAMPLE_RATE / 2, n_mels, SAMPLE_RATE, norm="slaney", mel_scale="slaney"
    )
    return filters.T.contiguous().to(device)


def log_mel_spectrogram(samples: Tensor, *, n_mels: int, padding_samples: int = 0) -> Tensor:
    """Log-Mel spectrogram of mono samples at 16 kHz.

    ``samples``: (n_samples,) float32 in −1 … 1, followed by ``padding_samples`` of silence. Returns
    (n_mels, (n_samples + padding_samples) // 160) float32 on the same device, about −1 … 1: log10 clamped to 8 below
    the maximum of the whole signal, then (x + 4) / 4.
    """
    if padding_samples:
        samples = torch.nn.functional.pad(samples, (0, padding_samples))
    window = torch.hann_window(N_FFT, device=samples.device)
    spectrum = torch.stft(samples, N_FFT, HOP_LENGTH, window=window, return_complex=True)
    power = spectrum[:, :-1].abs() ** 2  # the centred transform has one frame more than hops
    mel = _mel_filters(n_mels, samples.device) @ power
    log_mel = mel.clamp(min=1e-10).log10()
    log_mel = torch.maximum(log_mel, log_mel.max() - 8.0)
    return (log_mel + 4.0) / 4.0


def pad_or_trim(array: Tensor, length: int) -> Tensor:
    """``array`` cut or zero-padded at its end to ``length`` along the last axis."""
    if array.shape[-1] >= length:
        return array[..., :length]
    return torch.nn.functional.pad(array, (0, length - array.shape[-1]))
