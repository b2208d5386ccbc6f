"""How much went in, how much came out, where the rest stayed. In: the packed lines. Out: counts by stage and reason.

Rows are recordings up to the last stage and windows in it. Hours add up: what comes in is kept or dropped with a
reason, save what could not be decoded, whose hours nobody knows.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from data_pipeline.chunks import STAGES

__all__ = ["Amount", "Funnel", "SourceCount", "count_funnel"]

SEGMENT = STAGES[-1]


@dataclass(slots=True)
class Amount:
    """Rows and their hours."""

    rows: int = 0
    seconds: float = 0.0

    def add(self, seconds: float) -> None:
        """One more row."""
        self.rows += 1
        self.seconds += seconds

    def as_json(self) -> dict[str, float]:
        """With hours rounded to a tenth of a second."""
        return {"rows": self.rows, "hours": round(self.seconds / 3600, 5)}


@dataclass(slots=True)
class SourceCount:
    """One source's part."""

    total: Amount = field(default_factory=Amount)
    kept: Amount = field(default_factory=Amount)
    n_errors: int = 0
    n_ref: int = 0

    @property
    def wer(self) -> float | None:
        """Of captions against what a model hears; None where none was asked."""
        return self.n_errors / self.n_ref if self.n_ref else None

    @property
    def error_hours(self) -> float:
        """By which sources are ranked: where looking is worth most."""
        return (self.wer or 0.0) * self.total.seconds / 3600


@dataclass(slots=True)
class Funnel:
    """Counts of a run."""

    total: Amount = field(default_factory=Amount)
    segmented: Amount = field(default_factory=Amount)
    """Recordings that reach the last stage."""
    windows: Amount = field(default_factory=Amount)
    """What they are cut into."""
    kept: Amount = field(default_factory=Amount)
    speechless: Amount = field(default_factory=Amount)
    """Of the kept windows, those without speech."""
    dropped: dict[str, dict[str, Amount]] = field(default_factory=lambda: {stage: {} for stage in STAGES})
    """Stage → reason → amount."""
    sources: dict[str, SourceCount] = field(default_factory=dict)

    def stage(self, name: str) -> Amount:
        """Everything that one stage drops."""
        amounts = self.dropped[name].values()
        return Amount(sum(each.rows for each in amounts), sum(each.seconds for each in amounts))

    def as_json(self) -> dict[str, Any]:
        """As ``funnel.json`` has it."""
        return {
            "total": self.total.as_json(),
            "stages": [
                {
                    "stage": name,
                    **self.stage(name).as_json(),
                    "reasons": {reason: amount.as_json() for reason, amount in sorted(self.dropped[name].items())},
                }
                for name in STAGES
            ],
            "segmented": self.segmented.as_json(),
            "windows": self.windows.as_json(),
            "kept": self.kept.as_json(),
            "without_speech": self.speechless.as_json(),
            "sources": {
                name: {
                    "total": count.total.as_json(),
                    "kept": count.kept.as_json(),
                    "wer": None if count.wer is None else round(count.wer, 3),
                    "error_hours": round(count.error_hours, 4),
                }
                for name, count in sorted(self.sources.items(), key=lambda pair: -pair[1].error_hours)
            },
        }


def count_funnel(lines: Iterable[Mapping[str, Any]]) -> Funnel:
    """Add up the lines of all chunks."""
    funnel = Funnel()
    for line in lines:
        duration = line.get("duration", 0.0)
        source = funnel.sources.setdefault(line["source"], SourceCount())
        funnel.total.add(duration)
        source.total.add(duration)
        source.n_errors += line.get("n_errors", 0)
        source.n_ref += line.get("n_ref", 0)
        if "drop" in line:
            funnel.dropped[line["stage"]].setdefault(line["drop"]["reason"], Amount()).add(duration)
            continue
        funnel.segmented.add(duration)
        for window in line["windows"]:
            _count_window(window, funnel, source)
    return funnel


def _count_window(window: Mapping[str, Any], funnel: Funnel, source: SourceCount) -> None:
    seconds = window["next_start"] - window["start"]
    funnel.windows.add(seconds)
    if "drop" in window:
        funnel.dropped[SEGMENT].setdefault(window["drop"]["reason"], Amount()).add(seconds)
        return
    funnel.kept.add(seconds)
    source.kept.add(seconds)
    if not window["text"]:
        funnel.speechless.add(seconds)
