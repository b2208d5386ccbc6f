"""``auricle-eval scaling``: runs of models of several sizes and hours of training → the law of their error rates."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from eval.cli.console import output_console, reported_errors, write_json, write_text
from eval.normalizers import NormalizerName

__all__ = ["scaling"]


def scaling(
    folders: Annotated[
        list[Path], typer.Argument(metavar="DIR…", help="The --out folders of finished runs, one for each model.")
    ],
    json_file: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write all numbers here.")] = None,
    markdown: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the tables here.")] = None,
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Draw rates over parameters and hours, SVG.")
    ] = None,
    normalizer: Annotated[
        NormalizerName, typer.Option(help="What transcripts go through before they are counted.")
    ] = NormalizerName.WHISPER,
) -> None:
    """Fit how the error rate falls with a model's size and with its hours of training audio.

    \b
      auricle train shards-1h --preset nano --updates 4000 --out out/nano-1h          # 3 sizes × 3 amounts or more
      auricle-eval run corpus/manifest.jsonl --model out/nano-1h/model --out out/scaling/nano-1h
      auricle-eval scaling out/scaling/* --json scaling.json --markdown scaling.md --plot scaling.svg

    Parameters are counted in the model's weights, hours are read from training.json beside them; runs must be of the
    same clips with the same options. Two laws are fitted to logarithms of rates by least squares:

    \b
      straight line  rate = a · parameters^-α · hours^-β
      with a floor   rate = e + a · parameters^-α + b · hours^-β      from 3 sizes × 3 amounts on

    Intervals over clips draw speakers (or clips), the same for all models; intervals over trainings draw the models'
    distances from the law. What makes a law doubtful is said: few models, narrow ranges, rates that rise, a bad fit.

    Exit code: 0, whatever is doubtful; 1 when runs cannot be compared or show no law; 2 for a wrong option.
    """
    with reported_errors():
        with Console(stderr=True).status("scoring") as status:
            from eval.report.scaling import law_table, model_table
            from eval.report.terminal import document_table
            from eval.scaling.doubts import doubts
            from eval.scaling.points import read_points
            from eval.scaling.study import fit_study

            points = read_points(folders, normalizer=normalizer)
            status.update("fitting")
            study = fit_study(points)
        if json_file is not None:
            from eval.report.scaling_json import scaling_as_json

            write_json(json_file, scaling_as_json(study))
        if markdown is not None:
            from eval.report.markdown import render_markdown
            from eval.report.scaling import scaling_as_report

            write_text(markdown, render_markdown(scaling_as_report(study)), option="--markdown")
        if plot is not None:
            from eval.report.plots import file_svg
            from eval.report.scaling import draw_scaling

            write_text(plot, file_svg(draw_scaling(study), name=plot.stem), option="--plot")
    output_console().print(document_table(model_table(study)), document_table(law_table(study)), sep="\n")
    for doubt in doubts(study):
        typer.echo(f"Doubtful: {doubt}")
