"""The ``auricle`` command. In: arguments and files. Out: text on stdout, progress on stderr. Knows no HTTP."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from asr.errors import AuricleError, InvalidOptionError
from asr.formats import FORMATS, render
from asr.options import DEFAULT_TEMPERATURES, TranscribeOptions
from asr.tasks import Task

if TYPE_CHECKING:
    # Torch takes a second to import; `--help` and bad arguments do without it.
    from asr.transcriber import Transcriber
    from asr.transcript import Transcript

__all__ = ["app", "main"]

app = typer.Typer(no_args_is_help=True, rich_markup_mode="markdown", pretty_exceptions_enable=False)
models_app = typer.Typer(no_args_is_help=True, help="The models of this machine: list, pull, verify, convert.")
app.add_typer(models_app, name="models")
stderr = Console(stderr=True)


class Device(StrEnum):
    """Where the model runs."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"


@app.callback()
def _auricle() -> None:
    """Speech to text with Whisper models.

    Try: `auricle transcribe talk.mp3`, or `auricle transcribe *.wav --format srt --output-dir subtitles`.
    """


def _temperatures(value: str | None) -> tuple[float, ...]:
    if value is None:
        return DEFAULT_TEMPERATURES
    try:
        return tuple(float(part) for part in value.split(","))
    except ValueError:
        message = f"--temperature: got {value!r}, expected a number such as 0 or a list such as 0,0.2,0.4"
        raise InvalidOptionError(message, param="temperature") from None


@contextmanager
def _told_plainly() -> Iterator[None]:
    """Errors that the user can act on are one line, not a traceback."""
    try:
        yield
    except (AuricleError, OSError) as error:
        stderr.print(f"auricle: {error}", style="red", markup=False, highlight=False)
        raise typer.Exit(1) from error


@app.command()
def transcribe(  # noqa: PLR0913 (one parameter an option: it is what typer reads)
    files: Annotated[list[Path], typer.Argument(help="Recordings: wav flac ogg opus mp3 m4a mp4 webm …, any length.")],
    *,
    model: Annotated[str, typer.Option(help="Name (base, tiny.en, …) or path of a model.")] = "base",
    task: Annotated[Task, typer.Option(help="translate: into English.")] = Task.TRANSCRIBE,
    language: Annotated[str | None, typer.Option(help="Code or name, such as de or German. Default: detected.")] = None,
    format_: Annotated[str, typer.Option("--format", help=f"One of {', '.join(FORMATS)}.")] = "txt",
    output_dir: Annotated[Path | None, typer.Option(help="Write one file a recording here instead of stdout.")] = None,
    prompt: Annotated[str, typer.Option(help="What came before: names, spelling, style.")] = "",
    beam_size: Annotated[int, typer.Option(help="Beams at temperature 0; 1 is greedy: faster.")] = 5,
    patience: Annotated[float, typer.Option(help="Wait for beam-size × patience finished hypotheses.")] = 1.0,
    best_of: Annotated[int, typer.Option(help="Samples at temperatures above 0.")] = 5,
    temperature: Annotated[
        str | None, typer.Option(help="One number, or a ladder to fall back along. Default: 0,0.2,0.4,0.6,0.8,1.0.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Makes sampling reproducible.")] = None,
    timestamps: Annotated[bool, typer.Option(help="Let the model predict segment times.")] = True,
    condition_on_previous_text: Annotated[bool, typer.Option(help="Give each window the text before it.")] = True,
    device: Annotated[Device, typer.Option(help="auto: cuda where there is one.")] = Device.AUTO,
) -> None:
    """Transcribe recordings: text to stdout, progress to stderr.

    A file that cannot be read is reported and the others go on; the exit code is then 1.
    """
    with _told_plainly():
        if format_ not in FORMATS:
            message = f"--format: got {format_!r}, expected one of {', '.join(FORMATS)}"
            raise InvalidOptionError(message, param="format")
        options = TranscribeOptions(
            task=task, language=language, timestamps=timestamps, prompt=prompt,
            beam_size=beam_size, patience=patience, best_of=best_of,
            temperatures=_temperatures(temperature), seed=seed,
            condition_on_previous_text=condition_on_previous_text,
        )  # fmt: skip
        targets = _targets(files, format_, output_dir)

        from asr.transcriber import Transcriber

        with stderr.status(f"loading {model}"):
            transcriber = Transcriber.load(model, device=device.value)
    failed = 0
    for file in files:
        try:
            transcript = _with_progress(transcriber, file, options)
            _write(render(transcript, format_), targets.get(file))
        except (AuricleError, OSError) as error:
            failed += 1
            stderr.print(f"auricle: {file}: {error}", style="red", markup=False, highlight=False)
    if failed:
        raise typer.Exit(1)


