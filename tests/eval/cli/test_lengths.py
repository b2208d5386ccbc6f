import json

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner

from eval.cli import app
from eval.lengths import LengthCost


@pytest.fixture
def measured(monkeypatch) -> list[tuple]:
    """What the command asked for; costs are made up."""
    asked = []

    def measure(recording, model, options, lengths_s, *, on_progress):
        asked.append((recording.name, model, options, lengths_s))
        costs = [
            LengthCost(
                length_s=length_s, load_s=1.0, wall_s=0.2 * length_s + 1, cpu_s=0.2 * length_s + 0.5, loaded_mb=300.0,
                peak_mb=400.0, n_segments=2, last_start=None if length_s == 10 else length_s - 3,
            )
            for length_s in lengths_s
        ]  # fmt: skip
        on_progress(0, 5.0)
        options_said = {"plan": options.plan, "beam_size": options.beam_size}
        return costs, {"model": model, "options": options_said, "machine": {"threads": 1, "cpu": "a CPU"}}

    monkeypatch.setattr("eval.lengths.measure_lengths", measure)
    return asked


def test_numbers_plot_and_conclusions(tmp_path, measured):
    soundfile.write(tmp_path / "talk.wav", np.zeros(8000), 8000)
    arguments = [
        "lengths", str(tmp_path / "talk.wav"), "--out", str(tmp_path / "lengths.json"), "--seconds", "3600,10,600",
        "--model", "tiny.en", "--beam-size", "1", "--temperature", "0", "--plan", "parallel", "--plot",
        str(tmp_path / "lengths.png"),
    ]  # fmt: skip
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    ((name, model, options, lengths_s),) = measured
    assert (name, model, options.beam_size, options.temperatures, str(options.plan)) == (
        "talk.wav", "tiny.en", 1, (0.0,), "parallel",
    )  # fmt: skip
    assert lengths_s == [10.0, 600.0, 3600.0]
    numbers = json.loads((tmp_path / "lengths.json").read_text())
    assert numbers["fits"]["cpu_s"]["slope"] == pytest.approx(0.2)
    assert numbers["recording"] == "talk.wav"
    assert (tmp_path / "lengths.png").read_bytes().startswith(b"\x89PNG")
    assert "Processor: 0.2000 s a second of audio + 0.50 s; R² 1.00000, 0.0% off at most." in result.output
    assert "0.0 MB an hour of audio." in result.output
    assert "3597.00" in result.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--seconds", "10"], "two or more"),
        (["--seconds", "0.5,10"], "at least 1 s"),
        (["--seconds", "ten,20"], "got 'ten,20'"),
        (["--seconds", "10,inf"], "two or more"),
        (["--plot", "lengths.doc"], ".png, .svg, .pdf"),
    ],
)
def test_refused(tmp_path, measured, arguments, message):
    result = CliRunner().invoke(app, ["lengths", "talk.wav", "--out", str(tmp_path / "out.json"), *arguments])
    assert result.exit_code == 2
    assert message in " ".join(result.output.replace("│", " ").split())
    assert measured == []
