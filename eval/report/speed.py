"""Measured speeds as a report. In: numbers as ``eval.speed`` has them. Out: ``Report``, the plot for a file."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from eval.engines import OURS
from eval.report.document import Cell, Chapter, Chart, Fact, KeyFigure, Report, Section, Table, number_cell, text_cell
from eval.report.facts import columns
from eval.report.plots import ACCENT, MUTED, ROW_IN, WIDTH_IN, page_style

__all__ = ["above_torch", "draw_speed", "speed_as_report", "speed_in_short"]

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Measure:
    """A column of numbers to draw, of all engines."""

    label: str
    value: Callable[[Row], float]
    of_it: Callable[[Row], float] = lambda _: 0.0
    """A part of the value that is drawn faintly."""
    digits: int = 1


REAL_TIME = _Measure(label="times real time, more is better", value=lambda row: row["times_real_time"])
PER_SECOND = _Measure(
    label="transcripts a second, more is better", value=lambda row: row.get("per_second", 0.0), digits=2
)
MEMORY = _Measure(
    label="peak memory, MB; faint: torch itself",
    value=lambda row: row["peak_mb"],
    of_it=lambda row: row["torch_mb"],
    digits=0,
)


def speed_in_short(numbers: Mapping[str, Any]) -> str:
    """What was measured, in a line."""
    beams = "greedy" if numbers["beam_size"] == 1 else f"beam {numbers['beam_size']}"
    machine = numbers["machine"]
    return (
        f"{numbers['recording']} ({numbers['duration_s']:.0f} s), {numbers['model']}, {beams}, "
        f"{machine['threads']} threads of {machine['cpu']}"
    )


def speed_as_report(numbers: Mapping[str, Any]) -> Report:
    """One chapter: who is how fast, and how much faster ours is."""
    engines = numbers["engines"]
    sections = [
        Section(
            heading="Speed",
            remarks=tuple(_remarks(engines)),
            charts=(_chart("Speed", REAL_TIME, engines),),
            tables=(_table(engines),),
        ),
        Section(heading="Memory", charts=(_chart("Memory", MEMORY, engines),)),
    ]
    if numbers["clients"] > 1:
        title = f"{numbers['clients']} clients at once"
        loaded = Section(heading=title, charts=(_chart(title, PER_SECOND, engines),), tables=(_load(engines),))
        sections.insert(1, loaded)
    chapter = Chapter(
        title=speed_in_short(numbers),
        facts=tuple(_facts(numbers)),
        figures=tuple(_figures(engines)),
        warnings=(),
        sections=tuple(sections),
    )
    return Report(title="Speed", summary=None, chapters=(chapter,))


def draw_speed(numbers: Mapping[str, Any]) -> Figure:
    """Speed, memory and throughput beside each other, for a file."""
    measures = [REAL_TIME, *([PER_SECOND] if numbers["clients"] > 1 else []), MEMORY]
    return _draw(measures, numbers["engines"], title=speed_in_short(numbers))


def _figures(engines: Mapping[str, Row]) -> Iterator[KeyFigure]:
    peers = {name: row for name, row in engines.items() if name != OURS and row["counts"]}
    yield KeyFigure(
        name="times real time", value=f"{engines[OURS]['times_real_time']:.1f}", interval=None, meaning="Ours, warm."
    )
    if peers:
        name, row = min(peers.items(), key=lambda each: each[1]["latency_over_ours"]["median"])
        ratio = row["latency_over_ours"]
        yield KeyFigure(
            name="times the best peer",
            value=f"{ratio['median']:.2f}",
            interval=f"{ratio['low']:.2f} – {ratio['high']:.2f}",
            meaning=f"The best is {name}.",
        )


def _remarks(engines: Mapping[str, Row]) -> Iterator[str]:
    for name, row in engines.items():
        if not row["counts"]:
            share = row["errors"]["lost_or_invented"]
            yield f"{name} leaves out or invents {100 * share:.0f} % of the words: its times do not count."


def _facts(numbers: Mapping[str, Any]) -> Iterator[Fact]:
    machine = numbers["machine"]
    yield Fact(name="machine", value=f"{machine['cpu']}, {machine['cores']} cores, {machine['threads']} threads")
    yield Fact(
        name="at most",
        value=f"float32 products {machine['float32_gflops']:.0f} GFLOP/s, int8 {machine['int8_gops']:.0f} GOP/s, "
        f"attention {machine['attention_gflops']:.0f} GFLOP/s, reading {machine['read_gb_a_second']:.0f} GB/s "
        f"(torch {machine['torch']})",
    )
    yield Fact(name="rounds", value=f"{numbers['rounds']}, engines taking turns; medians")


def _table(engines: Mapping[str, Row]) -> Table:
    heads = ("latency, s", "× real time", "over ours", "95 %", "cold start, s", "peak, MB", "words", "errors, %")
    return Table(
        caption="Medians of the rounds; ratios within each round.",
        columns=columns("engine", *heads),
        rows=tuple((text_cell(name), *_cells(row)) for name, row in engines.items()),
    )


def _cells(row: Row) -> Iterator[Cell]:
    ratio, errors = row["latency_over_ours"], row["errors"]
    yield number_cell(row["warm_s"], f"{row['warm_s']:.2f}")
    yield number_cell(row["times_real_time"], f"{row['times_real_time']:.1f}")
    yield number_cell(ratio["median"], f"{ratio['median']:.2f}")
    yield text_cell(f"{ratio['low']:.2f} – {ratio['high']:.2f}")
    yield number_cell(row["cold_s"], above_torch(row["cold_s"], row["torch_s"], 2))
    yield number_cell(row["peak_mb"], above_torch(row["peak_mb"], row["torch_mb"], 0))
    yield number_cell(row["n_words"], str(row["n_words"]))
    yield number_cell(errors and errors["rate"], "" if errors is None else f"{100 * errors['rate']:.1f}")


def above_torch(value: float, torch: float, digits: int) -> str:
    """A time or size, and what of it is not torch's own."""
    above = f" ({value - torch:.{digits}f} above torch)" if torch else ""
    return f"{value:.{digits}f}{above}"


