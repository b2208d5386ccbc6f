import io
import json
import re
import stat
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import soundfile

from eval import ceilings, engines
from eval.errors import EvaluationError
from eval.report.html import render_html
from eval.report.plots import file_svg
from eval.report.speed import draw_speed, speed_as_report
from eval.speed import EngineTimes, SpeedPlan, measure_speed, times_as_json


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


MACHINE = {
    "cpu": "Abacus", "cores": 2, "threads": 2, "torch": "2", "float32_gflops": 1.0, "int8_gops": 2.0,
    "attention_gflops": 1.0, "read_gb_a_second": 1.0,
}  # fmt: skip
ANSWER = {
    "first_at": 2e9, "seconds": [3.0, 1.0, 2.0], "peak_mb": 100.0, "torch_mb": 40.0, "torch_s": 1.0, "text": "hi",
    "per_second": 4.0,
}  # fmt: skip


@pytest.fixture
def python(tmp_path, monkeypatch) -> Path:
    """An interpreter that answers as any script would, and notes what it was asked."""
    answer = json.dumps(ANSWER | MACHINE)
    fake = interpreter(tmp_path, "python", f"echo $(basename $1) $2 $3 $6 $7 $8 >> {tmp_path}/turns; echo '{answer}'")
    monkeypatch.setattr("eval.speed.sys.executable", str(fake))
    return fake


def plan_of(recording: Path, peers: Mapping[str, Path] | None = None, **fields) -> SpeedPlan:
    values = {"model": "base", "rounds": 2, "beam_size": 5}
    return SpeedPlan(recording=recording, peers=peers or {}, **values | fields)


def measured(recording: Path, peers: Mapping[str, Path] | None = None, **fields) -> dict:
    return measure_speed(plan_of(recording, peers, **fields), on_step=lambda _: None)


def test_engines_take_turns(tmp_path, clip, store, python):
    numbers = measured(clip, {"faster-whisper-int8": python})
    asked = ["engines.py time auricle 3 5", "engines.py time faster-whisper-int8 3 5"]
    assert (tmp_path / "turns").read_text().splitlines() == ["ceilings.py 2", *asked * 2]
    assert [row["rounds"]["warm_s"] for row in numbers["engines"].values()] == [[2.0, 2.0]] * 2
    assert numbers["engines"]["auricle"]["text"] == "hi"
    assert (numbers["duration_s"], numbers["machine"]["cpu"], numbers["model"]) == (1.0, "Abacus", "base")
    assert "per_second" not in numbers["engines"]["auricle"]


def test_many_clients_ask_besides(tmp_path, clip, store, python):
    numbers = measured(clip, clients=8, rounds=1)
    assert (tmp_path / "turns").read_text().splitlines()[1:] == [
        "engines.py time auricle 3 5",
        "engines.py load auricle 8 10.0 5",
    ]
    assert numbers["engines"]["auricle"]["per_second"] == 4.0


def test_long_recordings_are_heard_once_a_round(tmp_path, store, python):
    soundfile.write(tmp_path / "long.wav", np.zeros(61 * 16_000, dtype=np.float32), 16_000)
    measured(tmp_path / "long.wav", rounds=1)
    assert (tmp_path / "turns").read_text().splitlines()[1:] == ["engines.py time auricle 1 5"]


def test_a_failing_peer_says_why(tmp_path, clip, store, python):
    broken = interpreter(tmp_path, "broken", "echo broken >&2; exit 3")
    with pytest.raises(EvaluationError, match="--peer faster-whisper-int8 failed: broken"):
        measured(clip, {"faster-whisper-int8": broken})


def test_unknown_peers_are_refused(clip, store):
    with pytest.raises(EvaluationError, match="expected faster-whisper-float32"):
        measured(clip, {"kaldi": Path("python")})


def times_of(engine: str, warm_s: list[float], text: str = "hello there", **fields) -> EngineTimes:
    values = {"cold_s": warm_s, "torch_s": [0.0] * 3, "peak_mb": [1.0] * 3, "torch_mb": [0.0] * 3}
    return EngineTimes(engine=engine, warm_s=warm_s, text=text, **values | fields)


