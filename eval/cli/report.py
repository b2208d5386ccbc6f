"""``auricle-eval report``: runs → HTML, Markdown and JSON."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from eval.cli.console import reported_errors, write_json, write_text
from eval.errors import EvaluationError
from eval.normalizers import NormalizerName

__all__ = ["report"]

MAX_SHOWN_CHARACTERS = 40  # of a clip's name


def report(  # noqa: PLR0913, PLR0917  (typer: every option of the command is a parameter)
    folders: Annotated[
        list[Path], typer.Argument(metavar="DIR…", help="The --out folders of runs, or of studies of noise.")
    ],
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write one page, with its plots and sounds.")
    ] = None,
    markdown: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the tables as Markdown.")] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write the scores of every run.")
    ] = None,
    plots: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write every plot as an SVG file of its own.")
    ] = None,
    title: Annotated[str, typer.Option(help="What stands on top.")] = "Speech recognition report",
    normalizer: Annotated[
        NormalizerName, typer.Option(help="What transcripts go through before they are counted.")
    ] = NormalizerName.WHISPER,
    word_times: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Hold word times against those of this run, where both have words."),
    ] = None,
    worst: Annotated[int, typer.Option(min=0, help="How many of the worst clips of each run are shown.")] = 30,
    audio: Annotated[bool, typer.Option("--audio/--no-audio", help="Put the worst clips' sound into the page.")] = True,
) -> None:
    """Write what runs found as a page for people: tables with intervals, plots, the worst clips to look at and play.

    \b
      auricle-eval report results/base --html report.html
      auricle-eval report results/base results/tiny.en results/noise --html report.html --markdown report.md
      auricle-eval report results/base --html small.html --worst 10 --no-audio
      auricle-eval report results/words --html words.html --word-times results/openai-whisper

    The page is one file that asks the network for nothing: plots are drawn in it, and sound is in it as Opus, 30 s of a
    clip at most (about 4 KB a second). Where a corpus is one of the Whisper paper's, its figure stands beside ours.
    """
    with reported_errors():
        if html is None and markdown is None and json_file is None and plots is None:
            raise EvaluationError(
                "got nothing to write, expected --html FILE, --markdown FILE, --json FILE or --plots DIR"
            )
        from eval.hypotheses import read_run
        from eval.report.assemble import make_report, read_scored, scored_as_json
        from eval.report.html import count_steps, render_html
        from eval.report.markdown import render_markdown
        from eval.report.plot_files import render_plots

        timed = None if word_times is None else read_run(word_times)
        with _progress() as progress:
            task = progress.add_task("scoring", total=len(folders), what="")
            runs = []
            for folder in folders:
                progress.update(task, what=folder.name)
                runs.append(read_scored(folder, normalizer=normalizer, timed=timed))
                progress.advance(task)
            document = make_report(runs, title=title, n_worst=worst)
            if json_file is not None:
                write_json(json_file, scored_as_json(runs, title=title))
            if markdown is not None:
                write_text(markdown, render_markdown(document), option="--markdown")
            if html is not None:
                task = progress.add_task("plots and clips", total=count_steps(document), what="")

                def advance(what: str) -> None:
                    progress.update(task, advance=1, what=what[:MAX_SHOWN_CHARACTERS])

                write_text(html, render_html(document, with_audio=audio, on_step=advance), option="--html")
            if plots is not None:
                for name, svg in render_plots(document):
                    write_text(plots / f"{name}.svg", svg, option="--plots")
    for path in filter(None, (html, markdown, json_file)):
        typer.echo(f"{path} ({path.stat().st_size / 1e6:.1f} MB)", err=True)


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[what]}", markup=False),
        console=Console(stderr=True),
    )
