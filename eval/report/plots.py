"""Plots. In: labelled rates, a confusion, curves. Out: matplotlib figures, and those as SVG that lives inside a page.

A figure is drawn in stand-in colours, which ``inline_svg`` replaces by the page's own, so that one drawing suits light
and dark; its text stays text. Knows no score and no template.
"""

import io
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from html import escape
from itertools import cycle
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from eval.scoring.types import Interval

__all__ = ["Point", "draw_confusion", "draw_curves", "draw_rates", "draw_rates_in_order", "inline_svg"]

TEXT, MUTED, LINE, ACCENT = "#010101", "#020202", "#030303", "#040404"
SERIES = ("#040404", "#050505", "#060606", "#070707")
PAGE_COLOURS = {
    TEXT: "currentColor",
    MUTED: "var(--muted)",
    LINE: "var(--line)",
    "#040404": "var(--accent)",
    "#050505": "var(--series-2)",
    "#060606": "var(--series-3)",
    "#070707": "var(--series-4)",
    "#000000": "currentColor",
    "#ffffff": "var(--page)",
}
MARKERS = ("o", "s", "^", "D")  # no curve is told apart by colour alone
STYLE: Any = {  # matplotlib types each key by its literal
    "svg.fonttype": "none",
    "text.parse_math": False,  # a corpus may have a dollar sign in its name
    "font.size": 9,
    "text.color": TEXT,
    "axes.edgecolor": LINE,
    "axes.labelcolor": MUTED,
    "axes.facecolor": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "figure.facecolor": "none",
    "figure.constrained_layout.use": True,
    "grid.color": LINE,
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "xtick.color": LINE,
    "ytick.color": LINE,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": TEXT,
}
WIDTH_IN = 6.0  # 432 points: readable at full size on a telephone that scrolls, and at twice the size on a desk
HEIGHT_IN = 3.2
ROW_IN = 0.19
MAX_SHOWN_RATE = 1.5  # beyond it, the number stands beside an arrow: one loop must not flatten all other rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """A rate to plot, as a fraction."""

    label: str
    value: float
    interval: Interval | None = None
    x: float | None = None
    """Where it stands, on a curve."""


@contextmanager
def _style() -> Iterator[None]:
    with rc_context(STYLE):
        yield


def draw_rates(points: Sequence[Point], *, measure: str) -> Figure:
    """Dots with intervals, one row a label, the best on top."""
    ordered = sorted(points, key=lambda point: point.value)
    with _style():
        figure = Figure(figsize=(WIDTH_IN, 0.8 + ROW_IN * len(ordered)))
        axes = figure.subplots()
        limit = min(MAX_SHOWN_RATE, 1.08 * max(_reach(point) for point in ordered) or 1.0)
        for row, point in enumerate(ordered):
            _draw_row(axes, row, point, limit)
        axes.set_yticks(range(len(ordered)), [point.label for point in ordered])
        axes.set_ylim(len(ordered) - 0.4, -0.6)
        axes.set_xlim(0, 100 * limit)
        axes.set_xlabel(f"{measure}, % (with 95 % interval)")
        axes.tick_params(axis="y", length=0)
        axes.grid(axis="x")
        axes.set_axisbelow(True)
    return figure


def draw_rates_in_order(points: Sequence[Point], *, x_label: str, measure: str) -> Figure:
    """Dots with intervals from left to right, in the order given."""
    with _style():
        figure = Figure(figsize=(WIDTH_IN, HEIGHT_IN))
        axes = figure.subplots()
        for column, point in enumerate(points):
            if point.interval is not None:
                axes.vlines(column, 100 * point.interval.low, 100 * point.interval.high, color=ACCENT, linewidth=1.2)
            axes.plot(column, 100 * point.value, "o", color=ACCENT, markersize=5)
        axes.set_xticks(range(len(points)), [point.label for point in points])
        axes.set_xlim(-0.5, len(points) - 0.5)
        axes.set_ylim(bottom=0)
        axes.set_xlabel(x_label)
        axes.set_ylabel(f"{measure}, %")
        axes.grid(axis="y")
        axes.set_axisbelow(True)
    return figure


