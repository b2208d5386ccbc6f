"""Drafted text is greedy text, whatever the draft; a good one saves passes, and a bad one costs none."""

import json
import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

from asr.audio import load_audio
from asr.checkpoint import ModelStore, load_model, read_checkpoint
from asr.decoding import DecodeRequest, DecodingOptions, Greedy
from asr.draft_head import DraftHead, save_draft_head
from asr.engine import Engine
from asr.engine.backend import Backend
from asr.engine.loading import load_backend
from asr.features import LogMel
from asr.native import kernels
from asr.options import Quantization
from asr.prompt import TaskPrompt
from asr.tokenizer import Tokenizer
from eval.cli import app
from eval.drafts import Counts, Draft, HeardDraft, NoDraft, Oracle, decode_drafted

CLIPS = ("en-common_voice_en_178693", "asterisk_en-vm-theperson")
SETTINGS = ({}, {"timestamps": False}, {"max_tokens": 7}, {"suppress_tokens": (-1,)})
compiled = pytest.mark.skipif(kernels() is None, reason="the kernels are not built, or this processor lacks AVX-512")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """A backend with windows that it has heard, and what the engine says of them."""

    backend: Backend
    tokenizer: Tokenizer
    requests: list[DecodeRequest]
    windows: list[Any]
    expected: list[tuple[int, ...]]

    @torch.inference_mode()
    def drafted(self, drafts: Sequence[Draft], *, block: int) -> list[Counts]:
        return decode_drafted(self.backend, self.windows, self.requests, drafts, self.tokenizer, block=block)


def requests_of(clip: Path) -> list[DecodeRequest]:
    """One window, asked for in four ways."""
    waveform = LogMel(load_audio(clip).samples, n_mels=80, device=torch.device("cpu"))
    mel = waveform.padded_window(0, min(waveform.n_frames, 600), 600)
    return [
        DecodeRequest(
            mel=mel,
            prompt=TaskPrompt(language="en", timestamps=settings.get("timestamps", True)),
            options=DecodingOptions(
                strategy=Greedy(),
                max_tokens=settings.get("max_tokens", 40),
                suppress_tokens=settings.get("suppress_tokens", ()),
            ),
        )
        for settings in SETTINGS
    ]


@pytest.fixture(scope="module", params=[pytest.param(Quantization.INT8, marks=compiled), Quantization.NONE])
def bench(request, shared, tiny_en) -> Bench:
    checkpoint = read_checkpoint(ModelStore().resolve("tiny.en"))
    backend = load_backend(checkpoint, torch.device("cpu"), "auto", request.param)
    tokenizer = Tokenizer(checkpoint.tokenizer_path, n_vocab=checkpoint.dims.n_vocab)
    requests, windows = [], []
    with torch.inference_mode():
        for clip in CLIPS:
            requests += requests_of(shared / f"golden/audio/{clip}.flac")
            windows += backend.encode([requests[-1].mel]) * len(SETTINGS)
    engine = Engine(backend, tokenizer)
    expected = [result.tokens for result in engine.decode(requests)]
    engine.close()
    return Bench(backend=backend, tokenizer=tokenizer, requests=requests, windows=windows, expected=expected)


def spoiled(tokens: Sequence[int], tokenizer: Tokenizer) -> list[int]:
    """Some tokens lost, said twice or exchanged: text, timestamps, what is suppressed, the end in the middle."""
    rng = random.Random(1)  # noqa: S311 (a test)
    others = [tokenizer.eot, tokenizer.sot, tokenizer.timestamp_begin + 3, *tokenizer.blank_tokens, 1, 262, 1000]
    changes = (lambda token: [token],) * 4 + (
        lambda _: [],
        lambda token: [token, token],
        lambda _: [rng.choice(others)],
    )
    return [each for token in tokens for each in rng.choice(changes)(token)]


KINDS: dict[str, Callable[[Tokenizer, Sequence[int], DecodeRequest], Draft]] = {
    "none": lambda *_: NoDraft(),
    "right, and beyond the end": lambda tokenizer, tokens, _: Oracle([*tokens, tokenizer.eot, 262, 262, tokenizer.eot]),
    "spoiled": lambda tokenizer, tokens, _: Oracle(spoiled([*tokens, tokenizer.eot], tokenizer)),
    "heard": lambda tokenizer, tokens, request: HeardDraft(
        [token for token in spoiled(tokens, tokenizer) if token < tokenizer.eot],
        tokenizer,
        timestamps=request.prompt.timestamps,
    ),
}


