"""Records → training windows. In: a chunk's records, what they repeat, what a model hears. Out: its shard, its lines.

A line of the chunk's file is an item of the plan: a drop with its stage, or the windows that were made of it. It is
written after the shard, and both whole.
"""

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asr.audio import SAMPLE_RATE
from data_pipeline.audio import AudioReader, samples_sha256
from data_pipeline.chunks import ChunkSummary, RunFolder, drop_fields
from data_pipeline.evaluation import load_index
from data_pipeline.recipe import Recipe
from data_pipeline.shar import SharWriter
from data_pipeline.shards import ShardWriter
from data_pipeline.stages.agreement import agree_document, agree_window, document_errors
from data_pipeline.stages.contamination import drop_contaminated
from data_pipeline.stages.duplicates import drop_duplicate
from data_pipeline.stages.language import agree_language
from data_pipeline.stages.segmenting import segment, with_previous_text
from data_pipeline.storage import heard_from_json, read_lines, record_from_json, whole_file, write_lines
from data_pipeline.types import CutWindow, Drop, Record, Stage, Window

__all__ = ["early_stages", "pack_chunk"]


def pack_chunk(number: int, folder: RunFolder, recipe: Recipe, seed: int) -> ChunkSummary:
    """The rest of the stages, and the shard."""
    stages = [*early_stages(number, folder, recipe), *_late_stages(recipe)]
    heard = _heard(number, folder, recipe)
    lines = []
    with ExitStack() as files:
        shard = ShardWriter(files.enter_context(whole_file(folder.shard(number))))
        places = folder.shar(number) if recipe.lhotse_shar else ()
        shar = SharWriter(*(files.enter_context(whole_file(path)) for path in places)) if places else None
        packer = _Packer(number, stages, recipe, seed, _Writers(shard, shar))
        for line in read_lines(folder.chunk("screened", number)):
            packer.summary.count(line)
            fields = {name: value for name, value in line.items() if name not in ("record", "fingerprint")}
            if "record" in line:
                record = record_from_json(line["record"])
                fields |= packer.pack(replace(record, **heard.get(record.id, {})))
            lines.append(fields)
        packer.writers.close()
    write_lines(folder.chunk("packed", number), lines)
    return packer.summary


def early_stages(number: int, folder: RunFolder, recipe: Recipe) -> list[tuple[str, Stage]]:
    """Those that need no model."""
    repeats = {line["id"]: Drop(**line["drop"]) for line in read_lines(folder.chunk("duplicates", number))}
    stages: list[tuple[str, Stage]] = [("duplicates", partial(drop_duplicate, repeats=repeats))]
    if recipe.evaluation is not None:
        stages.append(("contamination", partial(drop_contaminated, index=load_index(folder.evaluation))))
    return [(name, stage) for name, stage in stages if name not in recipe.skip]


def _late_stages(recipe: Recipe) -> list[tuple[str, Stage]]:
    stages: list[tuple[str, Stage]] = [
        ("language", partial(agree_language, limits=recipe.language)),
        ("agreement", partial(agree_document, limits=recipe.agreement)),
    ]
    return [(name, stage) for name, stage in stages if name not in recipe.skip]


