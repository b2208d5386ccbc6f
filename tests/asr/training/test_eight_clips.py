"""The whole path on real speech: shards, a small vocabulary, training, and decoding what was exported."""

import time

import pytest
from shard_making import write_real
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from typer.testing import CliRunner

from asr.cli import app
from asr.options import TranscribeOptions
from asr.shards import read_shard
from asr.transcriber import Transcriber


def auricle(*arguments: object) -> None:
    result = CliRunner().invoke(app, [*map(str, arguments)], catch_exceptions=False)
    assert result.exit_code == 0, result.stderr


def test_eight_clips_are_learned_by_heart_in_under_a_minute(tmp_path, shared):
    shard, vocabulary, out = tmp_path / "eight.tar", tmp_path / "vocabulary.json", tmp_path / "run"
    if not (shared / "data").is_dir():
        pytest.skip("the development recordings (../shared/data) are not part of a checkout")
    write_real(shard, shared / "data", n=8)
    began = time.process_time()
    auricle("train-tokenizer", shard, "--out", vocabulary, "--size", 400)
    auricle(
        "train", shard, "--preset", "pico", "--tokenizer", vocabulary, "--updates", 100, "--batch", 8,
        "--peak-lr", 8e-3, "--warmup", 8, "--context", "auto", "--out", out,
    )  # fmt: skip
    curves = EventAccumulator(str(out / "tensorboard")).Reload()
    assert {"loss", "learning_rate", "grad_norm", "audio_hours_per_s", "flops_per_s"} == set(curves.Tags()["scalars"])
    assert [event.step for event in curves.Scalars("loss")] == list(range(1, 101))
    transcriber = Transcriber.load(str(out / "model"), device="cpu")
    examples = list(read_shard(shard))
    options = TranscribeOptions(timestamps=False, beam_size=1)
    transcripts = [transcriber.transcribe(example.waveform, options) for example in examples]
    assert len(examples) == 8
    # Word for word, mark for mark, and the language: an error rate of 0 in any normalization.
    assert [transcript.text.strip() for transcript in transcripts] == [example.fields["text"] for example in examples]
    assert {transcript.language for transcript in transcripts} == {"en"}
    assert time.process_time() - began < 120  # a minute of two cores; a wall clock would tell who else is on them
