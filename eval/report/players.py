"""Sound inside a page. In: an audio file. Out: a data URI that every browser plays, or why there is none."""

import io
from base64 import b64encode
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from asr.audio import SAMPLE_RATE, load_audio
from asr.errors import AuricleError

__all__ = ["NoPlayer", "Player", "make_player"]

MAX_PLAYED_S = 30.0
BITS_PER_S = 24_000  # Opus keeps speech clear here, at 4 KB of page for each second
LONG_PACKETS = {"frame_duration": "60"}  # ms; the container adds bytes to each packet
SAME_BYTES = {"fflags": "+bitexact"}  # no random number in the container, so that equal sounds are equal bytes
MIME_TYPE = "audio/webm"  # Safari plays Opus in WebM since version 15, in Ogg since 18


@dataclass(frozen=True, slots=True, kw_only=True)
class Player:
    """A sound that plays."""

    uri: str
    duration: float
    """Of the whole clip, seconds."""
    is_cut: bool
    """Whether only its first MAX_PLAYED_S seconds are here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NoPlayer:
    """No sound, and why."""

    reason: str


def make_player(path: Path) -> Player | NoPlayer:
    """Encode the first MAX_PLAYED_S seconds of a file, as mono Opus."""
    try:
        waveform = load_audio(path)
    except OSError as error:
        return NoPlayer(reason=f"The audio is not there: {path.name}: {error.strerror or error}.")
    except AuricleError as error:
        return NoPlayer(reason=f"The audio cannot be decoded: {error}.")
    played = waveform.samples[: round(MAX_PLAYED_S * SAMPLE_RATE)]
    uri = f"data:{MIME_TYPE};base64,{b64encode(_encode(played)).decode('ascii')}"
    return Player(uri=uri, duration=waveform.duration, is_cut=len(played) < len(waveform.samples))


def _encode(samples: NDArray[np.float32]) -> bytes:
    file = io.BytesIO()
    with av.open(file, "w", format="webm", options=SAME_BYTES) as container:
        stream = container.add_stream("libopus", rate=SAMPLE_RATE, layout="mono", format="flt", options=LONG_PACKETS)
        stream.bit_rate = BITS_PER_S
        frame = av.AudioFrame.from_ndarray(samples.clip(-1.0, 1.0)[np.newaxis], format="flt", layout="mono")
        frame.sample_rate = SAMPLE_RATE
        for packet in (*stream.encode(frame), *stream.encode(None)):
            container.mux(packet)
    return file.getvalue()
