"""Token times with planted attention and with a tiny random model: batches, short windows and long texts."""

import copy

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from asr.checkpoint import Checkpoint
from asr.decoding import BeamSearch, DecodeRequest, DecodingOptions, Greedy, Sampling
from asr.decoding.alignment import alignment_heads, find_starts, median_filter, place_tokens, warp
from asr.decoding.selection import Hypothesis
from asr.decoding.steps import Heard
from asr.decoding.window import _place
from asr.engine import Engine
from asr.engine.loading import load_engine
from asr.engine.torch_backend import TorchBackend
from asr.errors import CheckpointError
from asr.features import N_FRAMES, pad_or_trim
from asr.native import kernels
from asr.native.library import address
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


def test_what_is_too_short_for_the_median_filter_stays():
    x = torch.randn(2, 3)
    assert median_filter(x, 7) is x


def test_without_heads_the_upper_layers_are_used(tiny_dims):
    assert alignment_heads((), tiny_dims) == ((1, 0), (1, 1))
    assert alignment_heads(((0, 1),), tiny_dims) == ((0, 1),)


@pytest.mark.parametrize("head", [(2, 0), (0, 2), (-1, 0)])
def test_heads_that_the_model_has_not(tiny_model, tokenizer, tokenizer_path, head):
    checkpoint = Checkpoint(
        dims=tiny_model.dims, state_dict=tiny_model.state_dict(), tokenizer_path=tokenizer_path,
        alignment_heads=(head,), source_sha256="",
    )  # fmt: skip
    with pytest.raises(CheckpointError, match="expected a layer below 2 and a head below 2"):
        load_engine(checkpoint, tokenizer, device="cpu")


# Two prompt tokens; the second predicts the first of three text tokens, the last of which predicts the end.
PLANTED = [0, 30, 52, 90]  # heard from here on: three tokens and the end


def planted(*, padding: int = 0, in_padding: float = 0.0) -> torch.Tensor:
    """(1, 6, positions): 100 positions of audio, and behind them padding that takes a share of the attention."""
    scores = torch.zeros(6, 100)
    for row, (start, end) in enumerate(zip(PLANTED, [*PLANTED[1:], 100], strict=True), start=1):
        scores[row, start:end] = 100.0
    return torch.cat([scores.softmax(dim=1) * (1 - in_padding), torch.full((6, padding), in_padding)], dim=1)[None]


def found(weights_HTS: torch.Tensor) -> list[list[int]]:
    """By every implementation there is."""
    starts = [find_starts(weights_HTS, first=1, n_positions=100)]
    if (library := kernels()) is not None:
        weights = weights_HTS.numpy().copy()
        native = np.zeros(4, np.int32)
        library.auricle_align(address(weights), *weights.shape, 100, 1, address(native))
        starts.append(native.tolist())
    return starts


@pytest.mark.parametrize("padding", [{}, {"padding": 50, "in_padding": 0.015}, {"padding": 1, "in_padding": 0.999}])
def test_planted_attention_gives_the_planted_starts(padding):
    assert all(starts == PLANTED for starts in found(planted(**padding)))


def test_starts_become_times():
    times = place_tokens(Heard(starts=PLANTED, probabilities=[0.1, 0.2, 0.3, 0.9]), n_text=4)
    assert [time.start for time in times] == pytest.approx([0.0, 0.6, 1.04, 1.8])
    assert [time.end for time in times] == pytest.approx([0.6, 1.04, 1.8, 1.8])
    assert [time.probability for time in times] == pytest.approx([0.1, 0.2, 0.3, 0.0])  # the last was not read


def test_the_heads_are_added_up():
    """One head alone hears the planted times; one that hears nothing in particular takes nothing from them."""
    heard = planted()
    assert all(starts == PLANTED for starts in found(torch.cat([torch.full_like(heard, 0.01), heard])))


