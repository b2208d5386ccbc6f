"""What the commands share at the terminal: errors as one line, progress, files that options name.

Knows no command.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from asr.errors import AuricleError
from eval.corpora import Utterance
from eval.errors import EvaluationError, ResultsError

__all__ = ["ProgressBar", "output_console", "reported_errors", "write_json", "write_text"]

WIDTH_OF_A_FILE = 120  # characters, where a table goes to a file or pipe, which have no width


def output_console() -> Console:
    """Stdout."""
    console = Console()
    console.width = console.width if console.is_terminal else WIDTH_OF_A_FILE
    return console


class ProgressBar:
    """Clips done and time left, on stderr; counted in seconds of audio, since a clip's time goes with its length."""

    def __init__(self) -> None:
        self._progress = Progress(
            TextColumn("{task.fields[n_done]}/{task.fields[n_clips]} clips"),
            BarColumn(),
            TimeElapsedColumn(),
            TextColumn("left:"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            speed_estimate_period=120,  # seconds; clips come too irregularly for rich's 30
        )
        self._n_done = 0

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._progress.stop()

    def start(self, pending: Sequence[Utterance], n_clips: int) -> None:
        """See runner.Progress."""
        self._n_done = n_clips - len(pending)
        total_s = sum(_bar_length_s(utterance) for utterance in pending)
        self._bar = self._progress.add_task("", total=total_s, n_done=self._n_done, n_clips=n_clips)

    def advance(self, utterance: Utterance) -> None:
        """See runner.Progress."""
        self._n_done += 1
        self._progress.update(self._bar, advance=_bar_length_s(utterance), n_done=self._n_done)


def _bar_length_s(utterance: Utterance) -> float:
    return utterance.duration or 1.0


@contextmanager
def reported_errors() -> Iterator[None]:
    """Ends the command: 1 for what the user can mend, with its message; 130 when interrupted."""
    try:
        yield
    except (EvaluationError, AuricleError) as error:
        typer.echo(f"Error: {error}", err=True)
        raise typer.Exit(1) from error
    except KeyboardInterrupt as interrupt:
        typer.echo("Stopped. The same command continues where it stopped.", err=True)
        raise typer.Exit(130) from interrupt


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write a file that ``--json`` named."""
    write_text(path, json.dumps(value, ensure_ascii=False, indent=2) + "\n", option="--json")


def write_text(path: Path, text: str, *, option: str) -> None:
    """Write a file that an option named. Raises ResultsError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ResultsError(f"{option} {path}: {error.strerror or error}; expected a file to write to") from error
