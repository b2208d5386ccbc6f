"""The compiled int8 kernels: near the float reference, and the same to the bit in any company and on any threads."""

import json
import math
import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, example, given, reject, settings
from hypothesis import strategies as st

from asr.audio import load_audio
from asr.checkpoint import Checkpoint
from asr.decoding import DecodeRequest, DecodingOptions, DecodingResult
from asr.decoding.steps import Choice, Read, RowRules
from asr.engine import Engine
from asr.engine.backend import Backend, Part
from asr.engine.loading import load_engine
from asr.engine.native import MAX_KEPT_WINDOWS, NativeBackend
from asr.engine.torch_backend import TorchBackend
from asr.engine.torch_rules import apply_rules
from asr.errors import InvalidOptionError
from asr.features import N_SAMPLES, log_mel_spectrogram, pad_or_trim
from asr.model import ModelDimensions, Whisper
from asr.native import NativeModel, kernels, pack_state
from asr.native.library import MAX_RANGES
from asr.native.packing import PANEL, pack_weights
from asr.prompt import TaskPrompt
from asr.streaming.agreement import normalized
from asr.transcriber import Transcriber

compiled = pytest.mark.skipif(
    kernels() is None, reason="the kernels are not built, or this processor has no AVX-512 VNNI"
)
HEADS = ((1, 1), (0, 0), (1, 0))
EOT = 50257
PROMPT = (50258, 50259, 50359, 7, 8, 9, 10, 400, 5000)  # nine tokens: more than one tile of the kernels

# What int8 costs on the model below, as ‖int8 − float‖ / ‖float‖: logits 0.016 to 0.033. Another window changes them by
# 0.13, another token in the past by 0.06 to 0.5.
LOGITS_TOLERANCE = 0.05


@pytest.fixture(scope="module")
def model(random_model) -> Whisper:
    """Heads of the only width that the kernels know, which tell their neighbours apart and are listened to."""
    model = random_model(ModelDimensions(80, 1500, 128, 2, 2, 51865, 64, 128, 2, 2), std=0.05)
    for name, parameter in model.named_parameters():
        if "ln" in name and name.endswith("weight"):
            parameter.add_(1)
        elif name.endswith("attn.query.weight"):
            parameter.mul_(8)
        elif name.startswith("decoder") and name.endswith("attn.out.weight"):
            parameter.mul_(6)
    return model


@pytest.fixture(scope="module")
def packed(model) -> NativeModel:
    return NativeModel(pack_state(model.state_dict(), model.dims), model.dims)


@pytest.fixture
def native(model, packed) -> NativeBackend:
    return NativeBackend(packed, HEADS, kernels())


@pytest.fixture
def reference(model) -> TorchBackend:
    return TorchBackend(model, HEADS)


@pytest.fixture
def n_threads() -> Iterator[Callable[[int], None]]:
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def mel_of(seed: int, n_frames: int = 3000) -> torch.Tensor:
    return torch.randn(80, n_frames, generator=torch.Generator().manual_seed(seed))


def difference(got: np.ndarray, expected: np.ndarray) -> float:
    return float(np.linalg.norm(got - expected) / np.linalg.norm(expected))


# --- logits ---


@torch.inference_mode()
def read_and_continue(backend: Backend, mel: torch.Tensor, prompt: Sequence[int], steps: Sequence[int]) -> np.ndarray:
    """(T, V) of every token of a prompt that is read at once, and of single steps behind it."""
    window, rows = backend.encode([mel])[0], backend.take_rows(1)

    def extend(tokens: Sequence[int], position: int) -> list[np.ndarray]:
        wanted = [(0, place) for place in range(len(tokens))]
        part = Part(window=window, rows=rows, tokens=[tokens], position=position, sources=None, wanted=wanted)
        logits = backend.extend([part])
        return [backend.logits(logits, place) for place in range(len(tokens))]

    found = extend(prompt, 0)
    for i, token in enumerate(steps):
        found += extend([token], len(prompt) + i)
    backend.free_rows(rows)
    return np.stack(found)


