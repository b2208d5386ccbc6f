"""Error rate against signal-to-noise ratio, drawn. In: ``NoiseStudy``s by name. Out: a matplotlib figure, its files.

As in the paper's Fig. 5, the ratio falls from left to right and rates stand on a logarithmic scale, here one that
reaches down to 0. One study has its kinds of noise in one panel; several have a panel for each kind, with a line for
each study. Leaves pyplot's global state alone. Knows no run and no terminal.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from eval.errors import ResultsError
from eval.noise.study import NoiseResult, NoiseStudy

__all__ = ["plot_noise", "save_figure"]

# Told apart by people with any colour vision, and dark enough for text on white; a marker tells them apart in grey.
COLOURS = ("#0072B2", "#D55E00", "#007A5A", "#AA4499", "#7F6000", "#444444")
MARKERS = ("o", "s", "^", "D", "v", "P")
CLEAN_COLOUR = "#666666"
TICKS_PERCENT = (0, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
LINEAR_BELOW_PERCENT = 1.0  # the logarithm ends here, so that a rate of 0 has a place
LABEL_GAP = 0.055  # of the panel's height, from one label to the next
PANEL_HEIGHT_IN, WIDE_PANEL_IN, PANEL_IN, ROOM_IN, ROOM_MARGIN_IN = 4.2, 6.4, 4.0, 0.7, 0.8
DPI = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class _Look:
    """How one line and its label look."""

    label: str
    colour: str
    marker: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Point:
    """A rate with its interval, in percent; without an interval, the bounds are the rate."""

    snr_db: float
    percent: float
    low: float
    high: float

    @classmethod
    def each(cls, results: Iterable[NoiseResult]) -> "list[_Point]":
        """Of the results that have a rate."""
        points = []
        for result in results:
            rate, interval = result.group.counts.rate, result.group.interval
            if rate is not None:
                low, high = (rate, rate) if interval is None else (interval.low, interval.high)
                point = cls(snr_db=result.snr_db or 0.0, percent=100 * rate, low=100 * low, high=100 * high)
                points.append(point)
        return points


@dataclass(frozen=True, slots=True, kw_only=True)
class _Line:
    look: _Look
    points: Sequence[_Point]
    """From the highest ratio to the lowest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _End:
    """Where a line leaves its panel, and what it is called there."""

    label: str
    colour: str
    percent: float


def plot_noise(studies: Mapping[str, NoiseStudy]) -> Figure:
    """A figure of one study, or of several on the same corpus; names are those of the models.

    Lines are labelled at their end, bands and bars are 95 % intervals, the dashed line is clean speech, rooms stand
    apart. Raises ResultsError when there is nothing to draw.
    """
    looks = _looks(studies)
    panels = _panels(studies, looks)
    rooms = list(dict.fromkeys(room for study in studies.values() for room in study.rooms))
    if not panels and not rooms:
        raise ResultsError("got no noise and no room, expected at least one of them to draw against clean speech")
    with rc_context({"text.parse_math": False}):  # a folder may have a dollar sign in its name
        return _drawn(studies, looks, panels, rooms)


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure; the path's ending names the format. Equal figures make equal files. Raises ResultsError."""
    try:
        with rc_context({"svg.hashsalt": path.name}):
            figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)
    except OSError as error:
        raise ResultsError(f"{path}: {error.strerror or error}; expected a file to write to") from error


def _drawn(
    studies: Mapping[str, NoiseStudy],
    looks: Mapping[str, _Look],
    panels: Mapping[str, Sequence[_Line]],
    rooms: Sequence[str],
) -> Figure:
    figure, all_axes = _grid(len(panels), len(rooms))
    _set_rate_axis(all_axes[0], studies.values())
    clean = _clean_levels(studies, looks)
    for axes, (title, lines) in zip(all_axes, panels.items(), strict=False):
        _draw_clean(axes, clean)
        _draw_lines(axes, lines)
        _label_ends(axes, [*_ends(lines), *clean])
        axes.set_title(title, loc="left", fontsize=10)
    if rooms:
        _draw_clean(all_axes[-1], clean)
        _draw_rooms(all_axes[-1], studies, looks, rooms)
        if not panels:
            _label_ends(all_axes[-1], clean)
    figure.suptitle(_title(studies), x=0.01, ha="left", fontsize=11)
    return figure


