"""The backend of GPUs, on the CPU: steps of fixed shape, recorded and replayed, say what eager ones say."""

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from asr.audio import load_audio
from asr.decoding import BeamSearch, DecodeRequest, DecodingOptions, DecodingResult, Greedy, Sampling
from asr.decoding.rules import Rules
from asr.engine import Engine
from asr.engine.cuda_graph import CapturedWork
from asr.engine.static_backend import MAX_AHEAD, StaticBackend
from asr.engine.static_memory import SLOTS_STEP
from asr.engine.torch_backend import TorchBackend
from asr.engine.torch_memory import ROWS_STEP
from asr.engine.torch_rules import RuleState, apply_rules, likeliest, state_of, suppress
from asr.errors import CancelledError
from asr.features import N_SAMPLES, log_mel_spectrogram, pad_or_trim
from asr.prompt import TaskPrompt
from asr.ticket import Ticket
from asr.transcriber import Transcriber

HEADS = ((1, 0),)


class RecordedWork(TorchDispatchMode):
    """What a CUDA graph does, on the CPU: the operations of one run, done again over the same tensors.

    Whatever the host computed on the way is the same for ever.
    """

    def __init__(self, work: Callable[[], Tensor], counts: Counter) -> None:
        super().__init__()
        self._done: list = []
        self._counts = counts
        counts["captured"] += 1
        for _ in range(3):
            work()
        with self:
            self._result = work()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        self._done.append((function, args, kwargs or {}, result))
        return result

    def __call__(self) -> Tensor:
        self._counts["replayed"] += 1
        for function, args, kwargs, result in self._done:
            again = function(*args, **kwargs)
            results, agains = ([x] if isinstance(x, Tensor) else x or [] for x in (result, again))
            for old, new in zip(results, agains, strict=True):
                if isinstance(old, Tensor) and old.data_ptr() != new.data_ptr():
                    old.copy_(new)
        return self._result


@pytest.fixture
def counts() -> Counter:
    return Counter()


@pytest.fixture
def static_backend(tiny_model, counts) -> StaticBackend:
    return StaticBackend(tiny_model, HEADS, capture=lambda work, _pool: RecordedWork(work, counts))


@pytest.fixture
def static_engine(static_backend, tokenizer) -> Engine:
    return Engine(static_backend, tokenizer)


@pytest.fixture
def eager_engine(tiny_model, tokenizer) -> Engine:
    return Engine(TorchBackend(tiny_model, HEADS), tokenizer)


def mel_of(seed: int, n_frames: int = 3000) -> Tensor:
    return torch.randn(80, n_frames, generator=torch.Generator().manual_seed(seed))


def request_of(mel, strategy=None, *, max_tokens: int | None = None, **prompt) -> DecodeRequest:
    return DecodeRequest(
        mel=mel,
        prompt=TaskPrompt(**{"language": "en"} | prompt),
        options=DecodingOptions(strategy=strategy or Greedy(), max_tokens=max_tokens),
    )


def greedy_strangers() -> list[DecodeRequest]:
    """More windows than have room, which end at unequal times."""
    return [
        request_of(mel_of(0)),
        request_of(mel_of(1, 1400), language="de", context=tuple(range(20))),
        request_of(mel_of(2), timestamps=False, max_tokens=5),
        request_of(mel_of(3, 600), context=(1,), max_tokens=1),
        request_of(mel_of(4), language=None),
        *(request_of(mel_of(5 + i), max_tokens=7 + 4 * i, timestamps=i % 2 == 0) for i in range(6)),
    ]


def check_same(got: DecodingResult, expected: DecodingResult) -> None:
    assert got.tokens == expected.tokens
    assert (got.text, got.language) == (expected.text, expected.language)
    assert got.avg_logprob == pytest.approx(expected.avg_logprob, abs=1e-4)
    assert got.no_speech_prob == pytest.approx(expected.no_speech_prob, abs=1e-5)


# --- one token a step ---


@torch.inference_mode()
@pytest.mark.parametrize("seed", range(2))
def test_rows_in_any_company_equal_full_passes(static_backend, hidden_states, company_of, seed):
    """Prompts beside steps, beams that continue one another, slots and rows taken again, short windows."""
    model = static_backend.model
    mels = [mel_of(0), mel_of(1, 1400), mel_of(2)]
    features = [model.encoder(mel[None])[0] for mel in mels]
    answers = company_of(static_backend, mels, seed=seed, n_rounds=15)
    assert len(answers) > 40
    for answer in answers:
        hidden = hidden_states(model, features[answer.window], answer.tokens)
        expected = model.decoder.logits(hidden[-1:])[0]
        torch.testing.assert_close(torch.from_numpy(answer.logits), expected, atol=1e-3, rtol=1e-3)