@compiled
@pytest.mark.parametrize("seed", range(3))
def test_logits_of_prompts_and_steps_are_near_the_reference(native, reference, seed):
    steps = (3, 1000, 20000, 51864)
    got = read_and_continue(native, mel_of(seed), PROMPT, steps)
    expected = read_and_continue(reference, mel_of(seed), PROMPT, steps)
    assert got.shape == expected.shape == (13, 51865)
    errors = [difference(*pair) for pair in zip(got, expected, strict=True)]
    assert max(errors) < LOGITS_TOLERANCE, errors
    # The test would see a neighbour's row, a wrong window, a lost token or a wrong position.
    assert min(difference(*pair) for pair in pairwise(expected)) > 2 * LOGITS_TOLERANCE
    last = expected[len(PROMPT) - 1]
    elsewhere = read_and_continue(reference, mel_of(seed + 1), PROMPT, ())[-1]
    shorter = read_and_continue(reference, mel_of(seed), PROMPT[1:], ())[-1]
    assert min(difference(last, elsewhere), difference(last, shorter)) > 2 * LOGITS_TOLERANCE


@compiled
@torch.inference_mode()
@pytest.mark.parametrize("seed", range(2))
def test_rows_in_any_company_are_near_the_reference_and_to_the_bit_as_alone(
    native, model, packed, hidden_states, company_of, seed
):
    """Unequal positions, beams that continue one another, rows and windows whose memory was another's before."""
    mels = [mel_of(seed) for seed in range(3)]
    features = [model.encoder(mel[None])[0] for mel in mels]
    answers = company_of(native, mels, seed=seed)
    assert len(answers) > 100
    for answer in answers:
        alone = NativeBackend(packed, HEADS, kernels())
        logits = read_and_continue(alone, mels[answer.window], answer.tokens, ())[-1]
        assert np.array_equal(answer.logits, logits)
        hidden = hidden_states(model, features[answer.window], answer.tokens)
        expected = model.decoder.logits(hidden[-1:])[0].numpy()
        assert difference(answer.logits, expected) < 2 * LOGITS_TOLERANCE


@compiled
def test_a_prompt_read_at_once_is_to_the_bit_one_read_step_by_step(native):
    mel = mel_of(0)
    at_once = read_and_continue(native, mel, PROMPT, ())
    assert np.array_equal(read_and_continue(native, mel, PROMPT[:1], PROMPT[1:]), at_once)
    assert np.array_equal(read_and_continue(native, mel, PROMPT[:7], PROMPT[7:]), at_once)


# --- windows ---


def alone(engine_of: Callable[[], Engine], requests: Sequence[DecodeRequest]) -> list[DecodingResult]:
    """Each by an engine of its own that knows no other."""
    return [engine_of().decode([request])[0] for request in requests]


@compiled
@pytest.mark.parametrize("max_windows", [3, 8])
def test_strangers_say_to_the_bit_what_each_says_alone(model, packed, tokenizer, strangers, n_threads, max_windows):
    def engine_of(max_windows: int = 8) -> Engine:
        return Engine(NativeBackend(packed, HEADS, kernels()), tokenizer, max_windows=max_windows)

    requests = strangers(token_times=True)
    n_threads(1)
    expected = alone(engine_of, requests)
    assert len({result.tokens for result in expected}) > 4, "a model that always says the same proves nothing"
    assert sum(len(set(result.token_times)) > 2 for result in expected) > 4
    for threads in (1, 2):
        n_threads(threads)
        engine = engine_of(max_windows)
        assert engine.decode(requests) == expected
        assert engine.decode(requests[::-1]) == expected[::-1]
    assert alone(engine_of, requests[:3]) == expected[:3]  # on two threads


@compiled
def test_languages_too(model, packed, tokenizer, n_threads):
    def engine_of() -> Engine:
        return Engine(NativeBackend(packed, HEADS, kernels()), tokenizer)

    mels = [mel_of(0), mel_of(1, 400), mel_of(2)]
    n_threads(1)
    expected = [engine_of().detect_language([mel])[0] for mel in mels]
    for threads in (1, 2):
        n_threads(threads)
        assert engine_of().detect_language(mels) == expected


