"""Token times with planted attention and with a tiny random model: batches, short windows and long texts."""

import copy
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from asr.decoding import BeamSearch, Decoder, DecodeRequest, DecodingOptions, Greedy, Sampling
from asr.decoding.alignment import SpokenText, align_texts, alignment_heads, median_filter, warp
from asr.errors import CheckpointError
from asr.features import N_FRAMES, pad_or_trim
from asr.prompt import TaskPrompt
from asr.tasks import Task


def cheapest(cost: np.ndarray) -> float:
    """The cost of the best path, cell by cell."""
    best = np.full((cost.shape[0] + 1, cost.shape[1] + 1), np.inf)
    best[0, 0] = 0
    for i, row in enumerate(cost):
        for j, here in enumerate(row):
            best[i + 1, j + 1] = here + min(best[i, j], best[i, j + 1], best[i + 1, j])
    return float(best[-1, -1])


def cost_of(cost: np.ndarray, starts: np.ndarray) -> float:
    """The cost of the cheaper way to leave each row: above the next row's first cell or before it."""
    total = 0.0
    for row, (start, following) in enumerate(zip(starts, [*starts[1:], None], strict=True)):
        straight = cost[row, start:] if following is None else cost[row, start : following + 1]
        ways = [straight.sum()]
        if following is not None and following > start:
            ways.append(cost[row, start:following].sum())
        total += min(ways)
    return float(total)


@given(st.integers(1, 9), st.integers(1, 12), st.integers(0, 2**32 - 1))
def test_warp_finds_the_cheapest_path(n_rows, n_columns, seed):
    cost = np.random.default_rng(seed).standard_normal((n_rows, n_columns))
    starts = warp(cost)
    assert starts[0] == 0
    assert (np.diff(starts) >= 0).all()
    assert starts[-1] < n_columns
    assert cost_of(cost, starts) == pytest.approx(cheapest(cost), abs=1e-9)


