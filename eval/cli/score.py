"""``auricle-eval score``: hypotheses on disk → error rates, BLEU and chrF, or languages named."""

from pathlib import Path
from typing import Annotated

import typer

from eval.cli.console import output_console, reported_errors, write_json
from eval.cli.gate import check_limit, parse_limit
from eval.hypotheses import read_run
from eval.normalizers import NormalizerName, Unit
from eval.report.as_json import scores_as_json
from eval.report.document import counted
from eval.report.terminal import Breakdown, scores_as_tables
from eval.scoring import score_run

__all__ = ["score"]


def score(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The --out folder of a run.")],
    normalizer: Annotated[
        NormalizerName, typer.Option(help="What both texts go through before they are counted.")
    ] = NormalizerName.WHISPER,
    unit: Annotated[
        Unit | None, typer.Option(help="Count every clip in this unit.  [default: as its language or corpus asks]")
    ] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Also write everything here.")
    ] = None,
    by: Annotated[Breakdown | None, typer.Option(help="Rows by language or by dataset only.  [default: both]")] = None,
    fail_above: Annotated[
        float | None,
        typer.Option(metavar="RATE", parser=parse_limit, help="Exit code 1 above this overall rate: 0.15 or 15%."),
    ] = None,
) -> None:
    """Count the errors of a run: corpus rates, from counts added over clips.

    \b
      auricle-eval score results/base
      auricle-eval score results/base --json scores.json --by language
      auricle-eval score results/base --normalizer whisper-basic --fail-above 15%

    Texts go through the Whisper paper's normalizers unless --normalizer says otherwise: whisper-english for en,
    whisper-basic for the rest. zh, ja, th, yue, lo, my and km are counted by character (whitespace left out), other
    languages by word, unless the manifest's metric or --unit says otherwise. A failed clip counts as deleted, never as
    absent.

    \b
      overall   every clip with a transcript, each in its own unit
      headline  the same without doubtful transcripts, spelled-out corpora (AN4) and single words
      failed    clips without transcript; no such column where there are none
      S, D, I   substituted, deleted and inserted units; error rate = (S + D + I) / units, "–" without units
      CER       every clip of the row by character
      [95 %]    bootstrap interval; what it draws are clusters: speakers where they are known, else clips.
                †: fewer than five clusters, so clips are drawn, which says nothing about other voices

    More follows where the run has the data: words in time inside their clips (recordings joined by auricle-eval join),
    probabilities of words against whether they are right, text lost in clips of a minute or more, text that was left
    out, and languages over time.

    A run of --task translate has BLEU and chrF, on texts as they are; a run of --task detect-language has accuracy.

    Exit code: 0; with --fail-above 1 when the overall rate is above the limit, when there is none, or when the run is
    unfinished; 1 for a folder that is no run's; 2 for a wrong option.
    """
    with reported_errors():
        scores = score_run(read_run(folder), normalizer=normalizer, unit=unit)
        if json_file is not None:
            write_json(json_file, scores_as_json(scores))
    output_console().print(*scores_as_tables(scores, by=by), sep="\n")
    if scores.n_missing:
        verbs = ("has", "is") if scores.n_missing == 1 else ("have", "are")
        message = f"Unfinished: {counted(scores.n_missing, 'clip')} {verbs[0]} no hypothesis yet and {verbs[1]} not in "
        message += "these numbers."
        typer.echo(f"{message} Repeat the `auricle-eval run` command to finish.", err=True)
    if fail_above is not None:
        with reported_errors():
            check_limit(scores, fail_above)
