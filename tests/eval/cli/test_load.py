import json

import pytest
from typer.testing import CliRunner

from eval.cli import app

CLIP = {"id": "a", "text": "one", "language": "en", "duration": 9.0}


@pytest.fixture
def corpus(write_manifest) -> str:
    manifest = write_manifest(CLIP)
    (manifest.parent / "a.wav").write_bytes(b"RIFF")
    return str(manifest)


def run(*told: str):
    return CliRunner().invoke(app, ["load", *told])


@pytest.mark.parametrize("clients", ["0,1", "many", "1,5000", ""])
def test_a_wrong_number_of_clients_is_told(corpus, clients):
    done = run(corpus, "--clients", clients)
    assert done.exit_code == 2
    assert "expected numbers from 1 to 1024" in " ".join(done.output.replace("│", " ").split())


@pytest.mark.parametrize(
    ("told", "message"),
    [
        (["--server", "http://127.0.0.1:1"], "Error: http://127.0.0.1:1: no answer"),
        (["--server", "http://127.0.0.1:1", "--background", "no.flac"], "Error: --background no.flac: no such file"),
        (["--openai", "http://127.0.0.1:1"], "expected NAME=URL"),
        (["--openai", "a=http://b", "--openai", "a=http://c"], "expected a name of its own for each"),
    ],
)
def test_what_cannot_be_measured_is_one_line(corpus, told, message):
    done = run(corpus, *told)
    assert done.exit_code == 1
    assert message in done.output


def test_every_file_is_written(corpus, tmp_path, monkeypatch):
    row = {
        "server": "auricle", "clients": 1, "with_background": False, "background_lasted": True, "n": 4, "n_answered": 4,
        "refused": 0.0, "errors": {}, "per_second": 2.0, "audio_per_second": 20.0, "ours_over_per_second": None,
        "latency_s": {"n": 4, "p50": 0.5, "p95": 0.6, "p99": 0.6}, "latency_long_s": None, "first_text_s": None,
        "first_text_long_s": None,
        "p95_over_alone": None, "words": {"n_ref": 4, "n_said": 4, "rate": 0.0, "lost_or_invented": 0.0},
        "counts": True, "peak_mb": None,
    }  # fmt: skip
    numbers = {
        "machine": {"cpu": "Abacus", "cores": 2}, "rounds": 1, "clients": [1], "background": None, "long": None,
        "clips": {"n": 1, "shortest_s": 9.0, "mean_s": 9.0, "longest_s": 9.0}, "overload": None, "rows": [row],
        "servers": {"auricle": {"url": "http://a", "fields": {"beam_size": "1"}}},
    }  # fmt: skip
    monkeypatch.setattr("eval.load.study.run_load", lambda *_: None)
    monkeypatch.setattr("eval.load.numbers.load_as_json", lambda *_: numbers)
    names = ["--json", "--markdown", "--plot"]
    files = [tmp_path / "load.json", tmp_path / "load.md", tmp_path / "load.svg"]
    done = run(corpus, *(str(each) for pair in zip(names, files, strict=True) for each in pair))
    assert done.exit_code == 0, done.output
    assert json.loads(files[0].read_text()) == numbers
    assert "Abacus" in files[1].read_text()
    assert files[2].read_text().startswith("<?xml")
    assert "2.00" in done.output
