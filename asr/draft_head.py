"""A draft of what the decoder will say, of the encoder's features alone (CTC). Out: text tokens, in order.

All tokens are found at once, each without hearing of the others: fast, and often wrong. Whoever uses a draft has the
decoder verify it. Knows no decoder, no rules and no timestamps.

Shapes: B windows, S audio positions (20 ms), P = S / STRIDE, C width, V tokens that can be drafted.
"""

from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 (the name that every torch code base uses)

from asr.errors import CheckpointError
from asr.model import Whisper

__all__ = ["DRAFT_HEAD", "STRIDE", "DraftHead", "load_draft_head", "save_draft_head"]

DRAFT_HEAD = "draft-head.safetensors"  # beside a model's weights
STRIDE = 4  # audio positions (80 ms) that share one token: more than 12 tokens a second are rare
BLANK = 0  # the class of no token; class i + 1 is the vocabulary's token i


class DraftHead(nn.Module):
    """Features → a token, or none, for every 80 ms.

    One hidden layer, as wide as the model, guesses the embedding of the token that is being said, and the decoder's own
    embedding says which token that is (tied: V times C parameters less to learn, and to read).
    """

    vocabulary: Tensor
    _embedding_VC: Tensor

    def __init__(self, whisper: Whisper, vocabulary: Tensor) -> None:
        """``vocabulary``: (V,) ids of the text tokens that can be drafted."""
        super().__init__()
        n_state = whisper.dims.n_audio_state
        self.register_buffer("vocabulary", vocabulary)
        embedding_VC = whisper.decoder.token_embedding.weight.detach()[vocabulary].float()
        self.register_buffer("_embedding_VC", F.normalize(embedding_VC, dim=1), persistent=False)
        self.hidden = nn.Linear(STRIDE * n_state, n_state)
        self.norm = nn.LayerNorm(n_state)
        self.guess = nn.Linear(n_state, whisper.dims.n_text_state)
        self.bias = nn.Parameter(torch.zeros(len(vocabulary)))
        self.blank = nn.Linear(n_state, 1)

    def forward(self, features_BSC: Tensor) -> Tensor:
        """Log-probabilities (B, P, 1 + V), the blank first; positions that fill no stride are left out."""
        n_windows, n_positions, _ = features_BSC.shape
        joined = features_BSC[:, : n_positions - n_positions % STRIDE].reshape(n_windows, n_positions // STRIDE, -1)
        hidden_BPC = self.norm(F.gelu(self.hidden(joined)))
        tokens_BPV = self.guess(hidden_BPC) @ self._embedding_VC.t() + self.bias
        return torch.cat([self.blank(hidden_BPC), tokens_BPV], dim=2).log_softmax(dim=2)

    @torch.inference_mode()
    def draft(self, features_SC: Tensor) -> list[int]:
        """The tokens of one window: the likeliest class of every position, repetitions and blanks left out."""
        classes_P = self(features_SC[None])[0].argmax(dim=1)
        classes_P = torch.unique_consecutive(classes_P)
        tokens: list[int] = self.vocabulary[classes_P[classes_P != BLANK] - 1].tolist()
        return tokens


def save_draft_head(state: dict[str, Tensor], path: Path) -> None:
    """Write a head's state."""
    save_file({name: tensor.contiguous() for name, tensor in state.items()}, path)


def load_draft_head(path: Path, whisper: Whisper) -> DraftHead:
    """The head that was trained for this model. Raises CheckpointError."""
    try:
        state = load_file(path)
        head = DraftHead(whisper, state["vocabulary"])
        head.load_state_dict(state)
    except (OSError, SafetensorError, KeyError, IndexError, RuntimeError) as error:
        raise CheckpointError(f"{path}: no draft head of this model: {error}") from error
    return head.to(whisper.device).eval()