def _load(engines: Mapping[str, Row]) -> Table:
    rows = []
    for name, row in engines.items():
        ratio = row["ours_over_per_second"]
        rows.append(
            (
                text_cell(name),
                number_cell(row["per_second"], f"{row['per_second']:.2f}"),
                number_cell(ratio["median"], f"{ratio['median']:.2f}"),
                text_cell(f"{ratio['low']:.2f} – {ratio['high']:.2f}"),
            )
        )
    return Table(
        caption="Each client asks again as soon as it is answered.",
        columns=columns("engine", "transcripts a second", "ours over it", "95 %"),
        rows=tuple(rows),
    )


def _chart(title: str, measure: _Measure, engines: Mapping[str, Row]) -> Chart:
    shown = "; ".join(f"{name} {measure.value(row):.{measure.digits}f}" for name, row in engines.items())
    return Chart(
        title=title, description=f"{measure.label}: {shown}", draw=lambda: _draw([measure], engines, title=None)
    )


def _draw(measures: list[_Measure], engines: Mapping[str, Row], *, title: str | None) -> Figure:
    with page_style():
        height = 0.7 + 1.3 * ROW_IN * len(engines)
        figure = Figure(figsize=(WIDTH_IN, height * len(measures) + (0.4 if title else 0.0)))
        for axes, measure in zip(figure.subplots(len(measures), squeeze=False)[:, 0], measures, strict=True):
            _draw_bars(axes, measure, engines)
        if title:
            figure.suptitle(title, fontsize=9, color=MUTED)
    return figure


def _draw_bars(axes: Axes, measure: _Measure, engines: Mapping[str, Row]) -> None:
    widest = max(measure.value(row) for row in engines.values())
    for place, (name, row) in enumerate(engines.items()):
        value, faint = measure.value(row), measure.of_it(row)
        colour = ACCENT if name == OURS else MUTED
        axes.barh(place, faint, color=colour, alpha=0.35, height=0.66)
        axes.barh(place, value - faint, left=faint, color=colour, height=0.66)
        axes.text(value + 0.01 * widest, place, f"{value:.{measure.digits}f}", va="center", fontsize=9)
    axes.set_yticks(range(len(engines)), list(engines))
    axes.set_ylim(len(engines) - 0.4, -0.6)
    axes.set_xlim(0, 1.14 * widest)
    axes.set_title(measure.label, loc="left", fontsize=10, color=MUTED)
    axes.tick_params(axis="y", length=0)
