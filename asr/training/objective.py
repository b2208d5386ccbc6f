"""What training minimizes. In: a batch. Out: a summed loss. Knows no optimizer, no processes and no files.

An objective is a module, so that DDP and FSDP can wrap it, and brings its own denominator, so that gradients of
micro-batches and processes add up to those of one large batch. ``TeacherForced`` is the paper's: the next token, given
the audio and all tokens before. Others (matching hidden states, a draft head) need only these three methods.

Shapes: B examples, M text positions, S audio positions, C width, V vocabulary, N = B M.
"""

from typing import Protocol, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 (the name that every torch code base uses)
from torch.utils.checkpoint import checkpoint

from asr.model import DecoderBlock, MultiHeadAttention, Whisper
from asr.training.loader import Batch
from asr.training.remembering import FeatureMemory
from asr.training.targets import IGNORED

__all__ = ["Objective", "TeacherForced", "TeacherForcedMemory"]


class Objective(Protocol):
    """What the trainer needs of an ``nn.Module``."""

    whisper: Whisper
    """The model that is exported."""

    def forward(self, batch: Batch) -> Tensor:
        """The loss, summed over what ``count`` counts; a scalar."""

    def count(self, batch: Batch) -> int:
        """How many terms the sum has."""


class TeacherForcedMemory:
    """The decoder's memory when all tokens are known: see DecoderMemory. Keeps nothing between layers.

    Keys and values of the audio are projected inside each block's turn, so that FSDP has the block's weights at hand.
    """

    def __init__(self, crosses: list[MultiHeadAttention], features_BSC: Tensor) -> None:
        self._crosses = crosses
        self._features_BSC = features_BSC

    def attend_past(self, layer: int, query_NC: Tensor, key_NC: Tensor, value_NC: Tensor) -> Tensor:
        """See DecoderMemory."""
        q, k, v = (self._heads(layer, x) for x in (query_NC, key_NC, value_NC))
        return F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).flatten(2).flatten(0, 1)

    def attend_audio(self, layer: int, query_NC: Tensor) -> Tensor:
        """See DecoderMemory."""
        k_BHSD, v_BHSD = self._crosses[layer].project_keys_values(self._features_BSC)
        q_BHMD = self._heads(layer, query_NC)
        return F.scaled_dot_product_attention(q_BHMD, k_BHSD, v_BHSD).transpose(1, 2).flatten(2).flatten(0, 1)

    def _heads(self, layer: int, x_NC: Tensor) -> Tensor:
        return self._crosses[layer].split_heads(x_NC.view(len(self._features_BSC), -1, x_NC.shape[-1]))


class TeacherForced(nn.Module):
    """Cross-entropy of the next token.

    ``stochastic_depth``: in training, the probability with which an example passes a block by, and the others' residual
    is scaled up by as much (arXiv:1603.09382; large-v2: 0.1). ``recompute``: activation checkpointing, block by block.
    ``memory``: where an encoder that is frozen keeps what it has heard.
    """

    def __init__(
        self,
        whisper: Whisper,
        *,
        stochastic_depth: float = 0.0,
        recompute: bool = False,
        memory: FeatureMemory | None = None,
    ) -> None:
        super().__init__()
        self.whisper = whisper
        self._stochastic_depth = stochastic_depth
        self._recompute = recompute
        is_fixed = not stochastic_depth and not any(each.requires_grad for each in whisper.encoder.parameters())
        self._memory = memory if is_fixed else None

    def count(self, batch: Batch) -> int:
        """Targets that are learned."""
        return int((batch.targets_BM != IGNORED).sum())

    def forward(self, batch: Batch) -> Tensor:
        """Cross-entropy in nats, summed over the targets."""
        return self.cross_entropy(self.encode(batch.mel_BFT), batch)

    def cross_entropy(self, features_BSC: Tensor, batch: Batch) -> Tensor:
        """The same, of audio features that are there."""
        hidden_BMC = self.read(features_BSC, batch.tokens_BM)
        is_learned_BM = batch.targets_BM != IGNORED  # the vocabulary is the widest tensor of all: only where needed
        logits_NV = self.whisper.decoder.logits(hidden_BMC[is_learned_BM])
        return F.cross_entropy(logits_NV, batch.targets_BM[is_learned_BM], reduction="sum")

    def encode(self, mel_BFT: Tensor) -> Tensor:
        """Log-Mel → audio features (B, S, C)."""
        return self._memory.encode(mel_BFT, self._hear) if self._memory else self._hear(mel_BFT)

    def _hear(self, mel_BFT: Tensor) -> Tensor:
        encoder = self.whisper.encoder
        x_BSC = encoder.embed(mel_BFT).to(self.whisper.dtype)  # autocast would keep the residual stream in bf16
        for block in encoder.blocks:
            x_BSC = self._dropped(self._run(block, x_BSC), x_BSC, len(mel_BFT))
        features: Tensor = encoder.ln_post(x_BSC)
        return features

    def read(self, features_BSC: Tensor, tokens_BM: Tensor) -> Tensor:
        """Audio features and tokens → hidden states (B, M, C), of which ``decoder.logits`` makes the next tokens."""
        return self.read_layers(features_BSC, tokens_BM)[-1]

    def read_layers(self, features_BSC: Tensor, tokens_BM: Tensor) -> list[Tensor]:
        """The same, after those of every block but the last, whose states are what LayerNorm makes of them."""
        decoder = self.whisper.decoder
        blocks = [cast("DecoderBlock", block) for block in decoder.blocks]
        memory = TeacherForcedMemory([block.cross_attn for block in blocks], features_BSC)
        positions_BM = torch.arange(tokens_BM.shape[1], device=tokens_BM.device).expand_as(tokens_BM)
        x_NC = decoder.embed(tokens_BM.flatten(), positions_BM.flatten())
        states = []
        for layer, block in enumerate(blocks):
            x_NC = self._dropped(self._run(block, x_NC, layer, memory), x_NC, len(tokens_BM))
            states.append(x_NC)
        states[-1] = decoder.ln(x_NC)
        return [state_NC.view(*tokens_BM.shape, -1) for state_NC in states]

    def _run(self, block: nn.Module, *inputs: object) -> Tensor:
        if self._recompute and torch.is_grad_enabled():
            return cast("Tensor", checkpoint(block, *inputs, use_reentrant=False))
        return cast("Tensor", block(*inputs))

    def _dropped(self, after: Tensor, before: Tensor, n_examples: int) -> Tensor:
        if not (self.training and self._stochastic_depth):
            return after
        kept = 1 - self._stochastic_depth
        is_kept_B = torch.rand(n_examples, device=after.device) < kept
        scale = (is_kept_B / kept).repeat_interleave(after.numel() // after.shape[-1] // n_examples)
        return before + (after - before) * scale.view(*after.shape[:-1], 1).to(after.dtype)
