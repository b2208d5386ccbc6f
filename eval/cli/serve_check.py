"""``auricle-eval serve-check``: a running service → a table of promises held and broken, and an exit code."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from eval.cli.console import ProgressBar, open_clips, output_console, reported_errors, write_json
from eval.cli.gate import parse_limit
from eval.cli.target_options import decoding_options, make_target
from eval.corpora import Corpus
from eval.hypotheses import read_run
from eval.report.as_json import scores_as_json
from eval.report.document import counted
from eval.report.terminal import with_interval
from eval.runner import RunPlan, run_corpus
from eval.scoring import TranscriptionScores, score_run
from eval.serve_check import Check, CorpusVerdict, check_corpus, check_protocol, made_recording, recording_of

__all__ = ["serve_check"]


def serve_check(  # noqa: PLR0913, PLR0917  (typer: every option of the command is a parameter)
    url: Annotated[str, typer.Argument(metavar="URL", help="Address of a running Auricle service.")],
    corpus: Annotated[
        str | None, typer.Option(metavar="CORPUS", help="Also transcribe this corpus through the service.")
    ] = None,
    fail_above: Annotated[
        float | None,
        typer.Option(metavar="RATE", parser=parse_limit, help="Highest error rate on the corpus: 0.15 or 15%."),
    ] = None,
    model: Annotated[str | None, typer.Option(help="Name of the model that has to be served.")] = None,
    wait: Annotated[
        float, typer.Option(metavar="SECONDS", min=0, help="How long it may take to start and to load its model.")
    ] = 120.0,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Keep the corpus's hypotheses here.  [default: a temporary folder]"),
    ] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Also write everything here.")
    ] = None,
) -> None:
    """Judge a running service end to end.

    \b
      auricle-eval serve-check http://localhost:8000
      auricle-eval serve-check http://localhost:8000 --corpus corpus/manifest.jsonl --fail-above 15%

    It has to be alive and ready and to name its model, to refuse an empty file, a file that is no audio and options
    that it does not know, each by name, and to say the same text in every format and as a stream. With --corpus it then
    transcribes the corpus, and every clip has to get an answer; error rate with interval, latency and speed are shown.

    Exit code: 0 when every check passes, 1 when one fails, 2 for a wrong option.
    """
    if corpus is None and (fail_above is not None or out is not None):
        raise typer.BadParameter("--fail-above and --out are about a corpus: got no --corpus")
    with reported_errors(continues=out is not None):
        plan = (
            None if corpus is None else RunPlan(corpus=open_clips(corpus), options=decoding_options(None, None, None))
        )
        checks = _protocol_checks(url, None if plan is None else plan.corpus, model, wait)
        verdict = None
        if plan is not None and any(check.name == "model" and check.passed for check in checks):
            verdict = _corpus_verdict(url, plan, model, out, fail_above)
            checks += verdict.checks
        if json_file is not None:
            write_json(json_file, _as_json(url, checks, verdict))
    console = output_console()
    console.print(_table(url, checks))
    if verdict is not None:
        console.print(*_measures(verdict), sep="\n", markup=False, highlight=False)
    n_failed = sum(not check.passed for check in checks)
    typer.echo(f"FAILED: {n_failed} of {len(checks)} checks" if n_failed else f"passed: {len(checks)} checks", err=True)
    raise typer.Exit(1 if n_failed else 0)


def _protocol_checks(url: str, corpus: Corpus | None, model: str | None, wait_s: float) -> list[Check]:
    recording = made_recording() if corpus is None else recording_of(corpus)
    checks: list[Check] = []
    with Console(stderr=True).status(Text(f"asking {url}")) as status:
        for check in check_protocol(url, recording, model=model, wait_s=wait_s):
            checks.append(check)
            status.update(Text(f"asking {url}: {len(checks)} checks done, the last was {check.name}"))
    return checks


def _corpus_verdict(
    url: str, plan: RunPlan, model: str | None, out: Path | None, fail_above: float | None
) -> CorpusVerdict:
    with TemporaryDirectory(prefix="auricle-serve-check-") as temporary:
        folder = out or Path(temporary)
        with ProgressBar() as progress:
            run_corpus(plan, make_target(model, url), folder, progress)
        run = read_run(folder)
    scores = score_run(run)
    if not isinstance(scores, TranscriptionScores):
        raise TypeError(f"got {type(scores).__name__}, expected the scores of a transcription")
    return check_corpus(run, scores, fail_above=fail_above)


def _table(url: str, checks: Sequence[Check]) -> Table:
    table = Table(title=Text(f"Service at {url}"), title_justify="left")
    table.add_column("check", no_wrap=True)
    table.add_column("")
    table.add_column("expected")
    table.add_column("got", overflow="fold")
    table.add_column("s", justify="right")
    for check in checks:
        mark = Text("pass", style="green") if check.passed else Text("FAIL", style="bold red")
        seconds = "" if check.seconds is None else f"{check.seconds:.2f}"
        table.add_row(check.name, mark, Text(check.expected), Text(check.got), seconds)
    return table


def _measures(verdict: CorpusVerdict) -> list[str]:
    overall, speed = verdict.scores.overall, verdict.scores.real_time
    rate = with_interval(overall.counts.rate, overall.interval)
    units = "words or characters" if overall.unit == "mixed" else f"{overall.unit}s"
    lines = [
        f"Error rate: {rate} %, {overall.counts.n_ref} {units} in {counted(overall.n_clips, 'clip')}, "
        f"{overall.n_failed} failed"
    ]
    if verdict.latency is not None:
        latency = verdict.latency
        lines.append(
            f"Latency: p50 {latency.p50:.2f} s, p95 {latency.p95:.2f} s, p99 {latency.p99:.2f} s over "
            f"{counted(latency.n, 'clip')}"
        )
    if speed.x_real_time is not None:
        lines.append(f"Speed: {speed.x_real_time:.1f} × real time, {speed.audio_s:.0f} s of audio")
    return lines


def _as_json(url: str, checks: Sequence[Check], verdict: CorpusVerdict | None) -> dict[str, Any]:
    report: dict[str, Any] = {
        "url": url,
        "passed": all(check.passed for check in checks),
        "checks": [asdict(check) for check in checks],
    }
    if verdict is not None:
        report["corpus"] = {
            "scores": scores_as_json(verdict.scores),
            "latency_s": None if verdict.latency is None else asdict(verdict.latency),
            "failures": verdict.failures,
        }
    return report
