"""How well filters find planted defects. In: the truth of ``planting``, a finished run. Out: precision and recall."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from data_pipeline.planting import DEFECTS, Planted
from data_pipeline.storage import read_lines

__all__ = ["DefectScore", "Judgement", "StageScore", "judge"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DefectScore:
    """What became of the talks with one defect."""

    n: int
    n_dropped: int
    """By any stage."""
    n_by_expected: int
    """By a stage whose business it is."""
    stages: Mapping[str, int]
    """Which dropped how many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StageScore:
    """What one stage dropped."""

    n_dropped: int
    n_right: int
    """Those with a defect that is its business."""
    n_good: int
    """Those without any defect."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """A run against the truth; hours are of whole talks."""

    defects: Mapping[str, DefectScore]
    stages: Mapping[str, StageScore]
    hours_good: float
    hours_good_kept: float
    hours_bad: float
    hours_bad_kept: float


def judge(planted: Path, run: Path) -> Judgement:
    """Compare ``truth.jsonl`` with what the run dropped as a whole."""
    truth = [Planted(**line) for line in read_lines(planted / "truth.jsonl")]
    dropped = {line["record"]: line["stage"] for line in read_lines(run / "drops.jsonl") if line["stage"] != "segment"}
    by_defect = {kind: [each for each in truth if each.defect == kind] for kind in DEFECTS}
    defects = {}
    for kind, talks in by_defect.items():
        by_stage = Counter(dropped[talk.id] for talk in talks if talk.id in dropped)
        n_right = sum(by_stage[stage] for stage in DEFECTS[kind])
        defects[kind] = DefectScore(
            n=len(talks), n_dropped=by_stage.total(), n_by_expected=n_right, stages=dict(by_stage)
        )
    stages = {stage: _stage(stage, truth, dropped) for stage in sorted(set(dropped.values()))}
    good = [talk for talk in truth if not DEFECTS[talk.defect]]
    bad = [talk for talk in truth if DEFECTS[talk.defect]]
    return Judgement(
        defects=defects,
        stages=stages,
        hours_good=_hours(good),
        hours_good_kept=_hours([talk for talk in good if talk.id not in dropped]),
        hours_bad=_hours(bad),
        hours_bad_kept=_hours([talk for talk in bad if talk.id not in dropped]),
    )


def _stage(stage: str, truth: list[Planted], dropped: Mapping[str, str]) -> StageScore:
    kinds = [talk.defect for talk in truth if dropped.get(talk.id) == stage]
    return StageScore(
        n_dropped=len(kinds),
        n_right=sum(stage in DEFECTS[kind] for kind in kinds),
        n_good=sum(not DEFECTS[kind] for kind in kinds),
    )


def _hours(talks: list[Planted]) -> float:
    return sum(talk.seconds for talk in talks) / 3600
