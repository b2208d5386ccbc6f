"""Plots of a run's page, in its colours. In: numbers. Out: matplotlib figures."""

from collections.abc import Sequence

from matplotlib.figure import Figure

from data_pipeline.stages.segmenting import WINDOW_S
from eval.report.plots import ACCENT, HEIGHT_IN, WIDTH_IN, page_style

__all__ = ["draw_lengths", "draw_remaining"]

ROW_IN = 0.24


def draw_remaining(points: Sequence[tuple[str, float]]) -> Figure:
    """Hours left after each stage, the first on top."""
    with page_style():
        figure = Figure(figsize=(WIDTH_IN, 0.7 + ROW_IN * len(points)))
        axes = figure.subplots()
        axes.barh(range(len(points)), [max(hours, 0.0) for _, hours in points], color=ACCENT, height=0.6)
        axes.set_yticks(range(len(points)), [name for name, _ in points])
        axes.invert_yaxis()
        axes.set_xlim(left=0)
        axes.set_xlabel("hours left")
        axes.tick_params(axis="y", length=0)
        axes.grid(axis="x")
        axes.set_axisbelow(True)
    return figure


def draw_lengths(lengths: Sequence[float]) -> Figure:
    """How many windows there are of each length."""
    with page_style():
        figure = Figure(figsize=(WIDTH_IN, HEIGHT_IN))
        axes = figure.subplots()
        axes.hist(lengths, bins=30, range=(0, WINDOW_S), color=ACCENT)
        axes.set_xlabel("seconds")
        axes.set_ylabel("windows")
        axes.grid(axis="y")
        axes.set_axisbelow(True)
    return figure