def draw_curves(curves: Mapping[str, Sequence[Point]], *, level: float | None, x_label: str, measure: str) -> Figure:
    """A curve for each name, the highest ``x`` on the left; ``level`` is a dashed line across."""
    with _style():
        figure = Figure(figsize=(WIDTH_IN, HEIGHT_IN + 0.4))
        axes = figure.subplots()
        for (name, points), colour, marker in zip(curves.items(), cycle(SERIES), cycle(MARKERS), strict=False):
            xs, ys = [point.x or 0.0 for point in points], [100 * point.value for point in points]
            axes.plot(xs, ys, color=colour, marker=marker, markersize=4, linewidth=1.2, label=name)
            for point in points:
                if point.interval is not None:
                    low, high = 100 * point.interval.low, 100 * point.interval.high
                    axes.vlines(point.x or 0.0, low, high, color=colour, linewidth=0.8)
        if level is not None:
            axes.axhline(100 * level, color=MUTED, linewidth=0.8, linestyle="--", label="clean")
        axes.invert_xaxis()
        axes.set_ylim(bottom=0)
        axes.set_xlabel(x_label)
        axes.set_ylabel(f"{measure}, %")
        axes.grid(axis="y")
        axes.set_axisbelow(True)
        axes.legend(loc="upper left")
    return figure


def draw_confusion(confusion: Mapping[str, Mapping[str, int]]) -> Figure:
    """Languages spoken down, languages named across; a cell's ink is its share of the language spoken."""
    rows = sorted(confusion)
    columns = [*rows, *sorted({named for counts in confusion.values() for named in counts} - set(rows))]
    with _style():
        figure = Figure(figsize=(max(3.0, 0.8 + ROW_IN * len(columns)), max(2.0, 0.8 + ROW_IN * len(rows))))
        axes = figure.subplots()
        for row, spoken in enumerate(rows):
            total = sum(confusion[spoken].values())
            for named, count in confusion[spoken].items():
                column = columns.index(named)
                share = count / total if total else 0.0
                cell = Rectangle((column - 0.5, row - 0.5), 1, 1, facecolor=ACCENT, alpha=0.12 + 0.6 * share)
                axes.add_patch(cell)
                axes.text(column, row, str(count), ha="center", va="center", fontsize=6.5)
        axes.set_xticks(range(len(columns)), columns, rotation=90, fontsize=7.5)
        axes.set_yticks(range(len(rows)), rows, fontsize=7.5)
        axes.set_xlim(-0.5, len(columns) - 0.5)
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.set_aspect("equal")
        axes.set_xlabel("named")
        axes.set_ylabel("spoken")
    return figure


def inline_svg(figure: Figure, *, title: str, description: str, name: str) -> str:
    """The figure as an ``<svg>`` in the page's colours; ``name`` is unique in the page."""
    buffer = io.StringIO()
    with rc_context({**STYLE, "svg.hashsalt": name}):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r' id="[a-zA-Z]+[\w.]*_\d+"', "", svg)  # figure_1, text_2, …: each figure has the same ones
    svg = re.sub("|".join(PAGE_COLOURS), lambda match: PAGE_COLOURS[match.group()], svg)
    width = re.search(r'viewBox="0 0 ([\d.]+)', svg)
    points = float(width.group(1)) if width else 0.0
    head = (
        f'<svg class="chart" role="img" aria-labelledby="{name}-title {name}-description" '
        f'style="--width: {points:.0f}px" '
    )
    body = re.sub(r'<svg[^>]*?(viewBox="[^"]*")[^>]*>', rf"{head}\1>", svg, count=1)
    start = body.index(">") + 1
    titles = (
        f'<title id="{name}-title">{escape(title)}</title><desc id="{name}-description">{escape(description)}</desc>'
    )
    return f"{body[:start]}{titles}{body[start:]}"


def _reach(point: Point) -> float:
    return max(point.value, point.interval.high if point.interval else 0.0)


def _draw_row(axes: Axes, row: int, point: Point, limit: float) -> None:
    if point.interval is not None:
        low, high = min(point.interval.low, limit), min(point.interval.high, limit)
        axes.hlines(row, 100 * low, 100 * high, color=ACCENT, linewidth=1.2)
    if point.value <= limit:
        axes.plot(100 * point.value, row, "o", color=ACCENT, markersize=4.5)
    else:
        axes.text(98 * limit, row, f"{100 * point.value:.0f} ›", ha="right", va="center", color=ACCENT)
