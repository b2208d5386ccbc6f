"""``auricle-eval speed``: engines against each other on one recording."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from eval.cli.console import output_console, reported_errors, write_json, write_text

__all__ = ["speed"]


def speed(  # noqa: PLR0913, PLR0917  (typer: every option of the command is a parameter)
    recording: Annotated[Path, typer.Argument(metavar="RECORDING", help="Speech in English.")],
    peer: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=PYTHON", help="An engine and the interpreter it is installed for; repeatable."),
    ] = None,
    model: Annotated[str, typer.Option(help="Name of a packaged model.")] = "base",
    rounds: Annotated[int, typer.Option(min=1, help="Turns that each engine takes.")] = 5,
    beam_size: Annotated[int, typer.Option(min=1, help="Beams; 1 is greedy.")] = 1,
    clients: Annotated[int, typer.Option(min=1, help="Besides, let so many ask at once, for ten seconds a round.")] = 1,
    reference: Annotated[
        Path | None, typer.Option(metavar="FILE", help="What is said, as text: each engine's errors are counted.")
    ] = None,
    json_file: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write all numbers here.")] = None,
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Write a page with plots here.")] = None,
    plot: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the plots here, as SVG.")] = None,
) -> None:
    """Time engines against each other on one recording: latency, cold start, memory, errors, many clients.

    English, no fallback, two threads, each engine in its own process with the same weights, taking turns.

    \b
      auricle-eval speed jfk.flac --peer openai-whisper=peers/openai/bin/python \\
        --peer faster-whisper-int8=peers/faster/bin/python
      auricle-eval speed jfk.flac --clients 8 --peer openvino-int8=peers/openvino/bin/python

    NAME is one of faster-whisper-float32, faster-whisper-int8, faster-whisper-int8-2-workers,
    faster-whisper-int8-batched-8, faster-whisper-int8-batched-16, openai-whisper, openvino-int8, transformers and
    whisper-cpp-q8.
    """
    with reported_errors():
        from eval.peers import split_peer
        from eval.speed import SpeedPlan, measure_speed

        plan = SpeedPlan(
            recording=recording,
            model=model,
            peers=dict(map(split_peer, peer or [])),
            rounds=rounds,
            beam_size=beam_size,
            clients=clients,
            reference=None if reference is None else reference.read_text(encoding="utf-8"),
        )
        with Console(stderr=True).status("starting") as status:
            numbers = measure_speed(plan, on_step=status.update)
        if json_file is not None:
            write_json(json_file, numbers)
        if html is not None:
            _write_page(numbers, html)
        if plot is not None:
            _write_plot(numbers, plot)
    output_console().print(_table(numbers["engines"]))


def _write_page(numbers: Mapping[str, Any], path: Path) -> None:
    from eval.report.html import render_html
    from eval.report.speed import speed_as_report

    write_text(path, render_html(speed_as_report(numbers), with_audio=False, on_step=lambda _: None), option="--html")


def _write_plot(numbers: Mapping[str, Any], path: Path) -> None:
    from eval.report.plots import file_svg
    from eval.report.speed import draw_speed

    write_text(path, file_svg(draw_speed(numbers), name=path.stem), option="--plot")


def _table(engines: Mapping[str, Any]) -> Table:
    from eval.report.speed import above_torch

    heads = ("cold start, s", "latency, s", "× real time", "× ours", "peak, MB", "a second", "words", "errors, %")
    table = Table()
    table.add_column("engine", no_wrap=True)
    for head in heads:
        table.add_column(head, justify="right")
    for name, row in engines.items():
        ratio, errors = row["latency_over_ours"], row["errors"]
        table.add_row(
            name if row["counts"] else f"{name} (does not count)",
            above_torch(row["cold_s"], row["torch_s"], 2),
            f"{row['warm_s']:.2f}",
            f"{row['times_real_time']:.1f}",
            f"{ratio['median']:.2f} ({ratio['low']:.2f} – {ratio['high']:.2f})",
            above_torch(row["peak_mb"], row["torch_mb"], 0),
            f"{row['per_second']:.2f}" if "per_second" in row else "",
            str(row["n_words"]),
            "" if errors is None else f"{100 * errors['rate']:.1f}",
        )
    return table
