"""``auricle-eval score``: hypotheses on disk → error rates."""

from pathlib import Path
from typing import Annotated

import typer

from eval.cli.console import output_console, reported_errors, write_json
from eval.hypotheses import read_run
from eval.report.as_json import scores_as_json
from eval.report.terminal import Breakdown, scores_as_tables
from eval.scoring import score_run

__all__ = ["score"]


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
    with reported_errors():
        scores = score_run(read_run(folder))
        if json_file is not None:
            write_json(json_file, scores_as_json(scores))
    console = output_console()
    console.print(*scores_as_tables(scores, by=by))
    if scores.n_missing:
        message = f"Unfinished: {scores.n_missing} clips have no hypothesis yet and are not in these numbers."
        typer.echo(f"{message} Repeat the `auricle-eval run` command to finish.", err=True)
