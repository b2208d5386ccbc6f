"""What the commands share at the terminal: errors as one line, progress, corpora and files that options name.

Knows no command.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, Self

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.text import Text

from asr.errors import AuricleError
from eval.corpora import Corpus, Utterance, open_corpus
from eval.corpora.opening import HUB, CorpusSpec
from eval.corpora.selection import select
from eval.errors import EvaluationError, ResultsError

__all__ = [
    "ProgressBar",
    "length_s",
    "open_clips",
    "output_console",
    "reported_errors",
    "write_json",
    "write_text",
]

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
            TextColumn("{task.description}{task.fields[n_done]}/{task.fields[n_clips]} clips", markup=False),
            BarColumn(),
            TimeElapsedColumn(),
            TextColumn("left:"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            speed_estimate_period=120,  # seconds; clips come too irregularly for rich's 30
        )
        self._n_done = 0
        self._bar = self._progress.add_task("", n_done=0, n_clips=0, visible=False)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._progress.stop()

    def read(self, n_read: int, n_clips: int) -> None:
        """See runner.Progress."""
        self._show("reading ", completed=n_read, total=n_clips, n_done=n_read, n_clips=n_clips)

    def start(self, pending: Sequence[Utterance], n_clips: int) -> None:
        """See runner.Progress."""
        self._n_done = n_clips - len(pending)
        total_s = sum(map(length_s, pending))
        self._progress.reset(self._bar)  # the pace of reading says nothing about what follows
        self._show("", total=total_s, n_done=self._n_done, n_clips=n_clips)

    def advance(self, utterance: Utterance) -> None:
        """See runner.Progress."""
        self._n_done += 1
        self._progress.update(self._bar, advance=length_s(utterance), n_done=self._n_done)

    def _show(
        self, description: str, *, total: float, n_done: int, n_clips: int, completed: float | None = None
    ) -> None:
        self._progress.update(
            self._bar,
            description=description,
            completed=completed,
            total=total,
            n_done=n_done,
            n_clips=n_clips,
            visible=True,
        )


def length_s(utterance: Utterance) -> float:
    """What a clip counts in a bar: its seconds, or one where they are not known."""
    return utterance.duration or 1.0


def open_clips(spec: str, only: Sequence[str] = (), *, root: Path = Path()) -> Corpus:
    """What ``open_corpus`` and then ``select`` give; says so meanwhile. Raises CorpusError."""
    is_on_hub = CorpusSpec.parse(spec).kind == HUB  # its library has bars of its own
    with nullcontext() if is_on_hub else Console(stderr=True).status(Text(f"opening {spec}")):
        return select(open_corpus(spec, root=root), only)


@contextmanager
def reported_errors(*, continues: bool = False) -> Iterator[None]:
    """Ends the command: 1 for what the user can mend, with its message; 130 when interrupted.

    ``continues``: whether the same command goes on where it was interrupted.
    """
    try:
        yield
    except (EvaluationError, AuricleError) as error:
        typer.echo(f"Error: {error}", err=True)
        raise typer.Exit(1) from error
    except KeyboardInterrupt as interrupt:
        typer.echo("Stopped." + " The same command continues where it stopped." * continues, err=True)
        raise typer.Exit(130) from interrupt


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write a file that ``--json`` named."""
    write_text(path, json.dumps(value, ensure_ascii=False, indent=2) + "\n", option="--json")


def write_text(path: Path, text: str, *, option: str) -> None:
    """Write a file that an option named. Raises ResultsError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", errors="backslashreplace")  # a lone surrogate is in no encoding
    except OSError as error:
        raise ResultsError(f"{option} {path}: {error.strerror or error}; expected a file to write to") from error
