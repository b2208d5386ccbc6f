"""A judgement as tables and as JSON. In: ``Judgement``. Out: what a terminal prints, and a file's text."""

import json
from dataclasses import asdict
from typing import Any

from rich.table import Table

from data_pipeline.defects import DEFECTS
from data_pipeline.judging import Hours, Judgement
from data_pipeline.proportions import Proportion

__all__ = ["defect_table", "hours_table", "judgement_json", "stage_table", "summary"]


def defect_table(judgement: Judgement) -> Table:
    """Recall: of the talks with a defect, how many are dropped."""
    table = _table("By defect", ("defect", "talks", "dropped", "95 %", "by its stage", "stages"), ("defect", "stages"))
    for kind, score in judgement.defects.items():
        stages = ", ".join(f"{stage} {n}" for stage, n in score.stages.items())
        by_its_stage = str(score.n_by_expected) if DEFECTS[kind] else "–"
        table.add_row(kind, str(score.n), str(score.n_dropped), _interval(score.recall), by_its_stage, stages)
    return table


def stage_table(judgement: Judgement) -> Table:
    """Precision, of the talks that a stage drops, and recall, of those that it is asked about."""
    names = ("stage", "dropped", "its business", "without a defect", "precision", "95 %", "asked", "recall", "95 %")
    table = _table("By stage", names, ("stage",))
    for name, score in judgement.stages.items():
        dropped = map(str, (score.n_dropped, score.n_right, score.n_good))
        precision = _rate(score.precision), _interval(score.precision)
        table.add_row(name, *dropped, *precision, str(score.n_asked), _rate(score.recall), _interval(score.recall))
    return table


def hours_table(judgement: Judgement) -> Table:
    """Hours with and without a defect, and what became of them."""
    table = _table("Hours", ("", "without a defect", "with one"), ("",))
    good, bad = judgement.good, judgement.bad
    table.add_row("total", f"{good.total:.3f}", f"{bad.total:.3f}")
    table.add_row("kept", f"{good.kept:.3f}", f"{bad.kept:.3f}")
    for reason in sorted(good.dropped.keys() | bad.dropped.keys()):
        table.add_row(f"dropped, {reason}", f"{good.dropped.get(reason, 0):.3f}", f"{bad.dropped.get(reason, 0):.3f}")
    for reason in sorted(good.cut.keys() | bad.cut.keys()):
        table.add_row(f"cut, {reason}", f"{good.cut.get(reason, 0):.3f}", f"{bad.cut.get(reason, 0):.3f}")
    return table


def summary(judgement: Judgement) -> str:
    """Talks that surprise, languages in which good ones go, and the share of silence that stays."""
    lines = [f"Of {judgement.silence.n} windows of silence {judgement.silence.k} are kept."]
    lost = {name: each for name, each in judgement.languages.items() if each.k < each.n}
    if lost:
        kept = ", ".join(f"{name} {each.k} of {each.n}" for name, each in lost.items())
        n_others = len(judgement.languages) - len(lost)
        lines.append(f"Talks without a defect that are kept: {kept}; all of the other {n_others} languages.")
    for each in judgement.surprises:
        fate = f"dropped by {each.stage}: {each.reason} {each.value or ''}" if each.stage else "kept"
        lines.append(f"{each.id} ({each.defect}, {each.language}): {fate}".rstrip())
    return "\n".join(lines)


def judgement_json(judgement: Judgement) -> str:
    """Counts, rates with their intervals, hours to a tenth of a second."""
    table = {
        "talks": judgement.n_talks,
        "defects": {
            kind: {
                "talks": score.n,
                "by_its_stage": score.n_by_expected,
                "stages": score.stages,
                "dropped": _proportion(score.recall),
            }
            for kind, score in judgement.defects.items()
        },
        "stages": {
            name: {
                "dropped": score.n_dropped,
                "its_business": score.n_right,
                "without_a_defect": score.n_good,
                "precision": _proportion(score.precision),
                "recall": _proportion(score.recall),
            }
            for name, score in judgement.stages.items()
        },
        "languages": {name: _proportion(each) for name, each in judgement.languages.items()},
        "silence_kept": _proportion(judgement.silence),
        "hours": {"without_a_defect": _hours(judgement.good), "with_one": _hours(judgement.bad)},
        "surprises": [asdict(each) for each in judgement.surprises],
    }
    return f"{json.dumps(table, indent=1, ensure_ascii=False)}\n"


def _table(title: str, names: tuple[str, ...], texts: tuple[str, ...]) -> Table:
    table = Table(title=title)
    for name in names:
        table.add_column(name, justify="left" if name in texts else "right")
    return table


def _rate(part: Proportion) -> str:
    return "–" if part.rate is None else f"{100 * part.rate:.1f} %"


def _interval(part: Proportion) -> str:
    return "–" if part.interval is None else "{:.0f}–{:.0f} %".format(*(100 * each for each in part.interval))


def _proportion(part: Proportion) -> dict[str, Any]:
    interval = part.interval
    return {
        "k": part.k,
        "n": part.n,
        "rate": None if part.rate is None else round(part.rate, 4),
        "interval_95": None if interval is None else [round(each, 4) for each in interval],
    }


def _hours(hours: Hours) -> dict[str, Any]:
    return {
        "total": round(hours.total, 5),
        "kept": round(hours.kept, 5),
        "dropped": {reason: round(each, 5) for reason, each in sorted(hours.dropped.items())},
        "cut": {reason: round(each, 5) for reason, each in sorted(hours.cut.items())},
    }
