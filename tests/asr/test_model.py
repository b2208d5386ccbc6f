import math

import pytest
import torch

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
def test_presets_run_with_every_width(name):
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
        cache = model.decoder.new_cache(features, [0])
        logits = model.decoder.logits(model.decoder(torch.tensor([[1, 2, 3]]), cache)[0])
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


def hidden_states(model, features, tokens, step):
    cache = model.decoder.new_cache(features, [0] * len(features))
    parts = [model.decoder(tokens[:, i : i + step], cache) for i in range(0, tokens.shape[1], step)]
    return torch.cat(parts, dim=1)


@torch.inference_mode()
@pytest.mark.parametrize("step", [1, 2, 5])
def test_cached_steps_equal_one_pass(tiny_model, step):
    features = torch.randn(2, 20, 32, generator=torch.Generator().manual_seed(1))
    tokens = torch.randint(0, 1000, (2, 10), generator=torch.Generator().manual_seed(2))
    whole = hidden_states(tiny_model, features, tokens, 10)
    torch.testing.assert_close(hidden_states(tiny_model, features, tokens, step), whole, atol=1e-4, rtol=1e-4)


@torch.inference_mode()
def test_left_padding_changes_nothing(tiny_model):
    features = torch.randn(2, 20, 32, generator=torch.Generator().manual_seed(1))
    short, long = torch.tensor([[7, 8, 9]]), torch.tensor([[1, 2, 3, 4, 5, 6]])
    alone = tiny_model.decoder(short, tiny_model.decoder.new_cache(features[:1], [0]))
    both = torch.cat([torch.cat([torch.zeros(1, 3, dtype=torch.long), short], dim=1), long])
    cache = tiny_model.decoder.new_cache(features, [3, 0])
    together = tiny_model.decoder(both, cache)
    torch.testing.assert_close(together[:1, 3:], alone, atol=1e-4, rtol=1e-4)
    assert not together.isnan().any()
    again = tiny_model.decoder(torch.tensor([[10], [11]]), cache)
    cache_alone = tiny_model.decoder.new_cache(features[:1], [0])
    tiny_model.decoder(short, cache_alone)
    torch.testing.assert_close(again[:1], tiny_model.decoder(torch.tensor([[10]]), cache_alone), atol=1e-4, rtol=1e-4)


@torch.inference_mode()
def test_rows_of_a_window_share_its_audio(tiny_model):
    features = torch.randn(2, 20, 32, generator=torch.Generator().manual_seed(1))
    cache = tiny_model.decoder.new_cache(features, [0, 0])
    tiny_model.decoder(torch.tensor([[5], [6]]), cache)
    cache.select(windows=None, rows=torch.tensor([0, 0, 1, 1]))
    wide = tiny_model.decoder(torch.tensor([[1], [2], [3], [4]]), cache)
    for row, (window, first, second) in enumerate([(0, 5, 1), (0, 5, 2), (1, 6, 3), (1, 6, 4)]):
        alone = hidden_states(tiny_model, features[window : window + 1], torch.tensor([[first, second]]), 2)
        torch.testing.assert_close(wide[row, 0], alone[0, 1], atol=1e-4, rtol=1e-4)


def test_cache_grows_past_its_first_capacity(tiny_model):
    features = torch.randn(1, 20, 32)
    cache = tiny_model.decoder.new_cache(features, [0])
    with torch.inference_mode():
        tiny_model.decoder(torch.zeros(1, 60, dtype=torch.long), cache)
        key = torch.ones(1, 2, 10, 16)
        keys, _ = cache.self_attention.append(0, key, key)
    assert keys.shape == (1, 2, 70, 16)
    assert (keys[:, :, 60:] == 1).all()


@pytest.mark.parametrize("change", [{"n_mels": 0}, {"n_audio_head": 3}, {"n_vocab": "many"}])
def test_impossible_dimensions_are_refused(change, tiny_dims):
    values = {name: getattr(tiny_dims, name) for name in tiny_dims.__slots__} | change
    with pytest.raises(CheckpointError, match="expected"):
        ModelDimensions(**values)