def as_json(*times: EngineTimes, reference: str | None = None, **fields) -> dict:
    plan = plan_of(Path("clip.wav"), reference=reference, rounds=3, **fields)
    return times_as_json(times, plan, duration_s=8, machine=MACHINE)


def test_ratios_are_taken_within_each_round():
    numbers = as_json(times_of("auricle", [1.0, 2.0, 4.0]), times_of("openai-whisper", [3.0, 6.0, 4.0]))["engines"]
    assert numbers["openai-whisper"]["latency_over_ours"] == {"median": 3.0, "low": 1.0, "high": 3.0}
    assert (numbers["auricle"]["warm_s"], numbers["auricle"]["times_real_time"]) == (2.0, 4.0)
    assert numbers["auricle"]["errors"] is None


def test_the_errors_of_each_are_counted():
    ours, theirs = times_of("auricle", [1.0] * 3, "hello their"), times_of("openai-whisper", [1.0] * 3, "Hello, there!")
    numbers = as_json(ours, theirs, reference="hello there")["engines"]
    assert [numbers[name]["errors"]["n"] for name in ("auricle", "openai-whisper")] == [1, 0]


@pytest.mark.parametrize(
    ("said", "counts"), [(20, True), (19, True), (18, False), (22, False)], ids=["all", "one lost", "lost", "invented"]
)
def test_who_loses_or_invents_words_does_not_count(said, counts):
    words = [f"word{place}" for place in range(22)]
    times = times_of("auricle", [1.0] * 3, " ".join(words[:said]))
    assert as_json(times, reference=" ".join(words[:20]))["engines"]["auricle"]["counts"] == counts


def test_the_page_and_the_plot_show_every_engine():
    ours = times_of("auricle", [1.0] * 3, per_second=[4.0] * 3, torch_mb=[0.5] * 3)
    peers = [times_of(name, [2.0] * 3, per_second=[2.0] * 3) for name in ("openai-whisper", "whisper-cpp-q8")]
    lossy = times_of("transformers", [0.5] * 3, "hello", per_second=[2.0] * 3)
    numbers = as_json(ours, *peers, lossy, reference="hello there", clients=8)
    page = render_html(speed_as_report(numbers), with_audio=False, on_step=lambda _: None)
    assert all(name in page for name in numbers["engines"])
    assert "Abacus" in page
    assert re.search("transformers leaves out or invents 50.% of the words", page)
    assert "The best is openai-whisper" in page
    drawn = file_svg(draw_speed(numbers), name="speed")
    assert all(f">{name}<" in drawn for name in numbers["engines"])


def test_the_machine_says_what_it_can(monkeypatch):
    monkeypatch.setattr(ceilings, "SECONDS", 0.01)
    found = ceilings.measure_ceilings(1)
    assert found.keys() == MACHINE.keys()
    assert all(found[name] > 0 for name in ("float32_gflops", "int8_gops", "attention_gflops", "read_gb_a_second"))


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
    assert result["torch_s"] > 0


@pytest.mark.parametrize(("engine", "most"), [("auricle", 3), ("faster-whisper-int8", 1)])
def test_clients_ask_at_once_who_can_bear_it(tmp_path, monkeypatch, engine, most):
    np.save(tmp_path / "samples.npy", np.zeros(10, dtype=np.float32))
    under_way: list[int] = []
    seen: list[int] = []

    def transcribe(samples):
        under_way.append(1)
        seen.append(len(under_way))
        time.sleep(0.02)
        under_way.pop()
        return "hi"

    monkeypatch.setitem(engines.LOADERS, engine, lambda *_: transcribe)
    result = engines.load(engine, "base", str(tmp_path / "samples.npy"), "3", "0.2", "1")
    assert max(seen) == most
    assert result["per_second"] == pytest.approx(len(result["latencies"]) / 0.2, rel=0.5)
    assert result["texts"] == ["hi"]


def test_a_clip_that_is_not_there_is_named(store, tmp_path) -> None:
    with pytest.raises(EvaluationError, match=r"no\.flac: No such file .* expected an audio file"):
        measured(tmp_path / "no.flac")


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
