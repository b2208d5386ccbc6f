"""A scaling study for people. In: ``ScalingStudy``. Out: ``Report``, the plot for a file. Fits nothing."""

from collections.abc import Iterator, Sequence
from math import floor, log10

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from eval.noise.plot import COLOURS, MARKERS
from eval.report.document import (
    NO_VALUE,
    Cell,
    Chapter,
    Chart,
    Fact,
    KeyFigure,
    Report,
    Section,
    Table,
    count_cell,
    counted,
    number_cell,
    percent,
    percent_interval,
    text_cell,
)
from eval.report.facts import columns, decoding_in_short, normalizer_in_short
from eval.report.plots import MUTED, WIDTH_IN, page_style
from eval.report.transcriptions import measure_of
from eval.scaling.amounts import Axis, amount_text
from eval.scaling.doubts import doubts
from eval.scaling.law import Floor
from eval.scaling.study import FittedLaw, ScalingStudy
from eval.scoring.interval import Interval

__all__ = ["draw_scaling", "law_table", "model_table", "scaling_as_report"]

NAMES = {Axis.PARAMETERS: "parameters", Axis.HOURS: "hours of training audio"}
SHORT = {Axis.PARAMETERS: "parameters", Axis.HOURS: "hours"}
PANEL_IN = 2.7
MARGIN = 1.25  # of the axis beyond the first and the last model, in which the law goes on
N_ALONG = 80
SHOWN_FLOOR = 0.5  # of the lowest rate; a line far below all models would press them together
TICK_DIGITS = ((1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 7, 8, 9), (1, 1.5, 2, 3, 4, 5, 7), (1, 2, 3, 5, 7), (1, 2, 5), (1,))
MAX_TICKS = 7
LABEL_APART = 0.13  # of the axis, from one label of it to the next


def scaling_as_report(study: ScalingStudy) -> Report:
    """One chapter: the laws, their figure, every model."""
    first = study.points[0]
    chart = Chart(title="Scaling", description=_description(study), draw=lambda: draw_scaling(study))
    chapter = Chapter(
        title=f"{measure_of(first.scores.overall)} of {len(study.points)} models on {first.config.get('corpus')}",
        facts=(
            Fact(name="Corpus", value=f"{first.config.get('corpus')}, {counted(first.scores.overall.n_clips, 'clip')}"),
            Fact(name="Decoding", value=decoding_in_short(first.config)),
            *(Fact(name="Normalizer", value=normalizer_in_short(use)) for use in first.scores.normalizers),
        ),
        figures=tuple(_figures(study.laws[-1])),
        warnings=doubts(study),
        sections=(
            Section(heading="Law", remarks=tuple(_remarks(study)), charts=(chart,), tables=(law_table(study),)),
            Section(heading="Models", tables=(model_table(study),)),
        ),
    )
    return Report(title="Scaling", summary=None, chapters=(chapter,))


def model_table(study: ScalingStudy) -> Table:
    """A row a model."""
    heads = ("parameters", "of them embedding", "hours", "hours heard", "updates", "95 % interval", "by the law")
    return Table(
        caption="Hours are of different audio; heard: with repetitions.",
        columns=columns("model", *heads[:5], measure_of(study.points[0].scores.overall), *heads[5:]),
        rows=tuple(_model_rows(study)),
    )


def _model_rows(study: ScalingStudy) -> Iterator[tuple[Cell, ...]]:
    for point, fitted in zip(study.points, study.laws[-1].fitted, strict=True):
        size, training, group = point.size, point.training, point.scores.overall
        yield (
            text_cell(point.name),
            number_cell(size.parameters, amount_text(Axis.PARAMETERS, size.parameters)),
            number_cell(size.embedding / size.parameters, percent(size.embedding / size.parameters, 0)),
            number_cell(training.audio_hours, amount_text(Axis.HOURS, training.audio_hours)),
            number_cell(training.audio_hours_seen, amount_text(Axis.HOURS, training.audio_hours_seen)),
            count_cell(training.updates),
            number_cell(point.rate, percent(point.rate)),
            text_cell(percent_interval(group.interval, few_voices=group.few_voices)),
            number_cell(fitted, percent(fitted)),
        )


def law_table(study: ScalingStudy) -> Table:
    """A row for each number of each law."""
    return Table(
        caption="Over clips: other recordings, the same models. Over trainings: other seeds, as far as the models' "
        "distances from the law show them.",
        columns=columns("law", "number", "value", "95 % over clips", "95 % over trainings", "R²", texts=("number",)),
        rows=tuple(row for fitted in study.laws for row in _law_rows(fitted)),
    )


def _law_rows(fitted: FittedLaw) -> Iterator[tuple[Cell, ...]]:
    name = "with a floor" if isinstance(fitted.law, Floor) else "straight line"
    r_squared = number_cell(fitted.r_squared, f"{fitted.r_squared:.3f}")
    for axis, exponent in fitted.exponents.items():
        yield (
            text_cell(name),
            text_cell(f"exponent of {SHORT[axis]}"),
            number_cell(exponent.value, f"{exponent.value:.3f}"),
            text_cell(_plain_interval(exponent.over_clips)),
            text_cell(_plain_interval(exponent.over_trainings)),
            r_squared,
        )
    if fitted.floor is not None:
        yield (
            text_cell(name),
            text_cell("floor"),
            number_cell(fitted.floor.value, percent(fitted.floor.value)),
            text_cell(percent_interval(fitted.floor.over_clips)),
            text_cell(percent_interval(fitted.floor.over_trainings)),
            r_squared,
        )


