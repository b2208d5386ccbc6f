"""Audio that is heard a little differently each time. In: samples or a log-Mel. Out: the same, changed. Knows no text.

What is drawn comes from the caller's generator alone, so that a run can be repeated and resumed.
"""

import random
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 (the name that every torch code base uses)

from asr.audio import load_audio
from asr.errors import TrainingError
from asr.features import SAMPLE_RATE

__all__ = ["NoiseFolder", "at_speed", "draw_speed", "spec_augment"]

SPEEDS = (0.9, 1.0, 1.1)  # Ko et al., Interspeech 2015
SNR_DB = (5.0, 20.0)
MAX_TIME_WARP = 80  # frames: LibriSpeech Basic (arXiv:1904.08779, Table 1), as are the two below
MAX_FREQUENCY_MASK = 27  # channels, once
MAX_TIME_MASK = 100  # frames, once
N_CACHED_NOISES = 64


def draw_speed(rng: random.Random, *, duration: float, longest: float) -> float:
    """One of SPEEDS that leaves ``duration`` within ``longest`` seconds."""
    return rng.choice([speed for speed in SPEEDS if duration / speed <= longest] or [1.0])


def at_speed(samples: NDArray[np.float32], factor: float) -> NDArray[np.float32]:
    """``samples`` played ``factor`` times as fast, the pitch with it."""
    if factor == 1.0:
        return samples
    from torchaudio.functional import speed

    played, _ = speed(torch.from_numpy(samples), SAMPLE_RATE, factor)
    changed: NDArray[np.float32] = played.numpy()
    return changed


class NoiseFolder:
    """Recordings of noise, in any format that ``load_audio`` reads. Raises TrainingError for a folder without any."""

    def __init__(self, folder: Path) -> None:
        self._paths = sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
        if not self._paths:
            raise TrainingError(f"noise: no file in {folder}, expected recordings of noise")
        self._load = lru_cache(maxsize=N_CACHED_NOISES)(lambda path: load_audio(path).samples)

    def add(self, samples: NDArray[np.float32], rng: random.Random) -> NDArray[np.float32]:
        """``samples`` with a stretch of one recording under them, at 5 to 20 dB; it begins anew where it is short."""
        from torchaudio.functional import add_noise

        noise = self._load(rng.choice(self._paths))
        first = rng.randrange(len(noise))
        stretch = np.take(noise, np.arange(first, first + len(samples)), mode="wrap")
        if not stretch.any() or not samples.any():
            return samples  # silence has no level that a ratio could be held to
        snr = torch.tensor(rng.uniform(*SNR_DB))
        mixed: NDArray[np.float32] = add_noise(torch.from_numpy(samples), torch.from_numpy(stretch), snr).numpy()
        return mixed


def spec_augment(mel_FT: Tensor, n_frames: int, rng: random.Random) -> Tensor:
    """SpecAugment, LibriSpeech Basic, of the first ``n_frames``: a warp of time, a mask of each kind with the mean."""
    heard = _warp(mel_FT[:, :n_frames], rng)
    mean = heard.mean()
    heard = heard.clone()
    for axis, most in ((0, MAX_FREQUENCY_MASK), (1, MAX_TIME_MASK)):
        width = min(rng.randint(0, most), heard.shape[axis])
        heard.narrow(axis, rng.randint(0, heard.shape[axis] - width), width).fill_(mean)
    return torch.cat([heard, mel_FT[:, n_frames:]], dim=1)


def _warp(mel_FT: Tensor, rng: random.Random) -> Tensor:
    """A point in the middle moves by up to MAX_TIME_WARP frames; what is before and after it is stretched evenly."""
    n_frames = mel_FT.shape[1]
    if n_frames <= 2 * MAX_TIME_WARP + 1:
        return mel_FT
    point = rng.randint(MAX_TIME_WARP + 1, n_frames - MAX_TIME_WARP - 1)
    target = point + rng.randint(-MAX_TIME_WARP, MAX_TIME_WARP)
    halves = ((mel_FT[:, :point], target), (mel_FT[:, point:], n_frames - target))
    return torch.cat([F.interpolate(half[None], size=size, mode="linear")[0] for half, size in halves], dim=1)
