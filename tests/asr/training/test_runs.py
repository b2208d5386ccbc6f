"""Whole runs on a tiny model: killed and continued, stopped, refused; and the curve of losses that they should have."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from shard_making import fields_of, write_shard, write_tones

from asr.audio import Waveform
from asr.checkpoint.training_record import read_training_record
from asr.errors import CheckpointError, InvalidOptionError, ShardError, TrainingError
from asr.model import Whisper
from asr.options import AudioContext, TranscribeOptions
from asr.training.building import Beginning
from asr.training.export import export, find_checkpoint
from asr.training.loader import Batch
from asr.training.objective import TeacherForced
from asr.training.options import Augmentation, Execution, FromCheckpoint, FromScratch, Goal, Recipe
from asr.training.run_folder import RunFolder
from asr.training.running import Hooks, RunStart, chosen_objective, train
from asr.training.shard_index import ShardIndex, find_shards
from asr.training.trainer import UpdateReport
from asr.transcriber import Transcriber

GOLDEN = Path(__file__).with_name("golden_losses.json")
EVERYTHING = (
    "--spec-augment", "--speed", "--stochastic-depth", "0.1", "--bpe-dropout", "0.1", "--noise-share", "0.5",
)  # fmt: skip


class Watcher:
    """An observer that remembers."""

    def __init__(self, folder: RunFolder, start: RunStart) -> None:
        self.start = start
        self.reports: list[UpdateReport] = []
        self._folder = folder

    def updated(self, report: UpdateReport) -> None:
        self.reports.append(report)
        self._folder.log({"step": report.step, "loss": report.loss})

    def close(self) -> None:
        pass


@pytest.fixture
def recipe(bytes_path) -> Callable[..., Recipe]:
    def make(**changes) -> Recipe:
        defaults = {
            "start": FromScratch(preset="pico", tokenizer=str(bytes_path)), "updates": 4, "batch": 4, "peak_lr": 2e-3,
            "warmup": 2, "context": AudioContext.AUTO,
        }  # fmt: skip
        return Recipe(**defaults | changes)

    return make


def run(
    shards: list[Path], out: Path, recipe: Recipe, *, stop_after: int = 1000, objective=chosen_objective, **execution
) -> tuple[bool, list[UpdateReport]]:
    """Train in this process: whether it came to its end, and what was reported."""
    watchers: list[Watcher] = []

    def observe(folder: RunFolder, start: RunStart) -> Watcher:
        watchers.append(Watcher(folder, start))
        return watchers[0]

    hooks = Hooks(
        observe=observe, should_stop=lambda: watchers[0].reports[-1].step >= stop_after, make_objective=objective
    )
    is_done = train(shards, out, recipe, Execution(**{"device": "cpu"} | execution), hooks)
    return is_done, watchers[0].reports


def losses(out: Path) -> list[dict[str, float]]:
    lines = [json.loads(line) for line in (out / "losses.jsonl").read_text().splitlines()]
    return [{name: value for name, value in line.items() if name != "seconds"} for line in lines]


def wait_for_losses(out: Path, n: int, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 120
    while not (out / "losses.jsonl").exists() or len((out / "losses.jsonl").read_text().splitlines()) < n:
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.02)


def finished(process: subprocess.Popen[str]) -> None:
    _, said = process.communicate(timeout=240)
    assert process.returncode == 0, said


# --- the same again ---


def test_twenty_updates_are_ten_a_kill_and_ten_bit_for_bit(tmp_path, bytes_path, tones, noises, start_auricle):
    arguments = (
        "train", tones, "--preset", "pico", "--tokenizer", bytes_path, "--updates", 20, "--batch", 4,
        "--micro-batch", 2, "--context", "auto", "--checkpoint-every", 5, *EVERYTHING,
        "--noise", noises,
    )  # fmt: skip
    straight, broken = tmp_path / "straight", tmp_path / "broken"
    at_once = start_auricle(*arguments, "--out", straight)
    first = start_auricle(*arguments, "--out", broken)
    wait_for_losses(broken, 12, first)
    first.send_signal(signal.SIGKILL)
    first.communicate()
    assert not (broken / "model").exists()
    finished(start_auricle(*arguments, "--out", broken, "--resume"))
    finished(at_once)
    assert [line["step"] for line in losses(broken)] == list(range(1, 21))
    assert losses(broken) == losses(straight)
    one, other = (load_file(out / "model/model.safetensors") for out in (broken, straight))
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_the_losses_are_those_of_every_version_before(tmp_path, recipe, tones):
    """GOLDEN_LOSSES=write python -m pytest tests/asr/training/test_runs.py -k every_version"""
    _, reports = run([tones], tmp_path / "run", recipe(updates=12, stochastic_depth=0.1))
    found = {"loss": [each.loss for each in reports], "grad_norm": [each.grad_norm for each in reports]}
    if os.environ.get("GOLDEN_LOSSES") == "write":
        GOLDEN.write_text(json.dumps(found, indent=1) + "\n")
    golden = json.loads(GOLDEN.read_text())
    assert found["loss"] == pytest.approx(golden["loss"], rel=1e-3)
    assert found["grad_norm"] == pytest.approx(golden["grad_norm"], rel=2e-2)
    assert found["loss"][-1] < 0.8 * found["loss"][0]


def test_how_it_is_computed_does_not_decide_what_comes_out(tmp_path, recipe, tones):
    two = recipe(updates=2, warmup=0)
    _, one = run([tones], tmp_path / "one", two, micro_batch=4)
    for number, changes in enumerate(({"micro_batch": 1}, {"recompute": True}, {"n_workers": 4})):
        _, other = run([tones], tmp_path / str(number), two, **{"micro_batch": 4} | changes)
        assert [each.loss for each in other] == pytest.approx([each.loss for each in one], rel=1e-5)
        assert [each.n_targets for each in other] == [each.n_targets for each in one]


def test_a_run_that_is_asked_to_stop_goes_on_where_it_was(tmp_path, recipe, tones):
    out, four = tmp_path / "run", recipe(updates=4)
    is_done, reports = run([tones], out, four, stop_after=2)
    assert (is_done, len(reports)) == (False, 2)
    assert [step for step, _ in RunFolder(out).checkpoints()] == [2]
    is_done, reports = run([tones], out, four, resume=True)
    assert (is_done, [each.step for each in reports]) == (True, [3, 4])
    assert [line["step"] for line in losses(out)] == [1, 2, 3, 4]


def test_old_checkpoints_go_and_unfinished_ones_are_not_seen(tmp_path, recipe, tones):
    out = tmp_path / "run"
    run([tones], out, recipe(updates=5, warmup=0), checkpoint_every=1, keep=2)
    assert [step for step, _ in RunFolder(out).checkpoints()] == [4, 5]
    (out / "checkpoints/.step-00000009").mkdir()
    assert [step for step, _ in RunFolder(out).checkpoints()] == [4, 5]


# --- what comes out ---


def test_the_export_of_adapters_is_a_plain_model(tmp_path, recipe, tones):
    run([tones], tmp_path / "first", recipe())
    start = FromCheckpoint(model=str(tmp_path / "first/model"))
    run([tones], tmp_path / "second", recipe(start=start, lora=4, peak_lr=1e-2, updates=3, warmup=0))
    before = load_file(tmp_path / "first/model/model.safetensors")
    after = load_file(tmp_path / "second/model/model.safetensors")
    assert before.keys() == after.keys()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {name for name in before if name.endswith(".weight") and ("attn." in name or "mlp." in name)}


def test_an_exported_checkpoint_is_a_model_for_everything_else(tmp_path, recipe, tones):
    run([tones], tmp_path / "run", recipe(updates=4), checkpoint_every=2)
    first = tmp_path / "run/checkpoints/step-00000002"
    export(find_checkpoint(first), tmp_path / "two")
    export(find_checkpoint(tmp_path / "run"), tmp_path / "four")
    models = [load_file(tmp_path / name / "model.safetensors") for name in ("two", "four", "run/model")]
    assert all(torch.equal(models[1][name], models[2][name]) for name in models[1])
    assert not all(torch.equal(models[0][name], models[1][name]) for name in models[1])
    hashes = {Transcriber.load(str(tmp_path / name), device="cpu").model_hash for name in ("two", "four", "run/model")}
    assert len(hashes) == 2


class WithHead(TeacherForced):
    """Another objective, which learns something beside the model."""

    def __init__(self, whisper: Whisper) -> None:
        super().__init__(whisper)
        self.head = torch.nn.Parameter(torch.zeros(()))

    def forward(self, batch: Batch) -> torch.Tensor:
        return (self.read(self.encode(batch.mel_BFT), batch.tokens_BM) - self.head).square().sum()

    def count(self, batch: Batch) -> int:
        return batch.tokens_BM.numel() * self.whisper.dims.n_text_state


def test_another_objective_is_trained_continued_and_exported_without_what_it_has_besides(tmp_path, recipe, tones):
    def objective(beginning: Beginning, *_: object) -> WithHead:
        return WithHead(beginning.whisper)

    out = tmp_path / "run"
    run([tones], out, recipe(), objective=objective, stop_after=2)
    _, reports = run([tones], out, recipe(), objective=objective, resume=True)
    _, straight = run([tones], tmp_path / "straight", recipe(), objective=objective)
    assert [each.loss for each in reports] == [each.loss for each in straight[2:]]
    assert not any("head" in name for name in load_file(out / "model/model.safetensors"))


def test_a_model_learns_from_itself_to_hear_bare_windows_and_says_so(tmp_path, recipe, tones):
    run([tones], tmp_path / "first", recipe(updates=1, warmup=0))
    first, out = tmp_path / "first/model", tmp_path / "run"
    fitting = recipe(
        start=FromCheckpoint(model=str(first)),
        objective=Goal.FULL_CONTEXT,
        context=AudioContext.FIT,
        updates=6,
        peak_lr=1e-3,
    )
    run([tones], out, fitting, stop_after=2)
    _, reports = run([tones], out, fitting, resume=True)
    _, straight = run([tones], tmp_path / "straight", fitting)
    assert [each.loss for each in reports] == [each.loss for each in straight[2:]]
    assert straight[-1].loss < straight[0].loss / 2
    weights = load_file(out / "model/model.safetensors")
    assert weights.keys() == load_file(first / "model.safetensors").keys()
    bare = TranscribeOptions(context=AudioContext.FIT, language="en", beam_size=1, temperatures=(0.0,), vad=False)
    noise = Waveform(samples=torch.rand(32000, generator=torch.Generator().manual_seed(0)).numpy() - 0.5)
    transcript = Transcriber.load(str(out / "model"), device="cpu").transcribe(noise, bare)
    heard_s = {each.heard_s for segment in transcript.segments for each in segment.quality.attempts}
    assert 2.0 in heard_s
    with pytest.raises(InvalidOptionError, match="context: got 'fit', but this model was never trained to hear"):
        Transcriber.load(str(first), device="cpu").transcribe(noise, bare)


# --- what is refused ---


def test_shards_that_are_not_there(tmp_path, recipe):
    with pytest.raises(TrainingError, match=r"shards: .*gone.tar: no such file; expected shards, as"):
        run([tmp_path / "gone.tar"], tmp_path / "run", recipe())
    with pytest.raises(TrainingError, match=r"a folder without \.tar files"):
        run([tmp_path], tmp_path / "run", recipe())


def test_shards_of_something_else(tmp_path, recipe):
    (tmp_path / "no.tar").write_bytes(b"no tar at all" * 100)
    with pytest.raises(ShardError, match=r"no.tar: .*; expected a tar of .flac and .json files"):
        run([tmp_path / "no.tar"], tmp_path / "run", recipe())


def test_a_folder_that_has_a_run(tmp_path, recipe, tones):
    out = tmp_path / "run"
    run([tones], out, recipe(updates=1, warmup=0))
    with pytest.raises(TrainingError, match=r"there is a run in .*; --resume continues it"):
        run([tones], out, recipe(updates=1, warmup=0))


def test_a_folder_that_has_something_else(tmp_path, recipe, tones):
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(TrainingError, match=r"is not empty and has no run.json"):
        run([tones], tmp_path, recipe(), resume=True)
    assert {path.name for path in tmp_path.iterdir()} == {"letter.txt"}


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"peak_lr": 0.5}, r"resume: recipe.peak_lr: got 0.5, the run in .* began with 0.002"),
        ({"augmentation": Augmentation(bpe_dropout=0.1)}, "recipe.augmentation.bpe_dropout: got 0.1"),
        ({"batch": 2}, "recipe.batch: got 2"),
        ({"start": FromScratch(preset="nano", tokenizer="")}, "recipe.start.preset: got 'nano'"),
    ],
)
def test_another_recipe_on_resume(tmp_path, recipe, tones, bytes_path, changes, complaint):
    out = tmp_path / "run"
    run([tones], out, recipe(updates=1, warmup=0))
    if "start" in changes:
        changes = {"start": FromScratch(preset="nano", tokenizer=str(bytes_path))}
    with pytest.raises(TrainingError, match=complaint):
        run([tones], out, recipe(**{"updates": 1, "warmup": 0} | changes), resume=True)


def test_other_examples_on_resume(tmp_path, recipe, tones):
    out = tmp_path / "run"
    run([tones], out, recipe(updates=1, warmup=0))
    others = write_tones(tmp_path / "others.tar", n=12)
    with pytest.raises(TrainingError, match=r"examples\.digest: got"):
        run([others], out, recipe(updates=1, warmup=0), resume=True)


def test_a_language_that_the_model_does_not_know(tmp_path, recipe, tones):
    waveform = Waveform(samples=torch.zeros(16000).numpy())
    fields = fields_of("ab", 1.0, language="yue")
    shard = write_shard(tmp_path / "yue.tar", [("one", waveform.samples, fields)])
    with pytest.raises(TrainingError, match="example one: language: got 'yue', this model expects one of 99 languages"):
        run([shard], tmp_path / "run", recipe(batch=1))


def test_a_tokenizer_that_is_none(tmp_path, recipe, tones):
    (tmp_path / "bad.json").write_text("{}")
    with pytest.raises(CheckpointError, match=r"bad.json: not a tokenizer.json"):
        run([tones], tmp_path / "run", recipe(start=FromScratch(preset="pico", tokenizer=str(tmp_path / "bad.json"))))


@pytest.mark.parametrize("at", [1, 3])
def test_a_loss_that_is_no_number_stops_the_run_and_loses_nothing(tmp_path, recipe, tones, monkeypatch, at):
    out, spoil = tmp_path / "run", {"now": True}
    calls = 0
    embed = Whisper.__init__.__globals__["AudioEncoder"].embed

    def spoiled(self, mel):
        nonlocal calls
        calls += 1
        return embed(self, mel) * (float("nan") if spoil["now"] and calls == at else 1.0)

    monkeypatch.setattr("asr.model.AudioEncoder.embed", spoiled)
    kept = "the weights before it are in" if at > 1 else "nothing was learned before it"
    with pytest.raises(TrainingError, match=rf"step {at}: loss nan, .*{kept}.* Its examples: tones-0\d\d, "):
        run([tones], out, recipe())
    assert [step for step, _ in RunFolder(out).checkpoints()] == ([at - 1] if at > 1 else [])
    spoil["now"] = False
    is_done, reports = run([tones], out, recipe(), resume=True)
    assert is_done
    _, undisturbed = run([tones], tmp_path / "undisturbed", recipe())
    assert [each.loss for each in reports] == [each.loss for each in undisturbed[at - 1 :]]


def test_text_that_is_too_long_is_counted_and_not_learned(tmp_path, recipe):
    samples = torch.zeros(16000).numpy()
    rows = [(f"k{n}", samples, fields_of("a" * (500 if n else 5), 1.0)) for n in range(2)]
    shard = write_shard(tmp_path / "long.tar", rows)
    _, reports = run([shard], tmp_path / "run", recipe(batch=2, updates=1, warmup=0))
    assert (reports[0].n_too_long, reports[0].n_targets) == (1, 2 + 1 + 6 + 1 + 1)
    only_long = write_shard(tmp_path / "only.tar", rows[1:])
    with pytest.raises(TrainingError, match="step 1: none of its 2 examples fits into the model"):
        run([only_long], tmp_path / "other", recipe(batch=2, updates=1, warmup=0))


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"updates": 0}, "updates: got 0, expected at least 1"),
        ({"warmup": 4}, "warmup: got 4, expected less than the 4 updates"),
        ({"peak_lr": 0.0}, "peak_lr: got 0.0"),
        ({"lora": 4}, "lora: got 4 with a preset"),
        ({"stochastic_depth": 1.0}, "stochastic_depth: got 1.0, expected 0 or more and less than 1"),
        ({"objective": Goal.FULL_CONTEXT}, "objective: got full-context with a preset; .*: give --init"),
        (
            {"objective": Goal.FULL_CONTEXT, "start": FromCheckpoint(model="base"), "context": AudioContext.EXACT},
            "context: got exact with the objective full-context, which hears that already; expected fit or auto",
        ),
    ],
)
def test_recipes_that_cannot_be(recipe, changes, complaint):
    with pytest.raises(InvalidOptionError, match=complaint):
        recipe(**changes)


def test_adapters_wider_than_the_model(tmp_path, recipe, tones):
    run([tones], tmp_path / "first", recipe(updates=1, warmup=0))
    start = FromCheckpoint(model=str(tmp_path / "first/model"))
    with pytest.raises(TrainingError, match="lora: got rank 65, expected at most the model's width, 64"):
        run([tones], tmp_path / "second", recipe(start=start, lora=65))


def test_a_model_says_how_much_it_was_trained(tmp_path, recipe, tones):
    _, first = run([tones], tmp_path / "run", recipe(), stop_after=2)
    _, rest = run([tones], tmp_path / "run", recipe(), resume=True)
    record = read_training_record(tmp_path / "run/model")
    examples = ShardIndex(find_shards([tones]))
    assert (record.preset, record.updates, record.examples) == ("pico", 4, len(examples))
    assert record.examples_seen == 16
    assert record.audio_hours == pytest.approx(sum(example.waveform.duration for example in examples) / 3600, rel=1e-3)
    assert record.audio_hours_seen == pytest.approx(sum(each.audio_s for each in (*first, *rest)) / 3600)
