import io
import json
import stat
from pathlib import Path

import numpy as np
import pytest
import soundfile

from eval import engines
from eval.errors import EvaluationError
from eval.speed import EngineTimes, measure_speed, times_as_json


@pytest.fixture
def store(tmp_path, monkeypatch) -> None:
    (tmp_path / "models" / "base").mkdir(parents=True)
    (tmp_path / "models" / "base" / "SHA256SUMS").touch()
    monkeypatch.setenv("AURICLE_MODEL_DIR", str(tmp_path / "models"))


@pytest.fixture
def clip(tmp_path) -> Path:
    soundfile.write(tmp_path / "clip.wav", np.zeros(16_000, dtype=np.float32), 16_000)
    return tmp_path / "clip.wav"


def interpreter(folder: Path, name: str, body: str) -> Path:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def test_engines_take_turns(tmp_path, clip, store, monkeypatch):
    answer = json.dumps({"first_at": 2e9, "seconds": [3.0, 1.0, 2.0], "peak_mb": 100.0, "torch_mb": 40.0, "text": "hi"})
    fake = interpreter(tmp_path, "python", f"echo $3 $7 >> {tmp_path}/turns; echo '{answer}'")
    monkeypatch.setattr("eval.speed.sys.executable", str(fake))
    times, duration_s = measure_speed(
        clip, "base", {"faster-whisper-int8": fake}, rounds=2, beam_size=5, on_step=lambda _: None
    )
    assert (tmp_path / "turns").read_text().splitlines() == ["auricle 5", "faster-whisper-int8 5"] * 2
    assert [each.warm_s for each in times] == [(2.0, 2.0)] * 2
    assert times[0].text == "hi"
    assert duration_s == 1.0


def test_a_failing_peer_says_why(tmp_path, clip, store, monkeypatch):
    monkeypatch.setattr("eval.speed.sys.executable", str(interpreter(tmp_path, "python", "echo broken >&2; exit 3")))
    with pytest.raises(EvaluationError, match="auricle failed: broken"):
        measure_speed(clip, "base", {}, rounds=1, beam_size=1, on_step=lambda _: None)


def test_unknown_peers_are_refused(clip, store):
    with pytest.raises(EvaluationError, match="expected faster-whisper-float32"):
        measure_speed(clip, "base", {"kaldi": Path("python")}, rounds=1, beam_size=1, on_step=lambda _: None)


def test_ratios_are_taken_within_each_round():
    times = [
        EngineTimes(
            engine="auricle",
            cold_s=(1.0, 2.0, 4.0),
            warm_s=(1.0, 2.0, 4.0),
            peak_mb=(1, 1, 1),
            torch_mb=(0, 0, 0),
            text="hello their",
        ),
        EngineTimes(
            engine="openai-whisper",
            cold_s=(2.0, 4.0, 8.0),
            warm_s=(3.0, 6.0, 4.0),
            peak_mb=(2, 2, 2),
            torch_mb=(1, 1, 1),
            text="Hello, there!",
        ),
    ]
    numbers = times_as_json(times, duration_s=8, reference="hello there")
    assert numbers["openai-whisper"]["warm_ratio_to_auricle"] == 3.0
    assert numbers["openai-whisper"]["cold_ratio_to_auricle"] == 2.0
    assert numbers["openai-whisper"]["warm_ratio_range"] == [1.0, 3.0]
    assert numbers["auricle"]["warm_s"] == 2.0
    assert numbers["auricle"]["times_real_time"] == 4.0
    assert [numbers[name]["errors"]["n"] for name in ("auricle", "openai-whisper")] == [1, 0]
    assert times_as_json(times, duration_s=8)["auricle"]["errors"] is None


def test_an_engine_reports_on_one_line(tmp_path, monkeypatch):
    np.save(tmp_path / "samples.npy", np.zeros(10, dtype=np.float32))
    monkeypatch.setitem(
        engines.LOADERS, "auricle", lambda model, beams: lambda samples: f"{model} {beams} {len(samples)}"
    )
    monkeypatch.setattr("sys.argv", ["engines.py", "time", "auricle", "base", str(tmp_path / "samples.npy"), "3", "5"])
    out = io.StringIO()
    engines.main(out)
    result = json.loads(out.getvalue())
    assert result["text"] == "base 5 10"
    assert len(result["seconds"]) == 3
    assert result["peak_mb"] >= result["torch_mb"] > 1


def test_a_clip_that_is_not_there_is_named(store, tmp_path) -> None:
    with pytest.raises(EvaluationError, match=r"no\.flac: No such file .* expected an audio file"):
        measure_speed(tmp_path / "no.flac", "base", {}, rounds=1, beam_size=1, on_step=lambda _: None)


def test_an_engine_serves_line_after_line(tmp_path, monkeypatch):
    def answer(samples, request):
        return {"text": f"{len(samples)} {request['language']}"}

    np.save(tmp_path / "samples.npy", np.zeros(10, dtype=np.float32))
    request = json.dumps({"samples": str(tmp_path / "samples.npy"), "language": "de"})
    monkeypatch.setitem(engines.PEERS, "fake", (lambda *_: answer, ("numpy",)))
    monkeypatch.setattr("sys.argv", ["engines.py", "serve", "fake", "path", "base"])
    monkeypatch.setattr("sys.stdin", io.StringIO(f'{request}\n{{"samples": "none.npy"}}\n'))
    out = io.StringIO()
    engines.main(out)
    loaded, first, second = map(json.loads, out.getvalue().splitlines())
    assert loaded == {"versions": {"numpy": np.__version__}}
    assert first == {"text": "10 de"}
    assert second["error"].startswith("FileNotFoundError: ")
