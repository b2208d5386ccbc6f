"""Telephony's audio files without a header. In: a file whose name ends in its format. Out: a 16-bit mono WAV file in
a cache.

``asr.audio`` refuses such files, since any bytes would do; here it is the corpus that says what they are. For the same
reason not every damage shows: G.722 and plain samples decode from anything. Knows no corpus.
"""

import hashlib
import io
import wave
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import av

from eval.corpora.cache import write_cached
from eval.errors import CorpusError

__all__ = ["headerless_to_wav"]


@dataclass(frozen=True, slots=True, kw_only=True)
class HeaderlessFormat:
    """What a header would say."""

    demuxer: str
    """FFmpeg's name."""
    sampling_rate: int
    """Hz."""


HEADERLESS_FORMATS: Mapping[str, HeaderlessFormat] = {
    "sln16": HeaderlessFormat(demuxer="s16le", sampling_rate=16_000),
    "g722": HeaderlessFormat(demuxer="g722", sampling_rate=16_000),
    "sln": HeaderlessFormat(demuxer="s16le", sampling_rate=8_000),
    "ulaw": HeaderlessFormat(demuxer="mulaw", sampling_rate=8_000),
    "alaw": HeaderlessFormat(demuxer="alaw", sampling_rate=8_000),
    "gsm": HeaderlessFormat(demuxer="gsm", sampling_rate=8_000),
}
"""By the end of a file's name."""


def headerless_to_wav(path: Path, cache: Path) -> Path:
    """The file decoded: ``cache/DIGEST OF THE FILE/DIGEST OF THE WAV.wav``, made where it is not there undamaged.

    Raises CorpusError when the file cannot be read, does not decode, or has no sample.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise CorpusError(f"{path}: {error.strerror or error}; expected a recording") from error
    name = path.suffix.removeprefix(".")
    folder = cache / _digest(f"{name}\n".encode() + data)
    for wav in folder.glob("*.wav"):
        if wav.stem == _digest(wav.read_bytes()):
            return wav
    decoded = _decode(path, data, HEADERLESS_FORMATS[name])
    wav = folder / f"{_digest(decoded)}.wav"
    write_cached(wav, decoded)
    return wav


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _decode(path: Path, data: bytes, source: HeaderlessFormat) -> bytes:
    options = {"sample_rate": str(source.sampling_rate)}
    try:
        with av.open(io.BytesIO(data), "r", format=source.demuxer, options=options) as container:
            samples = b"".join(frame.to_ndarray().tobytes() for frame in container.decode(audio=0))
    except av.FFmpegError as error:
        raise CorpusError(f"{path}: {error.strerror}; {_expected(source)}") from error
    if not samples:
        raise CorpusError(f"{path}: got no sample in {len(data)} bytes; {_expected(source)}")
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)  # every decoder of these gives 16-bit samples
        writer.setframerate(source.sampling_rate)
        writer.writeframes(samples)
    return file.getvalue()


def _expected(source: HeaderlessFormat) -> str:
    return f"expected FFmpeg's {source.demuxer} at {source.sampling_rate} Hz; install the package again, or unpack it"
