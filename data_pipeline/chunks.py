"""A run's files, the names of its stages, and what a line says of a drop. Knows no stage."""

import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from data_pipeline.types import Drop, Record

__all__ = ["STAGES", "ChunkSummary", "RunFolder", "drop_fields"]

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

    @property
    def evaluation(self) -> Path:
        """Texts that are evaluated on."""
        return self.path / "evaluation.jsonl"


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


def drop_fields(stage: str, drop: Drop, record: Record | None = None) -> dict[str, Any]:
    """What a line says of a drop; of a record also what a report needs to show it."""
    shown = {} if record is None else {"audio": record.audio, "text": record.text[:MAX_SHOWN_TEXT]}
    return {"stage": stage, "drop": drop, **shown}
