"""Speech with something done to it. In: mono float32 samples at 16 kHz, shape (n_samples,). Out: the same, as long.

Power is the mean square over the whole clip as it is, pauses included: the paper, too, takes the ratio from the signal
power of individual examples (Whisper, section 3.7). Sums are formed in float64 and are never clipped: where the result
goes beyond full scale, speech and noise are scaled down together, which leaves their ratio as it was.
Whatever is random comes from the generator that the caller gives. Knows no file, corpus or model.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Samples", "babble", "excerpt", "mix_at_snr", "power", "reverberate", "white_noise"]

Samples = NDArray[np.float32]


def power(samples: NDArray[Any]) -> float:
    """Mean square, at full scale 1."""
    return float(np.mean(np.square(samples, dtype=np.float64)))


def mix_at_snr(speech: Samples, noise: NDArray[Any], snr_db: float) -> Samples:
    """Speech plus noise of the same length, the noise scaled to ``snr_db`` below the speech, both over the whole clip.

    Raises ValueError when the lengths differ or one of them is digital silence, which has no ratio to anything.
    """
    if speech.shape != noise.shape:
        raise ValueError(f"got noise of shape {noise.shape}, expected that of the speech, {speech.shape}")
    speech_power, noise_power = power(speech), power(noise)
    if not speech_power or not noise_power:
        silent = "noise" if speech_power else "speech"
        raise ValueError(f"got {silent} that is digital silence, expected power above 0")
    gain = np.sqrt(speech_power / noise_power / 10 ** (snr_db / 10))
    return _within_full_scale(speech.astype(np.float64) + gain * noise.astype(np.float64))


def white_noise(n_samples: int, rng: np.random.Generator) -> Samples:
    """Gaussian noise of power 1, equal at all frequencies."""
    noise: Samples = rng.standard_normal(n_samples, dtype=np.float32)
    return noise


def excerpt(recording: Samples, n_samples: int, rng: np.random.Generator) -> Samples:
    """``n_samples`` of a recording from a random place on: cropped where it is longer, looped where it is shorter.

    Where the place is digitally silent for so long, the excerpt begins at the next sample that is not. Raises
    ValueError for a recording that is nothing but digital silence.
    """
    if not recording.any():
        raise ValueError("got a recording that is digital silence, expected power above 0")
    is_longer = len(recording) > n_samples
    offset = int(rng.integers(len(recording) - n_samples + 1 if is_longer else len(recording)))
    part = _looped(recording, offset, n_samples)
    if part.any():
        return part
    return _looped(recording, offset + int(np.flatnonzero(np.roll(recording, -offset))[0]), n_samples)


def babble(clips: Sequence[Samples], n_samples: int, rng: np.random.Generator) -> Samples:
    """People speaking at once: an excerpt of each clip, all at power 1, added up."""
    parts = [excerpt(clip, n_samples, rng).astype(np.float64) for clip in clips]
    mixed: Samples = np.sum([part / np.sqrt(power(part)) for part in parts], axis=0).astype(np.float32)
    return mixed


def reverberate(speech: Samples, impulse_response: Samples) -> Samples:
    """Speech in the room of an impulse response, at the speech's own power.

    The direct path, the response's greatest sample, is put at delay 0, so that every word stays where it was; what
    would sound on after the clip's end is cut off. Raises ValueError when either is digital silence.
    """
    if not speech.any() or not impulse_response.any():
        raise ValueError("got speech or an impulse response that is digital silence, expected power above 0")
    direct = int(np.argmax(np.abs(impulse_response)))
    n_full = len(speech) + len(impulse_response) - 1
    spectrum = np.fft.rfft(speech.astype(np.float64), n_full) * np.fft.rfft(impulse_response.astype(np.float64), n_full)
    wet = np.fft.irfft(spectrum, n_full)[direct : direct + len(speech)]
    return _within_full_scale(wet * np.sqrt(power(speech) / power(wet)))


def _within_full_scale(samples: NDArray[np.float64]) -> Samples:
    return (samples / max(1.0, float(np.abs(samples).max()))).astype(np.float32)


def _looped(recording: Samples, offset: int, n_samples: int) -> Samples:
    samples: Samples = np.take(recording, np.arange(offset, offset + n_samples), mode="wrap")
    return samples
