"""``auricle-eval capacity``: measured numbers and prices → machines, costs, limits."""

from pathlib import Path
from typing import Annotated

import typer

from eval.cli.console import output_console, reported_errors, write_text

__all__ = ["capacity"]

DEFAULT_HOURS = (100.0, 10_000.0, 720_000.0)
DEFAULT_LOAD = "mixed"


def capacity(
    hours_a_day: Annotated[
        list[float] | None,
        typer.Option(
            metavar="HOURS", min=0, help="Audio to transcribe a day; repeatable.  [default: 100, 10000, 720000]"
        ),
    ] = None,
    load: Annotated[
        str,
        typer.Option(help="short clips; mixed; long; long, beam 5; long, tiny.en: what the machines are asked for."),
    ] = DEFAULT_LOAD,
    prices: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="TOML with tables machines, gpus, hosted or assumptions, in the place of ours."
        ),
    ] = None,
    json_file: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write all numbers here.")] = None,
    markdown: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the tables here.")] = None,
    plot: Annotated[Path | None, typer.Option(metavar="FILE", help="Draw what breaks first, SVG.")] = None,
) -> None:
    """Compute what machines carry, what an hour of audio costs, and what breaks first when more are added.

    \b
      auricle-eval capacity
      auricle-eval capacity --hours-a-day 2500 --load "short clips"
      auricle-eval capacity --prices ours.toml --markdown capacity.md --plot capacity.svg

    Speeds are those that docs/data has of one machine of two cores; N machines are taken to do N times that. Prices,
    sizes and the like are assumptions in a file (eval/capacity/inputs.toml): copy the tables that are otherwise with
    you, and give them with --prices. GPUs were not measured; what is said of them is a ceiling, and stands apart. The
    first machine of the prices is the one that demands are put on.

    Exit code: 0; 1 when a file cannot be used; 2 for a wrong option.
    """
    with reported_errors():
        from eval.capacity.inputs import read_inputs
        from eval.report.capacity import CapacityPlan, capacity_as_report, capacity_tables, draw_capacity
        from eval.report.terminal import document_table

        inputs = read_inputs(prices)
        plan = CapacityPlan(
            inputs=inputs,
            load=inputs.load(load),
            machine=inputs.machines[0],
            hours_a_day=tuple(hours_a_day or DEFAULT_HOURS),
        )
        if json_file is not None:
            from eval.cli.console import write_json
            from eval.report.capacity import capacity_as_json

            write_json(json_file, capacity_as_json(plan))
        if markdown is not None:
            from eval.report.markdown import render_markdown

            write_text(markdown, render_markdown(capacity_as_report(plan)), option="--markdown")
        if plot is not None:
            from eval.report.plots import file_svg

            write_text(plot, file_svg(draw_capacity(plan), name=plot.stem), option="--plot")
    output_console().print(*map(document_table, capacity_tables(plan)), sep="\n")
