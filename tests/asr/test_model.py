import math
from dataclasses import dataclass
from functools import partial
from typing import Self

import pytest
import torch

from asr.engine.backend import Part
from asr.engine.torch_memory import ROWS_STEP, PartMemory, RowMemory, TorchWindow
from asr.errors import CheckpointError
from asr.model import PRESETS, ModelDimensions, MultiHeadAttention, Whisper, sinusoids

# Parameters in millions, Whisper paper, Table 1, and the release notes of large-v3 and turbo.
MILLIONS = {
    "tiny": 39,
    "base": 74,
    "small": 244,
    "medium": 769,
    "large-v2": 1550,
    "large-v3": 1550,
    "large-v3-turbo": 809,
}


@pytest.mark.parametrize("name", PRESETS)
def test_presets_have_the_published_size(name):
    with torch.device("meta"):
        model = Whisper(PRESETS[name])
    expected = MILLIONS[name.removesuffix(".en").replace("v1", "v2")]
    n_parameters = sum(parameter.numel() for parameter in model.parameters())
    assert n_parameters / 1e6 == pytest.approx(expected, rel=0.07)


@pytest.mark.parametrize("name", PRESETS)
def test_presets_run_with_every_width(name, hidden_states):
    # The preset's widths, heads, Mel channels and vocabulary, with one layer and a short window.
    dims = PRESETS[name]
    small = ModelDimensions(
        dims.n_mels,
        8,
        dims.n_audio_state,
        dims.n_audio_head,
        1,
        dims.n_vocab,
        8,
        dims.n_text_state,
        dims.n_text_head,
        1,
    )
    model = Whisper(small).eval()
    torch.nn.init.zeros_(model.decoder.positional_embedding)
    with torch.inference_mode():
        features = model.encoder(torch.zeros(1, dims.n_mels, 16))
        assert features.shape == (1, 8, dims.n_audio_state)
        logits = model.decoder.logits(hidden_states(model, features[0], [1, 2, 3]))
    assert logits.shape == (3, dims.n_vocab)


def test_attention_equals_a_naive_loop():
    torch.manual_seed(0)
    attention = MultiHeadAttention(8, 2)
    x, audio = torch.randn(1, 3, 8), torch.randn(1, 5, 8)
    got = attention.attend(x, *attention.project_keys_values(audio))
    query, key, value = attention.query(x)[0], attention.key(audio)[0], attention.value(audio)[0]
    mixed = torch.zeros(3, 8)
    for head in range(2):
        columns = slice(4 * head, 4 * head + 4)
        for i in range(3):
            scores = torch.stack([query[i, columns] @ key[j, columns] / math.sqrt(4) for j in range(5)])
            for j, weight in enumerate(scores.softmax(0)):
                mixed[i, columns] += weight * value[j, columns]
    torch.testing.assert_close(got[0], attention.out(mixed), atol=1e-5, rtol=1e-5)


def test_sinusoids():
    table = sinusoids(4, 6)
    assert table[0].tolist() == [0, 0, 0, 1, 1, 1]
    assert float(table[1, 0]) == pytest.approx(math.sin(1))
    assert float(table[1, 2]) == pytest.approx(math.sin(1 / 10_000))


@torch.inference_mode()
@pytest.mark.parametrize("n_rows", [1, 2, 5])
def test_logits_are_the_product_with_the_embedding(tiny_model, n_rows):
    hidden = torch.randn(n_rows, 32, generator=torch.Generator().manual_seed(3))
    expected = torch.nn.functional.linear(hidden, tiny_model.decoder.token_embedding.weight)
    torch.testing.assert_close(tiny_model.decoder.logits(hidden), expected, atol=1e-4, rtol=1e-4)


# --- the decoder with the memory of rows, against a pass that remembers nothing ---


