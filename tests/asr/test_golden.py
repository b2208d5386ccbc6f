"""Parity with the reference implementation on the clips of ../shared/golden, in batches of strangers.

``GOLDEN=full`` (``make parity``) takes every clip; otherwise it is every second one, which is one of each language,
and every second of those with beam 5.

The FLAC files carry the very samples that the reference decoded, so tokens compare exactly. Greedy and beam 5 of a
clip share one encoder pass. A difference is excused only where the two best tokens tie at float noise, which is
computed for greedy decoding; docs/results.md lists the ties seen.
"""

import json
import os
import warnings
from itertools import zip_longest
from pathlib import Path

import pytest
import torch

from asr.audio import load_audio
from asr.decoding import BeamSearch, DecodeRequest, DecodingOptions, DecodingResult, Greedy, Strategy
from asr.decoding.rules import rules_for
from asr.engine.backend import Part
from asr.engine.torch_rules import apply_rules
from asr.features import N_FRAMES, N_SAMPLES, log_mel_spectrogram, pad_or_trim
from asr.prompt import TaskPrompt
from asr.tasks import Task
from asr.transcriber import Transcriber

pytestmark = pytest.mark.weights

EVERY = 1 if os.environ.get("GOLDEN") == "full" else 2  # clip, and of those every so many with beam 5
BATCH = 8
TOLERANCE = 1e-3
STRATEGIES: dict[str, tuple[Task, Strategy]] = {
    "greedy": (Task.TRANSCRIBE, Greedy()),
    "beam5": (Task.TRANSCRIBE, BeamSearch(beam_size=5)),
    "translate_greedy": (Task.TRANSLATE, Greedy()),
}
TIE = 1e-5  # in log-probability: less than this between two tokens is the noise of float32 sums in another order


def golden(shared: Path, model: str) -> list[dict]:
    return [json.loads(line) for line in (shared / "golden" / f"{model}.jsonl").read_text().splitlines()][::EVERY]


def mel_of(shared: Path, clip: dict, transcriber: Transcriber) -> torch.Tensor:
    waveform = load_audio(shared / "golden" / clip["audio"])
    assert len(waveform.samples) == clip["n_samples"]
    samples = pad_or_trim(torch.from_numpy(waveform.samples), N_SAMPLES)
    return log_mel_spectrogram(samples, n_mels=transcriber.n_mels)


def check_mel(mel: torch.Tensor, expected: dict) -> None:
    values = [mel.mean(), mel.std(unbiased=False), mel.min(), mel.max(), mel[10, 100], mel[40, 200], mel[79, 50]]
    reference = [expected["mean"], expected["std"], expected["min"], expected["max"], *expected["at"]]
    assert [float(value) for value in values] == pytest.approx(reference, abs=1e-4)


@torch.inference_mode()
def margin_where_they_part(
    transcriber: Transcriber, request: DecodeRequest, got: list[int], expected: list[int]
) -> float:
    """Difference of log-probability between the two tokens at the first place where greedy answers differ."""
    place = next(i for i, pair in enumerate(zip_longest(got, expected)) if pair[0] != pair[1])
    tokenizer, backend = transcriber.tokenizer, transcriber.engine._backend
    prompt = request.prompt.encode(tokenizer, max_context=0)
    tokens = [*prompt, *expected[:place]]
    rows = backend.take_rows(1)
    part = Part(
        window=backend.encode([pad_or_trim(request.mel, N_FRAMES)])[0], rows=rows, tokens=[tokens], position=0,
        sources=None, wanted=[(0, len(tokens) - 1)],
    )  # fmt: skip
    [logits] = backend.extend([part])
    backend.free_rows(rows)
    apply_rules(logits[None], [rules_for(request, tokenizer).after(expected[:place])])
    logprobs = logits.log_softmax(0)
    ours, theirs = ([*tokens, tokenizer.eot][place] for tokens in (got, expected))
    return abs(float(logprobs[ours] - logprobs[theirs]))


def differences(
    transcriber: Transcriber, clip: dict, name: str, request: DecodeRequest, result: DecodingResult
) -> list[str]:
    expected = clip[name]
    where = f"{transcriber.model_name} {clip['id']} {name}"
    if list(result.tokens) != expected["tokens"]:
        if isinstance(request.options.strategy, Greedy):
            margin = margin_where_they_part(transcriber, request, list(result.tokens), expected["tokens"])
            if margin < TIE:
                warnings.warn(f"{where}: a tie, with a margin of {margin:.1e}", stacklevel=2)
                return []
            where += f" (margin {margin:.1e})"
        return [f"{where}: tokens {list(result.tokens)}, expected {expected['tokens']}"]
    found = []
    if result.text != expected["text"]:
        found.append(f"{where}: text {result.text!r}, expected {expected['text']!r}")
    for field in ("avg_logprob", "no_speech_prob", "compression_ratio"):
        value = getattr(result, field)
        if abs(value - expected[field]) > TOLERANCE:
            found.append(f"{where}: {field} {value}, expected {expected[field]}")
    return found


@pytest.mark.parametrize("model", ["base", "tiny.en"])
def test_tokens_and_probabilities_equal_the_reference(model, shared, request):
    transcriber = request.getfixturevalue(model.replace(".", "_"))
    clips = golden(shared, model)
    found: list[str] = []
    with_beams = {clip["id"] for clip in clips[::EVERY]}
    for start in range(0, len(clips), BATCH):
        batch = clips[start : start + BATCH]
        mels = [mel_of(shared, clip, transcriber) for clip in batch]
        for clip, mel in zip(batch, mels, strict=True):
            check_mel(mel, clip["mel"])
        if model == "base":
            for clip, probabilities in zip(batch, transcriber.engine.detect_language(mels), strict=True):
                got = {code: probabilities[code] for code in clip["language_probs"]}
                assert got == pytest.approx(clip["language_probs"], abs=TOLERANCE), clip["id"]
        for name, (task, strategy) in STRATEGIES.items():
            chosen = [
                (clip, mel)
                for clip, mel in zip(batch, mels, strict=True)
                if name in clip and (name != "beam5" or clip["id"] in with_beams)
            ]
            requests = [
                DecodeRequest(
                    mel=mel,
                    prompt=TaskPrompt(language=clip["language"], task=task),
                    options=DecodingOptions(strategy=strategy),
                )
                for clip, mel in chosen
            ]
            results = transcriber.engine.decode(requests)
            for (clip, _), asked, result in zip(chosen, requests, results, strict=True):
                found += differences(transcriber, clip, name, asked, result)
    assert not found, "\n".join(found)