def _grid(n_panels: int, n_rooms: int) -> tuple[Figure, Sequence[Axes]]:
    """One panel of curves has the rooms beside it; more panels stand in two columns, the rooms in the last."""
    room_in = ROOM_MARGIN_IN + ROOM_IN * n_rooms
    n_cells = n_panels + bool(n_rooms)
    widths = ([WIDE_PANEL_IN] * n_panels + [room_in] * bool(n_rooms)) if n_panels <= 1 else [PANEL_IN] * 2
    n_rows = -(-n_cells // len(widths))
    figure = Figure(figsize=(sum(widths) + 0.6, PANEL_HEIGHT_IN * n_rows), dpi=DPI, layout="constrained")
    cells = figure.subplots(n_rows, len(widths), sharey=True, squeeze=False, width_ratios=widths).flat
    all_axes: Sequence[Axes] = list(cells)
    for axes in all_axes[n_cells:]:
        axes.remove()
    return figure, all_axes[:n_cells]


def _looks(studies: Mapping[str, NoiseStudy]) -> dict[str, _Look]:
    names = list(studies) if len(studies) > 1 else [family for study in studies.values() for family in study.curves]
    return {
        name: _Look(label=name, colour=COLOURS[index % len(COLOURS)], marker=MARKERS[index % len(MARKERS)])
        for index, name in enumerate(names)
    }


def _panels(studies: Mapping[str, NoiseStudy], looks: Mapping[str, _Look]) -> dict[str, list[_Line]]:
    if len(studies) == 1:
        (study,) = studies.values()
        lines = [_Line(look=looks[family], points=_Point.each(curve)) for family, curve in study.curves.items()]
        return {"": lines} if lines else {}
    panels: dict[str, list[_Line]] = {}
    for name, study in studies.items():
        for family, curve in study.curves.items():
            panels.setdefault(family, []).append(_Line(look=looks[name], points=_Point.each(curve)))
    return panels


def _set_rate_axis(axes: Axes, studies: Iterable[NoiseStudy]) -> None:
    results = [result for study in studies for result in study.results]
    values = [value for point in _Point.each(results) for value in (point.low, point.percent, point.high)] or [100.0]
    bottom = max(tick for tick in TICKS_PERCENT if tick <= min(values))
    top = min((tick for tick in TICKS_PERCENT if tick >= max(values) and tick > bottom), default=max(values))
    axes.set_yscale("symlog", linthresh=LINEAR_BELOW_PERCENT, linscale=0.3)
    axes.set_ylim(bottom, top)
    axes.yaxis.set_major_locator(FixedLocator(TICKS_PERCENT))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda percent, _: f"{percent:g}"))
    units = {result.group.unit for result in results}
    axes.set_ylabel({"word": "WER, %", "character": "CER, %"}.get("".join(units), "error rate, %"))


def _clean_levels(studies: Mapping[str, NoiseStudy], looks: Mapping[str, _Look]) -> list[_End]:
    levels = []
    for name, study in studies.items():
        for point in _Point.each([study.clean] if study.clean else []):
            colour = looks[name].colour if len(studies) > 1 else CLEAN_COLOUR
            levels.append(_End(label=f"clean {point.percent:.1f}", colour=colour, percent=point.percent))
    return levels


def _draw_clean(axes: Axes, levels: Iterable[_End]) -> None:
    for level in levels:
        axes.axhline(level.percent, color=level.colour, linestyle=(0, (5, 4)), linewidth=1, label=level.label, zorder=1)