def test_every_strategy_says_what_it_says_eagerly(static_engine, eager_engine, strangers, counts):
    requests = strangers(token_times=True)
    for result, request in zip(static_engine.decode(requests), requests, strict=True):
        check_same(result, eager_engine.decode([request])[0])
        assert len(result.token_times) == sum(token < static_engine.tokenizer.eot for token in result.tokens)
    assert counts["replayed"] > 2 * counts["captured"] > 0


def test_nothing_another_window_left_is_heard(static_engine, eager_engine):
    """A short window in the slot of a long one whose audio was no number."""
    with torch.inference_mode():
        broken = request_of(torch.full((80, 3000), float("nan")), max_tokens=3)
    static_engine.decode([broken])
    for request in (request_of(mel_of(1, 400)), request_of(mel_of(2, 400), BeamSearch(beam_size=2))):
        check_same(static_engine.decode([request])[0], eager_engine.decode([request])[0])


# --- several tokens a step ---


def test_greedy_windows_say_the_same_several_tokens_at_a_time(static_engine, eager_engine, counts):
    requests = greedy_strangers()
    together = static_engine.decode(requests)
    assert counts["replayed"] > 0
    for request, result in zip(requests, together, strict=True):
        check_same(result, eager_engine.decode([request])[0])
        check_same(static_engine.decode([request])[0], result)
    assert len({result.tokens for result in together}) > 4, "a model that always says the same proves nothing"


@pytest.mark.parametrize("seed", [10, 11])
def test_texts_as_long_as_the_context_allows(static_engine, eager_engine, seed):
    request = request_of(mel_of(seed), context=tuple(range(60)))
    result = static_engine.decode([request])[0]
    check_same(result, eager_engine.decode([request])[0])


def test_the_host_is_told_of_several_tokens_at_once(static_engine, monkeypatch):
    static_engine.decode([request_of(mel_of(0), max_tokens=1)])
    calls = Counter()
    for name in ("extend", "choose"):
        method = getattr(static_engine._backend, name)
        monkeypatch.setattr(
            static_engine._backend,
            name,
            lambda *args, name=name, method=method: (calls.update([name]), method(*args))[1],
        )
    run_ahead = static_engine._ahead.run_ahead
    monkeypatch.setattr(
        static_engine._ahead, "run_ahead", lambda *args: (calls.update(["run_ahead"]), run_ahead(*args))[1]
    )
    result = static_engine.decode([request_of(mel_of(0), timestamps=False, max_tokens=25)])[0]
    assert len(result.tokens) == 25
    assert calls == {"extend": 1, "choose": 1, "run_ahead": 24 // MAX_AHEAD}


def test_beams_in_company_keep_greedy_windows_at_one_token_a_step(static_engine, eager_engine):
    requests = [request_of(mel_of(0)), request_of(mel_of(1), BeamSearch(beam_size=5)), request_of(mel_of(2))]
    for request, result in zip(requests, static_engine.decode(requests), strict=True):
        check_same(result, eager_engine.decode([request])[0])


def test_a_second_look_at_another_temperature_encodes_nothing_and_says_the_same(static_engine, eager_engine):
    mel = mel_of(0)
    for strategy in (Greedy(), Sampling(temperature=0.4, best_of=5, seed=1), Greedy(), BeamSearch(beam_size=5)):
        request = request_of(mel, strategy)
        check_same(static_engine.decode([request])[0], eager_engine.decode([request])[0])


def test_what_is_cancelled_leaves_its_slot(static_engine, eager_engine):
    ticket = Ticket()
    answers = static_engine.submit([request_of(mel_of(seed), timestamps=False) for seed in range(20)], ticket)
    ticket.cancelled = True
    errors = [answer.exception() for answer in answers]
    assert any(isinstance(error, CancelledError) for error in errors)
    for request, result in zip(greedy_strangers(), static_engine.decode(greedy_strangers()), strict=True):
        check_same(result, eager_engine.decode([request])[0])
    static_engine.close()
    memory = static_engine._backend._memory
    assert memory.slots._owners == [None] * SLOTS_STEP
    assert memory.rows._free == list(range(1, len(memory.rows.ancestors))), "all but the spare row"


def test_memory_that_grows_is_captured_anew(tiny_model, tokenizer, eager_engine, counts):
    """More windows than slots, wider than all the rows there were."""
    backend = StaticBackend(tiny_model, HEADS, capture=lambda work, _pool: RecordedWork(work, counts))
    engine = Engine(backend, tokenizer, max_windows=SLOTS_STEP + 3)
    engine.decode([request_of(mel_of(0))])
    captured = counts["captured"]
    requests = [
        *(request_of(mel_of(seed), max_tokens=20) for seed in range(SLOTS_STEP + 2)),
        request_of(mel_of(9), Sampling(temperature=1.0, best_of=2 * ROWS_STEP, seed=1), max_tokens=20),
    ]
    for request, result in zip(requests, engine.decode(requests), strict=True):
        check_same(result, eager_engine.decode([request])[0])
    assert counts["captured"] > captured
    assert len(backend._memory.slots) == 2 * SLOTS_STEP


# --- the rules, followed without the host ---


@st.composite
def walks(draw) -> tuple[list[int], int, float]:
    """A first token in steps (or letters, negative), seed and tilt of the logits of those that follow."""
    return draw(st.lists(st.integers(-30, 60), min_size=1, max_size=3)), draw(st.integers(0, 999)), draw(
        st.sampled_from([-12.0, -6.0, 0.0, 6.0])
    )  # fmt: skip


@settings(max_examples=25, deadline=None)
@given(walk=walks(), timestamps=st.booleans())
def test_rules_by_state_equal_rules_by_history(tokenizer, walk, timestamps):
    pattern, seed, tilt = walk
    begin, n_vocab = tokenizer.timestamp_begin, tokenizer.n_vocab
    rules = Rules(tokenizer, suppressed=(3, 7), timestamps=timestamps)
    history = [begin + value if value >= 0 else 100 - value for value in pattern]
    asked = rules.ahead(history, 12)
    state = RuleState(*torch.tensor([state_of(asked, n_vocab)]).unbind(dim=1))
    bias_1V = torch.zeros(1, n_vocab)
    suppress(bias_1V, [asked.suppressed])
    random = torch.Generator().manual_seed(seed)
    for _ in range(asked.n_tokens):
        logits = torch.randn(1, n_vocab, generator=random)
        logits[:, begin:] += tilt
        expected = logits.clone()
        apply_rules(expected, [rules.after(history)])
        state.obey(logits, bias_1V)
        assert torch.equal(logits, expected)
        if not logits.isfinite().any():
            return  # after a timestamp that nothing can follow
        tokens_R1, _ = likeliest(logits, 1)
        state.advance(tokens_R1[:, 0])
        history.append(int(tokens_R1))


# --- on a GPU ---


@pytest.mark.skipif(not torch.cuda.is_available(), reason="graphs are captured on a CUDA device, and there is none")
def test_captured_work_follows_what_its_memory_holds():
    with torch.inference_mode():
        total, step = torch.zeros(4, device="cuda"), torch.zeros(4, device="cuda")
        work = CapturedWork(lambda: total.add_(step) * 2, pool=torch.cuda.graph_pool_handle())
        step.fill_(1.5)
        assert [work().tolist() for _ in range(2)] == [[3.0] * 4, [6.0] * 4]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="graphs are captured on a CUDA device, and there is none")
