"""The command ``auricle-eval``. In: command lines. Out: files, tables and exit codes. Knows no algorithm.

Torch, plots and normalizers are imported where they are used, so that ``--help`` answers at once.
"""

import typer

from eval.cli.capacity import capacity
from eval.cli.compare import compare
from eval.cli.draft import draft
from eval.cli.gpu import gpu
from eval.cli.join import join, non_speech
from eval.cli.lengths import lengths
from eval.cli.live import live
from eval.cli.load import load
from eval.cli.noise import noise
from eval.cli.normalize import normalize
from eval.cli.report import report
from eval.cli.run import run
from eval.cli.scaling import scaling
from eval.cli.score import score
from eval.cli.serve_check import serve_check
from eval.cli.speed import speed
from eval.cli.suite import suite

__all__ = ["app", "main"]

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    help="""Measure how well a model transcribes a corpus: first make hypotheses, then score them.

\b
  auricle-eval run corpus/manifest.jsonl --out results/base
  auricle-eval score results/base --json results/base/scores.json
  auricle-eval compare results/base results/greedy
  auricle-eval report results/base --html report.html
""",
)
app.command()(run)
app.command()(score)
app.command()(compare)
app.command()(report)
app.command()(serve_check)
app.command()(live)
app.command()(speed)
app.command()(load)
app.command()(scaling)
app.command()(gpu)
app.command()(draft)
app.command()(lengths)
app.command()(capacity)
app.command()(suite)
app.command()(noise)
app.command()(join)
app.command()(non_speech)
app.command()(normalize)


def main() -> None:
    """Entry point of ``auricle-eval``."""
    app()