def _figures(fitted: FittedLaw) -> Iterator[KeyFigure]:
    for axis, exponent in fitted.exponents.items():
        which = "errors" if fitted.floor is None else f"errors that more {SHORT[axis]} can take away"
        meaning = f"Ten times the {SHORT[axis]} leave {percent(10**-exponent.value, 0)} of the {which}."
        yield KeyFigure(
            name=f"exponent of {SHORT[axis]}",
            value=f"{exponent.value:.3f}",
            interval=_plain_interval(exponent.over_trainings or exponent.over_clips),
            meaning=meaning,
        )
    yield KeyFigure(name="R²", value=f"{fitted.r_squared:.3f}", interval=None, meaning="Of logarithms of rates.")


def _remarks(study: ScalingStudy) -> Iterator[str]:
    yield from (f"{_formula(fitted, measure_of(study.points[0].scores.overall))}." for fitted in study.laws)


def _formula(fitted: FittedLaw, measure: str) -> str:
    factors = [
        f"({SHORT[axis]} / {amount_text(axis, center)})^−{fitted.exponents[axis].value:.3f}"
        for axis, center in fitted.centers.items()
    ]
    if fitted.floor is None:
        return f"{measure} = {' · '.join([percent(fitted.scales[0]), *factors])}"
    terms = [f"{percent(scale)} · {factor}" for scale, factor in zip(fitted.scales, factors, strict=True)]
    return f"{measure} = {' + '.join([percent(fitted.floor.value), *terms])}"


def _plain_interval(interval: Interval | None) -> str:
    return NO_VALUE if interval is None else f"{interval.low:.3f} – {interval.high:.3f}"


def _description(study: ScalingStudy) -> str:
    rates = "; ".join(
        f"{amount_text(Axis.PARAMETERS, point.amount(Axis.PARAMETERS))}, "
        f"{amount_text(Axis.HOURS, point.amount(Axis.HOURS))}: {percent(point.rate)}"
        for point in study.points
    )
    return f"Error rates on logarithmic axes, and the law through them. {rates}."


def draw_scaling(study: ScalingStudy) -> Figure:
    """A panel for each thing varied: models with 95 % intervals, and the law, one line a level of the other thing."""
    with page_style():
        figure = Figure(figsize=(WIDTH_IN, PANEL_IN * len(study.varied) + 0.3))
        panels = figure.subplots(len(study.varied), squeeze=False)[:, 0]
        for axes, axis in zip(panels, study.varied, strict=True):
            _draw_panel(axes, study, axis)
        panels[0].set_title(
            f"{measure_of(study.points[0].scores.overall)}, % (with 95 % interval)",
            loc="left",
            fontsize=10,
            color=MUTED,
        )
    return figure


def _draw_panel(axes: Axes, study: ScalingStudy, axis: Axis) -> None:
    fitted, known = study.laws[-1], study.levels(axis)
    ends = known[0] / MARGIN, known[-1] * MARGIN
    along = np.geomspace(*ends, N_ALONG)
    for place, (other, points) in enumerate(study.curves(axis).items()):
        colour, marker = COLOURS[place % len(COLOURS)], MARKERS[place % len(MARKERS)]
        middle = np.exp(np.mean([np.log(point.amount(axis.other)) for point in points]))
        rates = fitted.rates({axis: along, axis.other: np.full(N_ALONG, middle)})
        axes.plot(along, 100 * rates, color=colour, linewidth=1.2)
        for point in points:
            interval = point.scores.overall.interval
            if interval is not None:
                low, high = 100 * interval.low, 100 * interval.high
                axes.vlines(point.amount(axis), low, high, color=colour, linewidth=1.2, alpha=0.6)
        axes.plot(
            [point.amount(axis) for point in points],
            [100 * point.rate for point in points],
            color=colour,
            marker=marker,
            markersize=5,
            linestyle="",
            label=amount_text(axis.other, other),
        )
    lowest = min(point.rate for point in study.points)
    if fitted.floor is not None and fitted.floor.value > SHOWN_FLOOR * lowest:
        label = f"floor {percent(fitted.floor.value)}"
        axes.axhline(100 * fitted.floor.value, color=MUTED, linewidth=1, linestyle=(0, (4, 3)), label=label)
    axes.set_xscale("log")
    axes.set_xlim(*ends)
    labelled = _labelled(known, ends)
    axes.set_xticks(labelled, [amount_text(axis, amount) for amount in labelled])
    axes.set_xlabel(NAMES[axis])
    _set_rate_axis(axes)
    axes.xaxis.set_minor_locator(NullLocator())
    axes.grid(axis="y")
    axes.set_axisbelow(True)
    axes.legend(
        title=SHORT[axis.other],
        alignment="left",
        title_fontsize=9,
        fontsize=9,
        loc="center left",
        bbox_to_anchor=(1.0, 0.5),
    )


def _labelled(amounts: Sequence[float], ends: tuple[float, float]) -> list[float]:
    """Those with room for a label."""
    shown: list[float] = []
    for amount in amounts:
        if not shown or log10(amount / shown[-1]) >= LABEL_APART * log10(ends[1] / ends[0]):
            shown.append(amount)
    return shown


def _set_rate_axis(axes: Axes) -> None:
    axes.set_yscale("log")
    low, high = axes.get_ylim()
    ticks = _ticks(low, high)
    axes.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.yaxis.set_minor_locator(NullLocator())
    axes.set_ylim(low, high)


def _ticks(low: float, high: float) -> list[float]:
    """Round numbers inside, as many as have room."""
    decades = range(floor(log10(low)), floor(log10(high)) + 1)
    inside: list[float] = []
    for digits in TICK_DIGITS:
        inside = [digit * 10.0**decade for decade in decades for digit in digits if low <= digit * 10.0**decade <= high]
        if len(inside) <= MAX_TICKS:
            break
    return inside