@compiled
def test_engines_side_by_side_share_the_threads(model, packed, tokenizer, strangers, n_threads):
    n_threads(2)
    engines = [Engine(NativeBackend(packed, HEADS, kernels()), tokenizer) for _ in range(3)]
    expected = engines[0].decode(strangers())
    with ThreadPoolExecutor(len(engines)) as threads:
        assert list(threads.map(lambda engine: engine.decode(strangers()), engines)) == [expected] * len(engines)


@compiled
def test_a_child_of_fork_has_threads_of_its_own(native, n_threads):
    """The parent's are not in it: a kernel that waited for them would wait for ever."""
    n_threads(2)
    before = native.encode([mel_of(0)])[0].memory.copy()
    child = os.fork()
    if child == 0:
        os._exit(0 if np.array_equal(native.encode([mel_of(0)])[0].memory, before) else 1)
    deadline = time.monotonic() + 30
    while (ended := os.waitpid(child, os.WNOHANG)) == (0, 0) and time.monotonic() < deadline:
        time.sleep(0.05)
    if ended == (0, 0):
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        pytest.fail("the child waits for threads that it does not have")
    assert os.waitstatus_to_exitcode(ended[1]) == 0


@compiled
def test_the_memory_of_windows_that_are_gone_is_used_again(native):
    first = native.encode([mel_of(0)])[0]
    memory, kept = first.memory, first.memory.copy()
    del first
    assert native.encode([mel_of(1)])[0].memory is memory
    again = native.encode([mel_of(0)])[0]
    assert again.memory is memory
    assert np.array_equal(again.memory, kept)
    assert native.encode([mel_of(1)])[0].memory is not memory, "a window that is there keeps its own"
    many = [native.encode([mel_of(1)])[0] for _ in range(MAX_KEPT_WINDOWS + 2)]
    del again, many
    assert len(native._pool) == MAX_KEPT_WINDOWS, "the rest goes back to the system"


# --- the choice of tokens ---


def choosers(n_vocab: int) -> tuple[NativeBackend, TorchBackend]:
    """Without a model: none is asked for a choice."""
    dims = ModelDimensions(80, 1500, 64, 1, 1, n_vocab, 64, 64, 1, 1)
    with torch.device("meta"):
        model = Whisper(dims)
    return NativeBackend(SimpleNamespace(dims=dims), (), kernels()), TorchBackend(model, ())


