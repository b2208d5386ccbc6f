"""``auricle-eval run``: a corpus → hypotheses on disk."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from asr.errors import InvalidOptionError
from asr.options import TranscribeOptions
from eval.cli.console import ProgressBar, reported_errors
from eval.cli.target_options import DEFAULT_LADDER, DEFAULT_MODEL, make_target, parse_temperatures
from eval.corpora import read_manifest
from eval.corpora.selection import select
from eval.jobs import Job
from eval.runner import LanguageMode, RunPlan, RunSummary, run_corpus

__all__ = ["run"]


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
    ] = DEFAULT_LADDER,
    task: Annotated[Job, typer.Option(help="What the model is asked for.")] = Job.TRANSCRIBE,
    language: Annotated[
        LanguageMode, typer.Option(help="manifest: tell the model each clip's language; auto: let it detect.")
    ] = LanguageMode.MANIFEST,
    only: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FIELD=VALUES", help="Only these clips: language, dataset, kind, speaker or id; repeatable."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the samples that the fallback draws: the same run, the same text.")] = 0,
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
        options = TranscribeOptions(beam_size=beam_size, temperatures=parse_temperatures(temperature), seed=seed)
    except InvalidOptionError as error:
        raise typer.BadParameter(str(error)) from error
    with reported_errors():
        plan = RunPlan(
            corpus=select(read_manifest(manifest), only or []), options=options, job=task, language_mode=language
        )
        target = make_target(model, server)
        with ProgressBar() as progress:
            summary = run_corpus(plan, target, out, progress)
    _print_summary(summary, out)
    typer.echo(f"Next: auricle-eval score {out}", err=True)
    if len(summary.failures) == len(summary.hypotheses):
        raise typer.Exit(1)


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
