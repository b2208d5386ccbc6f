"""Synthesized speech to train a small model on, and to evaluate it. In: a seed, hours. Out: a heap, its recipe, a test.

    heap/clips/LANGUAGE/*.flac    a sentence or two; captions *.LANGUAGE.vtt, and *.en.vtt where that is a translation
    heap/talks/LANGUAGE/*.flac    half a minute of sentences, then noise in which nobody speaks
    scores.jsonl                  which language is heard under the translations
    recipe.toml                   for ``auricle-data run``
    evaluation/                   a manifest for ``auricle-eval run``: other voices, other sentences, and noise alone

Voices and sentences of the evaluation are in no training recording. The same seed, and the same espeak-ng and flite,
give the same bytes. What is spoken is simple, and no accent or room is in it: it shows that training works, no more.
"""

import os
import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pysubs2
from numpy.typing import NDArray

from asr.features import SAMPLE_RATE
from data_pipeline.errors import PipelineError
from data_pipeline.phrases import LANGUAGES, draw_phrase
from data_pipeline.shards import encode_flac
from data_pipeline.speaking import Voice, draw_voice, find_programs, speak
from data_pipeline.stages.language import text_language
from data_pipeline.storage import write_lines
from data_pipeline.types import Cue

__all__ = ["Synthesized", "synthesize"]

CLIP_SENTENCES = (1, 1, 2)  # drawn from
TALK_S = (18.0, 24.0)  # after so much no further sentence begins, so that all are in the first 30 s
TALK_WITH_SILENCE_S = (33.0, 40.0)  # what is left of a talk after 30 s becomes an example of no speech
TALK_EVERY = 20  # recordings
EVALUATION_TALK_EVERY = 8
MAX_SENTENCE_S = 5.5
EDGE_S = (0.1, 0.8)  # noise before and after speech
PAUSE_S = (0.25, 0.9)  # between sentences
SPEECH_DB = (-24.0, -12.0)  # of its peak, full scale being 0
SNR_DB = (15.0, 45.0)  # mean squares
NOISE_ONLY_S = (2.0, 12.0)
NOISE_ONLY_DB = (-60.0, -20.0)
MAX_TILT = 2.0  # power falls with the frequency to this exponent: 0 is white, 1 pink, 2 brown noise
BEEPS = (0, 0, 1, 3)  # drawn from
BEEP_S, BEEP_HZ = (0.05, 0.5), (200.0, 3000.0)
Samples = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Synthesized:
    """What was written."""

    n_recordings: int
    hours: float
    n_evaluation: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Recording:
    language: str | None
    """None: nobody speaks."""
    voice: Voice | None
    samples: Samples
    cues: tuple[Cue, ...]
    translations: tuple[Cue, ...]

    @property
    def duration(self) -> float:
        return len(self.samples) / SAMPLE_RATE


def synthesize(out: Path, *, hours: float, n_evaluation: int, seed: int) -> Synthesized:
    """Write all of it into ``out``, ``n_evaluation`` clips a language, and as many of noise alone.

    Raises PipelineError where a program is missing or the folder has something in it, OSError.
    """
    find_programs()
    if out.exists() and any(out.iterdir()):
        raise PipelineError(f"{out}: got a folder with something in it, expected a new or an empty one")
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        seconds, n_recordings, scores = 0.0, 0, []
        while seconds < 3600 * hours:
            numbers = range(n_recordings, n_recordings + 4 * len(LANGUAGES))
            for duration, score in pool.map(lambda number: _write_training(out, number, seed), numbers):
                seconds += duration
                scores += score
            n_recordings = numbers.stop
        n_clips = n_evaluation * len(LANGUAGES)
        lines = list(pool.map(lambda number: _write_spoken(out, number, seed), range(n_clips)))
        lines += pool.map(lambda number: _write_noise(out, number, seed), range(n_evaluation))
    write_lines(out / "scores.jsonl", scores)
    write_lines(out / "evaluation/manifest.jsonl", lines)
    (out / "recipe.toml").write_text(RECIPE, encoding="utf-8")
    return Synthesized(n_recordings=n_recordings, hours=seconds / 3600, n_evaluation=len(lines))


RECIPE = """\
scores = "scores.jsonl"

[[sources]]
name = "synthesized"
kind = "folder"
path = "heap"
licence = "unlicensed"

[evaluation]
suites = ["development"]
data = "evaluation"

[segments]
silence_share = 1.0
"""


def _write_training(out: Path, number: int, seed: int) -> tuple[float, list[dict[str, Any]]]:
    """Seconds, and lines of the scores."""
    rng = random.Random(f"{seed} training {number}")  # noqa: S311 (nothing secret is drawn)
    is_talk = number // len(LANGUAGES) % TALK_EVERY == 0
    made = _spoken(rng, LANGUAGES[number % len(LANGUAGES)], is_talk=is_talk, held_out=False)
    name = f"{'talks' if is_talk else 'clips'}/{made.language}/{number:06d}"
    _write_audio(out / f"heap/{name}.flac", made.samples)
    _write_captions(out / f"heap/{name}.{made.language}.vtt", made.cues)
    # Captions that the pipeline could not tell for English would be taken for what is said.
    if made.language == "en" or text_language(" ".join(cue.text for cue in made.translations)) != "en":
        return made.duration, []
    _write_captions(out / f"heap/{name}.en.vtt", made.translations)
    heard = {"language": made.language, "probability": 1.0}
    return made.duration, [{"id": f"synthesized/{name}.flac#en", "spoken": heard}]


