"""The command: its files say the same, and what is wrong is one line."""

import json
import re
from xml.etree import ElementTree

from typer.testing import CliRunner

from eval.cli import app
from eval.report.scaling import draw_scaling
from eval.scaling.points import read_points
from eval.scaling.study import fit_study


def run(*told: object):
    return CliRunner().invoke(app, ["scaling", *map(str, told)])


def test_every_file_says_the_law(bent_runs, tmp_path):
    files = [tmp_path / "out" / name for name in ("scaling.json", "scaling.md", "scaling.svg")]
    done = run(*bent_runs, "--json", files[0], "--markdown", files[1], "--plot", files[2])
    assert done.exit_code == 0, done.output
    numbers = json.loads(files[0].read_text())
    assert [law["form"] for law in numbers["laws"]] == ["line", "floor"]
    bent = numbers["laws"][1]
    assert len(numbers["models"]) == len(bent["fitted"]) == 9
    low, high = bent["exponents"]["audio_hours"]["over_clips"]
    assert low < bent["exponents"]["audio_hours"]["value"] < high
    assert numbers["models"][0]["audio_hours"] == 1.0
    assert numbers["models"][0]["interval"][0] < numbers["models"][0]["rate"]
    exponent = f"{bent['exponents']['parameters']['value']:.3f}"
    assert exponent in done.stdout
    assert f"^−{exponent}" in files[1].read_text()
    assert "| w256-100h | 2.11 M |" in files[1].read_text()
    svg = files[2].read_text()
    ElementTree.fromstring(svg)  # noqa: S314 (our own file)
    assert {"hours of training audio", "145 k", "100 h"} <= set(re.findall(r">([^<>]+)</text>", svg))


def test_the_plot_has_every_model_its_interval_and_the_law(bent_study):
    for axes in draw_scaling(bent_study).axes:
        marked = [float(y) for each in axes.lines if each.get_marker() not in {"None", ""} for y in each.get_ydata()]
        assert sorted(marked) == sorted(100 * point.rate for point in bent_study.points)
        assert len(axes.collections) == 9
        curves = [each for each in axes.lines if each.get_linestyle() == "-"]
        assert len(curves) == 3
        assert all((each.get_ydata()[1:] < each.get_ydata()[:-1]).all() for each in curves)
        low, high = axes.get_ylim()
        assert low < min(marked)
        assert max(marked) < high


def test_one_thing_varied_has_one_panel_and_says_how_little_that_is(corpus, tmp_path):
    folders = [corpus.run(64, hours, rate) for hours, rate in ((1, 0.5), (10, 0.4), (100, 0.3))]
    done = run(*folders, "--plot", tmp_path / "one.svg")
    assert done.exit_code == 0, done.output
    assert "Doubtful: Few models: 3, of 1 × 3 sizes and amounts of audio, where 3 × 3 are wanted." in done.output
    assert len(draw_scaling(fit_study(read_points(folders))).axes) == 1


def test_what_is_no_run_is_one_line(tmp_path):
    done = run(tmp_path)
    assert done.exit_code == 1
    assert done.output.count("\n") == 1
    assert "expected the folder of an `auricle-eval run`" in done.output
