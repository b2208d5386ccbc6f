import json

import pytest
from rich.console import Console
from typer.testing import CliRunner

from eval.cli import app
from eval.hypotheses import read_run
from eval.report.as_json import comparison_as_json, scores_as_json
from eval.report.assemble import make_report
from eval.report.comparison import comparison_as_tables
from eval.report.markdown import render_markdown
from eval.report.terminal import scores_as_tables
from eval.scoring.compare import compare_runs

SECTIONS = ["Text lost", "Text left out", "Words inside their clip", "Word probabilities", "Languages over time"]
HOSTILE = '<script>alert("heard")</script>'


def shown(*parts) -> str:
    console = Console(width=120)
    with console.capture() as capture:
        console.print(*parts, sep="\n")
    return capture.get()


@pytest.fixture
def scores(write_long_run, scored):
    return scored(write_long_run()).scores


def test_a_chapter_has_a_section_for_what_the_run_has(write_long_run, write_run, scored):
    with_words, without = make_report([scored(write_long_run()), scored(write_run())], title="T", n_worst=0).chapters
    headings = [section.heading for section in with_words.sections]
    assert [heading for heading in headings if heading in SECTIONS] == SECTIONS
    assert not {section.heading for section in without.sections} & set(SECTIONS)
    figures = {figure.name: figure.value for figure in with_words.figures}
    assert figures["Longest text lost"] == "12 words"
    assert figures["Words inside their clip"] == "100.00 %"
    assert figures["Language over time"] == "83.3 %"
    assert not {"Longest text lost", "Language over time"} & {figure.name for figure in without.figures}


def test_the_page_draws_and_escapes(write_long_run, as_html):
    page = as_html(write_long_run())
    for title in ("Reliability of word probabilities", "Languages over time"):
        assert f">{title}</title>" in page
    assert "… damen und herren thank you" in page
    assert HOSTILE not in page


def test_markdown_has_every_table(write_long_run, scored):
    text = render_markdown(make_report([scored(write_long_run())], title="T", n_worst=0))
    assert "| joined | 12 | 1 | 21 | word | 1.2 |" in text
    assert "| de German | de German | 30.0 | 100.0 % |" in text
    assert "| en English | none | 10.0 | 33.3 % |" in text
    assert "| white noise | 0 | – | 0 | 1 | 1 | 0 | 0.6 |" in text
    assert "Babble, in which people do speak" in text


def test_the_terminal_shows_the_same_tables(scores):
    text = shown(*scores_as_tables(scores))
    for caption in ("Text lost in long clips", "Words inside their clip", "Word probabilities by tenth", "suppressed"):
        assert caption in text
    assert max(map(len, text.splitlines())) <= 120


def test_json_has_all_of_it(scores):
    written = scores_as_json(scores)
    assert json.loads(json.dumps(written, allow_nan=False)) == written
    assert written["placement"]["overall"]["inside"] == {"0": 8, "0.2": 8}
    assert written["confidence"]["bins"][9]["accuracy"] == 1.0
    assert written["lost"]["clips"][0]["runs"][0]["n_units"] == 12
    assert written["timeline"]["confusion"]["en"] == {"en": 20.0, "none": 10.0}
    assert written["suppressed"] == {"silence": {"n_clips": 1, "n_texts": 1, "n_units": 1, "n_said": 0}}
    assert written["invented"]["white noise"]["n_suppressed"] == 1
    assert "all" in written["invented"]


def test_two_runs_with_words_are_compared_in_time(write_long_run, write_run):
    a, b = (read_run(write_long_run(name=name, late=late)) for name, late in (("a", 0.0), ("b", 0.05)))
    comparison = compare_runs(a, b)
    text = shown(*comparison_as_tables(comparison))
    assert "Word starts, B against A" in text
    times = comparison_as_json(comparison)["word_times"]
    assert times["overall"]["starts"]["bias"] == pytest.approx(0.05)
    assert times["overall"]["starts"]["within"] == {"0.04": 0.0, "0.1": 1.0, "0.2": 1.0}
    without = read_run(write_run())
    assert comparison_as_json(compare_runs(without, without))["word_times"] is None


def test_a_report_against_the_words_of_another_run(tmp_path, write_long_run):
    a, b = write_long_run(name="a"), write_long_run(name="b", late=0.05)
    files = tmp_path / "report.md", tmp_path / "report.json"
    command = ["report", b, "--word-times", a, "--markdown", files[0], "--json", files[1]]
    command += ["--html", tmp_path / "report.html"]
    result = CliRunner().invoke(app, [str(argument) for argument in command])
    assert result.exit_code == 0, result.output
    assert "### Word times" in files[0].read_text(encoding="utf-8")
    assert ">Differences of word times</title>" in (tmp_path / "report.html").read_text(encoding="utf-8")
    (run,) = json.loads(files[1].read_text(encoding="utf-8"))["runs"]
    assert run["word_times"]["overall"]["starts"]["median"] == pytest.approx(0.05)