@dataclass(slots=True)
class Remembering:
    """A decoder and what its rows remember; row numbers are those that the memory gave out."""

    model: Whisper
    rows: RowMemory
    windows: list[TorchWindow]

    @classmethod
    def of(cls, model: Whisper, features_BSC: torch.Tensor) -> Self:
        rows = RowMemory(model.dims, device=model.device, dtype=model.dtype)
        return cls(model, rows, [TorchWindow(model.decoder.project_audio(each[None])) for each in features_BSC])

    def part(self, window: int, rows: list[int], tokens: list[list[int]], position: int, sources=None) -> Part:
        return Part(
            window=self.windows[window], rows=rows, tokens=tokens, position=position, sources=sources, wanted=()
        )

    def hidden(self, *parts: Part) -> torch.Tensor:
        """(M, C) of all new tokens, row by row."""
        for part in parts:
            self.rows.continue_rows(part)
        memory = PartMemory(self.rows, parts, self.model.dims.n_text_head)
        tokens = [token for part in parts for row in part.tokens for token in row]
        return self.model.decoder(torch.tensor(tokens), memory.positions_M, memory)


def random_features(n_windows: int) -> torch.Tensor:
    return torch.randn(n_windows, 20, 32, generator=torch.Generator().manual_seed(1))


close = partial(torch.testing.assert_close, atol=1e-4, rtol=1e-4)


@torch.inference_mode()
@pytest.mark.parametrize("step", [1, 2, 5, 10])
def test_cached_steps_equal_one_pass(tiny_model, hidden_states, step):
    features = random_features(2)
    tokens = torch.randint(0, 1000, (2, 10), generator=torch.Generator().manual_seed(2)).tolist()
    remembering = Remembering.of(tiny_model, features)
    rows = remembering.rows.take(2)
    parts = [
        remembering.hidden(*(remembering.part(i, [rows[i]], [tokens[i][at : at + step]], at) for i in range(2)))
        for at in range(0, 10, step)
    ]
    for i, got in enumerate(torch.cat([part.unflatten(0, (2, -1)) for part in parts], dim=1)):
        close(got, hidden_states(tiny_model, features[i], tokens[i]))


@torch.inference_mode()
def test_prompts_of_unequal_length_side_by_side(tiny_model, hidden_states):
    """And steps of one beside prompts of the other."""
    features = random_features(2)
    short, long = [7, 8, 9], [1, 2, 3, 4, 5, 6]
    remembering = Remembering.of(tiny_model, features)
    [first], [second] = remembering.rows.take(1), remembering.rows.take(1)
    together = remembering.hidden(remembering.part(0, [first], [short], 0), remembering.part(1, [second], [long], 0))
    assert not together.isnan().any()
    close(together[:3], hidden_states(tiny_model, features[0], short))
    close(together[3:], hidden_states(tiny_model, features[1], long))
    again = remembering.hidden(remembering.part(1, [second], [[11]], 6), remembering.part(0, [first], [[10, 12]], 3))
    close(again[:1], hidden_states(tiny_model, features[1], [*long, 11])[-1:])
    close(again[1:], hidden_states(tiny_model, features[0], [*short, 10, 12])[-2:])


@torch.inference_mode()
def test_rows_of_a_window_share_its_audio_and_its_prompt(tiny_model, hidden_states):
    features = random_features(2)
    remembering = Remembering.of(tiny_model, features)
    rows = [remembering.rows.take(2), remembering.rows.take(2)]
    remembering.hidden(*(remembering.part(i, rows[i][:1], [[5 + i]], 0) for i in range(2)))
    wide = remembering.hidden(
        remembering.part(0, rows[0], [[1], [2]], 1, sources=[rows[0][0]] * 2),
        remembering.part(1, rows[1], [[3], [4]], 1, sources=[rows[1][0]] * 2),
    )
    expected = [(0, 5, 1), (0, 5, 2), (1, 6, 3), (1, 6, 4)]
    for got, (window, *tokens) in zip(wide, expected, strict=True):
        close(got, hidden_states(tiny_model, features[window], tokens)[1])


