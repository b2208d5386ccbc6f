"""Waveform to log-Mel spectrogram (Whisper 2.2). In: samples at 16 kHz. Out: (n_mels, n_frames) float32.

Of a recording of any length, ``LogMel`` computes the windows that are asked for; ``log_mel_spectrogram`` gives all of
it at once. Both compute the same numbers. Knows no model and no file format.
"""

import math
from collections.abc import Callable
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional
from torchaudio.functional import melscale_fbanks

__all__ = [
    "FRAMES_PER_SECOND",
    "HOP_LENGTH",
    "N_FFT",
    "N_FRAMES",
    "N_SAMPLES",
    "SAMPLE_RATE",
    "WINDOW_S",
    "LogMel",
    "log_mel_spectrogram",
    "mel_filters",
    "pad_or_trim",
]

SAMPLE_RATE = 16_000
N_FFT = 400  # 25 ms window
HOP_LENGTH = 160  # 10 ms
WINDOW_S = 30
N_SAMPLES = WINDOW_S * SAMPLE_RATE  # 480,000 samples in a 30 s window
N_FRAMES = N_SAMPLES // HOP_LENGTH  # 3,000 frames in a 30 s window
FRAMES_PER_SECOND = SAMPLE_RATE // HOP_LENGTH  # 100
MARGIN = N_FFT // 2  # samples that a frame sees before and after its time
DYNAMIC_RANGE = 8.0  # powers of ten below the maximum, where the spectrogram is cut off


@lru_cache(maxsize=4)
def mel_filters(n_mels: int, device: torch.device) -> Tensor:
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
    samples = functional.pad(samples, (0, padding_samples))
    framed = functional.pad(samples.unsqueeze(0), (MARGIN, MARGIN), "reflect").squeeze(0)
    log_mel = _log10_mel(framed, n_mels)[:, : len(samples) // HOP_LENGTH]
    return _scaled(log_mel, log_mel.max())


class LogMel:
    """The log-Mel spectrogram of one recording, computed a window at a time: memory does not grow with its length.

    ``samples``: (n_samples,) float32 at 16 kHz, also a memory map. After its end stands 30 s of silence, as in the
    reference: ``window(start, n)`` equals ``log_mel_spectrogram(…, padding_samples=N_SAMPLES)[:, start : start + n]``.
    The maximum of the whole signal, which every window needs, is found at once, ``block_frames`` at a time;
    ``on_block`` is called before each, and what it raises ends the search.
    """

    def __init__(
        self,
        samples: NDArray[np.float32],
        *,
        n_mels: int,
        device: torch.device,
        block_frames: int = N_FRAMES,
        on_block: Callable[[], None] = lambda: None,
    ) -> None:
        self._samples = samples
        self._n_mels = n_mels
        self._device = device
        self.n_frames = len(samples) // HOP_LENGTH
        """Of the recording, without the silence after it."""
        n_heard = -(-(len(samples) + MARGIN) // HOP_LENGTH)  # with the frames that see the end from beyond it
        starts = range(0, max(n_heard, 1), block_frames)
        maximum = -math.inf
        for start in starts:
            on_block()
            # As numbers: a tensor kept of each block would pin the memory of the block before it.
            maximum = max(maximum, self._unscaled(start, block_frames).max().item())
        self._maximum = torch.tensor(maximum, device=device)

    def window(self, start_frame: int, n_frames: int) -> Tensor:
        """(n_mels, n_frames) float32 on the device."""
        return _scaled(self._unscaled(start_frame, n_frames), self._maximum)

    def followed_by_silence(self, start_frame: int, n_frames: int, padded_to: int = N_FRAMES) -> Tensor:
        """(n_mels, padded_to): ``n_frames`` of the recording, and silence after them.

        What the reference names a language by; the zeros that it pads a window with to decode it tell neighbours apart
        less well (docs/results.md).
        """
        if start_frame + n_frames >= self.n_frames:
            return self.window(start_frame, padded_to)
        silence = _scaled(torch.full_like(self._maximum, -math.inf), self._maximum).item()
        return functional.pad(self.window(start_frame, n_frames), (0, padded_to - n_frames), value=silence)

    def padded_window(self, start_frame: int, n_frames: int, padded_to: int) -> Tensor:
        """(n_mels, padded_to): ``n_frames`` of the recording as a model hears them.

        Padded to 3,000 frames with zeros, as the reference does; to fewer with silence, which names languages better.
        """
        if padded_to < N_FRAMES:
            return self.followed_by_silence(start_frame, n_frames, padded_to)
        return pad_or_trim(self.window(start_frame, n_frames), N_FRAMES)

    def _unscaled(self, start_frame: int, n_frames: int) -> Tensor:
        start = start_frame * HOP_LENGTH - MARGIN
        framed = np.zeros((n_frames - 1) * HOP_LENGTH + N_FFT, np.float32)
        content = self._samples[max(start, 0) : max(start + len(framed), 0)]
        offset = max(-start, 0)
        framed[offset : offset + len(content)] = content
        reflected = self._samples[1 : 1 + offset]  # before the true start
        framed[offset - len(reflected) : offset] = reflected[::-1]
        return _log10_mel(torch.from_numpy(framed).to(self._device), self._n_mels)


def _log10_mel(framed: Tensor, n_mels: int) -> Tensor:
    """(n_mels, n_frames) of samples that begin MARGIN before the first frame's time and end MARGIN after the last's."""
    window = torch.hann_window(N_FFT, device=framed.device)
    spectrum = torch.stft(framed, N_FFT, HOP_LENGTH, window=window, center=False, return_complex=True)
    power = spectrum.abs() ** 2
    mel = mel_filters(n_mels, framed.device) @ power
    return mel.clamp(min=1e-10).log10()


def _scaled(log_mel: Tensor, maximum: Tensor) -> Tensor:
    return (torch.maximum(log_mel, maximum - DYNAMIC_RANGE) + 4.0) / 4.0


def pad_or_trim(array: Tensor, length: int) -> Tensor:
    """``array`` cut or zero-padded at its end to ``length`` along the last axis."""
    if array.shape[-1] >= length:
        return array[..., :length]
    return functional.pad(array, (0, length - array.shape[-1]))