def _targets(files: list[Path], format_: str, output_dir: Path | None) -> dict[Path, Path]:
    """File to write for each recording; none without an output folder. Two recordings never share one."""
    if output_dir is None:
        return {}
    targets = {file: output_dir / f"{file.stem}.{format_}" for file in files}
    if len(set(targets.values())) < len(targets):
        targets = {file: output_dir / f"{file.name}.{format_}" for file in files}
    if len(set(targets.values())) < len(targets):
        message = "--output-dir: two recordings have the same file name; transcribe them into different folders"
        raise InvalidOptionError(message, param="output_dir")
    output_dir.mkdir(parents=True, exist_ok=True)
    return targets


def _with_progress(transcriber: "Transcriber", file: Path, options: TranscribeOptions) -> "Transcript":
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=stderr, transient=True) as bar:
        row = bar.add_task(file.name, total=None)
        transcript = transcriber.transcribe(
            file,
            options,
            on_progress=lambda progress: bar.update(row, completed=progress.done, total=progress.duration),
        )
    for warning in transcript.warnings:
        stderr.print(f"auricle: {file}: {warning}", style="yellow", markup=False, highlight=False)
    speed = transcript.duration / transcript.timing.total
    done = f"{file.name}: {transcript.duration:.1f} s in {transcript.language}, {speed:.1f} × real time"
    stderr.print(done, style="dim", markup=False, highlight=False)
    return transcript


def _write(text: str, target: Path | None) -> None:
    if target is None:
        sys.stdout.write(text if text.endswith("\n") or not text else text + "\n")
        sys.stdout.flush()
    else:
        target.write_text(text, encoding="utf-8")


@models_app.command("list")
def list_models() -> None:
    """Models on this machine, and those that `pull` can fetch."""
    from asr.checkpoint import ModelStore

    store = ModelStore()
    installed = store.installed()
    for name in [*installed, *(name for name in store.known() if name not in installed)]:
        sys.stdout.write(f"{name:<16} {'here' if name in installed else '–'}\n")
    stderr.print(f"models are kept in {store.root}", style="dim", markup=False, highlight=False)


@models_app.command()
def pull(
    model: Annotated[str, typer.Argument(help="base, tiny.en, …, or owner/name on the Hugging Face hub.")],
) -> None:
    """Fetch a model, check its digest, convert it. One that is here already is only verified."""
    from asr.checkpoint import ModelStore

    with _told_plainly(), stderr.status(f"{model}") as status:
        folder = ModelStore().pull(model, on_step=status.update)
    stderr.print(f"{model} is ready in {folder}", markup=False, highlight=False)


@models_app.command()
def verify(model: Annotated[str, typer.Argument(help="A model on this machine.")]) -> None:
    """Compare every file of a model with its digest."""
    from asr.checkpoint import ModelStore

    with _told_plainly():
        for name, digest in ModelStore().verify(model).items():
            sys.stdout.write(f"{digest}  {name}: OK\n")


@models_app.command()
def convert(
    source: Annotated[Path, typer.Argument(help="A model folder (CTranslate2, Hugging Face, Auricle) or a .pt file.")],
    name: Annotated[str, typer.Argument(help="The name to keep it under.")],
    sha256: Annotated[str | None, typer.Option(help="Digest of a .pt file that OpenAI did not publish.")] = None,
) -> None:
    """Convert a model of any known format; a .pt needs tokenizer.json beside it."""
    from asr.checkpoint import ModelStore

    with _told_plainly(), stderr.status(f"converting {source}"):
        folder = ModelStore().convert(source, name, expected_sha256=sha256)
    stderr.print(f"{name} is ready in {folder}", markup=False, highlight=False)


def main() -> None:
    """Entry point of ``auricle``."""
    app()
