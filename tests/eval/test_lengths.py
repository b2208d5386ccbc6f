"""Time and memory over length: the lengths written, the fits, the child that transcribes, the plot."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from asr.options import Plan, TranscribeOptions
from eval import lengths as lengths_module
from eval.errors import EvaluationError
from eval.lengths import (
    LengthCost,
    fit_line,
    growth_mb_per_hour,
    length_text,
    lengths_as_json,
    measure_lengths,
    plot_lengths,
    write_length,
)

COST = LengthCost(
    length_s=10.0, load_s=1.0, wall_s=2.0, cpu_s=1.0, loaded_mb=300.0, peak_mb=400.0, n_segments=3, last_start=8.0
)


def costs(*lengths_s: float, seconds_each: float = 0.1, mb_an_hour: float = 0.0) -> list[LengthCost]:
    return [
        replace(
            COST,
            length_s=length_s,
            wall_s=seconds_each * length_s + 2,
            cpu_s=seconds_each * length_s + 1,
            peak_mb=400 + mb_an_hour * length_s / 3600,
        )
        for length_s in lengths_s
    ]


@pytest.fixture
def ramp(tmp_path) -> Path:
    """One second whose samples count upwards, in two channels."""
    samples = np.arange(8000, dtype=np.int16)
    soundfile.write(tmp_path / "ramp.wav", np.stack([samples, -samples], axis=1), 8000)
    return tmp_path / "ramp.wav"


@pytest.mark.parametrize("length_s", [0.5, 1.0, 2.25])
def test_a_recording_is_cut_or_repeated_to_the_sample(ramp, tmp_path, length_s):
    path = tmp_path / "out.flac"
    assert write_length(ramp, length_s, path) == length_s
    samples, rate = soundfile.read(path, dtype="int16")
    assert (rate, samples.shape) == (8000, (round(8000 * length_s), 2))
    expected = np.arange(len(samples)) % 8000
    np.testing.assert_array_equal(samples, np.stack([expected, -expected], axis=1))


def test_what_cannot_be_read_is_named(tmp_path):
    (tmp_path / "text.wav").write_text("no audio")
    with pytest.raises(EvaluationError, match=r"text\.wav: .*expected WAV, FLAC, Ogg or MP3"):
        write_length(tmp_path / "text.wav", 1.0, tmp_path / "out.flac")
    soundfile.write(tmp_path / "empty.wav", np.zeros(0), 8000)
    with pytest.raises(EvaluationError, match="got no samples"):
        write_length(tmp_path / "empty.wav", 1.0, tmp_path / "out.flac")


def test_the_fit_finds_the_line_and_how_far_values_are_off_it():
    fit = fit_line([10, 100, 1000], [3.0, 21.0, 201.0])
    assert (fit.slope, fit.intercept) == (pytest.approx(0.2), pytest.approx(1.0))
    assert (fit.r_squared, fit.max_relative_residual) == (pytest.approx(1.0), pytest.approx(0.0, abs=1e-9))
    bent = fit_line([10, 100, 1000], [3.0, 21.0, 402.0])
    assert bent.max_relative_residual > 0.2
    with pytest.raises(EvaluationError, match="got 1 length"):
        fit_line([10, 10], [1.0, 2.0])


def test_short_recordings_count_as_long_ones_do():
    """A second more at 10 s is a bend; the same second at 3 h is nothing."""
    lengths_s, exact = [10.0, 100.0, 1000.0, 10_000.0], [2.0, 11.0, 101.0, 1001.0]
    at_start = fit_line(lengths_s, [exact[0] + 1, *exact[1:]])
    at_end = fit_line(lengths_s, [*exact[:-1], exact[-1] + 1])
    assert at_start.max_relative_residual > 50 * at_end.max_relative_residual


def test_memory_growth_is_taken_where_batches_are_full():
    assert growth_mb_per_hour(costs(10, 60, 600, 3600, mb_an_hour=7.0)) == pytest.approx(7.0)
    assert growth_mb_per_hour(costs(10, 60, 600)) is None


@pytest.mark.parametrize(
    ("length_s", "text"), [(10, "10 s"), (60, "1 min"), (90, "1.5 min"), (10_800, "3 h"), (0.5, "0.5 s")]
)
def test_length_text(length_s, text):
    assert length_text(length_s) == text


def fake_child(folder: Path, body: str) -> str:
    path = folder / "python"
    path.write_text(f"#!{sys.executable}\nimport json, sys\n{body}\n")
    path.chmod(0o755)
    return str(path)


def test_each_length_has_a_process_of_its_own(ramp, tmp_path, monkeypatch):
    answer = {
        "load_s": 1.0, "wall_s": 2.0, "cpu_s": 1.5, "loaded_mb": 300.0, "peak_mb": 400.0, "n_segments": 1,
        "last_start": 0.5, "facts": {"model": "base"},
    }  # fmt: skip
    body = f"""