def in_panels(logits_NV: torch.Tensor) -> np.ndarray:
    """As the kernels write them: in whole panels, with anything at all behind the vocabulary."""
    n_rows, n_vocab = logits_NV.shape
    padded = np.full((n_rows, -(-n_vocab // PANEL) * PANEL), 1e9, np.float32)
    padded[:, :n_vocab] = logits_NV.numpy()
    return padded


@st.composite
def rules_for(draw, n_vocab: int) -> RowRules:
    token = st.integers(0, n_vocab)
    kept = draw(st.none() | st.sets(st.integers(0, n_vocab - 1), min_size=1, max_size=8))
    if kept is not None:  # everything but a few tokens is forbidden
        suppressed = tuple(sorted({*range(n_vocab)} - kept))
        return RowRules(suppressed=suppressed, timestamp_begin=draw(st.none() | st.integers(1, n_vocab - 1)))
    return RowRules(
        suppressed=tuple(sorted(draw(st.sets(st.integers(0, n_vocab - 1), max_size=20)))),
        ranges=tuple(draw(st.lists(st.tuples(token, token), max_size=MAX_RANGES))),  # also such as hold nothing
        timestamp_begin=draw(st.none() | st.integers(1, n_vocab - 1)),
    )


@st.composite
def questions(draw) -> tuple[torch.Tensor, list[int], list[Choice]]:
    """Logits of some rows, places among them and what is asked there."""
    n_vocab = draw(st.sampled_from([7, 16, 37, 64, 100, 129, 1000]))
    n_rows = draw(st.integers(1, 4))
    seed, scale = draw(st.integers(0, 10**6)), draw(st.sampled_from([0.3, 3.0, 30.0]))
    logits = scale * torch.randn(n_rows, n_vocab, generator=torch.Generator().manual_seed(seed))
    places = draw(st.lists(st.integers(0, n_rows - 1), min_size=1, max_size=6))
    choices = [
        Choice(
            row=place,
            rules=draw(rules_for(n_vocab)),
            n_best=draw(st.integers(1, 6)),
            temperature=draw(st.sampled_from([0.2, 0.8, 1.0])),
            draw=draw(st.none() | st.floats(0, 1, exclude_max=True)),
        )
        for place in places
    ]
    return logits, places, [replace(each, n_best=1) if each.draw is not None else each for each in choices]


class UndecidedError(Exception):
    """The noise of float32 sums decides between text and timestamps, or nothing is left to choose from."""


def obeying(logits_V: torch.Tensor, rules: RowRules) -> torch.Tensor:
    """Logits after the rules. Raises UndecidedError."""
    obeying = logits_V.clone()
    apply_rules(obeying[None], [replace(rules, timestamp_begin=None)])
    if rules.timestamp_begin is not None:
        text, timestamps = obeying[: rules.timestamp_begin].max(), obeying[rules.timestamp_begin :].logsumexp(dim=0)
        if abs(text - timestamps) < 1e-4:
            raise UndecidedError
    apply_rules(obeying[None], [rules])
    if not obeying.isfinite().any():
        raise UndecidedError
    return obeying


def check_choices(logits: torch.Tensor, places: list[int], choices: list[Choice]) -> None:
    native, reference = choosers(logits.shape[1])
    obeyed = [obeying(logits[place], choice.rules) for place, choice in zip(places, choices, strict=True)]
    found = native.choose(in_panels(logits), places, choices)
    expected = reference.choose(logits.clone(), places, choices)
    for choice, row, got, wanted in zip(choices, obeyed, found, expected, strict=True):
        assert len(got) == len(wanted) == choice.n_best
        if choice.draw is not None:
            check_draw(choice, row, *got[0])
            continue
        assert [logprob for _, logprob in got] == pytest.approx([logprob for _, logprob in wanted], abs=1e-4)
        # Of forbidden tokens, where there are too few others, it does not matter which.
        allowed = [token for token, logprob in wanted if math.isfinite(logprob)]
        best = row.sort(descending=True).values[: len(allowed) + 1].tolist()
        if all(first - second > 1e-5 for first, second in pairwise(best)):
            assert [token for token, _ in got][: len(allowed)] == allowed


def check_draw(choice: Choice, row: torch.Tensor, token: int, logprob: float) -> None:
    """A drawn token is the one in whose share the draw lies, but for the noise of float32 sums at its edges."""
    assert math.isfinite(row[token])
    assert logprob == pytest.approx(float(row.double().log_softmax(dim=0)[token]), abs=1e-4)
    shares = (row.double() / choice.temperature).softmax(dim=0)
    end = float(shares[: token + 1].sum())
    assert end - float(shares[token]) - 1e-5 <= choice.draw <= end + 1e-5


@compiled
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
@given(question=questions())
def test_choices_are_the_references(question):
    try:
        check_choices(*question)
    except UndecidedError:
        reject()


@compiled
@pytest.mark.parametrize("n_vocab", [51864, 51865, 51866])
def test_choices_from_whole_vocabularies(n_vocab):
    generator = torch.Generator().manual_seed(n_vocab)
    logits = 3 * torch.randn(6, n_vocab, generator=generator)
    rules = [
        RowRules(),
        RowRules(suppressed=tuple(range(0, n_vocab, 3)), timestamp_begin=50364),
        RowRules(ranges=((0, 50364), (50415, n_vocab)), timestamp_begin=50364),
        RowRules(suppressed=(5, 6), ranges=((0, 50257), (50364, 50500)), timestamp_begin=50364),
        RowRules(suppressed=tuple(range(n_vocab - 2)), ranges=((n_vocab - 1, n_vocab),)),
        RowRules(suppressed=tuple(range(50364)), timestamp_begin=50364),
    ]
    draws = torch.rand(20, generator=generator).tolist()
    choices = [Choice(row=row, rules=each, n_best=min(row + 1, 6)) for row, each in enumerate(rules)]
    choices += [
        Choice(row=row, rules=each, temperature=temperature, draw=draw)
        for row, each in enumerate(rules)
        for draw in draws
        for temperature in (0.4, 1.0)
    ]
    check_choices(logits, [choice.row for choice in choices], choices)


@compiled
@settings(deadline=None)
@given(
    draw=st.floats(0, 1, exclude_max=True) | st.floats(1 - 1e-6, 1, exclude_max=True),
    seed=st.integers(0, 10**6),
    n_vocab=st.sampled_from([1000, 51865]),
)
@example(draw=0.0, seed=0, n_vocab=1000)
@example(draw=math.nextafter(1, 0), seed=59, n_vocab=51865)
def test_no_draw_finds_what_is_forbidden(draw, seed, n_vocab):
    """Not at the very ends of the distribution either, where rounding may leave nothing to find."""
    native, _ = choosers(n_vocab)
    logits = torch.randn(1, n_vocab, generator=torch.Generator().manual_seed(seed))
    rules = RowRules(suppressed=(0, 1, 2, 500, 998), ranges=((3, 40), (700, 760), (n_vocab - 10, n_vocab)))
    choice = Choice(row=0, rules=rules, temperature=1.0, draw=draw)
    [[(token, logprob)]] = native.choose(in_panels(logits), [0], [choice])
    check_draw(choice, obeying(logits[0], rules), token, logprob)


# --- packing ---


@settings(max_examples=50, deadline=None)
@given(
    n_out=st.integers(1, 200), n_in=st.integers(1, 20), seed=st.integers(0, 1000), scale=st.sampled_from([1e-3, 1, 50])
)
def test_packed_weights_are_the_weights(n_out, n_in, seed, scale):
    n_in *= 4
    weights = (scale * np.random.default_rng(seed).standard_normal((n_out, n_in))).astype(np.float32)
    weights[n_out // 2] = 0.0  # a channel that is silent
    panels, scales, sums = pack_weights(weights)
    n_panels = -(-n_out // PANEL)
    assert (panels.shape, panels.dtype) == ((n_panels, n_in // 4, PANEL, 4), np.int8)
    assert scales.shape == sums.shape == (n_panels * PANEL,)
    # Channel c lies in panel c // 64, its inputs in groups of four.
    rows = np.stack([panels[c // PANEL, :, c % PANEL].reshape(-1) for c in range(n_panels * PANEL)]).astype(np.float64)
    assert np.abs(rows).max(initial=0) <= 127
    errors = np.abs(rows[:n_out] * scales[:n_out, None] - weights)
    assert (errors <= 0.5001 * scales[:n_out, None]).all()
    assert (sums == rows.sum(axis=1)).all()
    assert not rows[n_out:].any()
    assert not scales[n_out:].any()
    assert not rows[n_out // 2].any()


# --- reading ---


@compiled
@torch.inference_mode()
@pytest.mark.parametrize("n_text", [1, 2, 20, 50])
def test_a_reading_is_near_the_reference(native, reference, n_text):
    """Of heads in the order in which they were named, and of texts that take many tiles."""
    generator = torch.Generator().manual_seed(n_text)
    text = torch.randint(0, EOT, (n_text,), generator=generator).tolist()
    tokens = [50258, 50259, 50359, 50363, *text, EOT]
    mel = mel_of(n_text)
    (got, ours), (expected, theirs) = (
        backend.listen(backend.encode([mel])[0], tokens, EOT) for backend in (native, reference)
    )
    assert got.shape == expected.shape == (3, n_text + 5, 1500)
    assert got.sum(axis=-1) == pytest.approx(1, abs=1e-3)
    # Of the whole attention of 1, what lies elsewhere: 0.07 at most as measured, where neighbouring rows differ by 0.9.
    moved = np.abs(got - expected).sum(axis=-1) / 2
    assert moved.max() < 0.15
    among = np.abs(np.diff(expected, axis=1)).sum(axis=-1) / 2
    assert np.median(among) > 0.15
    heads_apart = np.abs(np.diff(expected, axis=0)).sum(axis=-1) / 2
    assert np.median(heads_apart) > 0.15
    of_text = slice(3, 3 + n_text)  # of the token after each
    assert np.abs(np.log(ours[of_text] / theirs[of_text])).max() < 0.1


@compiled
def test_a_reading_gives_its_row_back(native):
    read = Read(tokens=[50258, 7, EOT], first=0, n_positions=1500, vocabulary_end=EOT)
    window = native.encode([mel_of(0)])[0]
    first = native.read(window, read)
    assert native.take_rows(1) == [0]
    assert native.read(window, read) == first


# --- which backend computes ---


def checkpoint_of(model: Whisper, tokenizer_path) -> Checkpoint:
    return Checkpoint(
        dims=model.dims, state_dict=model.state_dict(), tokenizer_path=tokenizer_path, source_sha256="0" * 64
    )


@compiled
@pytest.mark.parametrize(
    ("options", "is_native"),
    [
        ({}, True),
        ({"quantization": "int8"}, True),
        ({"quantization": "int8", "dtype": "float32"}, True),
        ({"dtype": "float32"}, False),
        ({"dtype": "bfloat16"}, False),
        ({"quantization": "none"}, False),
    ],
)
def test_the_kernels_compute_unless_another_precision_is_named(model, tokenizer, tokenizer_path, options, is_native):
    engine = load_engine(checkpoint_of(model, tokenizer_path), tokenizer, device="cpu", **options)
    assert isinstance(engine._backend, NativeBackend) == is_native


@pytest.mark.parametrize("why", ["not built", "heads of another width"])
def test_without_kernels_that_fit_the_reference_computes(
    model, tiny_model, tokenizer, tokenizer_path, monkeypatch, why
):
    if why == "not built":
        monkeypatch.setattr("asr.engine.loading.kernels", lambda: None)
    checkpoint = checkpoint_of(model if why == "not built" else tiny_model, tokenizer_path)
    assert isinstance(load_engine(checkpoint, tokenizer, device="cpu")._backend, TorchBackend)
    with pytest.raises(InvalidOptionError, match="quantization: got 'int8'") as caught:
        load_engine(checkpoint, tokenizer, device="cpu", quantization="int8")
    assert caught.value.param == "quantization"


@compiled
def test_weights_of_any_precision_are_packed(model, tokenizer, tokenizer_path):
    state = {name: tensor.bfloat16() for name, tensor in model.state_dict().items()}
    checkpoint = replace(checkpoint_of(model, tokenizer_path), state_dict=state)
    engine = load_engine(checkpoint, tokenizer, device="cpu", quantization="int8")
    request = DecodeRequest(mel=mel_of(0), prompt=TaskPrompt(language="en"), options=DecodingOptions(max_tokens=4))
    assert engine.decode([request])[0].tokens


# --- real weights ---


def edits(first: Sequence[str], second: Sequence[str]) -> int:
    """Words to be put in, left out or changed."""
    row = list(range(len(second) + 1))
    for i, a in enumerate(first, start=1):
        above, row = row, [i]
        for j, b in enumerate(second, start=1):
            row.append(min(above[j] + 1, row[-1] + 1, above[j - 1] + (a != b)))
    return row[-1]


@compiled
@pytest.mark.weights
def test_int8_says_nearly_what_float32_says(tiny_en, shared):
    """A smoke bound; docs/results.md has the word error rates."""
    fast = Transcriber.load("tiny.en", device="cpu", quantization="int8")
    lines = (shared / "golden" / "tiny.en.jsonl").read_text().splitlines()
    clips = [json.loads(line) for line in lines][:: len(lines) // 10][:10]
    requests = []
    for clip in clips:
        samples = torch.from_numpy(load_audio(shared / "golden" / clip["audio"]).samples)
        mel = log_mel_spectrogram(pad_or_trim(samples, N_SAMPLES), n_mels=tiny_en.n_mels)
        requests.append(DecodeRequest(mel=mel, prompt=TaskPrompt(language="en"), options=DecodingOptions()))
    heard, expected = (
        [[normalized(word) for word in result.text.split()] for result in transcriber.engine.decode(requests)]
        for transcriber in (fast, tiny_en)
    )
    n_words = sum(map(len, expected))
    assert n_words > 50
    assert sum(edits(*pair) for pair in zip(heard, expected, strict=True)) / n_words < 0.1
