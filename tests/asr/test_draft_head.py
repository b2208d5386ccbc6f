"""A draft head's shapes, what it makes of classes, and its file."""

import pytest
import torch

from asr.draft_head import STRIDE, DraftHead, load_draft_head, save_draft_head
from asr.errors import CheckpointError

VOCABULARY = torch.tensor([7, 11, 300])


@pytest.fixture
def head(tiny_model) -> DraftHead:
    torch.manual_seed(0)
    return DraftHead(tiny_model, VOCABULARY).requires_grad_(False)


def test_every_80_ms_have_one_class(head, tiny_dims):
    features = torch.randn(2, 3 * STRIDE + 1, tiny_dims.n_audio_state)
    logprobs = head(features)
    assert logprobs.shape == (2, 3, 4)
    assert torch.allclose(logprobs.exp().sum(dim=2), torch.ones(2, 3))
    assert torch.allclose(head(features[:, : 2 * STRIDE]), logprobs[:, :2], atol=1e-6), "positions hear no others"


def test_repetitions_and_blanks_are_left_out(head, tiny_dims, monkeypatch):
    classes = torch.tensor([0, 2, 2, 0, 2, 3, 1, 1, 0])
    said = torch.nn.functional.one_hot(classes, 4)[None].float()
    monkeypatch.setattr(DraftHead, "forward", lambda _self, _features: said)
    assert head.draft(torch.zeros(9 * STRIDE, tiny_dims.n_audio_state)) == [11, 11, 300, 7]


def test_a_head_is_kept_in_a_file(head, tiny_model, tiny_dims, tmp_path):
    save_draft_head(head.state_dict(), tmp_path / "head.safetensors")
    again = load_draft_head(tmp_path / "head.safetensors", tiny_model)
    features = torch.randn(1, 40, tiny_dims.n_audio_state)
    assert torch.equal(again(features), head(features))
    assert again.vocabulary.tolist() == VOCABULARY.tolist()


@pytest.mark.parametrize("content", [b"", b"no safetensors"])
def test_a_file_that_is_none(tiny_model, tmp_path, content):
    path = tmp_path / "head.safetensors"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"head\.safetensors: no draft head of this model"):
        load_draft_head(path, tiny_model)


def test_a_head_of_another_width(tiny_model, tmp_path, head):
    state = {
        name: tensor[..., :1].contiguous() if tensor.ndim == 2 else tensor for name, tensor in head.state_dict().items()
    }
    save_draft_head(state, tmp_path / "head.safetensors")
    with pytest.raises(CheckpointError, match="no draft head of this model"):
        load_draft_head(tmp_path / "head.safetensors", tiny_model)
