"""``--fail-above``: scores → one line and an exit code, for continuous integration. Counts nothing."""

import math

import typer

from eval.errors import ResultsError
from eval.report.document import counted
from eval.scoring.types import Scores, TranscriptionScores

__all__ = ["check_limit", "parse_limit"]


def parse_limit(text: str) -> float:
    """``0.15`` or ``15%`` as a fraction. Raises BadParameter."""
    number = text.strip()
    in_percent = number.endswith("%")
    try:
        limit = float(number.removesuffix("%")) / (100 if in_percent else 1)
    except ValueError:
        limit = math.nan
    if not (0 <= limit < math.inf if in_percent else 0 <= limit < 1):  # 15 is meant as 15 %, and 1 might be
        raise typer.BadParameter(f"got {text!r}, expected a rate below 1 such as 0.15, or one in percent: 15%")
    return limit


def check_limit(scores: Scores, limit: float) -> None:
    """Say how the overall error rate stands to the limit; exit 1 when it is above, unknown, or of a part only.

    Raises ResultsError for scores that are no error rate.
    """
    if not isinstance(scores, TranscriptionScores):
        message = "--fail-above: got a run without error rate, expected one of --task transcribe; leave the option out"
        raise ResultsError(message)
    rate = scores.overall.counts.rate
    got = "no rate, as nothing is said in its clips" if rate is None else f"an overall error rate of {100 * rate:.2f} %"
    fails = rate is None or rate > limit or scores.n_missing > 0
    if scores.n_missing:
        verb = "has" if scores.n_missing == 1 else "have"
        got += f" without {counted(scores.n_missing, 'clip')} that {verb} no hypothesis yet"
    typer.echo(f"{'FAILED' if fails else 'passed'}: got {got}, limit {100 * limit:.2f} %", err=True)
    if fails:
        raise typer.Exit(1)