@pytest.mark.parametrize(("n", "width"), [(4, 7), (5, 7), (40, 7), (3, 3), (11, 5), (6, 1)])
def test_the_median_filter_equals_sorting(n, width):
    x = torch.randn(2, n, generator=torch.Generator().manual_seed(n))
    mirrored = np.pad(x.numpy(), ((0, 0), (width // 2, width // 2)), mode="reflect")
    expected = np.median(np.lib.stride_tricks.sliding_window_view(mirrored, width, axis=1), axis=-1)
    assert median_filter(x, width).numpy() == pytest.approx(expected)


def test_what_is_too_short_for_the_median_filter_stays(tiny_model):
    x = torch.randn(2, 3)
    assert median_filter(x, 7) is x


def test_without_heads_the_upper_layers_are_used(tiny_dims):
    assert alignment_heads((), tiny_dims) == ((1, 0), (1, 1))
    assert alignment_heads(((0, 1),), tiny_dims) == ((0, 1),)


@pytest.mark.parametrize("head", [(2, 0), (0, 2), (-1, 0)])
def test_heads_that_the_model_has_not(tiny_model, tokenizer, head):
    with pytest.raises(CheckpointError, match="expected a layer below 2 and a head below 2"):
        Decoder(tiny_model, tokenizer, (head,))


def test_planted_attention_gives_the_planted_times():
    # Two prompt tokens; the second predicts the first of three text tokens, the last of which predicts the end.
    positions = [0, 30, 52, 90]  # heard from here on: three tokens and the end
    keys = torch.eye(100)[None, None] * 1000
    queries = torch.zeros(1, 1, 6, 100)
    for row, (start, end) in enumerate(zip(positions, [*positions[1:], 100], strict=True), start=1):
        queries[0, 0, row, start:end] = 1.0

    class FakeDecoder:
        def __call__(self, tokens, _, watcher):
            watcher(0, torch.zeros_like(queries), keys)  # a layer that nobody asked for
            watcher(1, queries, keys)
            return torch.zeros(1, tokens.shape[1], 1)

        def new_cache(self, *_):
            return None

        def logits(self, hidden):
            logits = torch.zeros(hidden.shape[0], 12)
            logits[:, 10:] = 100.0  # special tokens, which no text token competes with
            return logits

    model = SimpleNamespace(decoder=FakeDecoder(), dims=SimpleNamespace(n_text_ctx=20))
    text = SpokenText(prompt=(11, 11), tokens=(3, 4, 5), n_frames=200)
    (times,) = align_texts(model, ((1, 0),), torch.zeros(1, 100, 1), [text], eot=10)
    assert [time.start for time in times] == pytest.approx([0.0, 0.6, 1.04])
    assert [time.end for time in times] == pytest.approx([0.6, 1.04, 1.8])
    assert [time.probability for time in times] == pytest.approx([0.1] * 3)


def mel_of(seed: int, n_frames: int = N_FRAMES) -> torch.Tensor:
    return torch.randn(80, n_frames, generator=torch.Generator().manual_seed(seed))


def request_of(mel, strategy=None, *, max_tokens: int = 12, token_times: bool = True, **prompt) -> DecodeRequest:
    return DecodeRequest(
        mel=mel,
        prompt=TaskPrompt(**{"language": "en"} | prompt),
        options=DecodingOptions(strategy=strategy or Greedy(), max_tokens=max_tokens, token_times=token_times),
    )


@pytest.fixture
def decoder(tiny_model, tokenizer) -> Decoder:
    return Decoder(tiny_model, tokenizer, ((0, 1), (1, 0), (1, 1)))


def strangers() -> list[DecodeRequest]:
    return [
        request_of(mel_of(0)),
        request_of(mel_of(1, 60), BeamSearch(beam_size=3), language="de", context=(5, 6, 7)),
        request_of(mel_of(2), token_times=False),
        request_of(mel_of(3, 1), max_tokens=3),
        request_of(mel_of(4, 2999), Sampling(temperature=0.8, best_of=3, seed=5), task=Task.TRANSLATE, language="fr"),
        request_of(mel_of(5), timestamps=False, max_tokens=30),
        request_of(mel_of(6, 7), language=None, max_tokens=1, timestamps=False),
    ]


def test_times_of_a_batch_of_strangers(decoder, tokenizer):
    requests = strangers()
    results = decoder.decode(requests)
    for request, result in zip(requests, results, strict=True):
        (alone,) = decoder.decode([request])
        text = [token for token in result.tokens if token < tokenizer.eot]
        assert len(result.token_times) == (len(text) if request.options.token_times else 0)
        times = [(time.start, time.end) for time in result.token_times]
        assert times == [(time.start, time.end) for time in alone.token_times]
        probabilities = [time.probability for time in result.token_times]
        assert probabilities == pytest.approx([time.probability for time in alone.token_times], abs=1e-5)
        edges = [edge for pair in times for edge in pair]
        assert edges == sorted(edges)
        assert all(0 <= edge < max(request.mel.shape[-1], 2) / 100 for edge in edges)
    assert max(len(set(result.token_times)) for result in results) > 5, "times that never move prove nothing"


def test_asking_for_times_changes_nothing_else(decoder):
    for request in strangers():
        silent = DecodeRequest(
            mel=request.mel,
            prompt=request.prompt,
            options=DecodingOptions(strategy=request.options.strategy, max_tokens=request.options.max_tokens),
        )
        with_times, without = decoder.decode([request])[0], decoder.decode([silent])[0]
        assert without.token_times == ()
        assert (with_times.tokens, with_times.avg_logprob) == (without.tokens, without.avg_logprob)


@torch.inference_mode()
def test_probabilities_are_among_text_tokens_and_blind_to_the_future(decoder, tokenizer):
    request = request_of(mel_of(7), timestamps=False)
    (result,) = decoder.decode([request])
    features = decoder.model.encoder(pad_or_trim(request.mel, N_FRAMES)[None])
    prompt = request.prompt.encode(tokenizer, max_context=0)
    for i, (token, time) in enumerate(zip(result.tokens, result.token_times, strict=True)):
        cache = decoder.model.decoder.new_cache(features, [0])
        hidden = decoder.model.decoder(torch.tensor([[*prompt, *result.tokens[:i]]]), cache)
        probabilities = decoder.model.decoder.logits(hidden[:, -1])[0, : tokenizer.eot].softmax(0)
        assert time.probability == pytest.approx(float(probabilities[token]), abs=1e-5)


@pytest.mark.parametrize("n_tokens", [1, 60, 61, 62, 200])
def test_texts_longer_than_the_context_end_where_it_ends(tiny_model, tokenizer, n_tokens):
    text = SpokenText(prompt=(tokenizer.sot, tokenizer.no_timestamps), tokens=(7,) * n_tokens, n_frames=N_FRAMES)
    features = torch.randn(1, 1500, 32)
    (times,) = align_texts(tiny_model, alignment_heads((), tiny_model.dims), features, [text], eot=tokenizer.eot)
    assert len(times) == n_tokens
    n_placed = min(n_tokens, 64 - 1 - 2)
    assert all(time.probability > 0 for time in times[:n_placed])
    assert all((time.start, time.end, time.probability) == (times[n_placed - 1].end,) * 2 + (0.0,)
               for time in times[n_placed:])  # fmt: skip


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision(tiny_model, tokenizer, dtype):
    half = Decoder(copy.deepcopy(tiny_model).to(dtype), tokenizer)
    for result in half.decode(strangers()[:2]):
        assert all(0 <= time.probability <= 1 and time.start <= time.end for time in result.token_times)
