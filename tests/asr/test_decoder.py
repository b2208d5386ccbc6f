"""The loop with a tiny random model: batches of strangers, caches and memory change nothing."""

import gc
import json

import pytest
import torch

from asr.audio import load_audio
from asr.decoding import BeamSearch, Decoder, DecodeRequest, DecodingOptions, DecodingResult, Greedy, Sampling
from asr.decoding.logit_filters import filters_for
from asr.errors import InvalidOptionError, UnsupportedLanguageError
from asr.features import N_SAMPLES, log_mel_spectrogram, pad_or_trim
from asr.prompt import TaskPrompt
from asr.tasks import Task

MAX_TOKENS = 8


@pytest.fixture
def decoder(tiny_model, tokenizer) -> Decoder:
    return Decoder(tiny_model, tokenizer)


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


def strangers() -> list[DecodeRequest]:
    """Prompts of unequal length, languages, tasks and strategies of equal and unequal width, long and short windows."""
    return [
        request_of(mel_of(0), Greedy()),
        request_of(mel_of(1, 700), BeamSearch(beam_size=3), language="de", context=(5, 6, 7, 8)),
        request_of(mel_of(2), Sampling(temperature=0.8, best_of=3, seed=5), task=Task.TRANSLATE, language="fr"),
        request_of(mel_of(3), Greedy(), context=tuple(range(100)), max_tokens=5),
        request_of(mel_of(4), BeamSearch(beam_size=5, patience=2.0), timestamps=False, max_tokens=7),
        request_of(mel_of(5), Sampling(temperature=1.0, seed=9), language=None),
        request_of(mel_of(6, 2999), Greedy(), language="ja", timestamps=False, context=(1,)),
        request_of(mel_of(7), BeamSearch(beam_size=3, length_penalty=0.6), language=None, context=(2, 3)),
    ]


def check_same(got: DecodingResult, expected: DecodingResult) -> None:
    assert got.tokens == expected.tokens
    assert (got.text, got.language, got.temperature) == (expected.text, expected.language, expected.temperature)
    assert got.avg_logprob == pytest.approx(expected.avg_logprob, abs=1e-4)
    assert got.no_speech_prob == pytest.approx(expected.no_speech_prob, abs=1e-5)
    assert got.language_probs == pytest.approx(expected.language_probs, abs=1e-5)


def test_a_batch_of_strangers_equals_singles_in_order(decoder):
    requests = strangers()
    together = decoder.decode(requests)
    assert len({result.tokens for result in together}) > 4, "a model that always says the same proves nothing"
    for request, result in zip(requests, together, strict=True):
        check_same(result, decoder.decode([request])[0])
    for result, expected in zip(decoder.decode(requests[::-1]), together[::-1], strict=True):
        check_same(result, expected)


def test_no_requests_no_results(decoder):
    assert decoder.decode([]) == []


