"""Plots as files. In: a report. Out: each of its plots, named by chapter, section and place."""

import re
from collections.abc import Iterator

from eval.report.document import Report
from eval.report.plots import file_svg

__all__ = ["render_plots"]


def render_plots(report: Report) -> Iterator[tuple[str, str]]:
    """(name, SVG) of every plot, in order; names are those of files, without a suffix."""
    for number, chapter in enumerate(report.chapters, start=1):
        for section in chapter.sections:
            for place, chart in enumerate(section.charts, start=1):
                name = "-".join((f"{number:02d}", _slug(chapter.title), _slug(section.heading), str(place)))
                yield name, file_svg(chart.draw(), name=name)


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
