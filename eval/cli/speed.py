"""``auricle-eval speed``: engines against each other on one clip."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from eval.cli.console import output_console, reported_errors, write_json

__all__ = ["speed"]


def speed(
    clip: Annotated[Path, typer.Argument(metavar="CLIP", help="An English recording.")],
    peer: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=PYTHON", help="An engine and the interpreter it is installed for; repeatable."),
    ] = None,
    model: Annotated[str, typer.Option(help="Name of a packaged model.")] = "base",
    rounds: Annotated[int, typer.Option(min=1, help="Turns that each engine takes.")] = 5,
    json_file: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write all numbers here.")] = None,
) -> None:
    """Time engines against each other on one clip: cold start, latency, peak memory.

    Greedy, English, no fallback, two threads, each engine in its own process, taking turns.

    \b
      auricle-eval speed jfk.flac --peer openai-whisper=peers/openai/bin/python \\
        --peer faster-whisper-int8=peers/faster/bin/python
    """
    with reported_errors():
        from eval.peers import split_peer
        from eval.speed import measure_speed, times_as_json

        peers = dict(map(split_peer, peer or []))
        with Console(stderr=True).status("starting") as status:
            numbers = times_as_json(measure_speed(clip, model, peers, rounds=rounds, on_step=status.update))
        if json_file is not None:
            write_json(json_file, numbers)
    table = Table("engine", "cold start, s", "latency, s", "× ours", "peak, MB", "text")
    for name, row in numbers.items():
        figures = (row["cold_s"], row["warm_s"], row["warm_ratio_to_auricle"])
        table.add_row(name, *(f"{figure:.2f}" for figure in figures), f"{row['peak_mb']:.0f}", Text(row["text"]))
    output_console().print(table)