@pytest.mark.parametrize(("kind", "block"), zip(KINDS, (4, 16, 3, 8), strict=True))
def test_drafted_text_is_the_engines_whatever_the_draft(bench, kind, block):
    eot = bench.tokenizer.eot
    assert len(set(bench.expected)) > 4, "texts that are all alike prove nothing"
    pairs = zip(bench.expected, bench.requests, strict=True)
    found = bench.drafted([KINDS[kind](bench.tokenizer, *pair) for pair in pairs], block=block)
    assert [tuple(token for token in counts.tokens if token != eot) for counts in found] == bench.expected
    for counts in found:
        assert counts.n_passes <= len(counts.tokens) <= counts.n_passes + counts.n_accepted
        if kind == "none":
            assert (counts.n_passes, counts.n_guessed) == (len(counts.tokens), 0)
        elif kind.startswith("right"):
            assert counts.n_passes == math.ceil(len(counts.tokens) / block)
    assert sum(counts.n_accepted for counts in found) > 0 or kind == "none"


@pytest.mark.parametrize(
    ("said", "guess"),
    [
        ([], ["begin", 1, 2, 3]),
        (["begin"], [1, 2, 3]),
        (["begin", 1], [2, 3]),
        (["begin", 1, 9], [3]),  # 9 for 2
        (["begin", 1, 2, 9], []),  # for 3
        (["begin", 2], [3]),  # 1 was not there
        (["begin", 1, 2, 3], []),
        (["begin", 1, 2, "end"], ["end", 3]),  # the next segment begins where the last one ended
        (["begin", 1, 2, 3, "end"], ["eot"]),
        (["begin", 1, 2, "end", "end"], [3]),
    ],
)
def test_a_draft_goes_on_behind_what_was_said_of_it(said, guess, tiny_en):
    tokenizer = tiny_en.tokenizer
    names = {"begin": tokenizer.timestamp_begin, "end": tokenizer.timestamp_begin + 50, "eot": tokenizer.eot}
    said, guess = ([names.get(token, token) for token in tokens] for tokens in (said, guess))
    draft = HeardDraft([1, 2, 3], tokenizer, timestamps=True)
    for n in range(len(said)):
        draft.guess(said[:n], 8)
    assert draft.guess(said, 8) == guess
    assert HeardDraft([1, 2, 3], tokenizer, timestamps=True).guess(said, 8) == guess
    assert HeardDraft([1, 2, 3], tokenizer, timestamps=True).guess(said, 1) == guess[:1]


def test_without_timestamps_a_draft_ends_with_the_end(tiny_en):
    draft = HeardDraft([1, 2], tiny_en.tokenizer, timestamps=False)
    assert draft.guess([], 8) == [1, 2, tiny_en.tokenizer.eot]
    assert draft.guess([1, 2], 8) == [tiny_en.tokenizer.eot]


def test_the_command_counts_what_a_head_brings(tmp_path, shared, tiny_en):
    checkpoint = read_checkpoint(ModelStore().resolve("tiny.en"))
    torch.manual_seed(0)
    whisper = load_model(checkpoint, device=torch.device("cpu"), dtype=torch.float32)
    head = DraftHead(whisper, torch.arange(200, 1200))
    save_draft_head(head.state_dict(), tmp_path / "head.safetensors")
    clip = str(shared / f"golden/audio/{CLIPS[1]}.flac")
    arguments = ["draft", clip, clip, "--model", "tiny.en", "--block", "4", "--batch", "2"]
    numbers = tmp_path / "numbers.json"
    result = CliRunner().invoke(app, [*arguments, "--head", str(tmp_path / "head.safetensors"), "--json", str(numbers)])
    assert result.exit_code == 0, result.output
    found = json.loads(numbers.read_text())
    greedy, oracle, guessed = found["ways"].values()
    assert list(found["ways"]) == ["one token a pass", "oracle", "head"]
    assert found["n_clips"] == 2
    assert found["encode_s"] > 0
    assert greedy["n_tokens"] == greedy["n_passes"] == oracle["n_tokens"] == guessed["n_tokens"]
    assert greedy["n_tokens"] / 4 <= oracle["n_passes"] <= greedy["n_tokens"] / 4 + 2
    assert oracle["n_accepted"] == oracle["n_guessed"] > 0
    assert guessed["n_accepted"] <= guessed["n_guessed"]
    assert oracle["differing"] == guessed["differing"] == []
    assert f"{greedy['n_tokens'] / oracle['n_passes']:.2f}" in result.output


def test_a_head_of_another_model_is_refused(tmp_path, shared, tiny_en):
    (tmp_path / "head.safetensors").write_bytes(b"nothing")
    clip = str(shared / f"golden/audio/{CLIPS[0]}.flac")
    result = CliRunner().invoke(
        app, ["draft", clip, "--model", "tiny.en", "--head", str(tmp_path / "head.safetensors")]
    )
    assert result.exit_code == 1
    assert "head.safetensors: no draft head of this model" in result.output