with open({str(tmp_path / "children")!r}, "a") as file:
    print(json.dumps(sys.argv[1:]), file=file)
print(json.dumps({{"done": 0.5}}))
print({json.dumps(answer)!r})
"""
    monkeypatch.setattr(lengths_module.sys, "executable", fake_child(tmp_path, body))
    heard: list[tuple[int, float]] = []
    options = TranscribeOptions(plan=Plan.PARALLEL, beam_size=1, temperatures=(0.0,))
    found, facts = measure_lengths(ramp, "base", options, [0.5, 2.0], on_progress=lambda *each: heard.append(each))
    assert [cost.length_s for cost in found] == [0.5, 2.0]
    assert {(cost.cpu_s, cost.peak_mb, cost.last_start) for cost in found} == {(1.5, 400.0, 0.5)}
    assert facts == {"model": "base"}
    assert heard == [(0, 0.0), (0, 0.5), (1, 0.0), (1, 0.5)]
    children = [json.loads(line) for line in (tmp_path / "children").read_text().splitlines()]
    assert [child[:3] for child in children] == [["-m", "eval.lengths", "base"]] * 2
    said = json.loads(children[0][4])
    assert (said["plan"], said["beam_size"], said["temperatures"]) == ("parallel", 1, [0.0])
    assert children[0][3] != children[1][3], "each length is a file of its own"


def test_a_child_that_fails_is_reported_with_its_words(ramp, tmp_path, monkeypatch):
    body = "print('no such model', file=sys.stderr); sys.exit(3)"
    monkeypatch.setattr(lengths_module.sys, "executable", fake_child(tmp_path, body))
    with pytest.raises(EvaluationError, match="--model base: the transcription failed: no such model"):
        measure_lengths(ramp, "base", TranscribeOptions(), [0.5], on_progress=lambda *_: None)


def test_the_numbers_and_the_plot_say_the_fit():
    found = costs(10, 60, 600, 3600, seconds_each=0.05, mb_an_hour=3.0)
    numbers = lengths_as_json(found, {"model": "base"})
    assert numbers["model"] == "base"
    assert numbers["fits"]["cpu_s"]["slope"] == pytest.approx(0.05)
    assert numbers["memory_mb_per_hour"] == pytest.approx(3.0)
    assert json.loads(json.dumps(numbers)) == numbers
    figure = plot_lengths(found, title="tiny $1 model")
    time_axes, memory_axes = figure.axes
    assert "0.05 s a second + 1 s" in " ".join(text.get_text() for text in time_axes.get_legend().get_texts())
    assert "+3.0 MB an hour" in " ".join(text.get_text() for text in memory_axes.get_legend().get_texts())


@pytest.mark.usefixtures("base")
def test_real_lengths(ramp):
    options = TranscribeOptions(beam_size=1, temperatures=(0.0,), language="en")
    (cost,), facts = measure_lengths(ramp, "base", options, [2.0], on_progress=lambda *_: None)
    assert cost.peak_mb >= cost.loaded_mb > 50
    assert cost.wall_s > 0
    assert cost.load_s > 0
    assert facts["options"]["beam_size"] == 1
    assert facts["machine"]["threads"] >= 1
