"""``auricle train``: what options become, what is refused, and how a run is asked to end."""

import os
import signal
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from asr.cli import app
from asr.cli.train import stop_signal
from asr.training.options import PRESETS, Execution, FromCheckpoint, FromScratch, Parts, Precision, Recipe


@pytest.fixture
def called(monkeypatch) -> list[tuple[list[Path], Path, Recipe, Execution]]:
    calls: list[tuple[list[Path], Path, Recipe, Execution]] = []

    def fake(*arguments) -> bool:
        calls.append(arguments)
        return arguments[1].name != "stopped"

    monkeypatch.setattr(sys.modules["asr.cli.train"], "_train", fake)  # the package has the function of this name
    return calls


def invoke(*arguments: object):
    return CliRunner().invoke(app, ["train", "shards", *map(str, arguments)])


@pytest.mark.parametrize(
    ("name", "peak_lr"),
    [("tiny", 1.5e-3), ("base", 1e-3), ("small", 5e-4), ("medium", 2.5e-4), ("large", 1.75e-4), ("large-v2", 2e-4)],
)
def test_a_presets_defaults_are_the_papers(called, name, peak_lr):
    result = invoke("--preset", name, "--updates", 1_048_576, "--out", "out")
    assert result.exit_code == 0, result.stderr
    shards, out, recipe, execution = called[0]
    assert (shards, out) == ([Path("shards")], Path("out"))
    assert recipe == Recipe(
        start=FromScratch(preset=name, tokenizer="base"), updates=1_048_576, batch=256, peak_lr=peak_lr,
        warmup=2048,
    )  # fmt: skip
    assert execution == Execution()


@pytest.mark.parametrize(("lora", "peak_lr"), [(0, 1e-5), (8, 1e-4)])
def test_fine_tuning_begins_gently(called, lora, peak_lr):
    options = ("--init", "base", "--updates", 500, "--lora", lora, "--parts", "decoder", "--precision", "bf16")
    assert invoke(*options, "--out", "out").exit_code == 0
    recipe = called[0][2]
    assert recipe.start == FromCheckpoint(model="base")
    assert (recipe.peak_lr, recipe.warmup, recipe.lora) == (peak_lr, 50, lora)
    assert (recipe.parts, recipe.precision) == (Parts.DECODER, Precision.BF16)


def test_all_that_may_be_varied(called):
    options = (
        "--spec-augment", "--stochastic-depth", 0.1, "--bpe-dropout", 0.2, "--speed", "--noise", "n",
        "--noise-share", 0.3,
        "--recompute", "--parallel", "fsdp", "--micro-batch", 4, "--keep", 0, "--resume", "--context", "auto",
    )  # fmt: skip
    assert invoke("--preset", "nano", "--updates", 10, "--out", "out", *options).exit_code == 0
    _, _, recipe, execution = called[0]
    varied = recipe.augmentation
    assert (varied.spec_augment, varied.bpe_dropout, varied.speed) == (True, 0.2, True)
    assert (varied.noise, varied.noise_share, recipe.stochastic_depth) == (Path("n"), 0.3, 0.1)
    assert (execution.recompute, execution.parallel, execution.micro_batch) == (True, "fsdp", 4)
    assert (execution.keep, execution.resume, recipe.context) == (0, True, "auto")


def test_a_model_learns_to_hear_less(called):
    options = ("--init", "base", "--objective", "full-context", "--context", "fit", "--updates", 10)
    assert invoke(*options, "--out", "out").exit_code == 0
    recipe = called[0][2]
    assert (recipe.objective, recipe.context) == ("full-context", "fit")


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ((), "--preset: got neither of --preset and --init, expected one of them"),
        (("--preset", "tiny", "--init", "base"), "--preset: got both of --preset and --init"),
        (("--preset", "huge"), f"--preset: got 'huge', expected one of {', '.join(PRESETS)}"),
        (("--preset", "tiny", "--batch", 0), "--batch: got 0, expected at least 1"),
        (("--preset", "tiny", "--lora", 8), "--lora: got 8 with a preset"),
        (("--init", "base", "--objective", "full-context"), "--context: got exact with the objective full-context"),
        (("--preset", "tiny", "--warmup", 10), "--warmup: got 10, expected less than the 10 updates"),
    ],
)
def test_what_is_refused_names_the_option(called, options, complaint):
    result = invoke("--updates", 10, "--out", "out", *options)
    assert result.exit_code == 2
    assert complaint in " ".join(result.stderr.split())
    assert called == []


def test_a_run_that_was_stopped_says_how_it_goes_on(called):
    result = invoke("--preset", "nano", "--updates", 10, "--out", "stopped")
    assert result.exit_code == 130
    assert "the same command with --resume goes on from stopped" in " ".join(result.stderr.split())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_asks_and_the_second_is_as_ever(number):
    before = signal.getsignal(number)
    with stop_signal() as is_set:
        assert not is_set()
        os.kill(os.getpid(), number)
        assert is_set()
        assert signal.getsignal(number) == before
    assert signal.getsignal(number) == before


def test_an_export_of_nothing(tmp_path):
    result = CliRunner().invoke(app, ["export", str(tmp_path), "--out", str(tmp_path / "model")])
    assert result.exit_code == 1
    assert "no run of `auricle train` here" in " ".join(result.stderr.split())


def test_a_vocabulary_without_room_for_every_byte(tmp_path, tones):
    out = tmp_path / "small.json"
    result = CliRunner().invoke(app, ["train-tokenizer", str(tones), "--out", str(out), "--size", "255"])
    assert result.exit_code == 2
    assert "--size: got 255 text tokens, expected at least one for each of 256 bytes" in " ".join(result.stderr.split())
    assert not out.exists()


def test_the_help_of_every_option_says_something():
    result = CliRunner().invoke(app, ["train", "--help"], env={"COLUMNS": "200", "NO_COLOR": "1"})
    assert result.exit_code == 0
    assert "auricle train shards --init base" in result.stdout
