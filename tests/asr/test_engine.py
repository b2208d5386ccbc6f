"""The engine with a tiny random model: company, memory and who comes when change no answer."""

import gc
import json
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
import torch

from asr.audio import load_audio
from asr.decoding import BeamSearch, DecodeRequest, DecodingOptions, DecodingResult, Greedy, Sampling
from asr.decoding.rules import rules_for
from asr.engine import Engine, cancelled_on_error
from asr.engine.torch_backend import TorchBackend
from asr.engine.torch_memory import ROWS_STEP
from asr.engine.torch_rules import apply_rules
from asr.errors import AuricleError, CancelledError, InvalidOptionError, UnsupportedLanguageError
from asr.features import N_SAMPLES, log_mel_spectrogram, pad_or_trim
from asr.prompt import TaskPrompt
from asr.tasks import Task
from asr.ticket import Ticket

MAX_TOKENS = 8


@pytest.fixture
def engine(tiny_engine) -> Engine:
    return tiny_engine


def mel_of(seed: int, n_frames: int = 3000) -> torch.Tensor:
    return torch.randn(80, n_frames, generator=torch.Generator().manual_seed(seed))


def request_of(
    mel, strategy=None, *, max_tokens: int | None = MAX_TOKENS, suppress: bool = True, **prompt
) -> DecodeRequest:
    return DecodeRequest(
        mel=mel,
        prompt=TaskPrompt(**{"language": "en"} | prompt),
        options=DecodingOptions(
            strategy=strategy or Greedy(), max_tokens=max_tokens, suppress_tokens=(-1,) if suppress else ()
        ),
    )


def check_same(got: DecodingResult, expected: DecodingResult) -> None:
    assert got.tokens == expected.tokens
    assert (got.text, got.language, got.temperature) == (expected.text, expected.language, expected.temperature)
    assert got.avg_logprob == pytest.approx(expected.avg_logprob, abs=1e-4)
    assert got.no_speech_prob == pytest.approx(expected.no_speech_prob, abs=1e-5)
    assert got.language_probs == pytest.approx(expected.language_probs, abs=1e-5)


def test_a_batch_of_strangers_equals_singles_in_order(engine, strangers):
    requests = strangers()
    together = engine.decode(requests)
    assert len({result.tokens for result in together}) > 4, "a model that always says the same proves nothing"
    for request, result in zip(requests, together, strict=True):
        check_same(result, engine.decode([request])[0])
    for result, expected in zip(engine.decode(requests[::-1]), together[::-1], strict=True):
        check_same(result, expected)


def test_what_was_done_is_counted(engine):
    request = replace(request_of(mel_of(1, 1200)), n_frames=900)
    before = replace(engine.counts)
    (result,) = engine.decode([request])
    engine.detect_language([mel_of(2)])
    after = engine.counts
    assert after.tokens - before.tokens == len(result.tokens) > 0
    assert after.windows - before.windows == 2
    assert (after.heard_s - before.heard_s, after.padded_s - before.padded_s) == (9 + 30, 12 + 30)
    assert after.window_steps - before.window_steps == after.steps - before.steps >= len(result.tokens)
    assert after.step_s > before.step_s
    assert after.encode_s > before.encode_s
    assert (before + after).steps == before.steps + after.steps


@pytest.mark.parametrize("n_frames", [0, 7, 2999, 3002])
def test_windows_that_no_encoder_hears_are_refused(engine, n_frames):
    with pytest.raises(AuricleError, match=f"mel: got {n_frames} frames, expected an even number of at most 3000"):
        engine.decode([request_of(mel_of(0, n_frames))])


@pytest.mark.parametrize("max_windows", [1, 2, 3])
def test_however_few_windows_have_room_the_answers_are_the_same(engine, tiny_model, tokenizer, max_windows, strangers):
    """Others come when some are done: every round has rows of unequal position."""
    narrow = Engine(TorchBackend(tiny_model, ((1, 0),)), tokenizer, max_windows=max_windows)
    requests = strangers()
    for result, expected in zip(narrow.decode(requests), engine.decode(requests), strict=True):
        check_same(result, expected)