def _write_spoken(out: Path, number: int, seed: int) -> dict[str, Any]:
    """A line of the manifest."""
    rng = random.Random(f"{seed} evaluation {number}")  # noqa: S311
    is_talk = number // len(LANGUAGES) % EVALUATION_TALK_EVERY == 0
    made = _spoken(rng, LANGUAGES[number % len(LANGUAGES)], is_talk=is_talk, held_out=True)
    parts = [
        {"id": f"{place}", "start": round(cue.start, 3), "end": round(cue.end, 3), "text": cue.text,
         "language": made.language}
        for place, cue in enumerate(made.cues)
    ]  # fmt: skip
    return _evaluated(out, f"{made.language}-{number:04d}", made) | {
        "language": made.language,
        "translation_en": " ".join(cue.text for cue in made.translations),
        "speaker": made.voice.name if made.voice else None,
        "dataset": "talks" if is_talk else "clips",
        "kind": "long" if is_talk else "short",
        "parts": parts,
    }


def _write_noise(out: Path, number: int, seed: int) -> dict[str, Any]:
    """A line of the manifest."""
    rng = random.Random(f"{seed} noise {number}")  # noqa: S311
    samples = _noise(rng, rng.uniform(*NOISE_ONLY_S)) * _amplitude(rng.uniform(*NOISE_ONLY_DB))
    made = _Recording(language=None, voice=None, samples=samples, cues=(), translations=())
    return _evaluated(out, f"noise-{number:04d}", made) | {"language": None, "dataset": "noise", "kind": "noise"}


def _evaluated(out: Path, name: str, made: _Recording) -> dict[str, Any]:
    _write_audio(out / f"evaluation/audio/{name}.flac", made.samples)
    text = " ".join(cue.text for cue in made.cues)
    return {"id": name, "path": f"audio/{name}.flac", "text": text, "duration": round(made.duration, 3)}


def _spoken(rng: random.Random, language: str, *, is_talk: bool, held_out: bool) -> _Recording:
    """Sentences of one voice, with noise under and between them."""
    voice = draw_voice(rng, language, held_out=held_out)
    is_enough = _talk_length(rng) if is_talk else _clip_length(rng)
    position = rng.uniform(*EDGE_S)
    sounds: list[tuple[float, Samples]] = []
    cues: list[Cue] = []
    translations: list[Cue] = []
    while not is_enough(len(cues), position):
        texts = draw_phrase(rng, held_out=held_out).texts
        samples = speak(texts[language], voice)
        if len(samples) > MAX_SENTENCE_S * SAMPLE_RATE:
            continue
        end = position + len(samples) / SAMPLE_RATE
        sounds.append((position, samples))
        cues.append(Cue(start=position, end=end, text=texts[language]))
        translations.append(Cue(start=position, end=end, text=texts["en"]))
        position = end + rng.uniform(*PAUSE_S)
    duration = cues[-1].end + rng.uniform(*EDGE_S)
    if is_talk and not held_out:
        duration = rng.uniform(*TALK_WITH_SILENCE_S)
    return _Recording(
        language=language, voice=voice, samples=_mixed(rng, sounds, duration), cues=tuple(cues),
        translations=tuple(translations),
    )  # fmt: skip


def _clip_length(rng: random.Random) -> Callable[[int, float], bool]:
    n_sentences = rng.choice(CLIP_SENTENCES)
    return lambda n_cues, _: n_cues >= n_sentences


def _talk_length(rng: random.Random) -> Callable[[int, float], bool]:
    last_start = rng.uniform(*TALK_S)
    return lambda _, position: position > last_start


def _mixed(rng: random.Random, sounds: list[tuple[float, Samples]], duration: float) -> Samples:
    noise = _noise(rng, duration)
    speech = np.zeros_like(noise)
    for start, samples in sounds:
        first = round(start * SAMPLE_RATE)
        stretch = speech[first : first + len(samples)]
        stretch += samples[: len(stretch)]
    speech *= _amplitude(rng.uniform(*SPEECH_DB))
    loudness = np.sqrt(np.square(speech[speech != 0]).mean())
    mixed: Samples = speech + noise * loudness * _amplitude(-rng.uniform(*SNR_DB))
    return mixed


def _noise(rng: random.Random, duration: float) -> Samples:
    """Of a drawn colour, with a beep here and there; its mean square is 1."""
    generator = np.random.default_rng(rng.getrandbits(64))
    n_samples = round(duration * SAMPLE_RATE)
    spectrum = np.fft.rfft(generator.standard_normal(n_samples))
    spectrum /= np.maximum(np.arange(len(spectrum)) / duration, 20.0) ** (rng.uniform(0.0, MAX_TILT) / 2)
    samples = np.fft.irfft(spectrum, n_samples)
    samples /= np.sqrt(np.square(samples).mean())
    for _ in range(rng.choice(BEEPS)):
        time = np.arange(round(rng.uniform(*BEEP_S) * SAMPLE_RATE)) / SAMPLE_RATE
        first = rng.randrange(n_samples - len(time))
        samples[first : first + len(time)] += np.sin(2 * np.pi * rng.uniform(*BEEP_HZ) * time)
    return samples.astype(np.float32)


def _amplitude(decibels: float) -> float:
    return float(10 ** (decibels / 20))


def _write_audio(path: Path, samples: Samples) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode_flac(samples))


def _write_captions(path: Path, cues: tuple[Cue, ...]) -> None:
    subtitles = pysubs2.SSAFile()
    subtitles.events = [
        pysubs2.SSAEvent(start=round(1000 * cue.start), end=round(1000 * cue.end), text=cue.text) for cue in cues
    ]
    path.write_text(subtitles.to_string("vtt"), encoding="utf-8")
