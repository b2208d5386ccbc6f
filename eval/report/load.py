"""Services under load as a report. In: numbers as ``eval.load`` has them. Out: ``Report``, the plot for a file."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from eval.engines import OURS
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
    text_cell,
)
from eval.report.facts import columns
from eval.report.plots import ACCENT, MUTED, WIDTH_IN, page_style

__all__ = ["draw_load", "load_as_report", "with_spread"]

PANEL_IN, LABEL_IN = 2.1, 0.2
Row = Mapping[str, Any]
HEADS = (
    "clients", "answers a second", "audio a second", "ours over it", "p50, s", "p95, s", "p99, s", "first text p50, s",
    "long p95, s", "long first text p50, s",
    "answered", "failed", "errors, %", "words", "peak, MB",
)  # fmt: skip


def load_as_report(numbers: Row) -> Report:
    """One chapter: a row for each server and number of clients, and what stood beside."""
    rows = numbers["rows"]
    alone = [row for row in rows if not row["with_background"]]
    beside = [row for row in rows if row["with_background"]]
    chart = Chart(title="Load", description=_description(rows), draw=lambda: draw_load(numbers))
    sections = [Section(heading="Clients", charts=(chart,), tables=(_table(alone),))]
    if beside:
        heading = f"With {numbers['background']} being worked on"
        sections.append(Section(heading=heading, tables=(_table(beside), _fairness(beside))))
    if numbers["overload"] is not None:
        sections.append(Section(heading="Four times what it can answer", tables=(_overload(numbers["overload"]),)))
    chapter = Chapter(
        title=_title(numbers),
        facts=tuple(_facts(numbers)),
        figures=tuple(_figures(alone)),
        warnings=tuple(_warnings(rows)),
        sections=tuple(sections),
    )
    return Report(title="Load", summary=None, chapters=(chapter,))


def draw_load(numbers: Row) -> Figure:
    """Answers a second, and the 95th percentile of short clips' latency, over the number of clients."""
    rows, clients = numbers["rows"], numbers["clients"]
    with page_style():
        n_lines = len({(row["server"], row["with_background"]) for row in rows})
        figure = Figure(figsize=(WIDTH_IN, 2 * PANEL_IN + LABEL_IN * n_lines + 0.4))
        upper, lower = figure.subplots(2, sharex=True)
        for place, server in enumerate(numbers["servers"]):
            for beside in (False, True):
                own = [row for row in rows if row["server"] == server and row["with_background"] is beside]
                _draw_line(upper, own, [row["per_second"] for row in own], clients, place)
                p95 = [row["latency_s"]["p95"] if row["latency_s"] else None for row in own]
                _draw_line(lower, own, p95, clients, place)
        upper.set_title("answers a second, more is better", loc="left", fontsize=10, color=MUTED)
        upper.set_ylim(bottom=0)
        lower.set_title("latency of short clips, 95th percentile, s", loc="left", fontsize=10, color=MUTED)
        lower.set_yscale("log")
        lower.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        lower.yaxis.set_major_formatter(lambda seconds, _: f"{seconds:g}")
        lower.yaxis.set_minor_locator(NullLocator())
        lower.set_xticks(range(len(clients)), [str(number) for number in clients])
        lower.set_xlabel("clients at once")
        for axes in (upper, lower):
            axes.grid(axis="y")
            axes.set_axisbelow(True)
            axes.margins(x=0.08)
        figure.legend(*upper.get_legend_handles_labels(), loc="outside lower left", fontsize=9, ncols=1)
    return figure


def _draw_line(
    axes: Axes, rows: Sequence[Row], values: Sequence[float | None], clients: Sequence[int], place: int
) -> None:
    points = [
        (clients.index(row["clients"]), value) for row, value in zip(rows, values, strict=True) if value is not None
    ]
    if not points:
        return
    row = rows[0]
    axes.plot(
        [x for x, _ in points],
        [y for _, y in points],
        color=ACCENT if row["server"] == OURS else COLOURS[place % len(COLOURS)],
        marker=MARKERS[place % len(MARKERS)],
        markersize=4.5,
        linewidth=1.4,
        linestyle=(0, (4, 3)) if row["with_background"] else "-",
        label=f"{row['server']}, long recording beside" if row["with_background"] else row["server"],
    )


def with_spread(ratio: Mapping[str, float] | None) -> str:
    """``2.40 (2.16 – 2.93)``; a dash where there is none."""
    return NO_VALUE if ratio is None else f"{ratio['median']:.2f} ({ratio['low']:.2f} – {ratio['high']:.2f})"


def _title(numbers: Row) -> str:
    clips, long = numbers["clips"], numbers["long"]
    mix = f"clips of {clips['shortest_s']:.0f} – {clips['longest_s']:.0f} s"
    if long is not None:
        mix += f", every fifth request {long['duration_s'] / 60:.0f} minutes"
    return f"{mix}; {numbers['machine']['cores']} cores of {numbers['machine']['cpu']}"