@torch.inference_mode()
def test_beams_may_cross_and_both_continue_the_same(tiny_model, hidden_states):
    features = random_features(1)
    remembering = Remembering.of(tiny_model, features)
    rows = remembering.rows.take(3)
    remembering.hidden(remembering.part(0, rows[:1], [[50, 51]], 0))
    texts = [[50, 51]] * 3
    for position, (sources, tokens) in enumerate(
        [((0, 0, 0), (1, 2, 3)), ((2, 0, 1), (4, 5, 6)), ((1, 1, 0), (7, 8, 9)), ((1, 2, 2), (4, 4, 4))], start=2
    ):
        texts = [[*texts[source], token] for source, token in zip(sources, tokens, strict=True)]
        got = remembering.hidden(
            remembering.part(0, rows, [[token] for token in tokens], position, sources=[rows[i] for i in sources])
        )
        for row, text in zip(got, texts, strict=True):
            close(row, hidden_states(tiny_model, features[0], text)[-1])


@torch.inference_mode()
def test_memory_grows_past_its_first_rows_and_forgets_nothing(tiny_model, hidden_states):
    features = random_features(1)
    remembering = Remembering.of(tiny_model, features)
    [row] = remembering.rows.take(1)
    remembering.hidden(remembering.part(0, [row], [[1, 2, 3]], 0))
    kept = [keys[row, :3].clone() for keys in remembering.rows.keys]
    more = remembering.rows.take(3 * ROWS_STEP)
    assert len({row, *more}) == 1 + 3 * ROWS_STEP
    assert len(remembering.rows.ancestors) == 4 * ROWS_STEP
    assert all(torch.equal(keys[row, :3], old) for keys, old in zip(remembering.rows.keys, kept, strict=True))
    got = remembering.hidden(
        remembering.part(0, [row, more[-1]], [[4], [5]], 3, sources=[row, row]),
    )
    for hidden, last in zip(got, (4, 5), strict=True):
        close(hidden, hidden_states(tiny_model, features[0], [1, 2, 3, last])[-1])


@torch.inference_mode()
def test_a_row_that_is_taken_again_knows_nothing_of_its_last_text(tiny_model, hidden_states):
    features = random_features(1)
    remembering = Remembering.of(tiny_model, features)
    rows = remembering.rows.take(2)
    remembering.hidden(remembering.part(0, rows, [[1, 2, 3, 4], [5, 6, 7, 8]], 0))
    for keys in (*remembering.rows.keys, *remembering.rows.values):
        keys.fill_(float("nan"))  # worse than any text
    remembering.rows.free(rows)
    assert remembering.rows.take(2) == rows
    long = [11, 12, 13, 14, 15, 16]  # beside a short one, where nothing is written yet
    got = remembering.hidden(remembering.part(0, rows[1:], [[9, 10]], 0), remembering.part(0, rows[:1], [long], 0))
    close(got[:2], hidden_states(tiny_model, features[0], [9, 10]))
    close(got[2:], hidden_states(tiny_model, features[0], long))


def test_rows_are_given_to_one_at_a_time(tiny_dims):
    rows = RowMemory(tiny_dims, device=torch.device("cpu"), dtype=torch.float32)
    first, second = rows.take(3), rows.take(4)
    assert len({*first, *second}) == 7
    rows.free(second[:2])
    assert not {*rows.take(5)} & {*first, *second[2:]}


@pytest.mark.parametrize("change", [{"n_mels": 0}, {"n_audio_head": 3}, {"n_vocab": "many"}])
def test_impossible_dimensions_are_refused(change, tiny_dims):
    values = {name: getattr(tiny_dims, name) for name in tiny_dims.__slots__} | change
    with pytest.raises(CheckpointError, match="expected"):
        ModelDimensions(**values)
