"""Scores for people and for programs. In: ``Scores``. Out: a terminal table, or a JSON-ready object.

Rounds for the table only. Knows no hypothesis and counts nothing.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from rich.table import Table
from rich.text import Text

from eval.scoring import Group, Scores

__all__ = ["Breakdown", "scores_as_json", "scores_as_table"]


class Breakdown(StrEnum):
    """Which rows a table has above its totals."""

    LANGUAGE = "language"
    DATASET = "dataset"


def scores_as_json(scores: Scores) -> dict[str, Any]:
    """Everything in ``Scores``. ``wer`` is the unrounded rate in the group's own unit, null without reference units."""
    return {
        "overall": _group(scores.overall),
        "headline": _group(scores.headline),
        "words": _group(scores.words),
        "characters": _group(scores.characters),
        "languages": _groups(scores.languages),
        "datasets": _groups(scores.datasets),
        "apart": _groups(scores.apart),
        "normalizers": {name: {"name": name, "version": version} for name, version in scores.normalizers.items()},
        "n_missing": scores.n_missing,
        "run": dict(scores.config),
    }


def scores_as_table(scores: Scores, *, by: Breakdown | None = None) -> Table:
    """A table by language and by dataset, or by one of them; totals last."""
    table = Table(title=f"{scores.config.get('model') or scores.config.get('target')} on {scores.config.get('corpus')}")
    table.add_column("", no_wrap=True)
    table.add_column("unit")
    for column in ("clips", "failed", "units", "S", "D", "I", "error rate %"):
        table.add_column(column, justify="right")
    if by is not Breakdown.DATASET:
        _add_rows(table, scores.languages)
    if by is not Breakdown.LANGUAGE:
        _add_rows(table, scores.datasets)
    _add_rows(table, {f"only {name}": group for name, group in scores.apart.items() if group.n_clips})
    totals = {"all by word": scores.words, "all by character": scores.characters, "headline": scores.headline}
    _add_rows(table, {**totals, "overall": scores.overall})
    return table


def _add_rows(table: Table, groups: Mapping[str, Group]) -> None:
    for name, group in groups.items():
        counts, rate = group.counts, group.counts.rate
        numbers = (
            group.n_clips,
            group.n_failed,
            counts.n_ref,
            counts.substitutions,
            counts.deletions,
            counts.insertions,
        )
        table.add_row(Text(name), group.unit, *map(str, numbers), "–" if rate is None else f"{100 * rate:.2f}")
    table.add_section()


def _groups(groups: Mapping[str, Group]) -> dict[str, dict[str, Any]]:
    return {name: _group(group) for name, group in groups.items()}


def _group(group: Group) -> dict[str, Any]:
    counts = group.counts
    return {
        "wer": counts.rate,
        "unit": group.unit,
        "n_clips": group.n_clips,
        "n_failed": group.n_failed,
        "n_ref": counts.n_ref,
        "hits": counts.hits,
        "substitutions": counts.substitutions,
        "deletions": counts.deletions,
        "insertions": counts.insertions,
    }
