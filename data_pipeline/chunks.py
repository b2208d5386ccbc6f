"""A run's files, the names of its stages, what is done with a chunk, and what a line says of a drop. Knows no stage."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from data_pipeline.storage import read_lines, write_lines
from data_pipeline.types import Drop, Record

__all__ = ["STAGES", "ChunkSummary", "RunFolder", "Step", "drop_fields"]

MAX_SHOWN_TEXT = 500  # characters of what was dropped, for the report

STAGES = (
    "list", "captions", "audio", "clean", "machine", "repeats", "timing", "duplicates", "contamination", "language",
    "agreement", "segment",
)  # fmt: skip
"""In their order; what a drop's line has as its stage."""


@dataclass(frozen=True, slots=True)
class RunFolder:
    """Where a run's files are."""

    path: Path

    def chunk(self, step: str, number: int) -> Path:
        """A chunk's file of a step: plan, screened, duplicates, heard, packed."""
        return self.path / step / f"{number:05d}.jsonl"

    def shard(self, number: int) -> Path:
        """A chunk's examples."""
        return self.path / "shards" / f"{number:05d}.tar"

    def shar(self, number: int) -> tuple[Path, Path]:
        """The same for lhotse: cuts and recordings."""
        return self.path / "shar" / f"cuts.{number:05d}.jsonl.gz", self.path / "shar" / f"recording.{number:05d}.tar"

    @property
    def evaluation(self) -> Path:
        """Texts that are evaluated on."""
        return self.path / "evaluation.jsonl"

    def summary(self, step: str, number: int) -> Path:
        """How a chunk's step went; apart from what comes out, since it tells times."""
        return self.path / "summaries" / step / f"{number:05d}.json"

    def failure(self, step: str, number: int) -> Path:
        """Why a chunk's step ended early, for whoever waits for it on another machine."""
        return self.path / "failures" / f"{step}-{number:05d}.txt"

    def begun(self, number: int) -> Path:
        """Which item of a chunk is being opened just now."""
        return self.path / "screened" / f"{number:05d}.begun"

    def deadly(self, number: int) -> Path:
        """Items of a chunk at which a process died twice."""
        return self.path / "deadly" / f"{number:05d}.jsonl"


@dataclass(slots=True)
class ChunkSummary:
    """How a chunk went, for progress and for where the time goes; decides nothing."""

    n_items: int = 0
    audio_s: float = 0.0
    seconds: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    """By stage."""

    def count(self, line: Mapping[str, Any]) -> None:
        """Count an item's line."""
        self.n_items += 1
        self.audio_s += line.get("duration", 0.0)

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Count what is done meanwhile as this stage's."""
        started = time.perf_counter()
        yield
        self.seconds[stage] += time.perf_counter() - started

    def add(self, other: "ChunkSummary") -> None:
        """Count another chunk's as well."""
        self.n_items += other.n_items
        self.audio_s += other.audio_s
        for stage, taken_s in other.seconds.items():
            self.seconds[stage] += taken_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What is done with every chunk before the next step begins; any process on any machine may do it."""

    name: str
    output: str
    """Of ``RunFolder.chunk``: the file that is there when a chunk is done."""
    do: Callable[[int], ChunkSummary]
    folder: RunFolder
    takes_machine: bool = False
    """A model uses all CPUs, or a GPU, by itself: one chunk at a time on a machine."""

    def run(self, number: int) -> None:
        """Do a chunk, and tell how it went."""
        summary = self.do(number)
        fields = {"n_items": summary.n_items, "audio_s": summary.audio_s, "seconds": summary.seconds}
        write_lines(self.folder.summary(self.output, number), [fields])

    def is_done(self, number: int) -> bool:
        """Whether the chunk's file is there."""
        return self.folder.chunk(self.output, number).exists()

    def has_failed(self, number: int) -> bool:
        """Whether somebody says why it is not."""
        return self.folder.failure(self.output, number).exists()

    def summary(self, number: int) -> ChunkSummary:
        """How a chunk went; empty where a kill came between the chunk and its summary."""
        summary, path = ChunkSummary(), self.folder.summary(self.output, number)
        if path.exists():
            summary.add(ChunkSummary(**next(read_lines(path))))
        return summary


def drop_fields(stage: str, drop: Drop, record: Record | None = None) -> dict[str, Any]:
    """What a line says of a drop; of a record also what a report needs to show it."""
    shown = {} if record is None else {"audio": record.audio, "text": record.text[:MAX_SHOWN_TEXT]}
    return {"stage": stage, "drop": drop, **shown}