@torch.inference_mode()
def uncached_greedy(decoder: Decoder, request: DecodeRequest) -> tuple[tuple[int, ...], float]:
    """The whole prefix through the model at every step, with a fresh cache: slow and obvious."""
    model, tokenizer = decoder.model, decoder.tokenizer
    features = model.encoder(pad_or_trim(request.mel, 3000)[None])
    prompt = request.prompt.encode(tokenizer, max_context=model.dims.n_text_ctx // 2 - 1)
    filters = filters_for(request, tokenizer, torch.device("cpu"))
    tokens: list[int] = []
    total = 0.0
    n_left = min(request.options.max_tokens or model.dims.n_text_ctx // 2, model.dims.n_text_ctx - len(prompt) + 1)
    for _ in range(n_left):
        hidden = model.decoder(torch.tensor([[*prompt, *tokens]]), model.decoder.new_cache(features, [0]))
        logits = model.decoder.logits(hidden[:, -1])
        for logit_filter in filters:
            logit_filter.apply(logits, [tokens])
        token = int(logits.argmax())
        total += float(logits[0].log_softmax(dim=0)[token])
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
def test_cached_greedy_equals_full_passes(decoder, prompt):
    request = request_of(mel_of(11), max_tokens=None, **prompt)
    result = decoder.decode([request])[0]
    tokens, avg_logprob = uncached_greedy(decoder, request)
    assert result.tokens == tokens
    assert result.avg_logprob == pytest.approx(avg_logprob, abs=1e-4)


@pytest.mark.parametrize("max_tokens", [1, 4])
@pytest.mark.parametrize("strategy", [Greedy(), BeamSearch(beam_size=2), Sampling(temperature=1.0, seed=0)])
def test_max_tokens(decoder, strategy, max_tokens):
    longer = decoder.decode([request_of(mel_of(0), strategy, max_tokens=max_tokens + 5)])[0]
    result = decoder.decode([request_of(mel_of(0), strategy, max_tokens=max_tokens)])[0]
    assert len(result.tokens) <= max_tokens
    if len(longer.tokens) > max_tokens:
        assert len(result.tokens) == max_tokens


def test_without_a_limit_half_of_the_text_context(decoder):
    results = decoder.decode([request_of(mel_of(seed), max_tokens=None) for seed in range(4)])
    half = decoder.model.dims.n_text_ctx // 2
    assert all(len(result.tokens) <= half for result in results)
    # A context of any length leaves room for as much.
    full = decoder.decode([request_of(mel_of(seed), max_tokens=None, context=(7,) * 500) for seed in range(4)])
    assert all(len(result.tokens) <= half for result in full)


def test_one_seed_one_result(decoder):
    mel = mel_of(0)
    runs = [decoder.decode([request_of(mel, Sampling(temperature=1.0, seed=seed))])[0].tokens for seed in (1, 1, 2, 3)]
    assert runs[0] == runs[1]
    assert len(set(runs)) > 1


# --- language ---


def test_an_unnamed_language_is_detected(decoder):
    mels = [mel_of(seed) for seed in range(3)]
    probabilities = decoder.detect_language(mels)
    results = decoder.decode([request_of(mel, language=None) for mel in mels])
    for mel, probs, result in zip(mels, probabilities, results, strict=True):
        assert len(probs) == 99
        assert sum(probs.values()) == pytest.approx(1, abs=1e-4)
        assert result.language == max(probs, key=probs.__getitem__)
        assert result.language_probs == pytest.approx(probs, abs=1e-5)
        named = decoder.decode([request_of(mel, language=result.language)])[0]
        assert named.tokens == result.tokens
        assert named.language_probs == {}


def test_language_probabilities_are_a_softmax_over_the_language_tokens(decoder):
    mel = mel_of(3)
    with torch.inference_mode():
        features = decoder.model.encoder(mel[None])
        hidden = decoder.model.decoder(
            torch.tensor([[decoder.tokenizer.sot]]), decoder.model.decoder.new_cache(features, [0])
        )
        logits = decoder.model.decoder.logits(hidden[:, -1])[0]
    first = decoder.tokenizer.sot + 1
    expected = logits[first : first + 99].softmax(dim=0).tolist()
    assert list(decoder.detect_language([mel])[0].values()) == pytest.approx(expected, abs=1e-5)


def test_no_speech_probability_is_read_at_the_start_token(decoder):
    mel = mel_of(3)
    plain, with_context = decoder.decode([request_of(mel), request_of(mel, context=(5, 6, 7))])
    with torch.inference_mode():
        features = decoder.model.encoder(mel[None])
        for result, prefix in ((plain, []), (with_context, [decoder.tokenizer.sot_prev, 5, 6, 7])):
            tokens = torch.tensor([[*prefix, decoder.tokenizer.sot]])
            hidden = decoder.model.decoder(tokens, decoder.model.decoder.new_cache(features, [0]))
            expected = decoder.model.decoder.logits(hidden[:, -1])[0].softmax(dim=0)[decoder.tokenizer.no_speech]
            assert result.no_speech_prob == pytest.approx(float(expected), abs=1e-6)


def test_an_unknown_language_is_refused(decoder):
    with pytest.raises(UnsupportedLanguageError, match="yue"):
        decoder.decode([request_of(mel_of(0), language="yue")])


# --- memory of encoded windows ---


@pytest.fixture
def encoded(tiny_model):
    """Windows that the encoder has been given, call by call."""
    calls: list[int] = []
    handle = tiny_model.encoder.register_forward_hook(lambda _module, args, _output: calls.append(len(args[0])))
    yield calls
    handle.remove()


def test_a_window_is_encoded_once_while_its_mel_lives(decoder, encoded):
    mel, other = mel_of(0), mel_of(1)
    decoder.detect_language([mel])
    decoder.decode([request_of(mel)])
    decoder.decode([request_of(mel, Sampling(temperature=1.0, seed=0)), request_of(mel, BeamSearch(beam_size=2))])
    assert encoded == [1]
    decoder.decode([request_of(mel), request_of(other)])
    assert encoded == [1, 1]


def test_equal_mels_are_not_the_same_mel(decoder, encoded):
    decoder.decode([request_of(mel_of(0))])
    decoder.decode([request_of(mel_of(0))])
    assert encoded == [1, 1]


def test_requests_of_one_mel_share_one_encoding(decoder, encoded):
    mel = mel_of(0)
    first, second = decoder.decode([request_of(mel), request_of(mel, task=Task.TRANSLATE)])
    assert encoded == [1]
    check_same(first, decoder.decode([request_of(mel)])[0])
    check_same(second, decoder.decode([request_of(mel, task=Task.TRANSLATE)])[0])


def test_a_window_is_forgotten_with_its_mel(decoder):
    mel = mel_of(0)
    decoder.decode([request_of(mel)])
    assert len(decoder._encoded) == 1
    del mel
    gc.collect()
    assert len(decoder._encoded) == 0


def test_seconds_add_up(decoder):
    assert (decoder.encode_s, decoder.decode_s) == (0, 0)
    decoder.decode([request_of(mel_of(0))])
    first = decoder.encode_s, decoder.decode_s
    assert min(first) > 0
    decoder.decode([request_of(mel_of(1))])
    assert decoder.encode_s > first[0]
    assert decoder.decode_s > first[1]


# --- real weights ---


@pytest.mark.weights
def test_real_weights_alone_in_a_batch_and_without_cache(tiny_en, shared):
    lines = (shared / "golden" / "tiny.en.jsonl").read_text().splitlines()
    clips = [clip for clip in map(json.loads, lines) if clip["n_samples"] < 5 * 16_000][:2]
    requests = []
    for i, clip in enumerate(clips):
        samples = torch.from_numpy(load_audio(shared / "golden" / clip["audio"]).samples)
        mel = log_mel_spectrogram(pad_or_trim(samples, N_SAMPLES), n_mels=tiny_en.n_mels)
        context = tuple(tiny_en.tokenizer.encode(" Before.")) * i  # prompts of unequal length
        requests.append(request_of(mel, max_tokens=16, context=context))
    together = tiny_en.decoder.decode(requests)
    for request, result in zip(requests, together, strict=True):
        check_same(result, tiny_en.decoder.decode([request])[0])
        tokens, avg_logprob = uncached_greedy(tiny_en.decoder, request)
        assert result.tokens == tokens
        assert result.avg_logprob == pytest.approx(avg_logprob, abs=1e-3)


@pytest.mark.weights
def test_an_english_only_model_refuses_the_rest(tiny_en):
    mel = torch.zeros(80, 3000)
    with pytest.raises(UnsupportedLanguageError, match="English-only"):
        tiny_en.decoder.decode([request_of(mel, language="de")])
    with pytest.raises(InvalidOptionError, match="English-only"):
        tiny_en.decoder.decode([request_of(mel, task=Task.TRANSLATE)])
    assert tiny_en.decoder.detect_language([mel]) == [{"en": 1.0}]