@pytest.mark.filterwarnings("error")
def test_where_padding_takes_all_times_are_times_still():
    """A softmax in float32 leaves nothing at all of what is far below its peak."""
    heard = planted(padding=10, in_padding=0.1)
    heard[:, 1, :100] = 0.0  # nobody knows where the first token was heard
    for starts in found(heard):
        assert starts[0] == 0
        assert 0 <= starts[1] <= 30
        assert starts[2:] == PLANTED[2:]


@pytest.mark.skipif(kernels() is None, reason="the kernels are not built, or this processor has no AVX-512 VNNI")
@pytest.mark.parametrize(("n_tokens", "n_positions"), [(2, 1), (3, 2), (5, 3), (8, 4), (12, 7), (30, 500), (60, 1500)])
@pytest.mark.parametrize("seed", range(3))
def test_the_kernel_finds_the_same_starts(n_tokens, n_positions, seed):
    generator = np.random.default_rng(seed)
    weights = generator.gamma(0.3, size=(3, n_tokens, 1500)).astype(np.float32) + 1e-6
    for token in range(n_tokens):
        at = token * n_positions // n_tokens
        weights[:, token, at : at + max(n_positions // n_tokens, 1)] += 3
    weights /= weights.sum(axis=-1, keepdims=True)
    expected = find_starts(torch.from_numpy(weights), first=0, n_positions=n_positions)
    starts = np.zeros(n_tokens - 1, np.int32)
    kernels().auricle_align(address(weights), *weights.shape, n_positions, 0, address(starts))
    assert starts.tolist() == expected


@pytest.mark.parametrize("heads", [((1, 0),), ((1, 1), (0, 1), (1, 0))])
def test_a_reading_tells_of_the_heads_that_were_asked_for_in_their_order(tiny_model, heads):
    @torch.inference_mode()
    def heard(heads):
        backend = TorchBackend(tiny_model, heads)
        return backend.listen(backend.encode([mel_of(1)])[0], [50258, 7, 8, 9, 50257], 50257)[0]

    weights = heard(heads)
    assert weights.shape == (len(heads), 5, 1500)
    assert weights.sum(axis=-1) == pytest.approx(1, abs=1e-5)
    for head, own in zip(heads, weights, strict=True):
        assert np.array_equal(heard((head,))[0], own)
    assert len({own.tobytes() for own in weights}) == len(heads)


@torch.inference_mode()
def test_a_reading_tells_where_a_naive_head_listens(tiny_model):
    """Of the lower layer, whose queries take few lines: the first token has no past but itself."""
    model, mel = tiny_model, mel_of(1)
    backend = TorchBackend(model, ((0, 1),))
    weights, _ = backend.listen(backend.encode([mel])[0], [50258, 7, 50257], 50257)
    block = model.decoder.blocks[0]
    x = model.decoder.token_embedding.weight[50258] + model.decoder.positional_embedding[0]
    x = x + block.attn.out(block.attn.value(block.attn_ln(x)))
    query = block.cross_attn.query(block.cross_attn_ln(x))[16:]
    keys = block.cross_attn.key(model.encoder(mel[None])[0])[:, 16:]
    expected = (keys @ query / 4).softmax(dim=0)
    assert weights[0, 0] == pytest.approx(expected.numpy(), abs=1e-5)


def mel_of(seed: int, n_frames: int = N_FRAMES) -> torch.Tensor:
    return torch.randn(80, n_frames, generator=torch.Generator().manual_seed(seed))


def request_of(mel, strategy=None, *, max_tokens: int = 12, token_times: bool = True, **prompt) -> DecodeRequest:
    return DecodeRequest(
        mel=pad_or_trim(mel, N_FRAMES),
        n_frames=mel.shape[-1],
        prompt=TaskPrompt(**{"language": "en"} | prompt),
        options=DecodingOptions(strategy=strategy or Greedy(), max_tokens=max_tokens, token_times=token_times),
    )


@pytest.fixture
def engine(tiny_model, tokenizer) -> Engine:
    return Engine(TorchBackend(tiny_model, ((0, 1), (1, 0), (1, 1))), tokenizer)


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


def test_times_of_a_batch_of_strangers(engine, tokenizer):
    requests = strangers()
    results = engine.decode(requests)
    for request, result in zip(requests, results, strict=True):
        (alone,) = engine.decode([request])
        text = [token for token in result.tokens if token < tokenizer.eot]
        assert len(result.token_times) == (len(text) if request.options.token_times else 0)
        times = [(time.start, time.end) for time in result.token_times]
        assert times == [(time.start, time.end) for time in alone.token_times]
        probabilities = [time.probability for time in result.token_times]
        assert probabilities == pytest.approx([time.probability for time in alone.token_times], abs=1e-5)
        edges = [edge for pair in times for edge in pair]
        assert edges == sorted(edges)
        assert all(0 <= edge < max(request.n_frames, 2) / 100 for edge in edges)
    assert max(len(set(result.token_times)) for result in results) > 5, "times that never move prove nothing"


def test_asking_for_times_changes_nothing_else(engine):
    for request in strangers():
        silent = DecodeRequest(
            mel=request.mel,
            n_frames=request.n_frames,
            prompt=request.prompt,
            options=DecodingOptions(strategy=request.options.strategy, max_tokens=request.options.max_tokens),
        )
        with_times, without = engine.decode([request])[0], engine.decode([silent])[0]
        assert without.token_times == ()
        assert (with_times.tokens, with_times.avg_logprob) == (without.tokens, without.avg_logprob)


@torch.inference_mode()
def test_probabilities_are_among_text_tokens_and_blind_to_the_future(engine, tiny_model, tokenizer, hidden_states):
    request = request_of(mel_of(7), timestamps=False)
    (result,) = engine.decode([request])
    features = tiny_model.encoder(pad_or_trim(request.mel, N_FRAMES)[None])[0]
    prompt = request.prompt.encode(tokenizer, max_context=0)
    for i, (token, time) in enumerate(zip(result.tokens, result.token_times, strict=True)):
        hidden = hidden_states(tiny_model, features, [*prompt, *result.tokens[:i]])
        probabilities = tiny_model.decoder.logits(hidden[-1:])[0, : tokenizer.eot].softmax(0)
        assert time.probability == pytest.approx(float(probabilities[token]), abs=1e-5)


@torch.inference_mode()
@pytest.mark.parametrize("n_tokens", [1, 58, 59, 60, 200])
def test_texts_longer_than_the_context_end_where_it_ends(tiny_model, tokenizer, n_tokens):
    request = request_of(mel_of(8))
    backend = TorchBackend(tiny_model, alignment_heads((), tiny_model.dims))
    program = _place(request, Hypothesis((7,) * n_tokens, 0.0), tokenizer, tiny_model.dims.n_text_ctx)
    asked = next(program)
    assert len(asked.tokens) <= 64
    with pytest.raises(StopIteration) as done:
        program.send(backend.read(backend.encode([request.mel])[0], asked))
    times = done.value.value
    assert len(times) == n_tokens
    n_placed = min(n_tokens, 64 - 1 - 4)  # room for the end, and for the start, language, task and "no timestamps"
    assert all(time.probability > 0 for time in times[:n_placed])
    assert all((time.start, time.end, time.probability) == (times[n_placed - 1].end,) * 2 + (0.0,)
               for time in times[n_placed:])  # fmt: skip


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision(tiny_model, tokenizer, dtype):
    model = copy.deepcopy(tiny_model).to(dtype)
    half = Engine(TorchBackend(model, alignment_heads((), model.dims)), tokenizer)
    for result in half.decode(strangers()[:2]):
        assert all(0 <= time.probability <= 1 and time.start <= time.end for time in result.token_times)
