"""A target that hears every clip through a distortion. In: a target and a condition. Out: a ``Target``.

The clip is decoded, distorted and written to a temporary WAV file of float samples, which the wrapped target reads, be
it a model, a service or another vendor's address. A clean condition takes the same way, so that nothing but the
distortion differs. Each clip's noise is drawn from (seed, clip id, family) alone: it is the same in whatever order and
company clips come, and along a curve of SNRs it is the same noise at other levels.
Knows no model, no reference text and no score.
"""

import hashlib
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import av
import numpy as np

from asr.audio import SAMPLE_RATE, load_audio
from asr.errors import AuricleError
from asr.options import TranscribeOptions
from eval.corpora import Utterance
from eval.errors import ClipError
from eval.noise.conditions import Babble, Clean, Condition, Recorded, Reverberant, White
from eval.noise.materials import VOICES, Materials
from eval.noise.mixing import Samples, babble, excerpt, mix_at_snr, reverberate, white_noise
from eval.targets import Reply, Target

__all__ = ["DistortedTarget"]


class DistortedTarget:
    """A ``Target`` that passes distorted copies of the clips to another one; times include the distortion."""

    def __init__(
        self, target: Target, condition: Condition, materials: Materials, utterances: Iterable[Utterance], *, seed: int
    ) -> None:
        """``utterances``: every clip that will be asked for; their ids and speakers decide their noise.

        Raises KeyError when the condition needs a recording or room that is not there, CorpusError for voices.
        """
        self._target = target
        self._condition = condition
        self._materials = materials
        self._clips = {utterance.path: utterance for utterance in utterances}
        self._seed = seed
        self._distortion = {
            "family": condition.family,
            "snr_db": condition.snr_db,
            "seed": seed,
            "material": _material(condition, materials),
        }

    @property
    def n_parallel(self) -> int:
        """As the target itself."""
        return self._target.n_parallel

    def describe(self) -> Mapping[str, Any]:
        """The target's own description, and ``distortion``: everything that decides what is done to the clips."""
        return {**self._target.describe(), "distortion": self._distortion}

    def settings(self, options: TranscribeOptions) -> Mapping[str, Any]:
        """The options as the target will follow them. Raises as the target does."""
        return self._target.settings(options)

    def transcribe(self, path: Path, options: TranscribeOptions) -> Reply:
        """Let the target transcribe the distorted clip. Raises as it does, and ClipError for digital silence."""
        with self._distorted(path) as distorted:
            return self._target.transcribe(distorted, options)

    def detect_language(self, path: Path) -> Reply:
        """Let the target name the language of the distorted clip. Raises as ``transcribe`` does."""
        with self._distorted(path) as distorted:
            return self._target.detect_language(distorted)

    @contextmanager
    def _distorted(self, path: Path) -> Iterator[Path]:
        try:
            speech = load_audio(path).samples
        except AuricleError as error:
            raise ClipError(error.code, str(error)) from error
        except OSError as error:
            raise ClipError("unreadable_file", f"{path.name}: {error.strerror or error}") from error
        if not speech.any():
            raise ClipError("silent_audio", f"{path.name}: got digital silence, expected speech to add noise to")
        with tempfile.TemporaryDirectory(prefix="auricle-noise-") as folder:
            distorted = Path(folder, path.name).with_suffix(".wav")
            _write_wav(distorted, self._distort(speech, self._clips[path]))
            yield distorted

    def _distort(self, speech: Samples, clip: Utterance) -> Samples:
        n_samples = len(speech)
        rng = _generator(self._seed, clip.id, self._condition.family)
        match self._condition:
            case Clean():
                return speech
            case Reverberant(room=room):
                return reverberate(speech, self._materials.rooms[room].samples)
            case White():
                noise = white_noise(n_samples, rng)
            case Recorded(family=family):
                recordings = self._materials.recorded[family]
                noise = excerpt(recordings[int(rng.integers(len(recordings)))].samples, n_samples, rng)
            case Babble():
                noise = babble(self._materials.voices.others(clip, n_samples, rng), n_samples, rng)
        return mix_at_snr(speech, noise, self._condition.snr_db)


def _material(condition: Condition, materials: Materials) -> dict[str, Any]:
    """Digests of all that the condition's noise is drawn from."""
    match condition:
        case Clean() | White():
            return {}
        case Reverberant(room=room):
            return {room: materials.rooms[room].sha256}
        case Recorded(family=family):
            return {recording.name: recording.sha256 for recording in materials.recorded[family]}
        case Babble():
            return {"voices_at_once": VOICES, "voices": materials.voices.sha256}


def _generator(seed: int, clip_id: str, family: str) -> np.random.Generator:
    digest = hashlib.sha256(f"{seed}\n{family}\n{clip_id}".encode()).digest()
    return np.random.default_rng(int.from_bytes(digest))


def _write_wav(path: Path, samples: Samples) -> None:
    frame = av.AudioFrame.from_ndarray(samples[np.newaxis], format="flt", layout="mono")
    frame.sample_rate = SAMPLE_RATE
    with av.open(path, "w", format="wav") as container:
        stream = container.add_stream("pcm_f32le", rate=SAMPLE_RATE, layout="mono")
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
