"""The command ``auricle-eval``. In: command lines. Out: files, tables and exit codes. Knows no algorithm.

Torch and the normalizers are imported where they are used, so that ``--help`` answers at once.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Self

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from asr.errors import AuricleError, InvalidOptionError
from asr.options import DEFAULT_TEMPERATURES, TranscribeOptions
from asr.tasks import Task
from eval.corpus import Utterance, read_manifest
from eval.errors import EvaluationError, ResultsError
from eval.hypotheses import read_run
from eval.report import Breakdown, scores_as_json, scores_as_table
from eval.runner import LanguageMode, RunPlan, RunSummary, run_corpus
from eval.scoring import score_run
from eval.targets import LocalTarget, ServerTarget, Target

__all__ = ["app", "main"]

DEFAULT_MODEL = "base"
WIDTH_OF_A_FILE = 120  # characters, where a table goes to a file or pipe, which have no width

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    help="""Measure how well a model transcribes a corpus: first make hypotheses, then score them.

\b
  auricle-eval run corpus/manifest.jsonl --out results/base
  auricle-eval score results/base --json results/base/scores.json
""",
)


@app.command()
def run(  # noqa: PLR0913, PLR0917  (typer: every option of the command is a parameter)
    manifest: Annotated[Path, typer.Argument(metavar="MANIFEST.jsonl", help="The corpus, one JSON object a line.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for the results; made if missing.")],
    model: Annotated[
        str | None, typer.Option(help=f"Name or path of a model.  [default: {DEFAULT_MODEL}, or what --server serves]")
    ] = None,
    server: Annotated[
        str | None, typer.Option(metavar="URL", help="Ask a running Auricle service instead of loading a model here.")
    ] = None,
    beam_size: Annotated[
        int, typer.Option(help="Beams at temperature 0; 1 is greedy.")
    ] = TranscribeOptions().beam_size,
    temperature: Annotated[
        str, typer.Option(help="A number, or several with commas: the ladder of the fallback.")
    ] = ",".join(f"{temperature:g}" for temperature in DEFAULT_TEMPERATURES),
    task: Annotated[Task, typer.Option(help="What the model is asked for.")] = Task.TRANSCRIBE,
    language: Annotated[
        LanguageMode, typer.Option(help="manifest: tell the model each clip's language; auto: let it detect.")
    ] = LanguageMode.MANIFEST,
) -> None:
    """Transcribe a corpus, one line of DIR/hypotheses.jsonl a clip.

    \b
      auricle-eval run corpus/manifest.jsonl --out results/base
      auricle-eval run corpus/manifest.jsonl --out results/greedy --beam-size 1 --temperature 0
      auricle-eval run corpus/manifest.jsonl --out results/service --server http://localhost:8000

    A line of the manifest has id, path (relative to the manifest's folder), text, language and duration;
    translation_en, speaker, dataset, metric (wer or cer), kind, single_word and quality where known. Clips whose text
    is null are left out and counted; text "" means that nobody speaks.

    The same command continues a run that was stopped. A clip that fails (a damaged file, a language that the model does
    not know) is kept with its error and is scored as an empty text; the errors are listed at the end. To try one again,
    delete its line and repeat the command.

    Exit code: 0, also when some clips failed; 1 when all failed or there were none; 2 for a wrong option.
    """
    try:
        options = TranscribeOptions(task=task, beam_size=beam_size, temperatures=_parse_temperatures(temperature))
    except InvalidOptionError as error:
        raise typer.BadParameter(str(error)) from error
    with _reported_errors():
        plan = RunPlan(corpus=read_manifest(manifest), options=options, language_mode=language)
        target = _make_target(model, server)
        with _ProgressBar() as progress:
            summary = run_corpus(plan, target, out, progress)
    _print_summary(summary, out)
    if task is Task.TRANSCRIBE:
        typer.echo(f"Next: auricle-eval score {out}", err=True)
    if len(summary.failures) == len(summary.hypotheses):
        raise typer.Exit(1)


@app.command()
def score(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The --out folder of a run.")],
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Also write everything here.")
    ] = None,
    by: Annotated[Breakdown | None, typer.Option(help="Rows by language or by dataset only.  [default: both]")] = None,
) -> None:
    """Count the errors of a run: corpus rates, from counts added over clips.

    \b
      auricle-eval score results/base
      auricle-eval score results/base --json scores.json --by language

    Texts go through the Whisper paper's normalizers: whisper-english for en, whisper-basic for the rest. zh, ja, th,
    yue, lo, my and km are counted by character (whitespace left out), other languages by word, unless the manifest's
    metric says otherwise. A failed clip counts as deleted, never as absent.

    \b
      overall   every clip with a transcript, each in its own unit
      headline  the same without doubtful transcripts, spelled-out corpora (AN4) and single words
      S, D, I   substituted, deleted and inserted units; error rate = (S + D + I) / units, "–" without units
    """
    with _reported_errors():
        scores = score_run(read_run(folder))
        if json_file is not None:
            _write_json(json_file, scores_as_json(scores))
    console = Console()
    console.width = console.width if console.is_terminal else WIDTH_OF_A_FILE
    console.print(scores_as_table(scores, by=by))
    used = ", ".join(f"{name} ({version})" for name, version in scores.normalizers.items())
    console.print(f"Normalizers: {used}", markup=False, highlight=False)
    if scores.n_missing:
        message = f"Unfinished: {scores.n_missing} clips have no hypothesis yet and are not in these numbers."
        typer.echo(f"{message} Repeat the `auricle-eval run` command to finish.", err=True)


@app.command()
def speed(
    clip: Annotated[Path, typer.Argument(metavar="CLIP", help="An English recording.")],
    peer: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=PYTHON", help="An engine and the interpreter it is installed for; repeatable."),
    ] = None,
    model: Annotated[str, typer.Option(help="Name of a packaged model.")] = DEFAULT_MODEL,
    rounds: Annotated[int, typer.Option(min=1, help="Turns that each engine takes.")] = 5,
    json_file: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write all numbers here.")] = None,
) -> None:
    """Time engines against each other on one clip: cold start, latency, peak memory.

    Greedy, English, no fallback, two threads, each engine in its own process, taking turns.

    \b
      auricle-eval speed jfk.flac --peer openai-whisper=peers/openai/bin/python \\
        --peer faster-whisper-int8=peers/faster/bin/python
    """
    with _reported_errors():
        from eval.speed import measure_speed, times_as_json

        peers = {}
        for each in peer or []:
            name, equals, interpreter = each.partition("=")
            if not equals:
                raise EvaluationError(f"--peer: got {each!r}, expected NAME=PYTHON")
            peers[name] = Path(interpreter)
        with Console(stderr=True).status("starting") as status:
            numbers = times_as_json(measure_speed(clip, model, peers, rounds=rounds, on_step=status.update))
    table = Table("engine", "cold start, s", "latency, s", "× ours", "peak, MB", "text")
    for name, row in numbers.items():
        figures = (row["cold_s"], row["warm_s"], row["warm_ratio_to_auricle"])
        table.add_row(name, *(f"{figure:.2f}" for figure in figures), f"{row['peak_mb']:.0f}", row["text"])
    Console(width=None if Console().is_terminal else WIDTH_OF_A_FILE).print(table)
    if json_file is not None:
        _write_json(json_file, numbers)


def main() -> None:
    """Entry point of ``auricle-eval``."""
    app()


def _parse_temperatures(value: str) -> tuple[float, ...]:
    try:
        return tuple(float(number) for number in value.split(","))
    except ValueError as error:
        message = f"temperature: got {value!r}, expected a number, or several with commas"
        raise InvalidOptionError(message, param="temperature") from error


def _make_target(model: str | None, server: str | None) -> Target:
    if server is not None:
        return ServerTarget(server, model=model)
    return LocalTarget.load(model or DEFAULT_MODEL)


class _ProgressBar:
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
        self._n_done = n_clips - len(pending)
        total_s = sum(_bar_length_s(utterance) for utterance in pending)
        self._bar = self._progress.add_task("", total=total_s, n_done=self._n_done, n_clips=n_clips)

    def advance(self, utterance: Utterance) -> None:
        self._n_done += 1
        self._progress.update(self._bar, advance=_bar_length_s(utterance), n_done=self._n_done)


def _bar_length_s(utterance: Utterance) -> float:
    return utterance.duration or 1.0


def _print_summary(summary: RunSummary, out: Path) -> None:
    console = Console(stderr=True)
    if summary.failures:
        console.print(_failures_table(summary))
    n_clips, n_failed = len(summary.hypotheses), len(summary.failures)
    line = f"{n_clips} clips in {out}: {n_clips - n_failed} transcribed, {n_failed} failed"
    if summary.n_resumed:
        line += f"; {summary.n_resumed} of them were there already"
    if summary.n_without_reference:
        line += f"; {summary.n_without_reference} left out, as the manifest has no text for them"
    typer.echo(f"{line}.", err=True)


def _failures_table(summary: RunSummary) -> Table:
    table = Table(title="Clips that failed")
    table.add_column("error")
    table.add_column("clips", justify="right")
    table.add_column("the first of them")
    by_code: dict[str, list[str]] = {}
    for failure in summary.failures:
        error = failure.error or {}
        by_code.setdefault(error.get("code", ""), []).append(f"{failure.id}: {error.get('message', '')}")
    for code, examples in sorted(by_code.items()):
        table.add_row(code, str(len(examples)), Text(examples[0]))
    return table


@contextmanager
def _reported_errors() -> Iterator[None]:
    try:
        yield
    except (EvaluationError, AuricleError) as error:
        typer.echo(f"Error: {error}", err=True)
        raise typer.Exit(1) from error
    except KeyboardInterrupt as interrupt:
        typer.echo("Stopped. The same command continues where it stopped.", err=True)
        raise typer.Exit(130) from interrupt


def _write_json(path: Path, value: Mapping[str, Any]) -> None:
    try:
        path.write_text(json.dumps(value, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise ResultsError(f"--json {path}: {error.strerror or error}; expected a file to write to") from error
