"""``auricle-eval live``: recordings played into a running service as if they were spoken → delays and errors."""

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from eval.cli.console import ProgressBar, open_clips, output_console, reported_errors, write_json, write_text
from eval.cli.target_options import LanguageOption, OnlyOption
from eval.runner import LanguageMode

__all__ = ["live"]

OWN_FIELDS = {"timestamps", "sample_rate", "language"}  # the measurement's


def live(  # noqa: PLR0913, PLR0917  (typer: every option of the command is a parameter)
    url: Annotated[str, typer.Argument(metavar="URL", help="Address of a running Auricle service.")],
    corpus: Annotated[str, typer.Argument(metavar="CORPUS", help="The path of a JSONL manifest, or KIND:PATH.")],
    streams: Annotated[int, typer.Option(min=1, help="Recordings played at once.")] = 1,
    language: LanguageOption = LanguageMode.MANIFEST,
    only: OnlyOption = None,
    silence: Annotated[
        float, typer.Option(metavar="SECONDS", min=0, help="Silence after each recording, as from an open microphone.")
    ] = 2.0,
    field: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="A field of the stream, as step_s=0.5; repeatable.")
    ] = None,
    json_file: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write all numbers here.")] = None,
    markdown: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the table here.")] = None,
) -> None:
    """Measure live transcription: how late words come, and whether the text is as good as that of the whole file.

    \b
      auricle-eval live http://localhost:8000 corpus/manifest.jsonl --only language=en
      auricle-eval live http://localhost:8000 corpus/manifest.jsonl --streams 4 --field step_s=0.5 --json live.json

    Each recording is played into WS /stream at the pace at which it was spoken, and then posted to /transcribe. A
    word's delay runs from the moment its end was sent to its first showing, and to its being final. Error rates are
    against the corpus's text, and against what /transcribe says; texts go through the Whisper paper's normalizers.

    Exit code: 0; 1 when every clip failed or there are none; 2 for a wrong option.
    """
    fields = _parse_fields(field or [])
    with reported_errors():
        from eval.live import LivePlan, as_json, as_markdown, measure_live
        from eval.targets.service import ServerTarget

        plan = LivePlan(
            url=url,
            corpus=open_clips(corpus, only or ()),
            n_streams=streams,
            tells_language=language is LanguageMode.MANIFEST,
            silence_s=silence,
            fields=fields,
        )
        target = ServerTarget(url)
        described = target.describe()
        with ProgressBar() as progress:
            progress.start(plan.corpus.utterances, len(plan.corpus.utterances))
            clips = measure_live(plan, target, on_clip=progress.advance)
        if json_file is not None:
            write_json(json_file, as_json(plan, described, clips))
        if markdown is not None:
            write_text(markdown, as_markdown(clips), option="--markdown")
    from eval.live import HEADINGS, groups, table_row

    table = Table()
    for heading in HEADINGS:
        table.add_column(heading, justify="right" if heading else "left")
    for group in groups(clips):
        table.add_row(*table_row(group))
    output_console().print(table)
    failed = [clip for clip in clips if clip.failure is not None]
    for clip in failed:
        typer.echo(f"{clip.id}: {clip.failure}", err=True)
    raise typer.Exit(1 if len(failed) == len(clips) else 0)


def _parse_fields(texts: list[str]) -> dict[str, str]:
    fields = {}
    for text in texts:
        name, separator, value = text.partition("=")
        if not separator or not name or name in OWN_FIELDS or name in fields:
            message = f"--field: got {text!r}, expected NAME=VALUE, each name once, and none of"
            raise typer.BadParameter(f"{message} {', '.join(sorted(OWN_FIELDS))}")
        fields[name] = value
    return fields
