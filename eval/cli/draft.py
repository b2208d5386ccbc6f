"""``auricle-eval draft``: what several tokens per pass would bring, and what a trained draft head does."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from asr.options import AudioContext, Quantization
from eval.cli.console import output_console, reported_errors, write_json

__all__ = ["draft"]

HEADINGS = (
    "encoder, ms", "draft, ms", "decoder, ms", "tokens a pass", "accepted, %", "decoder, ×", "all, ×", "differing"
)  # fmt: skip


def draft(  # noqa: PLR0913, PLR0917  (typer: every option of the command is a parameter)
    clips: Annotated[list[Path], typer.Argument(metavar="CLIPS...", help="Recordings; of each the first 30 s.")],
    model: Annotated[str, typer.Option(help="Name or path of a model.")] = "base",
    head: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The draft-head.safetensors of `auricle train --objective ctc-draft`."),
    ] = None,
    language: Annotated[str, typer.Option(help="Code of what is spoken.")] = "en",
    quantization: Annotated[Quantization, typer.Option(help="As of `auricle transcribe`.")] = Quantization.AUTO,
    context: Annotated[AudioContext, typer.Option(help="As of `auricle transcribe`.")] = AudioContext.AUTO,
    block: Annotated[int, typer.Option(min=1, help="Tokens that a pass may say.")] = 8,
    batch: Annotated[int, typer.Option(min=1, help="Windows side by side: each clip, so many times.")] = 1,
    json_file: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write all numbers here.")] = None,
) -> None:
    """Decode clips one token a pass, in blocks of a draft that is always right, and in those of a draft head.

    All three say the same text. Times are processor time of one thread.

    \b
      auricle-eval draft jfk.flac --context exact
      auricle-eval draft clips/*.wav --head out/draft/model/draft-head.safetensors --json draft.json
    """
    with reported_errors():
        from eval.draft_costs import DraftPlan, measure_drafts

        plan = DraftPlan(
            clips=clips, model=model, head=head, language=language, quantization=quantization, context=context,
            block=block, batch=batch,
        )  # fmt: skip
        with Console(stderr=True).status("loading") as status:
            numbers = measure_drafts(plan, on_clip=lambda name: status.update(Text(name)))
        if json_file is not None:
            write_json(json_file, numbers)
    output_console().print(_table(numbers))


def _table(numbers: Mapping[str, Any]) -> Table:
    """Milliseconds a clip and window, and how many times faster than the first way."""
    n_windows = numbers["n_clips"] * numbers["batch"]
    first, *_ = numbers["ways"].values()
    table = Table()
    table.add_column("way", no_wrap=True)
    for heading in HEADINGS:
        table.add_column(heading, justify="right")
    for name, way in numbers["ways"].items():
        spent_s = way["draft_s"] + way["decode_s"]
        table.add_row(
            name,
            *(f"{1000 * each / n_windows:.1f}" for each in (numbers["encode_s"], way["draft_s"], way["decode_s"])),
            f"{way['n_tokens'] / way['n_passes']:.2f}",
            f"{100 * way['n_accepted'] / way['n_guessed']:.0f} of {way['n_guessed']}" if way["n_guessed"] else "",
            f"{first['decode_s'] / spent_s:.2f}",
            f"{(numbers['encode_s'] + first['decode_s']) / (numbers['encode_s'] + spent_s):.2f}",
            str(len(way["differing"])),
        )
    return table
