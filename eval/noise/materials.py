"""What noise is made of. In: audio files, and the clips of a corpus. Out: recordings, rooms and other people's voices.

Knows no level of noise, no model and no reference text.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from asr.audio import load_audio
from asr.errors import AuricleError, UnsupportedMediaError
from eval.corpora import Utterance
from eval.errors import CorpusError, EvaluationError
from eval.noise.mixing import Samples
from eval.runner import audio_digest

__all__ = ["VOICES", "Materials", "Recording", "Voices", "read_families", "read_recordings", "read_rooms"]

VOICES = 6  # people who talk at once in babble: enough that no one is understood, few enough that it is not a hum


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Recording:
    """One audio file, decoded."""

    name: str
    """The file's, without its ending."""
    samples: Samples
    sha256: str
    """Of the file's bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Voices:
    """Clips of a corpus by who speaks, for babble.

    Where the corpus names enough speakers, only their clips are used, so that nobody is behind their own back. Where it
    does not, a clip without a speaker counts as a voice of its own.
    """

    clips: Mapping[str, tuple[Utterance, ...]] = field(default_factory=dict)
    """Voice → its clips."""
    sha256: str = ""
    """Of every clip's id, voice and audio."""

    @classmethod
    def of(cls, utterances: Iterable[Utterance]) -> "Voices":
        """The voices of clips in which somebody speaks. Raises CorpusError when they are too few for babble."""
        spoken = sorted((clip for clip in utterances if clip.text), key=lambda clip: clip.id)
        named = [clip for clip in spoken if clip.speaker is not None]
        enough_named = len({clip.speaker for clip in named}) > VOICES
        clips: dict[str, tuple[Utterance, ...]] = {}
        digest = hashlib.sha256()
        for clip in named if enough_named else spoken:
            voice = _voice(clip)
            clips[voice] = (*clips.get(voice, ()), clip)
            digest.update(f"{clip.id}\n{voice}\n{audio_digest(clip.path)}\n".encode())
        if len(clips) <= VOICES:
            message = (
                f"babble: got clips of {len(clips)} speakers, expected {VOICES + 1} or more, as it is made of {VOICES} "
                "others. Leave --kind babble out, or give more clips (--only chooses them)."
            )
            raise CorpusError(message)
        return cls(clips=clips, sha256=digest.hexdigest())

    def others(self, clip: Utterance, n_samples: int, rng: np.random.Generator) -> list[Samples]:
        """``VOICES`` people drawn at random, none of them the clip's speaker, each with clips for ``n_samples``.

        A person's clips follow one another in random order. Clips that cannot be decoded are passed over: they are
        failures of the run in their own place. Raises CorpusError when too few can.
        """
        own = _voice(clip)
        drawn = []
        for voice in rng.permutation(sorted(self.clips.keys() - {own})):
            speech = _some_speech([other for other in self.clips[voice] if other.id != clip.id], n_samples, rng)
            if speech is not None:
                drawn.append(speech)
            if len(drawn) == VOICES:
                return drawn
        raise CorpusError(f"babble for {clip.id!r}: got {len(drawn)} voices that can be decoded, expected {VOICES}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Materials:
    """What the conditions of a study are made of."""

    recorded: Mapping[str, tuple[Recording, ...]] = field(default_factory=dict)
    """Family → recordings, of which each clip gets one."""
    rooms: Mapping[str, Recording] = field(default_factory=dict)
    """Name → impulse response."""
    voices: Voices = Voices()
    """For babble."""


def read_recordings(path: Path, *, option: str) -> tuple[Recording, ...]:
    """The audio file at a path, or every audio file in the folder there, by name; files that are not audio are left.

    Raises EvaluationError, which names the option, when there is none, one is damaged, or one is digital silence.
    """
    try:
        files = sorted(file for file in path.iterdir() if file.is_file()) if path.is_dir() else [path]
        recordings = tuple(recording for file in files if (recording := _recording(file, option)) is not None)
    except OSError as error:
        raise EvaluationError(f"{option} {path}: {error.strerror or error}; expected audio files") from error
    if not recordings:
        raise EvaluationError(f"{option} {path}: got no audio file, expected one or more")
    return recordings


def read_families(paths: Iterable[Path]) -> dict[str, tuple[Recording, ...]]:
    """Recorded noise by the names of its folders or files. Raises EvaluationError, also when two have one name."""
    families: dict[str, tuple[Recording, ...]] = {}
    for path in paths:
        family = path.resolve().name if path.is_dir() else path.stem
        if family in families:
            raise EvaluationError(
                f"--noise-dir {path}: got a second {family!r}, expected names that differ; rename one"
            )
        families[family] = read_recordings(path, option="--noise-dir")
    return families


def read_rooms(path: Path) -> dict[str, Recording]:
    """Impulse responses by the names of their files. Raises EvaluationError, also when two have one name."""
    rooms: dict[str, Recording] = {}
    for recording in read_recordings(path, option="--reverb-dir"):
        if recording.name in rooms:
            message = f"--reverb-dir {path}: got a second {recording.name!r}, expected names that differ; rename one"
            raise EvaluationError(message)
        rooms[recording.name] = recording
    return rooms


def _recording(path: Path, option: str) -> Recording | None:
    try:
        samples = load_audio(path).samples
    except UnsupportedMediaError:
        return None
    except AuricleError as error:
        raise EvaluationError(f"{option}: {path}: {error}; mend or remove it") from error
    if not samples.any():
        raise EvaluationError(f"{option}: {path}: got digital silence, expected noise; remove it")
    return Recording(name=path.stem, samples=samples, sha256=audio_digest(path))


def _some_speech(clips: Sequence[Utterance], n_samples: int, rng: np.random.Generator) -> Samples | None:
    parts: list[Samples] = []
    for index in rng.permutation(len(clips)):
        try:
            samples = load_audio(clips[index].path).samples
        except (AuricleError, OSError):
            continue
        if samples.any():
            parts.append(samples)
        if sum(map(len, parts)) >= n_samples:
            break
    return np.concatenate(parts) if parts else None


def _voice(clip: Utterance) -> str:
    return f"clip {clip.id}" if clip.speaker is None else f"speaker {clip.speaker}"
