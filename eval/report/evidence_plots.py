"""Plots of word probabilities and of languages over time. In: bins, timelines. Out: figures in the page's stand-ins.

Knows no score and no template; ``plots`` has the style.
"""

import math
from collections.abc import Iterator, Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

from eval.noise.plot import COLOURS
from eval.report.plots import ACCENT, HEIGHT_IN, MUTED, TEXT, WIDTH_IN, page_style
from eval.scoring.evidence import ConfidenceBin, LabelledSpan, RecordingTimeline, TimeErrors

__all__ = ["draw_reliability", "draw_time_errors", "draw_timelines"]

RELIABILITY_HEIGHT_IN = 5.4
RECORDING_HEIGHT_IN = 1.2
STRONG, FAINT = 0.5, 0.22  # ink of the first languages, and of those that share a colour with one of them
LABEL_SHARE = 0.045  # of the width: a narrower stretch has no room for its code
MANY_MINUTES = 5
SHOWN_PERCENTILE = 98  # the farthest words would flatten all others
MIN_SHOWN_S = 0.25
DASHED = (0, (5, 2))
WRONG_AT, WRONG_HEIGHT = 0.48, 0.24  # between the strips


def draw_reliability(bins: Sequence[ConfidenceBin]) -> Figure:
    """Share of right words against their probability, over the number of words with such a probability."""
    filled = [each for each in bins if each.n and each.probability is not None and each.accuracy is not None]
    total = sum(each.n for each in filled)
    with page_style():
        figure = Figure(figsize=(WIDTH_IN, RELIABILITY_HEIGHT_IN))
        axes, below = figure.subplots(2, 1, sharex=True, height_ratios=(4, 1))
        axes.plot((0, 100), (0, 100), color=MUTED, linewidth=1, linestyle=(0, (4, 3)))
        said, right = ([100 * (value or 0.0) for value in values] for values in (
            [each.probability for each in filled], [each.accuracy for each in filled]))  # fmt: skip
        axes.vlines(said, said, right, color=ACCENT, linewidth=3, alpha=0.3)
        axes.plot(said, right, "-o", color=ACCENT, markersize=5, linewidth=1.2, clip_on=False)
        axes.set_ylabel("words that are right, %")
        axes.set_ylim(0, 100)
        axes.grid()
        for each in filled:
            low, share = 100 * each.low, 100 * each.n / total
            below.add_patch(
                Rectangle((low + 0.5, 0), 100 * (each.high - each.low) - 1, share, facecolor=ACCENT, alpha=0.5)
            )
        below.set_xlim(0, 100)
        below.set_ylim(0, 10 * math.ceil(max((10 * each.n / total for each in filled), default=1)))
        below.set_xticks(range(0, 101, 20))
        below.set_xlabel("probability of the word, %")
        below.set_ylabel("words, %")
        below.grid(axis="y")
        for each_axes in (axes, below):
            each_axes.set_axisbelow(True)
    return figure


def draw_time_errors(curves: Mapping[str, TimeErrors]) -> Figure:
    """By name, share of words whose times differ by at most so much; dotted where the tables have their tolerances."""
    with page_style():
        figure = Figure(figsize=(WIDTH_IN, HEIGHT_IN))
        axes = figure.subplots()
        for (name, errors), colour, dashes in zip(curves.items(), COLOURS, ("-", DASHED), strict=False):
            milliseconds = [1000 * value for value in errors.percentiles]
            axes.plot(milliseconds, range(len(milliseconds)), color=colour, linestyle=dashes, linewidth=1.6, label=name)
        tolerances = {tolerance for errors in curves.values() for tolerance in errors.within}
        for tolerance in sorted(tolerances):
            axes.axvline(1000 * tolerance, color=MUTED, linewidth=0.8, linestyle=":")
        reach = max(errors.percentiles[SHOWN_PERCENTILE] for errors in curves.values())
        axes.set_xlim(0, 1000 * max(reach, MIN_SHOWN_S))
        axes.set_ylim(0, 100)
        axes.set_xlabel("difference, ms")
        axes.set_ylabel("words that differ by at most that, %")
        axes.legend(loc="lower right")
        axes.grid(axis="y")
        axes.set_axisbelow(True)
    return figure


def draw_timelines(recordings: Sequence[RecordingTimeline]) -> Figure:
    """For each recording two strips, what is spoken above what was found, coloured by language.

    Between them, a mark wherever the two differ while somebody speaks.
    """
    spans = [span for recording in recordings for span in (*recording.truth, *recording.found)]
    languages = sorted({span.language for span in spans})
    looks = {
        name: (COLOURS[number % len(COLOURS)], STRONG if number < len(COLOURS) else FAINT)
        for number, name in enumerate(languages)
    }
    with page_style():
        figure = Figure(figsize=(WIDTH_IN, 0.6 + RECORDING_HEIGHT_IN * len(recordings)))
        for axes, recording in zip(figure.subplots(len(recordings), squeeze=False)[:, 0], recordings, strict=True):
            _draw_recording(axes, recording, looks)
        handles = [Patch(facecolor=colour, alpha=alpha, label=name) for name, (colour, alpha) in looks.items()]
        figure.legend(handles=handles, loc="outside lower center", ncols=6, fontsize=9, handlelength=1.2)
    return figure


def _draw_recording(axes: Axes, recording: RecordingTimeline, looks: dict[str, tuple[str, float]]) -> None:
    end = max((span.end for span in (*recording.truth, *recording.found)), default=1.0)
    scale, unit = (60, "minutes") if end > MANY_MINUTES * 60 else (1, "seconds")
    for row, spans in ((0.0, recording.truth), (1.2, recording.found)):
        for span in spans:
            _draw_span(axes, span, row, looks[span.language], (scale, end / scale))
    for start, stop in _wrong(recording):
        axes.add_patch(Rectangle((start / scale, WRONG_AT), (stop - start) / scale, WRONG_HEIGHT, facecolor=TEXT))
    axes.set_title(recording.id, loc="left", fontsize=9)
    axes.set_title(unit, loc="right", fontsize=9, color=MUTED)
    axes.set_yticks((0, WRONG_AT + WRONG_HEIGHT / 2, 1.2), ("spoken", "differs", "found"), fontsize=9)
    axes.set_ylim(1.65, -0.45)
    axes.set_xlim(0, end / scale)
    axes.tick_params(axis="y", length=0)
    axes.tick_params(axis="x", labelsize=9)
    axes.spines["left"].set_visible(False)


def _draw_span(
    axes: Axes, span: LabelledSpan, row: float, look: tuple[str, float], scale_and_end: tuple[int, float]
) -> None:
    (scale, end), (colour, alpha) = scale_and_end, look
    start, width = span.start / scale, (span.end - span.start) / scale
    axes.add_patch(Rectangle((start, row - 0.4), width, 0.8, facecolor=colour, alpha=alpha, linewidth=0))
    if width > LABEL_SHARE * end:
        axes.text(start + width / 2, row, span.language, ha="center", va="center", fontsize=8, clip_on=True)


def _wrong(recording: RecordingTimeline) -> Iterator[tuple[float, float]]:
    for truth in recording.truth:
        reached = truth.start
        for span in recording.found:
            if span.language == truth.language and span.end > reached and span.start < truth.end:
                if span.start > reached:
                    yield reached, span.start
                reached = span.end
        if reached < truth.end:
            yield reached, truth.end