def test_no_more_windows_are_under_way_than_have_room(tiny_model, tokenizer, monkeypatch, strangers):
    narrow = Engine(TorchBackend(tiny_model, ((1, 0),)), tokenizer, max_windows=3)
    n_parts: list[int] = []
    extend = narrow._backend.extend
    monkeypatch.setattr(narrow._backend, "extend", lambda parts: (n_parts.append(len(parts)), extend(parts))[1])
    narrow.decode(strangers())
    assert max(n_parts) == 3
    assert n_parts[:3] == [1, 2, 3]  # one is admitted each round


@torch.inference_mode()
@pytest.mark.parametrize("seed", range(4))
def test_rows_in_any_company_equal_full_passes(tiny_model, hidden_states, company_of, seed):
    """Unequal positions, beams that continue one another, rows taken again, more than the memory began with."""
    backend = TorchBackend(tiny_model, ((1, 0),))
    mels = [mel_of(seed) for seed in range(3)]
    features = [tiny_model.encoder(mel[None])[0] for mel in mels]
    answers = company_of(backend, mels, seed=seed)
    assert len(answers) > 100
    for answer in answers:
        hidden = hidden_states(tiny_model, features[answer.window], answer.tokens)
        expected = tiny_model.decoder.logits(hidden[-1:])[0]
        torch.testing.assert_close(torch.from_numpy(answer.logits), expected, atol=1e-3, rtol=1e-3)


def test_the_memory_of_rows_grows_while_they_are_used(engine):
    """Beams wider than all the rows that there were at first, joining others that are under way."""
    requests = [
        request_of(mel_of(0), Greedy(), max_tokens=20),
        request_of(mel_of(1), BeamSearch(beam_size=3), max_tokens=20),
        request_of(mel_of(2), BeamSearch(beam_size=ROWS_STEP + 3)),
        request_of(mel_of(3), Sampling(temperature=1.0, best_of=2 * ROWS_STEP + 1, seed=1)),
    ]
    together = engine.decode(requests)
    assert len(engine._backend._rows.ancestors) >= 4 * ROWS_STEP
    for request, result in zip(requests, together, strict=True):
        fresh = Engine(TorchBackend(engine._backend.model, ((1, 0),)), engine.tokenizer)
        check_same(result, fresh.decode([request])[0])


def test_all_rows_come_back(engine, strangers):
    requests = strangers()
    engine.decode(requests)
    n_rows = len(engine._backend._rows.ancestors)
    engine.decode(requests[::-1])
    assert engine._backend._rows._free == list(range(n_rows)), (
        "no rows are lost, and none are added for as many windows"
    )


def test_no_requests_no_results(engine):
    assert engine.decode([]) == []
    assert engine.detect_language([]) == []