class _Packer:
    """One chunk's records, one after the other."""

    def __init__(
        self, number: int, stages: list[tuple[str, Stage]], recipe: Recipe, seed: int, writers: "_Writers"
    ) -> None:
        self.summary = ChunkSummary()
        self.writers = writers
        self._number = number
        self._stages = stages
        self._recipe = recipe
        self._seed = seed
        self._reader = AudioReader(recipe.audio)

    def pack(self, record: Record) -> dict[str, Any]:
        """What the record's line says from here on; its examples are in the shard."""
        for name, stage in self._stages:
            with self.summary.timed(name):
                outcome = stage(record)
            if isinstance(outcome, Drop):
                return drop_fields(name, outcome, record) | _errors(record)
            record = outcome
        with self.summary.timed("segment"):
            windows = self._cut(record)
        with self.summary.timed("audio_again"):
            samples = self._samples(record)
        if isinstance(samples, Drop):
            return drop_fields("audio", samples, record)
        with self.summary.timed("write"):
            return self._write(record, windows, samples)

    def _cut(self, record: Record) -> tuple[Window | CutWindow, ...]:
        """The windows of a record, those that a model does not confirm cut out."""
        windows = segment(record, self._recipe.segments, self._seed)
        if "agreement" not in self._recipe.skip:
            limits = self._recipe.agreement
            windows = tuple(
                agree_window(each, record, limits) if isinstance(each, Window) else each for each in windows
            )
        return with_previous_text(windows)

    def _samples(self, record: Record) -> NDArray[np.float32] | Drop:
        samples = self._reader.read(record.audio)
        if isinstance(samples, Drop) or samples_sha256(samples) == record.audio_sha256:
            return samples
        return Drop(reason="changed_meanwhile")

    def _write(
        self, record: Record, windows: tuple[Window | CutWindow, ...], samples: NDArray[np.float32]
    ) -> dict[str, Any]:
        lines: list[Any] = []
        for window in windows:
            if isinstance(window, CutWindow):
                lines.append(window)
                continue
            key = f"{self._number:05d}-{self.writers.shard.n_examples:05d}"
            fields = _example_fields(record, window)
            self.writers.add(key, samples[round(window.start * SAMPLE_RATE) : round(window.end * SAMPLE_RATE)], fields)
            lines.append({"key": key, "next_start": window.next_start, **fields})
        return {"language": record.language, "task": record.task, "windows": lines, **_errors(record)}


@dataclass(frozen=True, slots=True)
class _Writers:
    """A chunk's examples in every format that the recipe asks for."""

    shard: ShardWriter
    shar: SharWriter | None

    def add(self, key: str, samples: NDArray[np.float32], fields: Mapping[str, Any]) -> None:
        flac = self.shard.add(key, samples, fields)
        if self.shar:
            self.shar.add(key, flac, len(samples), fields)

    def close(self) -> None:
        self.shard.close()
        if self.shar:
            self.shar.close()


def _example_fields(record: Record, window: Window) -> dict[str, Any]:
    """What training is told of a window; times are seconds from the window's start, ``start`` the recording's."""
    start = window.start
    # Objects, no triples: Arrow, and so Hugging Face's readers, has lists of one type only.
    cues = [
        {"start": round(cue.start - start, 3), "end": round(cue.end - start, 3), "text": cue.text}
        for cue in window.cues
    ]
    return {
        "record": record.id,
        "source": record.source,
        "licence": record.licence,
        "language": record.language if window.cues else None,
        "task": record.task,
        "start": round(start, 3),
        "duration": round(window.end - start, 3),
        "text": window.text,
        "cues": cues if record.timed else [],
        "partial_start": None if window.partial_start is None else round(window.partial_start - start, 3),
        "previous_text": window.previous_text,
        "use_previous_text": window.use_previous_text,
        "use_timestamps": window.use_timestamps,
    }


def _errors(record: Record) -> dict[str, int]:
    """By which sources are ranked; nothing where no model was asked."""
    errors = document_errors(record)
    return {} if errors is None else {"n_errors": errors.n_errors, "n_ref": errors.n_ref}


def _heard(number: int, folder: RunFolder, recipe: Recipe) -> Mapping[str, dict[str, Any]]:
    """By id, what a model hears: as this run has written it, or as the recipe brings it."""
    own = folder.chunk("heard", number)
    if own.exists():
        return {line["id"]: heard_from_json(line) for line in read_lines(own)}
    return {} if recipe.scores is None else _scores(recipe.scores)


@cache
def _scores(path: Path) -> Mapping[str, dict[str, Any]]:
    return {line["id"]: heard_from_json(line) for line in read_lines(path)}
