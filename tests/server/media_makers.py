"""Small recordings in many formats, made by PyAV."""

import io
import struct

import av
import numpy as np
from numpy.typing import NDArray

BLOCK = 65_536


def tone(rate: int, n_channels: int, *, duration: float = 1.0) -> NDArray[np.int16]:
    """(n_channels, n_samples): a tone, an octave higher in each channel, in a little noise."""
    t = np.arange(round(rate * duration)) / rate
    noise = np.random.default_rng(0).normal(0, 200, (n_channels, len(t)))
    tones = np.stack([8000 * np.sin(2 * np.pi * 220 * 2**channel * t) for channel in range(n_channels)])
    return (tones + noise).astype(np.int16)


def wav(samples: NDArray[np.int16], *, rate: int = 16_000) -> bytes:
    """(n_channels, n_samples) as 16-bit PCM."""
    data = samples.T.astype("<i2").tobytes()
    return wav_header(n_channels=len(samples), rate=rate, n_bytes=len(data)) + data


def wav_header(*, n_channels: int = 1, rate: int = 16_000, n_bytes: int, bits: int = 16, code: int = 1) -> bytes:
    """Whatever it claims; ``code`` 1 is PCM, 3 floats."""
    frame = n_channels * bits // 8
    form = struct.pack("<HHIIHH", code, n_channels, rate, rate * frame & 0xFFFFFFFF, frame & 0xFFFF, bits)
    riff = struct.pack("<4sI4s4sI", b"RIFF", 36 + n_bytes & 0xFFFFFFFF, b"WAVE", b"fmt ", len(form))
    return riff + form + struct.pack("<4sI", b"data", n_bytes)


def encode(container: str, codec: str, rate: int, n_channels: int, samples: NDArray[np.int16]) -> bytes:
    """(n_channels, n_samples) in a container that FFmpeg writes."""
    file = io.BytesIO()
    layout = {1: "mono", 2: "stereo"}[n_channels]
    with av.open(file, "w", container) as output:
        stream = output.add_stream(codec, rate=rate, layout=layout)
        resampler = av.AudioResampler(stream.format, layout, rate, frame_size=stream.frame_size or 1024)
        for start in range(0, samples.shape[1], BLOCK):
            block = np.ascontiguousarray(samples[:, start : start + BLOCK].T).reshape(1, -1)
            frame = av.AudioFrame.from_ndarray(block, "s16", layout)
            frame.sample_rate = rate
            for resampled in resampler.resample(frame):
                output.mux(stream.encode(resampled))
        for resampled in resampler.resample(None):
            output.mux(stream.encode(resampled))
        output.mux(stream.encode(None))
    return file.getvalue()