@torch.inference_mode()
def uncached_greedy(model, tokenizer, hidden_states, request: DecodeRequest) -> tuple[tuple[int, ...], float]:
    """The whole prefix through the model at every step: slow and obvious."""
    features = model.encoder(pad_or_trim(request.mel, 3000)[None])[0]
    prompt = request.prompt.encode(tokenizer, max_context=model.dims.n_text_ctx // 2 - 1)
    rules = rules_for(request, tokenizer)
    tokens: list[int] = []
    total = 0.0
    n_left = min(request.options.max_tokens or model.dims.n_text_ctx // 2, model.dims.n_text_ctx - len(prompt) + 1)
    for _ in range(n_left):
        hidden = hidden_states(model, features, [*prompt, *tokens])
        [logits] = model.decoder.logits(hidden[-1:])
        apply_rules(logits[None], [rules.after(tokens)])
        token = int(logits.argmax())
        total += float(logits.log_softmax(dim=0)[token])
        if token == tokenizer.eot:
            break
        tokens.append(token)
    return tuple(tokens), total / (len(tokens) + 1)


@pytest.mark.parametrize(
    "prompt",
    [
        {},
        {"context": tuple(range(40))},
        {"timestamps": False, "language": "de"},
        {"task": Task.TRANSLATE, "context": (9,)},
    ],
)
def test_cached_greedy_equals_full_passes(engine, tiny_model, tokenizer, hidden_states, prompt):
    request = request_of(mel_of(11), max_tokens=None, **prompt)
    result = engine.decode([request])[0]
    tokens, avg_logprob = uncached_greedy(tiny_model, tokenizer, hidden_states, request)
    assert result.tokens == tokens
    assert result.avg_logprob == pytest.approx(avg_logprob, abs=1e-4)


@pytest.mark.parametrize("max_tokens", [1, 4])
@pytest.mark.parametrize("strategy", [Greedy(), BeamSearch(beam_size=2), Sampling(temperature=1.0, seed=0)])
def test_max_tokens(engine, strategy, max_tokens):
    longer = engine.decode([request_of(mel_of(0), strategy, max_tokens=max_tokens + 5)])[0]
    result = engine.decode([request_of(mel_of(0), strategy, max_tokens=max_tokens)])[0]
    assert len(result.tokens) <= max_tokens
    if len(longer.tokens) > max_tokens:
        assert len(result.tokens) == max_tokens


def test_without_a_limit_half_of_the_text_context(engine):
    results = engine.decode([request_of(mel_of(seed), max_tokens=None) for seed in range(4)])
    half = engine.dims.n_text_ctx // 2
    assert all(len(result.tokens) <= half for result in results)
    # A context of any length leaves room for as much.
    full = engine.decode([request_of(mel_of(seed), max_tokens=None, context=(7,) * 500) for seed in range(4)])
    assert all(len(result.tokens) <= half for result in full)


def test_one_seed_one_result(engine):
    mel = mel_of(0)
    runs = [engine.decode([request_of(mel, Sampling(temperature=1.0, seed=seed))])[0].tokens for seed in (1, 1, 2, 3)]
    assert runs[0] == runs[1]
    assert len(set(runs)) > 1


# --- language ---


def test_an_unnamed_language_is_detected(engine):
    mels = [mel_of(seed) for seed in range(3)]
    probabilities = engine.detect_language(mels)
    results = engine.decode([request_of(mel, language=None) for mel in mels])
    for mel, probs, result in zip(mels, probabilities, results, strict=True):
        assert len(probs) == 99
        assert sum(probs.values()) == pytest.approx(1, abs=1e-4)
        assert result.language == max(probs, key=probs.__getitem__)
        assert result.language_probs == pytest.approx(probs, abs=1e-5)
        named = engine.decode([request_of(mel, language=result.language)])[0]
        assert named.tokens == result.tokens
        assert named.language_probs == {}


@torch.inference_mode()
def test_language_probabilities_are_a_softmax_over_the_language_tokens(engine, tiny_model, hidden_states):
    mel = mel_of(3)
    features = tiny_model.encoder(mel[None])[0]
    [logits] = tiny_model.decoder.logits(hidden_states(tiny_model, features, [engine.tokenizer.sot]))
    first = engine.tokenizer.sot + 1
    expected = logits[first : first + 99].softmax(dim=0).tolist()
    assert list(engine.detect_language([mel])[0].values()) == pytest.approx(expected, abs=1e-5)


@torch.inference_mode()
def test_no_speech_probability_is_read_at_the_start_token(engine, tiny_model, tokenizer, hidden_states):
    mel = mel_of(3)
    plain, with_context = engine.decode([request_of(mel), request_of(mel, context=(5, 6, 7))])
    features = tiny_model.encoder(mel[None])[0]
    for result, prefix in ((plain, []), (with_context, [tokenizer.sot_prev, 5, 6, 7])):
        hidden = hidden_states(tiny_model, features, [*prefix, tokenizer.sot])
        expected = tiny_model.decoder.logits(hidden[-1:])[0].softmax(dim=0)[tokenizer.no_speech]
        assert result.no_speech_prob == pytest.approx(float(expected), abs=1e-6)


def test_an_unknown_language_is_refused(engine):
    with pytest.raises(UnsupportedLanguageError, match="yue"):
        engine.decode([request_of(mel_of(0), language="yue")])


def test_an_error_leaves_nothing_behind(engine, strangers):
    """Not what one window's program says, nor what the backend says of all."""
    good = request_of(mel_of(0))
    (expected,) = engine.decode([good])
    with pytest.raises(UnsupportedLanguageError, match="yue"):
        engine.decode([good, request_of(mel_of(1), BeamSearch(beam_size=3), language="yue"), *strangers()])
    with pytest.raises(RuntimeError):
        engine.decode([good, request_of(torch.zeros(7, 3000)), *strangers()])  # the model has 80 Mel channels
    engine.close()
    assert (len(engine._scheduler), engine._active) == (0, [])
    assert engine._backend._rows._free == list(range(len(engine._backend._rows.ancestors)))
    check_same(engine.decode([good])[0], expected)


# --- memory of encoded windows ---


@pytest.fixture
def encoded(tiny_model):
    """Windows that the encoder has been given, call by call."""
    calls: list[int] = []
    handle = tiny_model.encoder.register_forward_hook(lambda _module, args, _output: calls.append(len(args[0])))
    yield calls
    handle.remove()


def test_a_window_is_encoded_once_while_its_mel_lives(engine, encoded):
    mel, other = mel_of(0), mel_of(1)
    engine.detect_language([mel])
    engine.decode([request_of(mel)])
    engine.decode([request_of(mel, Sampling(temperature=1.0, seed=0)), request_of(mel, BeamSearch(beam_size=2))])
    assert encoded == [1]
    engine.decode([request_of(mel), request_of(other)])
    assert encoded == [1, 1]


def test_windows_of_one_length_are_encoded_together_where_that_is_best(engine, encoded, strangers):
    requests = [*strangers(), request_of(mel_of(20)), request_of(mel_of(21))]
    expected = [engine.decode([request])[0] for request in requests]
    engine._encoded.clear()
    encoded.clear()
    engine._backend.max_encoded = 4
    for result, alone in zip(engine.decode(requests), expected, strict=True):
        check_same(result, alone)
    assert sum(encoded) == len(requests)
    assert encoded[:2] == [3, 1]  # the second of the first four is shorter
    assert max(encoded) > 1


def test_an_encoder_that_fails_fails_those_that_it_was_given(engine, monkeypatch):
    engine._backend.max_encoded = 2
    encode = engine._backend.encode

    def fail(mels):
        if mels[0].shape[-1] == 700:
            raise RuntimeError("out of memory")
        return encode(mels)

    monkeypatch.setattr(engine._backend, "encode", fail)
    short, long = (request_of(mel_of(seed, n_frames)) for seed, n_frames in ((0, 700), (1, 3000)))
    answers = engine.submit([short, long], Ticket())
    with pytest.raises(RuntimeError, match="out of memory"):
        answers[0].result()
    assert answers[1].result().tokens


def test_equal_mels_are_not_the_same_mel(engine, encoded):
    engine.decode([request_of(mel_of(0))])
    engine.decode([request_of(mel_of(0))])
    assert encoded == [1, 1]


def test_requests_of_one_mel_share_one_encoding(engine, encoded):
    mel = mel_of(0)
    first, second = engine.decode([request_of(mel), request_of(mel, task=Task.TRANSLATE)])
    assert encoded == [1]
    check_same(first, engine.decode([request_of(mel)])[0])
    check_same(second, engine.decode([request_of(mel, task=Task.TRANSLATE)])[0])


def test_a_window_is_forgotten_with_its_mel(engine):
    mel = mel_of(0)
    engine.decode([request_of(mel)])
    del mel
    # The engine's thread lets go of a window a moment after it has answered.
    deadline = time.monotonic() + 5
    while len(engine._encoded) and time.monotonic() < deadline:
        gc.collect()
    assert len(engine._encoded) == 0


def test_each_ticket_pays_for_its_own(engine):
    first, second = Ticket(), Ticket()
    answers = engine.submit([request_of(mel_of(0)), request_of(mel_of(1))], first)
    answers += engine.submit([request_of(mel_of(2))], second)
    assert all(answer.result().tokens for answer in answers)
    assert min(first.encode_s, first.decode_s, second.encode_s, second.decode_s) > 0
    before = first.encode_s
    engine.submit([request_of(mel_of(3))], second)[0].result()
    assert first.encode_s == before


def test_threads_share_the_engine(engine, strangers):
    requests = strangers()
    alone = [engine.decode([request])[0] for request in requests]
    with ThreadPoolExecutor(len(requests)) as threads:
        together = list(threads.map(lambda request: engine.decode([request])[0], requests))
    for got, expected in zip(together, alone, strict=True):
        check_same(got, expected)


def test_what_is_cancelled_ends_and_makes_room(engine):
    ticket = Ticket()
    endless = [request_of(mel_of(seed), max_tokens=None) for seed in range(20)]
    answers = engine.submit(endless, ticket)
    ticket.cancelled = True
    errors = [answer.exception() for answer in answers]
    assert sum(isinstance(error, CancelledError) for error in errors) >= 12  # eight may have been under way
    assert engine.decode([request_of(mel_of(0))])[0].tokens
    assert not engine._active


def test_an_interrupted_caller_leaves_nothing_behind(engine):
    ticket = Ticket()

    def interrupted() -> None:
        with cancelled_on_error(ticket):
            engine.submit([request_of(mel_of(seed), max_tokens=None) for seed in range(20)], ticket)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert ticket.cancelled
    assert engine.decode([request_of(mel_of(0))])[0].tokens


def test_an_engine_that_is_closed_and_asked_again_answers(engine):
    engine.decode([request_of(mel_of(0))])
    engine.close()
    assert engine._thread is None


LEAVE_EARLY = """
import sys, time, torch
from asr.decoding import DecodeRequest, DecodingOptions
from asr.engine import Engine
from asr.engine.torch_backend import TorchBackend
from asr.model import ModelDimensions, Whisper
from asr.prompt import TaskPrompt
from asr.ticket import Ticket
from asr.tokenizer import Tokenizer

tokenizer = Tokenizer(sys.argv[1], n_vocab=51865)
model = Whisper(ModelDimensions(80, 1500, 128, 2, 2, tokenizer.n_vocab, 64, 128, 2, 2)).eval().requires_grad_(False)
for parameter in model.parameters():
    torch.nn.init.normal_(parameter, std=0.1)
request = DecodeRequest(mel=torch.zeros(80, 3000), prompt=TaskPrompt(language="en"), options=DecodingOptions())
Engine(TorchBackend(model, [(0, 0)]), tokenizer).submit([request] * 100, Ticket())
time.sleep(0.2)
"""


def test_a_program_that_does_not_wait_for_its_windows_ends_without_a_crash(tokenizer_path):
    """What torch does in that moment would come back to an interpreter that is no more: SIGABRT."""
    command = [sys.executable, "-c", LEAVE_EARLY, tokenizer_path]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


# --- real weights ---


@pytest.mark.weights
def test_real_weights_alone_in_a_batch_and_without_cache(tiny_en, shared, hidden_states):
    lines = (shared / "golden" / "tiny.en.jsonl").read_text().splitlines()
    clips = [clip for clip in map(json.loads, lines) if clip["n_samples"] < 5 * 16_000][:2]
    requests = []
    for i, clip in enumerate(clips):
        samples = torch.from_numpy(load_audio(shared / "golden" / clip["audio"]).samples)
        mel = log_mel_spectrogram(pad_or_trim(samples, N_SAMPLES), n_mels=tiny_en.n_mels)
        context = tuple(tiny_en.tokenizer.encode(" Before.")) * i  # prompts of unequal length
        requests.append(request_of(mel, max_tokens=16, context=context))
    together = tiny_en.engine.decode(requests)
    for request, result in zip(requests, together, strict=True):
        check_same(result, tiny_en.engine.decode([request])[0])
        tokens, avg_logprob = uncached_greedy(tiny_en.engine._backend.model, tiny_en.tokenizer, hidden_states, request)
        assert result.tokens == tokens
        assert result.avg_logprob == pytest.approx(avg_logprob, abs=1e-3)


@pytest.mark.weights
def test_an_english_only_model_refuses_the_rest(tiny_en):
    mel = torch.zeros(80, 3000)
    with pytest.raises(UnsupportedLanguageError, match="English-only"):
        tiny_en.engine.decode([request_of(mel, language="de")])
    with pytest.raises(InvalidOptionError, match="English-only"):
        tiny_en.engine.decode([request_of(mel, task=Task.TRANSLATE)])
    assert tiny_en.engine.detect_language([mel]) == [{"en": 1.0}]
