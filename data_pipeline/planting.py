"""Talks with planted defects, for measuring the filters. In: clips of real speech. Out: a heap, its truth, a recipe.

A talk is clips of one language, one after the other, with captions whose times are exact. Of each kind of defect so
many talks have one; ``truth.jsonl`` says which. Deterministic from the seed. Knows no stage: ``defects`` does.
"""

import io
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np
import pysubs2
import soundfile  # type: ignore[import-untyped]
from numpy.typing import NDArray

from asr.audio import SAMPLE_RATE, load_audio
from data_pipeline.defects import COPIES, DEFECTS, EXCHANGES, MAKERS, Fits, Talk, leakable, sentence
from data_pipeline.errors import PipelineError
from data_pipeline.shards import encode_flac
from data_pipeline.stages.ngrams import words_of
from data_pipeline.stages.segmenting import WINDOW_S
from data_pipeline.storage import write_lines
from data_pipeline.types import Cue
from eval.corpora import Utterance

__all__ = ["Planted", "plant"]

N_CLIPS = 4  # of a talk
MIN_CLIPS = 3  # of the last talk of a language
PAUSE_S = 0.6
MIN_WORDS = 4
FRAME_S = 0.02
QUIET = 0.05  # of the loudest frames' amplitude: before and after, a clip is taken to be silent
RARE_FIRST = ("translated", "evaluation_leak", *EXCHANGES)  # kinds that not every talk can have
Clips = tuple[Utterance, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Planted:
    """A line of the truth."""

    id: str
    defect: str
    seconds: float
    language: str | None = None
    stretches: tuple[tuple[float, float], ...] = ()
    """Seconds in which nobody speaks, or no caption is, where that is its kind."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    """A talk to be made."""

    kind: str
    clips: Clips
    captions_of: Clips | None = None
    """Whose captions it has; None: its own."""


def plant(clips: Sequence[Utterance], out: Path, *, seed: int, share: float) -> list[Planted]:
    """Write heap, ``truth.jsonl``, the evaluation that leaks, ``recipe.toml``; of each defect ``share`` of all talks.

    Kinds that few talks can have are fewer. Raises PipelineError when the clips are too few for the others.
    """
    rng = np.random.default_rng(seed)
    usable = _usable(clips)
    fits = Fits.of(usable)
    talks = _talks(usable, rng)
    n_each = round(share * len(talks))
    plans = _plans(talks, n_each, fits, rng)
    n_good = sum(plan.kind == "none" for plan in plans)
    if n_each < 1 or n_good < max(1, len(COPIES) * n_each):
        raise PipelineError(f"got clips for {len(talks)} talks, expected more, or a smaller share than {share}")
    order = [plans[place] for place in rng.permutation(len(plans))]
    originals = [plan for plan in order if plan.kind == "none"]
    copies = [replace(originals.pop(0), kind=kind) for kind in COPIES for _ in range(n_each)]
    truth = [_plant(number, plan, out, rng) for number, plan in enumerate([*order, *copies])]
    write_lines(out / "truth.jsonl", [asdict(each) for each in truth])
    leaked = [leakable(plan.clips, fits.n_clips) for plan in plans if plan.kind == "evaluation_leak"]
    lines = [
        {"id": clip.id, "path": str(clip.path), "text": clip.text, "language": clip.language} for clip in leaked if clip
    ]
    if lines:
        write_lines(out / "evaluation/manifest.jsonl", lines)
    (out / "recipe.toml").write_text(RECIPE + (EVALUATION if lines else ""), encoding="utf-8")
    return truth


RECIPE = """\
[[sources]]
name = "talks"
kind = "folder"
path = "heap"
licence = "unknown"

[model]
name = "base"
"""
EVALUATION = """
[evaluation]
suites = ["development"]
data = "evaluation"
"""


def _usable(clips: Sequence[Utterance]) -> list[Utterance]:
    """Clips with a trusted text of some words, each text once, none longer than a window."""
    found: dict[str, Utterance] = {}
    for clip in clips:
        words = words_of(clip.text or "")
        if len(words) >= MIN_WORDS and not clip.quality and clip.language:
            found.setdefault(" ".join(words), clip)
    return [clip for clip in found.values() if _duration(clip) <= WINDOW_S]


def _duration(clip: Utterance) -> float:
    return load_audio(clip.path).duration if clip.duration is None else clip.duration


def _talks(clips: Sequence[Utterance], rng: np.random.Generator) -> list[Clips]:
    """The clips of talks of all languages; each clip is in one of them."""
    by_language: dict[str | None, list[Utterance]] = {}
    for clip in clips:
        by_language.setdefault(clip.language, []).append(clip)
    talks = [
        tuple(own[place] for place in order[first : first + N_CLIPS])
        for own in by_language.values()
        for order in [rng.permutation(len(own))]
        for first in range(0, len(own) - MIN_CLIPS + 1, N_CLIPS)
    ]
    return [talks[place] for place in rng.permutation(len(talks))]


def _plans(talks: Sequence[Clips], n_each: int, fits: Fits, rng: np.random.Generator) -> list[_Plan]:
    """A kind for every talk, drawn; copies are made later, of those without a defect."""
    free = list(talks)
    plans: list[_Plan] = []
    others = (kind for kind in DEFECTS if kind not in (*RARE_FIRST, *COPIES, "none"))
    for kind in (*RARE_FIRST, *others):
        able = _exchanges(kind, free, fits) if kind in EXCHANGES else _alone(kind, free, fits)
        taken = list(islice(able, n_each + n_each % 2 if kind in EXCHANGES else n_each))
        plans += taken
        gone = {id(plan.clips) for plan in taken}
        free = [free[place] for place in rng.permutation(len(free)) if id(free[place]) not in gone]
    return plans + [_Plan(kind="none", clips=clips) for clips in free]


def _alone(kind: str, free: Sequence[Clips], fits: Fits) -> Iterator[_Plan]:
    return (_Plan(kind=kind, clips=clips) for clips in free if fits(kind, clips))


def _exchanges(kind: str, free: Sequence[Clips], fits: Fits) -> Iterator[_Plan]:
    """Two talks after each other with each other's captions, of one language or of two."""
    waiting: list[Clips] = []
    for clips in free:
        if not fits(kind, clips):
            continue
        partner = next((other for other in waiting if _can_exchange(kind, clips, other)), None)
        if partner is None:
            waiting.append(clips)
            continue
        waiting = [other for other in waiting if other is not partner]
        yield _Plan(kind=kind, clips=clips, captions_of=partner)
        yield _Plan(kind=kind, clips=partner, captions_of=clips)


def _can_exchange(kind: str, first: Clips, second: Clips) -> bool:
    is_same = first[0].language == second[0].language
    return len(first) == len(second) and is_same == (kind == "other_captions")


def _plant(number: int, plan: _Plan, out: Path, rng: np.random.Generator) -> Planted:
    talk = _talk(plan.clips)
    if plan.captions_of is not None:
        texts = [sentence(clip.text or "") for clip in plan.captions_of]
        talk = replace(talk, cues=tuple(replace(cue, text=text) for cue, text in zip(talk.cues, texts, strict=True)))
    if make := MAKERS.get(plan.kind):
        talk = make(talk, rng)
    name = f"{number:04d}.{'wav' if plan.kind == 'duplicate' else 'flac'}"
    _write(out / "heap" / name, talk, is_cut=plan.kind == "truncated_audio")
    return Planted(
        id=f"talks/{name}",
        defect=plan.kind,
        seconds=round(len(talk.samples) / SAMPLE_RATE, 3),
        language=talk.language,
        stretches=tuple((round(start, 3), round(end, 3)) for start, end in talk.stretches),
    )


def _talk(clips: Clips) -> Talk:
    pause = np.zeros(round(PAUSE_S * SAMPLE_RATE), np.float32)
    sounds, cues, position = [pause], [], len(pause)
    for clip in clips:
        samples = load_audio(clip.path).samples
        start, end = (position / SAMPLE_RATE + seconds for seconds in _loud(samples))
        cues.append(Cue(start=start, end=end, text=sentence(clip.text or "")))
        sounds += [samples, pause]
        position += len(samples) + len(pause)
    translations = tuple(clip.translation_en for clip in clips)
    return Talk(language=clips[0].language, samples=np.concatenate(sounds), cues=tuple(cues), translations=translations)


def _loud(samples: NDArray[np.float32]) -> tuple[float, float]:
    """Where a clip's sound begins and ends, in seconds: many corpora leave most of a second of silence around it."""
    n_frame = round(FRAME_S * SAMPLE_RATE)
    n_frames = len(samples) // n_frame
    level = np.sqrt(np.mean(samples[: n_frames * n_frame].reshape(n_frames, n_frame) ** 2, axis=1))
    loud = np.flatnonzero(level > QUIET * np.quantile(level, 0.95))
    return float(loud[0]) * FRAME_S, float(loud[-1] + 1) * FRAME_S


def _write(path: Path, talk: Talk, *, is_cut: bool) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    data = encode_flac(talk.samples)
    if path.suffix == ".wav":
        soundfile.write(path, soundfile.read(io.BytesIO(data), dtype="int16")[0], SAMPLE_RATE, subtype="PCM_16")
    else:
        path.write_bytes(data[: len(data) * 3 // 5] if is_cut else data)
    subtitles = pysubs2.SSAFile()
    subtitles.events = [
        pysubs2.SSAEvent(start=round(1000 * cue.start), end=round(1000 * cue.end), text=cue.text) for cue in talk.cues
    ]
    path.with_suffix(".vtt").write_text(subtitles.to_string("vtt"), encoding="utf-8")
