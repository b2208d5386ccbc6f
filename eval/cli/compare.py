"""``auricle-eval compare``: two runs → what differs, and whether it is luck."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from eval.cli.console import output_console, reported_errors, write_json
from eval.hypotheses import read_run
from eval.normalizers import NormalizerName
from eval.report.as_json import comparison_as_json
from eval.report.comparison import comparison_as_tables
from eval.scoring.compare import compare_runs

__all__ = ["compare"]


def compare(
    folder_a: Annotated[Path, typer.Argument(metavar="DIR_A", help="The --out folder of a run.")],
    folder_b: Annotated[Path, typer.Argument(metavar="DIR_B", help="That of another run of the same task.")],
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Also write everything here.")
    ] = None,
    normalizer: Annotated[
        NormalizerName, typer.Option(help="What transcripts go through before they are counted.")
    ] = NormalizerName.WHISPER,
) -> None:
    """Say what B does better or worse than A, and whether the difference is real.

    \b
      auricle-eval run corpus/manifest.jsonl --out results/beam
      auricle-eval run corpus/manifest.jsonl --out results/greedy --beam-size 1
      auricle-eval compare results/beam results/greedy --json greedy-or-beam.json

    Counted are the clips that both runs have answered. Both are drawn together 10,000 times, by speaker where speakers
    are known, else by clip: the interval holds 95 % of the differences found so, and p is the share of them on the
    other side of zero, doubled. Where many rows are read, some have a small p by chance; p (Holm) allows for that.

    \b
      transcribe       error rate, each clip in the unit of its language or corpus
      translate        BLEU and chrF
      detect-language  share of the languages named right

    Where both runs have words with times (run --word-timestamps), the starts and ends of the same words are compared
    too: give the run to be trusted as A.

    Exit code: 0, whatever the difference; 1 when there is nothing to compare; 2 for a wrong option.
    """
    with reported_errors():
        runs = read_run(folder_a), read_run(folder_b)
        with Console(stderr=True).status("drawing clips"):
            comparison = compare_runs(*runs, normalizer=normalizer)
        if json_file is not None:
            write_json(json_file, comparison_as_json(comparison))
    console = output_console()
    console.print(f"A: {folder_a}", f"B: {folder_b}", sep="\n", markup=False, highlight=False)
    console.print(*comparison_as_tables(comparison), sep="\n")
