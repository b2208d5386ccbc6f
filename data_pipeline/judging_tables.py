"""Tables of a judgement. In: ``Judgement``. Out: what a terminal prints."""

from rich.table import Table

from data_pipeline.judging import Judgement
from data_pipeline.planting import DEFECTS

__all__ = ["defect_table", "stage_table", "summary"]


def defect_table(judgement: Judgement) -> Table:
    """Recall: of the talks with a defect, how many are dropped."""
    table = Table(title="By defect")
    for name in ("defect", "talks", "dropped", "by its stage", "recall", "stages"):
        table.add_column(name, justify="left" if name in ("defect", "stages") else "right")
    for kind, score in judgement.defects.items():
        recall = _share(score.n_by_expected, score.n) if DEFECTS[kind] else "–"
        stages = ", ".join(f"{stage} {n}" for stage, n in sorted(score.stages.items()))
        table.add_row(kind, str(score.n), str(score.n_dropped), str(score.n_by_expected), recall, stages)
    return table


def stage_table(judgement: Judgement) -> Table:
    """Precision: of the talks that a stage drops, how many have a defect that is its business."""
    table = Table(title="By stage")
    for name in ("stage", "dropped", "right", "without a defect", "precision"):
        table.add_column(name, justify="left" if name == "stage" else "right")
    for name, score in judgement.stages.items():
        counts = map(str, (score.n_dropped, score.n_right, score.n_good))
        table.add_row(name, *counts, _share(score.n_right, score.n_dropped))
    return table


def summary(judgement: Judgement) -> str:
    """Hours against the truth."""
    good = f"{judgement.hours_good_kept:.3f} of {judgement.hours_good:.3f} h without a defect are kept"
    return f"{good}, {judgement.hours_bad_kept:.3f} of {judgement.hours_bad:.3f} h with one"


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %" if whole else "–"
