"""``auricle-eval speed``: engines against each other on one clip."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from eval.cli.console import output_console, reported_errors, write_json

__all__ = ["speed"]


def speed(  # noqa: PLR0913, PLR0917  (typer: every option of the command is a parameter)
    clip: Annotated[Path, typer.Argument(metavar="CLIP", help="An English recording.")],
    peer: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=PYTHON", help="An engine and the interpreter it is installed for; repeatable."),
    ] = None,
    model: Annotated[str, typer.Option(help="Name of a packaged model.")] = "base",
    rounds: Annotated[int, typer.Option(min=1, help="Turns that each engine takes.")] = 5,
    beam_size: Annotated[int, typer.Option(min=1, help="Beams; 1 is greedy.")] = 1,
    reference: Annotated[
        Path | None, typer.Option(metavar="FILE", help="What is said, as text: each engine's errors are counted.")
    ] = None,
    json_file: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write all numbers here.")] = None,
) -> None:
    """Time engines against each other on one clip: cold start, latency, peak memory, errors.

    English, no fallback, two threads, each engine in its own process with the same weights, taking turns.

    \b
      auricle-eval speed jfk.flac --peer openai-whisper=peers/openai/bin/python \\
        --peer faster-whisper-int8=peers/faster/bin/python
    """
    with reported_errors():
        from eval.peers import split_peer
        from eval.speed import measure_speed, times_as_json

        peers = dict(map(split_peer, peer or []))
        said = None if reference is None else reference.read_text(encoding="utf-8")
        with Console(stderr=True).status("starting") as status:
            times, duration_s = measure_speed(
                clip, model, peers, rounds=rounds, beam_size=beam_size, on_step=status.update
            )
        numbers = times_as_json(times, duration_s=duration_s, reference=said)
        if json_file is not None:
            write_json(json_file, numbers)
    table = Table("engine", "cold start, s", "latency, s", "× real time", "× ours", "peak, MB", "words", "errors, %")
    for name, row in numbers.items():
        low, high = row["warm_ratio_range"]
        errors = "" if row["errors"] is None else f"{100 * row['errors']['rate']:.1f}"
        table.add_row(
            name,
            f"{row['cold_s']:.2f}",
            f"{row['warm_s']:.2f}",
            f"{row['times_real_time']:.1f}",
            f"{row['warm_ratio_to_auricle']:.2f} ({low:.2f} – {high:.2f})",
            f"{row['peak_mb']:.0f}"
            + (f" ({row['peak_mb'] - row['torch_mb']:.0f} above torch)" if row["torch_mb"] else ""),
            str(row["n_words"]),
            errors,
        )
    output_console().print(table)