def _facts(numbers: Row) -> Iterator[Fact]:
    machine, clips = numbers["machine"], numbers["clips"]
    yield Fact(name="machine", value=f"{machine['cpu']}, {machine['cores']} cores, clients included")
    yield Fact(name="short clips", value=f"{clips['n']}, {clips['mean_s']:.1f} s on average")
    yield Fact(name="rounds", value=f"{numbers['rounds']}, servers taking turns; ratios within each round")
    for name, server in numbers["servers"].items():
        told = ", ".join(f"{field}={value}" for field, value in server["fields"].items())
        yield Fact(name=name, value=f"{server['url'] or 'started by the test'}; asked with {told}")


def _figures(rows: Sequence[Row]) -> Iterator[KeyFigure]:
    peers = [row for row in rows if row["server"] != OURS and row["counts"] and row["ours_over_per_second"]]
    for clients in sorted({row["clients"] for row in peers}):
        best = max((row for row in peers if row["clients"] == clients), key=lambda row: float(row["per_second"]))
        ratio = best["ours_over_per_second"]
        yield KeyFigure(
            name=f"times the best peer, {counted(clients, 'client')}",
            value=f"{ratio['median']:.2f}",
            interval=f"{ratio['low']:.2f} – {ratio['high']:.2f}",
            meaning=f"Answers a second; the best is {best['server']}.",
        )


def _warnings(rows: Sequence[Row]) -> Iterator[str]:
    for row in rows:
        who = f"{row['server']} with {counted(row['clients'], 'client')}"
        if not row["counts"]:
            share = percent(row["words"]["lost_or_invented"], 0)
            yield f"{who} loses or invents {share} of the words: its speed does not count."
        if not row["background_lasted"]:
            yield f"{who}: the long recording was done before the short clips were."


def _description(rows: Sequence[Row]) -> str:
    return f"{counted(len(rows), 'row')}: answers a second and 95th percentile of latency over the number of clients"


def _table(rows: Sequence[Row]) -> Table:
    return Table(
        caption="Rates are medians of the rounds, latencies quantiles of short clips over all rounds.",
        columns=columns("server", *HEADS),
        rows=tuple((text_cell(row["server"]), *_cells(row)) for row in rows),
    )


def _cells(row: Row) -> Iterator[Cell]:
    ratio, words = row["ours_over_per_second"], row["words"]
    yield count_cell(row["clients"])
    yield _number(row["per_second"], 2)
    yield _number(row["audio_per_second"], 1)
    yield number_cell(ratio and ratio["median"], with_spread(ratio))
    for name in ("p50", "p95", "p99"):
        yield _quantile(row["latency_s"], name)
    yield _quantile(row["first_text_s"], "p50")
    yield _quantile(row["latency_long_s"], "p95")
    yield _quantile(row["first_text_long_s"], "p50")
    yield text_cell(f"{row['n_answered']} of {row['n']}")
    yield text_cell(_failures(row["errors"]))
    yield number_cell(words["rate"], NO_VALUE if words["rate"] is None else f"{100 * words['rate']:.1f}")
    yield text_cell(f"{words['n_said']} of {words['n_ref']}")
    yield _number(row["peak_mb"], 0)


def _fairness(rows: Sequence[Row]) -> Table:
    return Table(
        caption="95th percentile of short clips' latency over that without the long recording, within each round.",
        columns=columns("server", "clients", "p95, s", "over alone"),
        rows=tuple(
            (
                text_cell(row["server"]),
                count_cell(row["clients"]),
                _quantile(row["latency_s"], "p95"),
                number_cell(
                    row["p95_over_alone"] and row["p95_over_alone"]["median"], with_spread(row["p95_over_alone"])
                ),
            )
            for row in rows
        ),
    )


def _overload(overload: Row) -> Table:
    rows = (
        ("asked a second", f"{overload['asked_per_second']:.1f}"),
        ("answered a second", f"{overload['goodput_per_second']:.2f}"),
        ("answered over what it answers at best", with_spread(overload["goodput_over_peak"])),
        ("refused", f"{percent(overload['refused'])} of {overload['n']}"),
        ("failed", _failures(overload["errors"])),
        ("a refusal takes, s", _three(overload["refusal_s"])),
        ("an answer takes, s", _three(overload["accepted_s"])),
        ("errors of those not refused", percent(overload["words"]["rate"])),
    )
    return Table(
        caption="Quantiles are p50, p95, p99.",
        columns=columns("", "measured"),
        rows=tuple((text_cell(name), text_cell(value)) for name, value in rows),
    )


def _failures(errors: Mapping[str, int]) -> str:
    return ", ".join(f"{n} × {code}" for code, n in errors.items()) or NO_VALUE


def _number(value: float | None, digits: int) -> Cell:
    return number_cell(value, NO_VALUE if value is None else f"{value:.{digits}f}")


def _quantile(quantiles: Mapping[str, float] | None, name: str) -> Cell:
    return _number(None if quantiles is None else quantiles[name], 2)


def _three(quantiles: Mapping[str, float] | None) -> str:
    return NO_VALUE if quantiles is None else " / ".join(f"{quantiles[name]:.3f}" for name in ("p50", "p95", "p99"))
