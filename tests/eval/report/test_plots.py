import re
import xml.etree.ElementTree as ET

import pytest

from eval.noise.plot import plot_noise
from eval.noise.study import read_study
from eval.report.evidence_plots import draw_reliability, draw_time_errors, draw_timelines
from eval.report.plots import Point, draw_confusion, draw_rates, draw_rates_in_order, inline_svg
from eval.scoring import Interval
from eval.scoring.confidence import calibration_bins
from eval.scoring.evidence import LabelledSpan, RecordingTimeline
from eval.scoring.word_times import time_errors

HOSTILE = '$a_{1}$ <script>"&'
POINTS = [
    Point(label=HOSTILE, value=0.2, interval=Interval(low=0.1, high=0.3)),
    Point(label="one clip", value=0.0),
    Point(label="a loop", value=12.0, interval=Interval(low=2.0, high=40.0)),
]


def timeline(truth: str, found: str, name: str = HOSTILE) -> RecordingTimeline:
    """Ten seconds a letter; a space is no label."""
    spans = [
        tuple(
            LabelledSpan(start=10 * number, end=10 * number + 10, language=letter)
            for number, letter in enumerate(letters)
            if letter != " "
        )
        for letters in (truth, found)
    ]
    return RecordingTimeline(
        id=name, truth=spans[0], found=spans[1], seconds=1, seconds_right=1, n_parts=1, n_parts_right=1, n_switches=0,
        n_switches_found=0, confusion={},
    )  # fmt: skip


def drawn(figure) -> str:
    return inline_svg(figure, title="A <title>", description='A "description"', name="chart-1")


@pytest.fixture(params=["rates", "in order", "confusion", "noise", "timelines"])
def svg(request, write_study):
    if request.param == "timelines":
        return drawn(draw_timelines([timeline("abcdefgh", "abcdefg"), timeline("a", "")]))
    if request.param == "noise":
        return drawn(plot_noise({HOSTILE: read_study(write_study())}))
    if request.param == "confusion":
        return drawn(draw_confusion({"en": {"en": 3, HOSTILE: 1}, HOSTILE: {"failed": 2}}))
    if request.param == "rates":
        return drawn(draw_rates(POINTS, measure="WER"))
    return drawn(draw_rates_in_order(POINTS, x_label="length", measure="WER"))


def test_a_plot_takes_the_pages_colours(svg):
    assert not re.search(r"(?:fill|stroke|color): #", svg)
    assert "var(--" in svg
    assert "<style" not in svg
    assert "<metadata" not in svg


def test_a_plot_is_well_formed_and_says_what_it_shows(svg):
    root = ET.fromstring(svg.replace("xlink:", ""))  # noqa: S314  (ours)
    assert root.get("role") == "img"
    title, description = root[0], root[1]
    assert (title.text, description.text) == ("A <title>", 'A "description"')
    assert root.get("aria-labelledby") == f"{title.get('id')} {description.get('id')}"
    assert HOSTILE in "".join(root.itertext())  # text, and no mathematics


def test_a_loop_does_not_flatten_the_others():
    svg = drawn(draw_rates(POINTS, measure="WER"))
    assert "1200 ›" in svg
    figure = draw_rates(POINTS, measure="WER")
    assert figure.axes[0].get_xlim() == (0, 150)


def test_the_best_is_on_top():
    labels = [label.get_text() for label in draw_rates(POINTS, measure="WER").axes[0].get_yticklabels()]
    assert labels == ["one clip", HOSTILE, "a loop"]


def test_languages_that_nobody_speaks_share_a_column():
    axes = draw_confusion({"en": {"en": 3, "fy": 1, "la": 2}, "de": {"de": 1}}).axes[0]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["de", "en", "other"]
    assert [text.get_text() for text in axes.texts] == ["1", "3", "3"]


def test_clips_without_a_language_have_columns_of_their_own():
    axes = draw_confusion({"en": {"en": 3, "none": 1, "la": 2}, "de": {"failed": 1}}).axes[0]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["de", "en", "other", "none", "failed"]


def test_equal_figures_make_equal_svg():
    assert drawn(draw_rates(POINTS, measure="WER")) == drawn(draw_rates(POINTS, measure="WER"))


def test_the_reliability_diagram_takes_the_pages_colours_and_leaves_empty_bins_out():
    figure = draw_reliability(calibration_bins([(0.95, True), (0.91, False), (0.15, False)]))
    above, below = figure.axes
    _, line = above.lines
    assert list(line.get_xdata()) == pytest.approx([15, 93])
    assert list(line.get_ydata()) == [0, 50]
    assert [round(bar.get_height(), 1) for bar in below.patches] == [33.3, 66.7]
    assert not re.search(r"(?:fill|stroke|color): #", drawn(figure))


def test_a_mark_stands_where_the_languages_differ():
    (axes,) = draw_timelines([timeline("aab cd", "ab bc")]).axes
    marks = [(bar.get_x(), bar.get_width()) for bar in axes.patches if bar.get_height() < 0.5]
    assert marks == [(10, 10), (20, 10), (50, 10)]
    assert len(axes.patches) == 5 + 4 + 3


def test_the_curve_of_time_errors_is_not_flattened_by_one_word():
    errors = time_errors([0.01] * 99 + [60.0])
    figure = draw_time_errors({"starts": errors, "ends": errors})
    (axes,) = figure.axes
    assert axes.get_xlim() == (0, 250)
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["starts", "ends"]
    assert list(axes.lines[0].get_xdata())[50] == pytest.approx(10)
    assert not re.search(r"(?:fill|stroke|color): #", drawn(figure))
