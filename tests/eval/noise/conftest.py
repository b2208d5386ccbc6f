import io
import wave
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from asr.audio import SAMPLE_RATE
from eval.corpora import Corpus, Utterance


def write_wav(path: Path, samples: np.ndarray) -> None:
    """16-bit mono at 16 kHz."""
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        file.writeframes((samples * 32767).astype("<i2").tobytes())
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(buffer.getvalue())


def tone(frequency: float, seconds: float = 0.5, amplitude: float = 0.3) -> np.ndarray:
    times = np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    return (amplitude * np.sin(2 * np.pi * frequency * times)).astype(np.float32)


@pytest.fixture
def wav() -> Callable[[Path, np.ndarray], None]:
    return write_wav


@pytest.fixture
def make_tone() -> Callable[..., np.ndarray]:
    return tone


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    """Nine speakers with two clips each, a tone at the speaker's own frequency, and a clip of nobody."""
    utterances = []
    for number in range(18):
        speaker = number // 2
        path = tmp_path / "corpus" / f"clip-{number}.wav"
        write_wav(path, tone(200 + 100 * speaker, 0.3 + 0.02 * number))
        utterances.append(
            Utterance(
                id=f"clip-{number}",
                path=path,
                text=f"words of clip {number}",
                language="en",
                duration=0.3 + 0.02 * number,
                speaker=f"s{speaker}",
            )
        )
    path = tmp_path / "corpus" / "hum.wav"
    write_wav(path, tone(50))
    utterances.append(Utterance(id="hum", path=path, text="", language=None, duration=0.5))
    return Corpus(name="tones", sha256="0" * 64, utterances=tuple(utterances))