def test_captured_steps_say_what_eager_ones_say(tiny_model, tokenizer, strangers):
    on_gpu = Engine(StaticBackend(tiny_model.to("cuda"), HEADS), tokenizer)
    try:
        for requests in (strangers(), greedy_strangers(), strangers()[::-1]):
            together = on_gpu.decode([replace(request, mel=request.mel.cuda()) for request in requests])
            eager = Engine(TorchBackend(tiny_model, HEADS), tokenizer)
            for request, result in zip(requests, together, strict=True):
                check_same(result, eager.decode([replace(request, mel=request.mel.cuda())])[0])
    finally:
        tiny_model.to("cpu")


# --- real weights ---


@pytest.mark.weights
@pytest.mark.parametrize("model", ["tiny.en", "base"])
def test_real_weights_say_the_same(model, shared, request):
    eager: Transcriber = request.getfixturevalue(model.replace(".", "_"))
    static = Engine(StaticBackend(eager.engine._backend.model, HEADS), eager.tokenizer)
    clips = [json.loads(line) for line in (shared / "golden" / f"{model}.jsonl").read_text().splitlines()]
    by_language = {clip["language"]: clip for clip in clips if clip["n_samples"] < 12 * 16_000}
    requests = []
    for i, clip in enumerate([*list(by_language.values())[:4], clips[0]]):
        samples = torch.from_numpy(load_audio(shared / "golden" / clip["audio"]).samples)
        n_samples = N_SAMPLES if i % 2 else min(2 * len(samples), N_SAMPLES) // 320 * 320
        mel = log_mel_spectrogram(pad_or_trim(samples, n_samples), n_mels=eager.n_mels)
        prompt = {"language": clip["language"], "timestamps": i % 3 != 2}
        context = tuple(eager.tokenizer.encode(" Before.")) * (i % 2)
        requests.append(request_of(mel, max_tokens=40, **prompt, context=context))
    requests += [
        replace(requests[0], options=DecodingOptions(strategy=BeamSearch(beam_size=5), max_tokens=20)),
        replace(
            requests[1], options=DecodingOptions(strategy=Sampling(temperature=0.6, best_of=2, seed=3), max_tokens=20)
        ),
    ]
    expected = eager.engine.decode(requests)
    for group in (slice(-2), slice(None)):  # greedy windows alone, and in company that keeps them waiting
        for result, wanted in zip(static.decode(requests[group]), expected[group], strict=True):
            assert result.tokens == wanted.tokens
            assert result.avg_logprob == pytest.approx(wanted.avg_logprob, abs=1e-3)
