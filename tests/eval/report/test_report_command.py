import json
from xml.etree import ElementTree

from typer.testing import CliRunner

from eval.cli import app
from eval.report.plots import ACCENT, MUTED, TEXT


def report(*arguments: object):
    return CliRunner().invoke(app, ["report", *map(str, arguments)])


def test_it_writes_what_it_is_asked_for(tmp_path, write_run, write_study):
    html, markdown, scores = tmp_path / "out" / "report.html", tmp_path / "report.md", tmp_path / "scores.json"
    result = report(
        write_run(), write_study(), "--html", html, "--markdown", markdown, "--json", scores, "--title", "X"
    )
    assert result.exit_code == 0, result.output
    assert "<h1>X</h1>" in html.read_text(encoding="utf-8")
    assert "<audio" in html.read_text(encoding="utf-8")
    assert markdown.read_text(encoding="utf-8").startswith("# X\n")
    written = json.loads(scores.read_text(encoding="utf-8"))
    assert written["title"] == "X"
    assert [run["job"] for run in written["runs"]] == ["transcribe"]
    assert len(written["studies"]) == 1


def test_options_reach_the_page(tmp_path, write_run):
    html = tmp_path / "report.html"
    arguments = (write_run(), "--html", html, "--no-audio", "--worst", 2, "--normalizer", "whisper-basic")
    assert report(*arguments).exit_code == 0
    text = html.read_text(encoding="utf-8")
    assert "<audio" not in text
    assert text.count('<li class="clip">') == 2
    assert "whisper-basic" in text
    assert "whisper-english" not in text


def test_every_plot_is_a_file_that_stands_alone(tmp_path, write_run, write_study):
    result = report(write_run(), write_study(), "--plots", tmp_path / "plots")
    assert result.exit_code == 0, result.output
    plots = sorted((tmp_path / "plots").iterdir())
    assert len({path.name.split("-")[0] for path in plots}) == 2, "a run and a study have plots"
    for path in plots:
        text = path.read_text(encoding="utf-8")
        ElementTree.fromstring(text)  # noqa: S314  (our own)
        assert "var(" not in text
        assert not any(stand_in in text for stand_in in (TEXT, MUTED, ACCENT))


def test_nothing_to_write_is_an_error(write_run):
    result = report(write_run())
    assert result.exit_code == 1
    assert "--html FILE" in result.output


def test_a_folder_that_is_no_runs_is_an_error(tmp_path):
    result = report(tmp_path, "--html", tmp_path / "report.html")
    assert result.exit_code == 1
    assert "run.json" in result.output
