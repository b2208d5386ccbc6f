"""``auricle-eval lengths``: how time and memory grow with a recording's length."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from eval.cli.console import output_console, reported_errors, write_text
from eval.cli.target_options import (
    BeamSizeOption,
    NoVadOption,
    PlanOption,
    SeedOption,
    TemperatureOption,
    WordTimestampsOption,
    decoding_options,
)

if TYPE_CHECKING:
    from eval.lengths import LengthCost

__all__ = ["lengths"]

DEFAULT_LENGTHS = "10,60,600,3600,10800"
MIN_LENGTH_S = 1.0
PLOT_SUFFIXES = (".png", ".svg", ".pdf")


def lengths(  # noqa: PLR0913, PLR0917  (typer: every option of the command is a parameter)
    recording: Annotated[
        Path, typer.Argument(metavar="RECORDING", help="Speech, as long as there is; repeated where it is too short.")
    ],
    out: Annotated[Path, typer.Option(metavar="FILE", help="Write all numbers here, as JSON.")],
    seconds: Annotated[str, typer.Option(metavar="S,S", help="Lengths to transcribe, two or more.")] = DEFAULT_LENGTHS,
    model: Annotated[str, typer.Option(help="Name or path of a model.")] = "base",
    plan: PlanOption = None,
    beam_size: BeamSizeOption = None,
    temperature: TemperatureOption = None,
    seed: SeedOption = None,
    no_vad: NoVadOption = False,
    word_timestamps: WordTimestampsOption = False,
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Draw time and memory over length: .png, .svg or .pdf.")
    ] = None,
) -> None:
    """Measure how time and memory grow with a recording's length, on the CPU.

    \b
      auricle-eval lengths joined-60/joined-60.flac --out lengths.json --plot lengths.png
      OMP_NUM_THREADS=1 auricle-eval lengths talk.flac --out greedy.json --model tiny.en --beam-size 1 --temperature 0

    The recording is cut to each length, or repeated end to end until it is as long, and transcribed in a process of its
    own. Time is that of the transcription alone, by the clock and by the processor; the line through it is the one of
    the least relative residuals. Memory is the process's own (RssAnon), looked at every 50 ms; its growth is taken from
    10 minutes on, where every batch of windows is full.
    """
    lengths_s = _parse_lengths(seconds)
    if plot is not None and plot.suffix not in PLOT_SUFFIXES:
        raise typer.BadParameter(f"--plot: got {plot}, expected a name that ends in {', '.join(PLOT_SUFFIXES)}")
    options = decoding_options(beam_size, temperature, seed, plan=plan, vad=not no_vad, word_timestamps=word_timestamps)
    with reported_errors():
        from eval.lengths import lengths_as_json, measure_lengths, plot_lengths

        with _LengthBar(lengths_s) as bar:
            costs, facts = measure_lengths(recording, model, options, lengths_s, on_progress=bar.update)
        numbers = lengths_as_json(costs, {"recording": recording.name, **facts})
        write_text(out, json.dumps(numbers, ensure_ascii=False, indent=2) + "\n", option="--out")
        if plot is not None:
            from eval.noise.plot import save_figure

            save_figure(plot_lengths(costs, title=_title(numbers)), plot)
    output_console().print(_table(costs))
    for line in _conclusions(numbers):
        typer.echo(line)


def _parse_lengths(text: str) -> list[float]:
    try:
        lengths_s = sorted({float(number) for number in text.split(",")})
    except ValueError:
        lengths_s = []
    if len(lengths_s) < 2 or not MIN_LENGTH_S <= lengths_s[0] <= lengths_s[-1] < float("inf"):
        raise typer.BadParameter(
            f"--seconds: got {text!r}, expected two or more lengths of at least {MIN_LENGTH_S:g} s"
        )
    return lengths_s


class _LengthBar:
    """Seconds of audio done of all lengths together, on stderr."""

    def __init__(self, lengths_s: list[float]) -> None:
        self._lengths_s = lengths_s
        self._progress = Progress(
            TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), console=Console(stderr=True)
        )
        self._bar = self._progress.add_task("starting", total=sum(lengths_s))

    def __enter__(self) -> "_LengthBar":
        self._progress.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._progress.stop()

    def update(self, place: int, done_s: float) -> None:
        """See measure_lengths."""
        from eval.lengths import length_text

        description = f"{length_text(self._lengths_s[place])} ({place + 1} of {len(self._lengths_s)})"
        self._progress.update(self._bar, description=description, completed=sum(self._lengths_s[:place]) + done_s)


def _table(costs: "list[LengthCost]") -> Table:
    from eval.lengths import length_text

    table = Table()
    headings = (
        "length",
        "load, s",
        "clock, s",
        "processor, s",
        "a second",
        "loaded, MB",
        "most, MB",
        "segments",
        "last at, s",
    )
    for heading in headings:
        table.add_column(heading, justify="right")
    for cost in costs:
        times = (f"{cost.load_s:.1f}", f"{cost.wall_s:.1f}", f"{cost.cpu_s:.1f}", f"{cost.cpu_s / cost.length_s:.4f}")
        memory = (f"{cost.loaded_mb:.0f}", f"{cost.peak_mb:.0f}")
        last = "-" if cost.last_start is None else f"{cost.last_start:.2f}"
        table.add_row(length_text(cost.length_s), *times, *memory, str(cost.n_segments), last)
    return table


def _title(numbers: dict[str, Any]) -> str:
    options, machine = numbers["options"], numbers["machine"]
    beams = "greedy" if options["beam_size"] == 1 else f"beam {options['beam_size']}"
    return f"{numbers['model']}, {options['plan']}, {beams}; {machine['threads']} thread(s) of {machine['cpu']}"


def _conclusions(numbers: dict[str, Any]) -> list[str]:
    lines = []
    for name, key in (("Processor", "cpu_s"), ("Clock", "wall_s")):
        fit = numbers["fits"][key]
        line = f"{name}: {fit['slope']:.4f} s a second of audio + {fit['intercept']:.2f} s"
        lines.append(f"{line}; R² {fit['r_squared']:.5f}, {fit['max_relative_residual']:.1%} off at most.")
    growth = numbers["memory_mb_per_hour"]
    if growth is not None:
        lines.append(f"Memory: {growth:+.1f} MB an hour of audio.")
    return lines
