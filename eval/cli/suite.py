"""``auricle-eval suite``: the rows of a suite → a folder of hypotheses each."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from asr.options import TranscribeOptions
from eval.cli.console import ProgressBar, open_clips, output_console, reported_errors
from eval.cli.target_options import (
    ApiKeyOption,
    BeamSizeOption,
    ModelOption,
    OpenAIOption,
    SeedOption,
    ServerOption,
    TemperatureOption,
    decoding_options,
    make_target,
)
from eval.corpora.opening import HUB, CorpusSpec
from eval.errors import CorpusError
from eval.jobs import Job
from eval.normalizers import NormalizerName
from eval.runner import LanguageMode, RunPlan, RunSummary, run_corpus
from eval.suites import Suite, SuiteRow, read_suites
from eval.targets import Target

__all__ = ["suite"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Opened:
    """A row and its run, or why there is none."""

    row: SuiteRow
    plan: RunPlan | None
    reason: str


def suite(  # noqa: PLR0913, PLR0917  (typer: every option of the command is a parameter)
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="The suite; --list names them.")] = None,
    data: Annotated[Path | None, typer.Option(metavar="DIR", help="Folder that the suite's paths are in.")] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder for the results, one folder a row; made if missing.")
    ] = None,
    model: ModelOption = None,
    server: ServerOption = None,
    openai: OpenAIOption = None,
    api_key_env: ApiKeyOption = None,
    beam_size: BeamSizeOption = None,
    temperature: TemperatureOption = None,
    seed: SeedOption = None,
    suites_file: Annotated[
        Path | None, typer.Option("--suites", metavar="FILE.toml", help="Suites of your own instead of Auricle's.")
    ] = None,
    list_suites: Annotated[
        bool, typer.Option("--list", help="Print the suites and their rows, and run nothing.")
    ] = False,
) -> None:
    """Run every row of a suite whose corpus is there; a row is a corpus, what is asked for and how it is scored.

    \b
      auricle-eval suite --list
      auricle-eval suite paper-english --data corpora --out results/base
      auricle-eval suite mine --suites suites.toml --data corpora --out results/mine --server http://localhost:8000

    A suite of your own is a table of TOML:

    \b
      [mine]
      description = "What we answer for"
      rows = [
        { name = "calls", corpus = "calls/manifest.jsonl", only = ["kind=long"], normalizer = "auricle" },
        { name = "german", corpus = "fleurs:fleurs/data/de_de", job = "translate" },
      ]

    The same command continues a suite that was stopped. Rows whose corpus is not there are listed. Beams, temperatures
    and seed hold for the rows that decode text.

    Exit code: 0 when a row was run, also when clips failed; 1 when none was or every clip failed; 2 for a wrong option.
    """
    with reported_errors(continues=True):
        suites = read_suites(suites_file)
        if list_suites:
            output_console().print(*(_suite_table(suite_) for suite_ in suites.values()))
            return
        if name is None or name not in suites:
            raise typer.BadParameter(f"NAME: got {name or 'none'}, expected one of {', '.join(suites)}")
        if data is None or out is None:
            raise typer.BadParameter(f"suite {name}: expected --data DIR, where the corpora are, and --out DIR")
        options = decoding_options(beam_size, temperature, seed, openai=openai)
        opened = [_open(row, data, options, openai) for row in suites[name].rows]
        summaries: dict[str, RunSummary] = {}
        if any(entry.plan for entry in opened):
            target = make_target(model, server, openai, api_key_env=api_key_env)
            summaries = _run(opened, target, out)
    output_console().print(_outcome_table(suites[name], opened, summaries))
    if not summaries:
        typer.echo(f"Error: no row of {name} could be run; put its corpora under {data}", err=True)
        raise typer.Exit(1)
    typer.echo(f"Next: auricle-eval report {quote(str(out))}/* --html report.html", err=True)
    if all(len(summary.failures) == len(summary.hypotheses) for summary in summaries.values()):
        raise typer.Exit(1)


def _open(row: SuiteRow, data: Path, options: TranscribeOptions, openai: str | None) -> _Opened:
    if openai is not None and row.job is Job.TRANSLATE and row.language is LanguageMode.MANIFEST:
        return _Opened(row=row, plan=None, reason='not run: with --openai a translation takes language = "auto"')
    spec = CorpusSpec.parse(row.corpus)
    path = spec.path(data)
    if spec.kind != HUB and not path.exists():
        return _Opened(row=row, plan=None, reason=f"not there: {path}")
    try:
        clips = open_clips(row.corpus, row.only, root=data)
        plan = RunPlan(corpus=clips, options=options, job=row.job, language_mode=row.language)
        return _Opened(row=row, plan=plan, reason="")
    except CorpusError as error:
        return _Opened(row=row, plan=None, reason=f"not run: {error}")


def _run(opened: Sequence[_Opened], target: Target, out: Path) -> dict[str, RunSummary]:
    summaries = {}
    for entry in opened:
        if entry.plan is not None:
            name = entry.row.name
            typer.echo(f"{name}:", err=True)
            with ProgressBar() as progress:
                summaries[name] = run_corpus(entry.plan, target, out / name, progress)
    return summaries


def _suite_table(suite_: Suite) -> Table:
    table = Table(title=Text(f"{suite_.name}: {suite_.description}"), title_justify="left")
    for column in ("row", "corpus", "asked for", "normalizer", "in the paper"):
        table.add_column(column, overflow="fold")
    for row in suite_.rows:
        corpus = " --only ".join((row.corpus, *row.only))
        asked = f"{row.job}, language {row.language}" if row.language is LanguageMode.AUTO else str(row.job)
        normalizer = f"{row.normalizer}, by {row.unit}" if row.unit else str(row.normalizer)
        table.add_row(*(Text(cell) for cell in (row.name, corpus, asked, normalizer, row.published or "–")))
    return table


def _outcome_table(suite_: Suite, opened: Sequence[_Opened], summaries: dict[str, RunSummary]) -> Table:
    table = Table(title=Text(suite_.name))
    table.add_column("row")
    table.add_column("clips", justify="right")
    table.add_column("failed", justify="right")
    table.add_column("outcome", overflow="fold")
    for entry in opened:
        summary = summaries.get(entry.row.name)
        if summary is None:
            table.add_row(Text(entry.row.name), "–", "–", Text(entry.reason))
            continue
        n_clips, n_failed = len(summary.hypotheses), len(summary.failures)
        table.add_row(Text(entry.row.name), str(n_clips), str(n_failed), Text(_outcome(entry.row, summary)))
    return table


def _outcome(row: SuiteRow, summary: RunSummary) -> str:
    parts = ["done"]
    if summary.n_resumed:
        parts.append(f"{summary.n_resumed} were there already")
    if summary.n_without_reference:
        parts.append(f"{summary.n_without_reference} left out, as the corpus has no text for them")
    scoring = [f"--normalizer {row.normalizer}"] if row.normalizer is not NormalizerName.WHISPER else []
    scoring += [f"--unit {row.unit}"] if row.unit else []
    if scoring:
        parts.append(f"score with {' '.join(scoring)}")
    return "; ".join(parts)
