"""Synthetic voices. In: a text, a voice. Out: samples at SAMPLE_RATE. Knows no grammar and no files.

espeak-ng speaks a hundred languages by formants, with variants of its voice; flite English, by diphones and units of
recorded speakers. Both say the same text with the same voice in the same bytes. Some voices are held out.
"""

import io
import random
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from asr.audio import load_audio
from asr.features import SAMPLE_RATE
from data_pipeline.errors import PipelineError

__all__ = ["Voice", "draw_voice", "find_programs", "speak"]

ESPEAK, FLITE = "espeak-ng", "flite"
ACCENTS = {
    "en": ("en-us", "en-gb", "en-gb-scotland"),
    "de": ("de",),
    "es": ("es", "es-419"),
    "fr": ("fr-fr", "fr-be", "fr-ch"),
    "it": ("it",),
}
VARIANTS = (
    "m1", "m2", "m3", "m4", "m6", "m7", "f1", "f3", "f5", "Alicia", "Andy", "Annie", "Denis", "Diogo", "Hugo", "Alex",
    "belinda", "steph", "max", "Michael", "pablo", "edward", "klatt2", "klatt4",
)  # fmt: skip
HELD_OUT_VARIANTS = ("m5", "m8", "f2", "f4", "Andrea", "linda", "paul", "Gene")
FLITE_VOICES = ("kal16", "awb", "slt")
HELD_OUT_FLITE_VOICES = ("rms",)
FLITE_SHARE = 0.25  # of the English recordings
WORDS_PER_MINUTE = (130, 185)
PITCH = (25, 75)  # of espeak-ng's 0 to 99
STRETCH = (0.85, 1.2)  # of flite's durations
SPEECH_LEVEL = 0.02  # of the peak: below it nothing is said at the ends
FRAME = SAMPLE_RATE // 100
Samples = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Voice:
    """One speaker, and how this recording is spoken."""

    program: str
    name: str
    """As the program calls it."""
    settings: tuple[str, ...]
    """Arguments for speed and pitch."""


def find_programs() -> None:
    """Raises PipelineError where one is not installed."""
    missing = [program for program in (ESPEAK, FLITE) if shutil.which(program) is None]
    if missing:
        raise PipelineError(f"{missing[0]}: no such program; install both, as with `apt-get install {ESPEAK} {FLITE}`")


def draw_voice(rng: random.Random, language: str, *, held_out: bool) -> Voice:
    """A voice of that side, at a drawn speed and pitch."""
    if language == "en" and rng.random() < FLITE_SHARE:
        name = rng.choice(HELD_OUT_FLITE_VOICES if held_out else FLITE_VOICES)
        return Voice(
            program=FLITE, name=name, settings=("--setf", f"duration_stretch={rng.uniform(*STRETCH):.2f}")
        )  # fmt: skip
    variant = rng.choice(HELD_OUT_VARIANTS if held_out else VARIANTS)
    speed, pitch = rng.randint(*WORDS_PER_MINUTE), rng.randint(*PITCH)
    return Voice(
        program=ESPEAK, name=f"{rng.choice(ACCENTS[language])}+{variant}", settings=("-s", f"{speed}", "-p", f"{pitch}")
    )


def speak(text: str, voice: Voice) -> Samples:
    """``text``, from its first sound to its last, at a peak of 1. Raises PipelineError."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "spoken.wav"
        if voice.program == FLITE:
            command = [FLITE, "-voice", voice.name, *voice.settings, "-t", text, "-o", f"{path}"]
        else:
            command = [ESPEAK, "-v", voice.name, *voice.settings, "-w", f"{path}", text]
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 (no shell; our text)
        if done.returncode or not path.exists():
            raise PipelineError(f"{' '.join(command)}: got {done.stderr.strip() or done.returncode}, expected speech")
        samples = load_audio(io.BytesIO(path.read_bytes())).samples
    peak = np.abs(samples).max(initial=0.0)
    if not peak:
        raise PipelineError(f"{' '.join(command)}: got silence, expected speech")
    return _trimmed(samples / peak)


def _trimmed(samples: Samples) -> Samples:
    """Without the silence before and after; samples have a peak of 1."""
    frames = np.abs(samples[: len(samples) // FRAME * FRAME]).reshape(-1, FRAME).max(axis=1)
    heard = np.flatnonzero(frames > SPEECH_LEVEL)
    return samples[heard[0] * FRAME : (heard[-1] + 1) * FRAME]