def _draw_lines(axes: Axes, lines: Sequence[_Line]) -> None:
    levels = sorted({point.snr_db for line in lines for point in line.points})
    for line in lines:
        snrs_db = [point.snr_db for point in line.points]
        low, high = [point.low for point in line.points], [point.high for point in line.points]
        style: dict[str, Any] = {"color": line.look.colour, "marker": line.look.marker, "label": line.look.label}
        if len(line.points) > 1:
            axes.fill_between(snrs_db, low, high, color=line.look.colour, alpha=0.15, linewidth=0)
        else:  # a band of no width
            axes.vlines(snrs_db, low, high, color=line.look.colour, linewidth=1.2)
        axes.plot(snrs_db, [point.percent for point in line.points], **style, linewidth=1.8, markersize=4.5, zorder=3)
    if levels:
        span_db = levels[-1] - levels[0]
        left_db, right_db = (0.03 * span_db, 0.015 * span_db) if span_db else (1.0, 1.0)
        axes.set_xlim(levels[-1] + left_db, levels[0] - right_db)
        axes.set_xticks(levels, [f"{level:g}".replace("-", "−") for level in levels])
        axes.set_xlabel("signal-to-noise ratio, dB")
    _finish(axes)


def _ends(lines: Iterable[_Line]) -> list[_End]:
    return [
        _End(label=line.look.label, colour=line.look.colour, percent=line.points[-1].percent)
        for line in lines
        if line.points
    ]


def _label_ends(axes: Axes, ends: Iterable[_End]) -> None:
    """Labels to the right of the panel, each as near to the end of its line as its neighbours let it be."""
    to_axes = axes.transData + axes.transAxes.inverted()
    wanted = sorted(((float(to_axes.transform((0, end.percent))[1]), end) for end in ends), key=lambda pair: pair[0])
    for height, (wanted_height, end) in zip(_apart([height for height, _ in wanted]), wanted, strict=True):
        axes.annotate(
            end.label,
            (1.0, wanted_height),
            xycoords="axes fraction",
            xytext=(1.04, height),
            textcoords="axes fraction",
            va="center",
            fontsize=9,
            color=end.colour,
            annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": end.colour, "linewidth": 0.6, "relpos": (0, 0.5), "shrinkB": 0},
        )


def _apart(heights: Sequence[float]) -> list[float]:
    """Rising heights, moved no more than it takes to have LABEL_GAP between them and the last of them at most at 1."""
    raised = list(accumulate(heights, lambda below, height: max(height, below + LABEL_GAP)))
    lowered = accumulate(reversed(raised), lambda above, height: min(height, above - LABEL_GAP), initial=1 + LABEL_GAP)
    return list(lowered)[:0:-1]


def _draw_rooms(
    axes: Axes, studies: Mapping[str, NoiseStudy], looks: Mapping[str, _Look], rooms: Sequence[str]
) -> None:
    for index, (name, study) in enumerate(studies.items()):
        shift = 0.18 * (index - (len(studies) - 1) / 2)
        look = looks[name] if len(studies) > 1 else _Look(label=name, colour=CLEAN_COLOUR, marker="D")
        for room, result in study.rooms.items():
            for point in _Point.each([result]):
                axes.errorbar(
                    rooms.index(room) + shift,
                    point.percent,
                    yerr=[[max(0.0, point.percent - point.low)], [max(0.0, point.high - point.percent)]],
                    color=look.colour,
                    marker=look.marker,
                    capsize=3,
                    label=look.label,
                )
    axes.set_xlim(-0.7, len(rooms) - 0.3)
    axes.set_xticks(range(len(rooms)), rooms, rotation=30, ha="right", rotation_mode="anchor")
    axes.set_title("reverberation", loc="left", fontsize=10)
    _finish(axes)


def _finish(axes: Axes) -> None:
    axes.grid(axis="y", color="#DDDDDD", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def _title(studies: Mapping[str, NoiseStudy]) -> str:
    n_clips = sorted({result.group.n_clips for study in studies.values() for result in study.results})
    corpora = dict.fromkeys(str(study.config.get("corpus")) for study in studies.values())
    clips = " to ".join(dict.fromkeys([str(n_clips[0]), str(n_clips[-1])]))
    return f"{', '.join(studies)} on {', '.join(corpora)}, {clips} clips, 95 % intervals"
