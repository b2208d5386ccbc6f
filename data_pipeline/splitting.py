"""Clips of a corpus → a part to train on, one to choose by, one to evaluate on. In: clips. Out: lists, a recipe.

    train.jsonl                   a NeMo manifest; recipe.toml makes shards of it, and holds it against the evaluation
    development/manifest.jsonl    for ``auricle-eval run``: to choose learning rate and updates by
    evaluation/manifest.jsonl     the same, to be looked at once

No two parts share a text, in any casing and punctuation, nor a speaker where speakers are kept apart. Knows no audio.
"""

import os
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from data_pipeline.errors import PipelineError
from data_pipeline.stages.ngrams import words_of
from data_pipeline.storage import to_json, write_lines
from eval.corpora import Utterance

__all__ = ["Apart", "Parts", "split"]

Clips = Sequence[Utterance]


class Apart(StrEnum):
    """What no two parts share, besides texts."""

    SPEAKERS = "speakers"
    TEXTS = "texts"
    """Texts alone: of a corpus of one voice, which says nothing about other voices."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The clips of each part."""

    train: tuple[Utterance, ...]
    development: tuple[Utterance, ...]
    evaluation: tuple[Utterance, ...]


def split(clips: Clips, out: Path, *, apart: Apart, development: float, evaluation: float, seed: int) -> Parts:
    """Write lists and recipe into ``out``; the shares are of each language's clips.

    Clips with a doubtful text, or none, are in no part. Raises PipelineError for clips without a speaker where speakers
    are kept apart, for shares that leave a part empty, and for a folder with something in it; OSError.
    """
    if out.exists() and any(out.iterdir()):
        raise PipelineError(f"{out}: got a folder with something in it, expected a new or an empty one")
    usable = [clip for clip in clips if clip.text and words_of(clip.text) and clip.language and not clip.quality]
    if apart is Apart.SPEAKERS and (nameless := [clip.id for clip in usable if not clip.speaker]):
        raise PipelineError(f"{nameless[0]}: got no speaker, expected one for each clip; or keep texts alone apart")
    shares = {"train": 1 - development - evaluation, "development": development, "evaluation": evaluation}
    parts: dict[str, list[Utterance]] = {name: [] for name in shares}
    rng = random.Random(seed)  # noqa: S311 (nothing secret is drawn)
    for language in sorted({clip.language or "" for clip in usable}):
        groups = _groups([clip for clip in usable if clip.language == language], apart)
        for name, clips_of_part in _deal(groups, shares, rng).items():
            parts[name] += clips_of_part
    empty = [name for name, share in shares.items() if share > 0 and not parts[name]]
    if empty or shares["train"] <= 0:
        raise PipelineError(f"{empty[0] if empty else 'train'}: got no clips, expected more clips, or other shares")
    made = Parts(**{name: tuple(clips_of_part) for name, clips_of_part in parts.items()})
    _write(made, out)
    return made


def _groups(clips: Clips, apart: Apart) -> list[list[Utterance]]:
    """Clips that must stay together: of one text, of one speaker, and what hangs together by several such steps."""
    group_of: dict[str, list[Utterance]] = {}
    for clip in clips:
        marks = ["text " + " ".join(words_of(clip.text or ""))]
        marks += [f"speaker {clip.speaker}"] if apart is Apart.SPEAKERS else []
        found = {id(group_of[mark]): group_of[mark] for mark in marks if mark in group_of}
        joined = [clip, *(other for group in found.values() for other in group)]
        old = {mark for mark, group in group_of.items() if id(group) in found}
        group_of.update(dict.fromkeys([*marks, *old], joined))
    return list({id(group): group for group in group_of.values()}.values())


def _deal(
    groups: list[list[Utterance]], shares: Mapping[str, float], rng: random.Random
) -> Mapping[str, list[Utterance]]:
    """Each group goes where most is missing, the largest first: so a frequent speaker is trained on, not evaluated."""
    rng.shuffle(groups)
    groups.sort(key=len, reverse=True)
    n_clips = sum(map(len, groups))
    parts: dict[str, list[Utterance]] = {name: [] for name in shares}
    for group in groups:
        wanting = max(shares, key=lambda name: shares[name] * n_clips - len(parts[name]))
        parts[wanting] += group
    return parts


def _write(parts: Parts, out: Path) -> None:
    root = Path(os.path.commonpath([clip.path.resolve().parent for clip in parts.train]))
    rows = [
        {"audio_filepath": f"{clip.path.resolve()}", "text": clip.text, "lang": clip.language} for clip in parts.train
    ]
    write_lines(out / "train.jsonl", rows)
    for name, clips in (("development", parts.development), ("evaluation", parts.evaluation)):
        if clips:
            write_lines(out / name / "manifest.jsonl", map(_line, clips))
    recipe = RECIPE.format(root=to_json(f"{root}").decode())
    (out / "recipe.toml").write_text(recipe + EVALUATION * bool(parts.evaluation), encoding="utf-8")


def _line(clip: Utterance) -> dict[str, Any]:
    known = {
        "duration": clip.duration, "speaker": clip.speaker, "dataset": clip.dataset, "metric": clip.metric,
        "kind": clip.kind, "single_word": clip.single_word,
    }  # fmt: skip
    line = {"id": clip.id, "path": f"{clip.path.resolve()}", "text": clip.text, "language": clip.language}
    return line | {name: value for name, value in known.items() if value}


# The texts of a corpus are people's, and their language is known: what is for captions of unknown origin is left out.
RECIPE = """\
skip = ["machine", "language"]

[[sources]]
name = "train"
kind = "nemo"
path = "train.jsonl"
root = {root}
licence = "unknown"
"""
EVALUATION = """
[evaluation]
suites = ["development"]
data = "evaluation"
"""
