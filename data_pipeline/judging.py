"""How well filters find planted defects. In: the truth of ``planting``, a finished run. Out: precision and recall.

A stage is asked about the talks that reach it. The last one drops windows; it has dropped a talk where no window with
captions is left, or, where a stretch of the talk is its defect, where no window with that stretch is.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from data_pipeline.chunks import STAGES
from data_pipeline.defects import DEFECTS
from data_pipeline.planting import Planted
from data_pipeline.proportions import Proportion
from data_pipeline.storage import read_lines

__all__ = ["DefectScore", "Hours", "Judgement", "StageScore", "Surprise", "judge"]

SEGMENT = STAGES[-1]
TOUCH_S = 0.5  # a window that shares less with a stretch does not have it


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

    @property
    def recall(self) -> Proportion:
        """Dropped by any stage."""
        return Proportion(k=self.n_dropped, n=self.n)


@dataclass(frozen=True, slots=True, kw_only=True)
class StageScore:
    """What one stage dropped."""

    n_dropped: int
    n_right: int
    """Those with a defect that is its business."""
    n_good: int
    """Those without any defect."""
    n_asked: int
    """Talks that reach it with a defect that it, of all stages, is asked to find."""
    n_found: int
    """Of them, those that it drops."""

    @property
    def precision(self) -> Proportion:
        """Of what it drops, with whatever defect."""
        return Proportion(k=self.n_dropped - self.n_good, n=self.n_dropped)

    @property
    def recall(self) -> Proportion:
        """Of what is its business and reaches it."""
        return Proportion(k=self.n_found, n=self.n_asked)


@dataclass(slots=True)
class Hours:
    """What became of hours; they add up."""

    total: float = 0.0
    kept: float = 0.0
    """In windows, those without speech too."""
    dropped: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    """In whole talks, by stage and reason."""
    cut: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    """In windows of talks that are not dropped, by reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Surprise:
    """A talk with a defect that stays, or one without that goes."""

    id: str
    defect: str
    language: str | None
    stage: str | None = None
    """None: it stays."""
    reason: str | None = None
    value: str | float | int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """A run against the truth."""

    n_talks: int
    defects: Mapping[str, DefectScore]
    stages: Mapping[str, StageScore]
    languages: Mapping[str, Proportion]
    """Of the talks without a defect, those that stay."""
    silence: Proportion
    """Of the windows in which nobody speaks, those that are kept as examples of that."""
    good: Hours
    bad: Hours
    surprises: Sequence[Surprise]


@dataclass(slots=True)
class _Outcome:
    """What a run made of one talk."""

    talk: Planted
    stage: str | None = None
    reason: str | None = None
    value: str | float | int | None = None
    kept: list[tuple[float, float, bool]] = field(default_factory=list)
    """Start, end, whether it has captions."""
    cut: list[tuple[float, float, str]] = field(default_factory=list)
    """Start, end, reason."""

    @property
    def is_good(self) -> bool:
        return not DEFECTS[self.talk.defect]

    @property
    def dropped_by(self) -> str | None:
        if self.stage is not None:
            return self.stage
        stretches = () if self.is_good else self.talk.stretches
        left = any(
            min(end, last) - max(start, first) > TOUCH_S for start, end, _ in self.kept for first, last in stretches
        )
        left = left or (not stretches and any(has_captions for *_, has_captions in self.kept))
        return None if left else SEGMENT


def judge(planted: Path, run: Path) -> Judgement:
    """Compare ``truth.jsonl`` with what the run dropped and kept."""
    outcomes = _outcomes(planted, run)
    by_defect = {kind: [each for each in outcomes if each.talk.defect == kind] for kind in DEFECTS}
    by_language = defaultdict(list)
    for each in outcomes:
        if each.is_good:
            by_language[each.talk.language or "none"].append(each.dropped_by is None)
    dropping = [stage for stage in STAGES if any(each.dropped_by == stage for each in outcomes)]
    return Judgement(
        n_talks=len(outcomes),
        defects={kind: _defect(kind, each) for kind, each in by_defect.items() if each},
        stages={stage: _stage(stage, outcomes) for stage in dropping},
        languages={name: Proportion(k=sum(kept), n=len(kept)) for name, kept in sorted(by_language.items())},
        silence=_silence(outcomes),
        good=_hours([each for each in outcomes if each.is_good]),
        bad=_hours([each for each in outcomes if not each.is_good]),
        surprises=[_surprise(each) for each in outcomes if each.is_good != (each.dropped_by is None)],
    )


def _outcomes(planted: Path, run: Path) -> list[_Outcome]:
    outcomes = {}
    for line in read_lines(planted / "truth.jsonl"):
        talk = Planted(**line)
        outcomes[talk.id] = _Outcome(talk)
    for line in read_lines(run / "manifest.jsonl"):
        outcomes[line["record"]].kept.append((line["start"], line["next_start"], bool(line["text"])))
    for line in read_lines(run / "drops.jsonl"):
        outcome = outcomes[line["record"]]
        if line["stage"] == SEGMENT:
            outcome.cut.append((line["start"], line["next_start"], line["reason"]))
        else:
            outcome.stage, outcome.reason, outcome.value = line["stage"], line["reason"], line.get("value")
    return list(outcomes.values())


def _defect(kind: str, outcomes: Sequence[_Outcome]) -> DefectScore:
    by_stage = Counter(each.dropped_by for each in outcomes if each.dropped_by is not None)
    return DefectScore(
        n=len(outcomes),
        n_dropped=by_stage.total(),
        n_by_expected=sum(by_stage[stage] for stage in DEFECTS[kind]),
        stages=dict(sorted(by_stage.items())),
    )


def _stage(stage: str, outcomes: Sequence[_Outcome]) -> StageScore:
    dropped = [each for each in outcomes if each.dropped_by == stage]
    later = STAGES[STAGES.index(stage) :]
    asked = [
        each
        for each in outcomes
        if DEFECTS[each.talk.defect][:1] == (stage,) and (each.dropped_by is None or each.dropped_by in later)
    ]
    return StageScore(
        n_dropped=len(dropped),
        n_right=sum(stage in DEFECTS[each.talk.defect] for each in dropped),
        n_good=sum(each.is_good for each in dropped),
        n_asked=len(asked),
        n_found=sum(each.dropped_by == stage for each in asked),
    )


def _silence(outcomes: Sequence[_Outcome]) -> Proportion:
    n_kept = sum(not has_captions for each in outcomes if each.is_good for *_, has_captions in each.kept)
    n_cut = sum(reason == "silence" for each in outcomes if each.is_good for *_, reason in each.cut)
    return Proportion(k=n_kept, n=n_kept + n_cut)


def _hours(outcomes: Sequence[_Outcome]) -> Hours:
    hours = Hours()
    for each in outcomes:
        hours.total += each.talk.seconds / 3600
        if each.stage is not None:
            hours.dropped[f"{each.stage}: {each.reason}"] += each.talk.seconds / 3600
        hours.kept += sum(end - start for start, end, _ in each.kept) / 3600
        for start, end, reason in each.cut:
            hours.cut[reason] += (end - start) / 3600
    return hours


def _surprise(outcome: _Outcome) -> Surprise:
    talk, stage = outcome.talk, outcome.dropped_by
    reason = outcome.reason if outcome.stage else ", ".join(sorted({reason for *_, reason in outcome.cut})) or None
    return Surprise(
        id=talk.id,
        defect=talk.defect,
        language=talk.language,
        stage=stage,
        reason=reason if stage else None,
        value=outcome.value,
    )
