"""Capacity for people. In: ``Inputs``, a load, a machine, demands. Out: ``Report`` with the arithmetic, the plot.

Every row shows how its number comes about; what was measured, predicted and assumed stands in tables of its own.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from eval.capacity.inputs import Gpu, Hosted, Inputs, Load, Machine
from eval.capacity.model import Scope, cost_per_hour, demand_on, limits_of, live_demand, site_of, sustained
from eval.noise.plot import COLOURS
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
    number_cell,
    percent,
    text_cell,
)
from eval.report.facts import columns
from eval.report.plots import MUTED, TEXT, WIDTH_IN, page_style

__all__ = [
    "INTERNET_HOURS_A_DAY",
    "CapacityPlan",
    "capacity_as_json",
    "capacity_as_report",
    "capacity_tables",
    "draw_capacity",
]

INTERNET_HOURS_A_DAY = 500.0 * 60 * 24  # 500 hours a minute, which YouTube has named as what is uploaded to it
SITES = (1, 10, 100, 1_000, 10_000)
STREAMS = (100, 10_000, 1_000_000)
HEIGHT_IN = 4.6
SHOWN = (1e-3, 30.0)  # shares in the plot


@dataclass(frozen=True, slots=True, kw_only=True)
class CapacityPlan:
    """What is computed."""

    inputs: Inputs
    load: Load
    machine: Machine
    hours_a_day: tuple[float, ...]


def capacity_as_report(plan: CapacityPlan) -> Report:
    """One chapter: costs, machines for a demand, what breaks first, and everything that went in."""
    headings = (
        "An hour of audio",
        "The same, bought",
        "Machines for a demand",
        "What N machines carry",
        "What breaks first",
        "Predicted for a GPU, not measured",
    )
    charts = {"What breaks first": (Chart(title="Limits", description="", draw=lambda: draw_capacity(plan)),)}
    sections = [
        Section(heading=heading, remarks=(table.caption,), charts=charts.get(heading, ()), tables=(table,))
        for heading, table in zip(headings, capacity_tables(plan), strict=True)
    ]
    went_in = Section(
        heading="What went in", tables=(_measured(plan.inputs), _assumed(plan.inputs), _prices(plan.inputs))
    )
    chapter = Chapter(
        title=f"{plan.load.name}, {plan.machine.name}",
        facts=(
            Fact(name="load", value=plan.load.what),
            Fact(name="machine", value=f"{plan.inputs.cores} cores of an AMD EPYC (Zen 4), no GPU"),
        ),
        figures=tuple(_figures(plan)),
        warnings=("Prices and assumptions are for you to replace: --prices FILE.",),
        sections=(*sections, went_in),
    )
    return Report(title="Capacity", summary=None, chapters=(chapter,))


def capacity_tables(plan: CapacityPlan) -> tuple[Table, ...]:
    """Costs, what others ask, demands, sites, limits, predictions."""
    return _costs(plan), _hosted(plan), _demands(plan), _sites(plan), _limits(plan), _predictions(plan.inputs)


def capacity_as_json(plan: CapacityPlan) -> dict[str, Any]:
    """The same for programs, with all that went in."""
    demands = {
        f"{hours:g} hours a day": asdict(demand_on(plan.inputs, plan.load, plan.machine, hours_a_day=hours))
        for hours in plan.hours_a_day
    }
    streams = {f"{n} live streams": asdict(live_demand(plan.inputs, plan.machine, streams=n)) for n in STREAMS}
    limits = limits_of(plan.inputs, plan.load, plan.machine)
    return {
        "load": plan.load.name,
        "machine": plan.machine.name,
        "sustained_audio_per_second": sustained(plan.load, plan.inputs.assumptions),
        "dollars_per_audio_hour": {
            load.name: {
                machine.name: {
                    "busy": _cost(plan, machine, load, all_day=False),
                    "all_day": _cost(plan, machine, load, all_day=True),
                }
                for machine in plan.inputs.machines
            }
            for load in plan.inputs.loads
        },
        "demands": demands | streams,
        "sites": [asdict(site_of(plan.inputs, plan.load, plan.machine, n)) for n in SITES],
        "limits": [{**asdict(limit), "breaks_at_machines": limit.breaks_at()} for limit in limits],
        "inputs": asdict(plan.inputs),
    }


def draw_capacity(plan: CapacityPlan) -> Figure:
    """The share of each resource that is used, over the number of machines."""
    n_machines = np.unique(np.geomspace(1, SITES[-1], 100).astype(int))
    with page_style():
        figure = Figure(figsize=(WIDTH_IN, HEIGHT_IN))
        axes = figure.subplots()
        for place, limit in enumerate(limits_of(plan.inputs, plan.load, plan.machine)):
            axes.plot(
                n_machines,
                [limit.share(int(n)) for n in n_machines],
                color=COLOURS[place % len(COLOURS)],
                label=f"{limit.name} ({limit.scope})",
                linewidth=1.8,
                linestyle="-" if limit.scope is Scope.SITE else (0, (1, 1.5 + place)),
            )
        axes.axhline(1, color=TEXT, linewidth=1)
        axes.set(xscale="log", yscale="log", ylim=SHOWN, xlabel=f"machines of {plan.inputs.cores} cores")
        axes.xaxis.set_major_formatter(lambda n, _: f"{n:,.0f}")
        axes.yaxis.set_major_formatter(lambda share, _: f"{100 * share:g} %")
        axes.set_title("in use, of what there is", loc="left", fontsize=10, color=MUTED)
        axes.grid(axis="y")
        axes.set_axisbelow(True)
        figure.legend(*axes.get_legend_handles_labels(), loc="outside lower left", fontsize=9, ncols=1)
    return figure


def _figures(plan: CapacityPlan) -> Iterator[KeyFigure]:
    rate = sustained(plan.load, plan.inputs.assumptions)
    yield KeyFigure(
        name="one machine",
        value=f"{rate:.1f} h/h",
        interval=None,
        meaning=f"Hours of audio an hour: {plan.load.audio_per_second.value:g} measured × "
        f"{plan.inputs.assumptions.utilization:g} of it used.",
    )
    cost = _cost(plan, plan.machine, plan.load, all_day=False)
    yield KeyFigure(
        name="an hour of audio",
        value=dollars(cost),
        interval=None,
        meaning=f"{dollars(plan.machine.dollars_per_hour)} an hour ÷ {rate:.1f}.",
    )
    demand = demand_on(plan.inputs, plan.load, plan.machine, hours_a_day=INTERNET_HOURS_A_DAY)
    yield KeyFigure(
        name="500 hours a minute",
        value=f"{demand.n_machines:,} machines",
        interval=None,
        meaning=f"{demand.peak:,.0f} s of audio a second in the busiest hour ÷ {rate:.1f}.",
    )


def dollars(amount: float) -> str:
    """``$0.0022``, ``$1,234``: as many digits as tell something."""
    return f"${amount:,.0f}" if amount >= 100 else f"${amount:.2f}" if amount >= 1 else f"${amount:.2g}"


def _cost(plan: CapacityPlan, machine: Machine, load: Load, *, all_day: bool) -> float:
    return cost_per_hour(
        machine.dollars_per_hour, load.audio_per_second.value, plan.inputs.assumptions, all_day=all_day
    )


def _costs(plan: CapacityPlan) -> Table:
    assumed = plan.inputs.assumptions
    rows = []
    for load in plan.inputs.loads:
        for machine in plan.inputs.machines:
            busy, paid = (_cost(plan, machine, load, all_day=all_day) for all_day in (False, True))
            how = f"{machine.dollars_per_hour:g} ÷ ({load.audio_per_second.value:g} × {assumed.utilization:g})"
            how += f"; × {assumed.peak_over_mean:g}"
            rows.append(
                (
                    text_cell(load.name), text_cell(machine.name), number_cell(busy, dollars(busy)),
                    number_cell(paid, dollars(paid)), text_cell(how),
                )
            )  # fmt: skip
    return Table(
        caption="Busy: machines come and go with demand. All day: as many as the busiest hour needs, paid for always.",
        columns=columns("load", "machine", "busy", "all day", "arithmetic", texts=("machine", "arithmetic")),
        rows=tuple(rows),
    )


def _hosted(plan: CapacityPlan) -> Table:
    ours = _cost(plan, plan.machine, plan.load, all_day=True)
    rows = []
    for offer in plan.inputs.hosted:
        hour = 60 * offer.dollars_per_minute
        how = f"60 × {offer.dollars_per_minute:g}; ÷ {ours:.2g}"
        cells = (number_cell(hour, dollars(hour)), number_cell(hour / ours, f"{hour / ours:.0f} ×"), text_cell(how))
        rows.append((text_cell(offer.name), *cells))
    return Table(
        caption=f"List prices of others, beside {dollars(ours)} for {plan.load.name} on {plan.machine.name} all day. "
        "Their models are larger and better than base: this compares prices of an hour, not of a word that is right.",
        columns=columns("from", "an hour of audio", "over ours", "arithmetic", texts=("arithmetic",)),
        rows=tuple(rows),
    )


def _demands(plan: CapacityPlan) -> Table:
    assumed, machine = plan.inputs.assumptions, plan.machine
    rate = sustained(plan.load, assumed)
    rows = []
    for hours in plan.hours_a_day:
        demand = demand_on(plan.inputs, plan.load, machine, hours_a_day=hours)
        how = f"{hours:,.0f} × 3,600 ÷ 86,400 × {assumed.peak_over_mean:g} = {demand.peak:,.1f} a second; ÷ {rate:.1f}"
        rows.append(
            (text_cell(f"{hours:,.0f} hours a day"), *_demand_cells(demand.n_machines, demand.dollars_per_day, how))
        )
    for streams in STREAMS:
        demand = live_demand(plan.inputs, machine, streams=streams)
        how = f"{streams:,} ÷ {plan.inputs.streams.value:g}"
        rows.append(
            (text_cell(f"{streams:,} live streams"), *_demand_cells(demand.n_machines, demand.dollars_per_day, how))
        )
    return Table(
        caption=f"On {machine.name}; hours are {plan.load.name}, 720,000 a day are 500 a minute.",
        columns=columns("demand", "machines", "a day", "arithmetic", texts=("arithmetic",)),
        rows=tuple(rows),
    )


def _demand_cells(n_machines: int, a_day: float, how: str) -> tuple[Cell, ...]:
    return count_cell(n_machines), number_cell(a_day, dollars(a_day)), text_cell(how)


def _sites(plan: CapacityPlan) -> Table:
    limits = limits_of(plan.inputs, plan.load, plan.machine)
    rows = []
    for n_machines in SITES:
        site = site_of(plan.inputs, plan.load, plan.machine, n_machines)
        shares = [limit.share(n_machines) for limit in limits if limit.scope is Scope.SITE]
        over = [limit.name for limit in limits if limit.share(n_machines) > 1]
        rows.append(
            (
                count_cell(n_machines),
                number_cell(site.audio_hours_per_hour, f"{site.audio_hours_per_hour:,.0f}"),
                count_cell(site.streams),
                number_cell(site.dollars_per_hour, dollars(site.dollars_per_hour)),
                *(number_cell(share, percent(share, 1 if share < 1 else 0)) for share in shares),
                text_cell(", ".join(over) or NO_VALUE),
            )
        )
    names = [limit.name for limit in limits if limit.scope is Scope.SITE]
    heads = ("audio hours an hour", "or live streams", "an hour", *names, "not enough")
    return Table(
        caption="Shares are of the one that all machines have together.",
        columns=columns("machines", *heads, texts=("not enough",)),
        rows=tuple(rows),
    )


def _limits(plan: CapacityPlan) -> Table:
    rows, texts = [], ("one for", "asked by a machine", "there is", "not enough from", "arithmetic")
    for limit in limits_of(plan.inputs, plan.load, plan.machine):
        breaks_at = limit.breaks_at()
        when = f"{breaks_at:,} machines" if breaks_at is not None else "the same at any number"
        load, there = f"{limit.per_machine:.4g} {limit.unit}", f"{limit.available:g} {limit.unit}"
        cells = (
            text_cell(limit.scope),
            text_cell(load),
            text_cell(there),
            number_cell(limit.share(1), percent(limit.share(1), 2)),
        )
        rows.append((text_cell(limit.name), *cells, text_cell(when), text_cell(limit.arithmetic)))
    return Table(
        caption="What one machine at its sustained load asks of each resource. Cores are the first to go on every "
        "machine, by choice; of what is shared, the lowest number of machines.",
        columns=columns(
            "resource", *texts[:3], "share of one machine", *texts[3:], texts=texts,
        ),
        rows=tuple(rows),
    )  # fmt: skip


def _predictions(inputs: Inputs) -> Table:
    rows = [
        (
            text_cell(f"{predicted.name} on {predicted.device}"),
            count_cell(round(predicted.audio_per_second)),
            *_predicted_cost(inputs, gpu, predicted.audio_per_second),
        )
        for predicted in inputs.predictions
        for gpu in inputs.gpus
        if gpu.device == predicted.device
    ]
    return Table(
        caption="Ceilings by the device's data sheet; no run of ours stands behind a row, and what is reached is less. "
        "auricle-eval gpu measures.",
        columns=columns(
            "model",
            "seconds of audio a second, at most",
            "an hour of audio, at least",
            "arithmetic",
            texts=("arithmetic",),
        ),
        rows=tuple(rows),
    )


def _predicted_cost(inputs: Inputs, gpu: Gpu, audio_per_second: float) -> tuple[Cell, Cell]:
    cost = cost_per_hour(gpu.dollars_per_hour, audio_per_second, inputs.assumptions, all_day=False)
    how = f"{gpu.dollars_per_hour:g} ÷ ({audio_per_second:,.0f} × {inputs.assumptions.utilization:g})"
    return number_cell(cost, dollars(cost)), text_cell(how)


def _measured(inputs: Inputs) -> Table:
    rows = []
    for load in inputs.loads:
        for name, number in (("seconds of audio a second", load.audio_per_second), ("memory, MB", load.memory_mb)):
            place = f"{number.file}: {'.'.join(map(str, number.at))}"
            rows.append(
                (text_cell(f"{load.name}: {name}"), number_cell(number.value, f"{number.value:g}"), text_cell(place))
            )
    place = f"{inputs.streams.file}: {'.'.join(map(str, inputs.streams.at))}; {inputs.streams_what}"
    rows.append(
        (text_cell("live streams"), number_cell(inputs.streams.value, f"{inputs.streams.value:g}"), text_cell(place))
    )
    heads = columns("measured", "value", "in docs/data", texts=("in docs/data",))
    return Table(caption="Measured.", columns=heads, rows=tuple(rows))


def _assumed(inputs: Inputs) -> Table:
    values = [(field.name, float(getattr(inputs.assumptions, field.name))) for field in fields(inputs.assumptions)]
    rows = tuple((text_cell(name), number_cell(value, f"{value:,g}")) for name, value in values)
    return Table(caption="Assumed; each is explained in inputs.toml.", columns=columns("assumed", "value"), rows=rows)


def _prices(inputs: Inputs) -> Table:
    hourly: tuple[Machine | Gpu, ...] = (*inputs.machines, *inputs.gpus)
    prices: list[tuple[Machine | Gpu | Hosted, str]] = []
    prices += [(each, f"{each.dollars_per_hour:g} an hour") for each in hourly]
    prices += [(each, f"{each.dollars_per_minute:g} a minute of audio") for each in inputs.hosted]
    rows = tuple(
        (text_cell(each.name), text_cell(price), text_cell(each.date), text_cell(each.source)) for each, price in prices
    )
    heads = columns("price", "dollars", "as of", "source", texts=("dollars", "as of", "source"))
    return Table(caption="Prices.", columns=heads, rows=rows)
