"""``auricle-eval gpu``: the checks of a GPU, in one command."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from eval.cli.console import output_console, reported_errors, write_json

__all__ = ["gpu"]


def gpu(  # noqa: PLR0913, PLR0917  (typer: every option of the command is a parameter)
    recordings: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[RECORDING]...", help="Speech whose first 30 s are decoded here and on the CPU."),
    ] = None,
    peer: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=PYTHON", help="An engine and the interpreter it is installed for; repeatable."),
    ] = None,
    shape: Annotated[list[str] | None, typer.Option(help="A size of model to time; repeatable.")] = None,
    model: Annotated[str, typer.Option(help="Whose real weights are checked.")] = "base",
    windows: Annotated[int, typer.Option(min=1, help="Of 30 s, decoded side by side.")] = 8,
    tokens: Annotated[int, typer.Option(min=4, max=224, help="That each window is forced to say.")] = 100,
    beam_size: Annotated[int, typer.Option(min=1, help="Beams; 1 is greedy.")] = 1,
    rounds: Annotated[int, typer.Option(min=1, help="Turns that each engine takes.")] = 3,
    json_file: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write all numbers here.")] = None,
) -> None:
    """Check a CUDA device: what it can do, how fast models of each shape are on it, and whether they say the same.

    Shapes have random weights and a forced length, so nothing is downloaded; their times stand beside what reading the
    weights and the windows alone would take. The real weights' greedy tokens are held against float32 on the CPU.

    \b
      auricle-eval gpu jfk.flac talk.flac --json gpu.json
      auricle-eval gpu jfk.flac --peer transformers=peers/hf/bin/python --peer openai-whisper=peers/openai/bin/python

    Exit code: 0; 1 when too few windows say the same, when a text is not as long as forced, or a peer fails; 2 without
    a CUDA device, or for a wrong option.
    """
    import torch

    if not torch.cuda.is_available():
        typer.echo("Error: got no CUDA device, expected one: this command measures nothing else", err=True)
        raise typer.Exit(2)
    with reported_errors():
        from eval.gpu import SHAPES, GpuPlan, measure_gpu
        from eval.peers import split_peer

        plan = GpuPlan(
            recordings=recordings or [],
            peers=dict(map(split_peer, peer or [])),
            model=model,
            windows=windows,
            tokens=tokens,
            beam_size=beam_size,
            rounds=rounds,
            shapes=shape or SHAPES,
        )
        with Console(stderr=True).status("starting") as status:
            numbers = measure_gpu(plan, on_step=status.update)
        if json_file is not None:
            write_json(json_file, numbers)
    show(numbers)
    raise typer.Exit(0 if has_passed(numbers) else 1)


def has_passed(numbers: Mapping[str, Any]) -> bool:
    """Whether all windows said enough of what they should have said."""
    rows = [row for shape in numbers["shapes"].values() for row in shape["engines"].values()]
    return all(row["as_long_as_forced"] for row in rows) and all(row["passed"] for row in numbers["equality"].values())


def show(numbers: Mapping[str, Any]) -> None:
    """Tables of speed and equality."""
    machine = numbers["machine"]
    console = output_console()
    products, attention = (machine[name] / 1e3 for name in ("product_gflops", "attention_gflops"))
    console.print(
        f"{machine['device']}, torch {machine['torch']}: products {products:.1f} TFLOP/s, attention {attention:.1f} "
        f"TFLOP/s, reading {machine['read_gb_a_second']:.0f} GB/s",
        highlight=False,
    )
    speed = Table("shape", "engine")
    for head in ("seconds", "× real time", "a step, ms", "reading alone, ms", "× ours", "peak, GB"):
        speed.add_column(head, justify="right")
    for shape, timed in numbers["shapes"].items():
        for name, row in timed["engines"].items():
            speed.add_row(
                shape,
                name if row["as_long_as_forced"] else f"{name} (not as long as forced)",
                f"{row['seconds']:.2f}",
                f"{row['times_real_time']:.0f}",
                f"{row['ms_a_step']:.2f}",
                f"{timed['floor_ms_a_step']:.2f}",
                f"{row['over_ours']:.2f}",
                "" if row["peak_gb"] is None else f"{row['peak_gb']:.1f}",
            )
    console.print(speed)
    for dtype, row in numbers["equality"].items():
        verdict = "passed" if row["passed"] else "FAILED"
        least = f"at least {row['least_share']:.0%} are expected"
        console.print(
            f"{dtype}: {row['equal']} of {row['windows']} windows as in float32 on the CPU, {least}: {verdict}"
        )
