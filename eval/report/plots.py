"""Plots. In: labelled rates, a confusion. Out: matplotlib figures, and those as SVG that lives inside a page.

A figure is drawn in stand-in colours, which ``inline_svg`` replaces by the page's own, so that one drawing suits light
and dark; its text stays text. Knows no score and no template.
"""

import io
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from html import escape
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from eval.noise.plot import CLEAN_COLOUR, COLOURS
from eval.scoring.language_id import ABSTAINED, FAILED
from eval.scoring.types import Interval

__all__ = [
    "ACCENT",
    "HEIGHT_IN",
    "MUTED",
    "TEXT",
    "WIDTH_IN",
    "Point",
    "draw_confusion",
    "draw_rates",
    "draw_rates_in_order",
    "file_svg",
    "inline_svg",
    "page_style",
]

GRID_COLOUR = "#DDDDDD"  # of the noise study's plot
TEXT, MUTED, LINE, ACCENT = "#010101", "#020202", "#030303", "#040404"
PAGE_COLOURS = {
    TEXT: "currentColor",
    MUTED: "var(--muted)",
    LINE: "var(--line)",
    ACCENT: "var(--accent)",
    # Those of the noise study's plot, which is also drawn for files.
    **{colour.lower(): f"var(--series-{number})" for number, colour in enumerate(COLOURS, start=1)},
    CLEAN_COLOUR.lower(): "var(--muted)",
    GRID_COLOUR.lower(): "var(--line)",
    "#000000": "currentColor",
    "#ffffff": "var(--page)",
}
FILE_COLOURS = {  # the page's in daylight, for a plot that stands alone
    "currentColor": "#1b1f24", "var(--muted)": "#59636e", "var(--line)": "#d5dae0", "var(--accent)": "#1f5f9e",
    "var(--page)": "#ffffff", **{f"var(--series-{number})": colour for number, colour in enumerate(COLOURS, start=1)},
}  # fmt: skip
STYLE: Any = {  # matplotlib types each key by its literal
    "svg.fonttype": "none",
    "text.parse_math": False,  # a corpus may have a dollar sign in its name
    "font.size": 11,  # CSS pixels on a telephone, 1.45 times that where there is room (style.css)
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
WIDTH_IN = 4.95  # 356 points fit a telephone 390 wide with the page's margins, text at its full size
HEIGHT_IN = 3.2
ROW_IN = 0.22
OTHERS = "other"
UNNAMED = (ABSTAINED, FAILED)  # no language: the target abstained, or gave no answer
MAX_SHOWN_RATE = 1.5  # beyond it, the number stands beside an arrow: one loop must not flatten all other rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """A rate to plot, as a fraction."""

    label: str
    value: float
    interval: Interval | None = None


@contextmanager
def page_style() -> Iterator[None]:
    """Everything drawn meanwhile looks as ``inline_svg`` expects."""
    with rc_context(STYLE):
        yield


def draw_rates(points: Sequence[Point], *, measure: str) -> Figure:
    """Dots with intervals, one row a label, the best on top."""
    ordered = sorted(points, key=lambda point: point.value)
    with page_style():
        figure = Figure(figsize=(WIDTH_IN, 0.85 + ROW_IN * len(ordered)))
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
    with page_style():
        figure = Figure(figsize=(WIDTH_IN, HEIGHT_IN))
        axes = figure.subplots()
        for column, point in enumerate(points):
            if point.interval is not None:
                axes.vlines(column, 100 * point.interval.low, 100 * point.interval.high, color=ACCENT, linewidth=1.2)
            axes.plot(column, 100 * point.value, "o", color=ACCENT, markersize=5, clip_on=False)
        axes.set_xticks(range(len(points)), [point.label for point in points])
        axes.set_xlim(-0.5, len(points) - 0.5)
        axes.set_ylim(bottom=0)
        axes.set_xlabel(x_label)
        axes.set_ylabel(f"{measure}, %")
        axes.grid(axis="y")
        axes.set_axisbelow(True)
    return figure


def draw_confusion(confusion: Mapping[str, Mapping[str, int]]) -> Figure:
    """Languages spoken down, languages named across; a cell's ink is its share of the language spoken.

    Of a hundred languages that may be named, those that no clip speaks share a column; clips without a language named
    have columns of their own.
    """
    rows = sorted(confusion)
    table = {spoken: _with_others(counts, {*rows, *UNNAMED}) for spoken, counts in confusion.items()}
    named_apart = [name for name in (OTHERS, *UNNAMED) if any(name in counts for counts in table.values())]
    columns = [*rows, *named_apart]
    with page_style():
        figure = Figure(figsize=(max(3.0, 0.8 + ROW_IN * len(columns)), max(2.0, 0.8 + ROW_IN * len(rows))))
        axes = figure.subplots()
        for row, spoken in enumerate(rows):
            total = sum(confusion[spoken].values())
            for named, count in table[spoken].items():
                column = columns.index(named)
                share = count / total if total else 0.0
                cell = Rectangle((column - 0.5, row - 0.5), 1, 1, facecolor=ACCENT, alpha=0.1 + 0.42 * share)
                axes.add_patch(cell)
                axes.text(column, row, str(count), ha="center", va="center", fontsize=8)
        axes.set_xticks(range(len(columns)), columns, rotation=90, fontsize=9)
        axes.set_yticks(range(len(rows)), rows, fontsize=9)
        axes.set_xlim(-0.5, len(columns) - 0.5)
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.set_aspect("equal")
        axes.set_xlabel("named")
        axes.set_ylabel("spoken")
    return figure


def _with_others(counts: Mapping[str, int], known: Collection[str]) -> dict[str, int]:
    table = {named: count for named, count in counts.items() if named in known}
    n_others = sum(counts.values()) - sum(table.values())
    return {**table, OTHERS: n_others} if n_others else table


def file_svg(figure: Figure, *, name: str) -> str:
    """The figure as an SVG file on white, in the page's colours by day."""
    figure.set_facecolor(FILE_COLOURS["var(--page)"])
    return re.sub("|".join(PAGE_COLOURS), lambda match: FILE_COLOURS[PAGE_COLOURS[match.group()]], _drawn(figure, name))


def inline_svg(figure: Figure, *, title: str, description: str, name: str) -> str:
    """The figure as an ``<svg>`` in the page's colours; ``name`` is unique in the page."""
    svg = _drawn(figure, name)
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<(metadata|style)\b.*?</\1>", "", svg, flags=re.DOTALL)  # a style in a page is the whole page's
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


def _drawn(figure: Figure, name: str) -> str:
    buffer = io.StringIO()
    with rc_context({**STYLE, "svg.hashsalt": name}):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    return buffer.getvalue()


def _reach(point: Point) -> float:
    return max(point.value, point.interval.high if point.interval else 0.0)


def _draw_row(axes: Axes, row: int, point: Point, limit: float) -> None:
    if point.interval is not None:
        low, high = min(point.interval.low, limit), min(point.interval.high, limit)
        axes.hlines(row, 100 * low, 100 * high, color=ACCENT, linewidth=1.2)
    if point.value <= limit:
        axes.plot(100 * point.value, row, "o", color=ACCENT, markersize=4.5, clip_on=False)
    else:
        axes.text(98 * limit, row, f"{100 * point.value:.0f} ›", ha="right", va="center", color=ACCENT)
