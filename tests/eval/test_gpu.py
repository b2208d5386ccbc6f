"""The checks of a GPU, on the CPU with a tiny shape: everything but the device."""

import json
from pathlib import Path

import pytest
import tokenizers
from typer.testing import CliRunner

from asr import model as models
from asr.model import ModelDimensions
from eval import ceilings, gpu, shape_engines
from eval.cli import app
from eval.cli.gpu import has_passed, show
from eval.errors import EvaluationError
from eval.gpu import GpuPlan, measure_gpu

TINY = ModelDimensions(80, 1500, 32, 2, 1, 51865, 64, 32, 2, 1)
MACHINE = {
    "device": "Abacus", "torch": "2", "product_gflops": 1e3, "attention_gflops": 1e3, "read_gb_a_second": 10.0,
}  # fmt: skip


@pytest.fixture
def tiny_shape(monkeypatch, tmp_path) -> None:
    """A shape that a CPU can bear, and a folder of models."""
    (tmp_path / "models" / "base").mkdir(parents=True)
    (tmp_path / "models" / "base" / "SHA256SUMS").touch()
    monkeypatch.setenv("AURICLE_MODEL_DIR", str(tmp_path / "models"))
    monkeypatch.setitem(models.PRESETS, "mini", TINY)


@pytest.fixture
def tokenizer_json(tmp_path) -> Path:
    """Of words that nobody says."""
    words = {f"<unused{i}>": i for i in range(shape_engines.EOT)}
    tokenizer = tokenizers.Tokenizer(tokenizers.models.WordLevel(words, unk_token="<unused0>"))  # noqa: S106
    tokenizer.add_special_tokens(["<|endoftext|>", "<|startoftranscript|>"])
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    return tmp_path / "tokenizer.json"


def answers(n_tokens: int = 8, **seconds: float):
    """Scripts that answer at once; engines take the seconds they are given."""

    def answer_of(_interpreter, _what, script):
        if script[0] == ceilings.__file__:
            return MACHINE
        name, task = script[1], json.loads(script[2])
        said = [n_tokens] * task["windows"]
        run = {"seconds": seconds[name.replace("-", "_")], "step_s": 0.001, "n_tokens": said}
        return {"runs": [run] * task["runs"], "peak_gb": 1.5}

    return answer_of


def plan_of(**fields) -> GpuPlan:
    values = {"recordings": [], "peers": {}, "shapes": ["mini"], "windows": 2, "tokens": 8, "rounds": 2}
    return GpuPlan(**values | fields)


def test_ours_is_timed_at_a_forced_length_with_random_weights(tokenizer_json):
    task = {
        "dims": {name: getattr(TINY, name) for name in TINY.__slots__}, "device": "cpu", "windows": 2, "tokens": 8,
        "beam_size": 1, "runs": 2, "tokenizer": str(tokenizer_json),
    }  # fmt: skip
    for beam_size in (1, 2):
        found = shape_engines.measure("auricle", task | {"beam_size": beam_size})
        assert [run["n_tokens"] for run in found["runs"]] == [[8, 8]] * 2
        assert all(run["seconds"] > 0 for run in found["runs"])
        assert found["peak_gb"] is None


def test_shapes_stand_beside_peers_and_what_reading_takes(tiny_shape, monkeypatch):
    monkeypatch.setattr(gpu, "answer_of", answers(auricle=0.5, transformers=2.0))
    numbers = measure_gpu(plan_of(peers={"transformers": Path("python")}), on_step=lambda _: None)
    assert numbers["machine"] == MACHINE
    rows = numbers["shapes"]["mini"]["engines"]
    assert (rows["auricle"]["times_real_time"], rows["transformers"]["over_ours"]) == (120.0, 4.0)
    assert rows["auricle"]["ms_a_step"] == pytest.approx(1.0)
    width, layers = 32, 1
    n_bytes = 2 * (layers * 14 * width * width + 51865 * width + 2 * layers * 2 * 1500 * width)
    assert numbers["shapes"]["mini"]["floor_ms_a_step"] == pytest.approx(1e3 * n_bytes / 10e9)
    assert has_passed(numbers)


def test_a_text_that_is_not_as_long_as_forced_does_not_pass(tiny_shape, monkeypatch, capsys):
    monkeypatch.setattr(gpu, "answer_of", answers(7, auricle=0.5))
    numbers = measure_gpu(plan_of(), on_step=lambda _: None)
    assert not has_passed(numbers)
    show(numbers)
    assert "not as long as forced" in capsys.readouterr().out


@pytest.mark.parametrize(("same", "passed"), [(10, True), (9, False)])
def test_too_few_windows_that_say_the_same_do_not_pass(tiny_shape, monkeypatch, capsys, same, passed):
    def tokens_of(_plan, device, dtype):
        n = 10 if device == "cpu" or dtype != "float32" else same
        return [(1, 2) if i < n else (1, 3) for i in range(10)]

    monkeypatch.setattr(gpu, "answer_of", answers(auricle=0.5))
    monkeypatch.setattr(gpu, "_tokens_of", tokens_of)
    numbers = measure_gpu(plan_of(recordings=[Path("a.wav")]), on_step=lambda _: None)
    assert numbers["equality"]["float32"]["equal"] == same
    assert has_passed(numbers) == passed
    show(numbers)
    assert f"float32: {same} of 10 windows" in capsys.readouterr().out


def test_unknown_shapes_and_peers_are_refused():
    with pytest.raises(EvaluationError, match=r"--shape: got huge, expected base, .*large-v3"):
        measure_gpu(plan_of(shapes=["huge"]), on_step=lambda _: None)
    with pytest.raises(EvaluationError, match="--peer: got kaldi, expected openai-whisper, transformers"):
        measure_gpu(plan_of(peers={"kaldi": Path("python")}), on_step=lambda _: None)


def test_the_device_says_what_it_can(monkeypatch):
    monkeypatch.setattr(ceilings, "SECONDS", 0.01)
    monkeypatch.setattr(ceilings, "POSITIONS", 64)
    found = ceilings.measure_device_ceilings("cpu", windows=1, read_bytes=1 << 20)
    assert found.keys() >= MACHINE.keys()
    assert all(found[name] > 0 for name in ("product_gflops", "attention_gflops", "read_gb_a_second"))


def test_without_a_device_the_command_says_so(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    result = CliRunner().invoke(app, ["gpu"])
    assert result.exit_code == 2
    assert "got no CUDA device" in result.stderr


@pytest.mark.weights
def test_a_recording_that_is_not_there_is_named(base):
    with pytest.raises(EvaluationError, match=r"No such file.*no\.flac"):
        gpu._tokens_of(plan_of(recordings=[Path("no.flac")]), "cpu", "float32")


@pytest.mark.weights
def test_real_weights_are_held_against_the_cpu(base, shared):
    plan = plan_of(recordings=[shared / "data" / "jfk" / "jfk.flac"], device="cpu")
    assert gpu._tokens_of(plan, "cpu", "float32") == gpu._tokens_of(plan, plan.device, "float32")
