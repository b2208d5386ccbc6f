"""The Transformer (Whisper 2.2): log-Mel in, audio features; tokens in, hidden states and logits. Knows no text.

Parameter names are OpenAI's, so that checkpoints map one to one.

Shapes: B batch, S audio positions, M text tokens of any rows and windows, C model width, H heads, D = C / H,
V vocabulary.
"""

from dataclasses import dataclass, fields
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 (the name that every torch code base uses)

from asr.errors import CheckpointError

__all__ = ["PRESETS", "AudioEncoder", "DecoderMemory", "ModelDimensions", "TextDecoder", "Whisper"]


@dataclass(frozen=True, slots=True)
class ModelDimensions:
    """The sizes that define a checkpoint, under OpenAI's names."""

    n_mels: int
    n_audio_ctx: int
    n_audio_state: int
    n_audio_head: int
    n_audio_layer: int
    n_vocab: int
    n_text_ctx: int
    n_text_state: int
    n_text_head: int
    n_text_layer: int

    def __post_init__(self) -> None:
        """Raise CheckpointError for sizes that no model can have."""
        for field in fields(self):
            value = getattr(self, field.name)
            if not isinstance(value, int) or value < 1:
                raise CheckpointError(f"{field.name}: got {value!r}, expected a positive whole number")
        for part, width, heads in (
            ("audio", self.n_audio_state, self.n_audio_head),
            ("text", self.n_text_state, self.n_text_head),
        ):
            if width % heads:
                raise CheckpointError(f"n_{part}_state: got {width}, expected a multiple of n_{part}_head = {heads}")


def _dimensions(
    width: int, layers: int, *, n_vocab: int, n_mels: int = 80, text_layers: int | None = None
) -> ModelDimensions:
    heads = width // 64  # every published size has heads of width 64
    return ModelDimensions(n_mels, 1500, width, heads, layers, n_vocab, 448, width, heads, text_layers or layers)


# Whisper paper, Table 1, and the later releases.
PRESETS: dict[str, ModelDimensions] = {
    "tiny.en": _dimensions(384, 4, n_vocab=51864),
    "tiny": _dimensions(384, 4, n_vocab=51865),
    "base.en": _dimensions(512, 6, n_vocab=51864),
    "base": _dimensions(512, 6, n_vocab=51865),
    "small.en": _dimensions(768, 12, n_vocab=51864),
    "small": _dimensions(768, 12, n_vocab=51865),
    "medium.en": _dimensions(1024, 24, n_vocab=51864),
    "medium": _dimensions(1024, 24, n_vocab=51865),
    "large-v1": _dimensions(1280, 32, n_vocab=51865),
    "large-v2": _dimensions(1280, 32, n_vocab=51865),
    "large-v3": _dimensions(1280, 32, n_vocab=51866, n_mels=128),
    "large-v3-turbo": _dimensions(1280, 32, n_vocab=51866, n_mels=128, text_layers=4),
}


class DecoderMemory(Protocol):
    """What the decoder's attention looks at: who may see what is decided here, not in the model."""

    def attend_past(self, layer: int, query_MC: Tensor, key_MC: Tensor, value_MC: Tensor) -> Tensor:
        """Remember the new keys and values, and let each token look at its own past; (M, C)."""

    def attend_audio(self, layer: int, query_MC: Tensor) -> Tensor:
        """Let each token look at its window's audio; (M, C)."""


def sinusoids(length: int, channels: int, max_timescale: float = 10_000.0) -> Tensor:
    """(length, channels) float32: sines, then cosines, of geometrically spaced timescales."""
    log_increment = torch.log(torch.tensor(max_timescale)) / (channels // 2 - 1)
    inverse_timescales = torch.exp(-log_increment * torch.arange(channels // 2))
    angles = torch.arange(length)[:, None] * inverse_timescales[None]
    return torch.cat([angles.sin(), angles.cos()], dim=1)


class MultiHeadAttention(nn.Module):
    """Scaled dot-product attention; the key projection has no bias."""

    def __init__(self, n_state: int, n_head: int) -> None:
        super().__init__()
        self.n_head = n_head
        self.query = nn.Linear(n_state, n_state)
        self.key = nn.Linear(n_state, n_state, bias=False)
        self.value = nn.Linear(n_state, n_state)
        self.out = nn.Linear(n_state, n_state)

    def split_heads(self, x_BTC: Tensor) -> Tensor:
        """(B, T, C) → (B, H, T, D)."""
        return x_BTC.view(*x_BTC.shape[:2], self.n_head, -1).transpose(1, 2)

    def project_keys_values(self, x_BTC: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values of ``x``, each (B, H, T, D)."""
        return self.split_heads(self.key(x_BTC)), self.split_heads(self.value(x_BTC))

    def attend(self, x_BTC: Tensor, k_BHSD: Tensor, v_BHSD: Tensor) -> Tensor:
        """Let ``x`` look at the keys; (B, T, C)."""
        q_BHTD = self.split_heads(self.query(x_BTC))
        attended_BHTD = F.scaled_dot_product_attention(q_BHTD, k_BHSD, v_BHSD)
        mixed: Tensor = self.out(attended_BHTD.transpose(1, 2).flatten(2))
        return mixed


def _mlp(n_state: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(n_state, 4 * n_state), nn.GELU(), nn.Linear(4 * n_state, n_state))


class EncoderBlock(nn.Module):
    """Pre-norm self-attention and feed-forward."""

    def __init__(self, n_state: int, n_head: int) -> None:
        super().__init__()
        self.attn = MultiHeadAttention(n_state, n_head)
        self.attn_ln = nn.LayerNorm(n_state)
        self.mlp = _mlp(n_state)
        self.mlp_ln = nn.LayerNorm(n_state)

    def forward(self, x_BSC: Tensor) -> Tensor:
        """(B, S, C) → (B, S, C)."""
        normed = self.attn_ln(x_BSC)
        x_BSC = x_BSC + self.attn.attend(normed, *self.attn.project_keys_values(normed))
        out: Tensor = x_BSC + self.mlp(self.mlp_ln(x_BSC))
        return out


class DecoderBlock(nn.Module):
    """Pre-norm causal self-attention, cross-attention and feed-forward."""

    def __init__(self, n_state: int, n_head: int) -> None:
        super().__init__()
        self.attn = MultiHeadAttention(n_state, n_head)
        self.attn_ln = nn.LayerNorm(n_state)
        self.cross_attn = MultiHeadAttention(n_state, n_head)
        self.cross_attn_ln = nn.LayerNorm(n_state)
        self.mlp = _mlp(n_state)
        self.mlp_ln = nn.LayerNorm(n_state)

    def forward(self, x_MC: Tensor, layer: int, memory: DecoderMemory) -> Tensor:
        """(M, C) → (M, C)."""
        normed = self.attn_ln(x_MC)
        past = memory.attend_past(layer, self.attn.query(normed), self.attn.key(normed), self.attn.value(normed))
        x_MC = x_MC + self.attn.out(past)
        heard = memory.attend_audio(layer, self.cross_attn.query(self.cross_attn_ln(x_MC)))
        x_MC = x_MC + self.cross_attn.out(heard)
        out: Tensor = x_MC + self.mlp(self.mlp_ln(x_MC))
        return out


class AudioEncoder(nn.Module):
    """Log-Mel → audio features."""

    positional_embedding: Tensor

    def __init__(self, dims: ModelDimensions) -> None:
        super().__init__()
        n_state = dims.n_audio_state
        self.conv1 = nn.Conv1d(dims.n_mels, n_state, kernel_size=3, padding=1)
        self.conv2 = nn.Conv1d(n_state, n_state, kernel_size=3, stride=2, padding=1)
        # Not a parameter of the checkpoint: files store it rounded, so it is recomputed in float32.
        positions = sinusoids(dims.n_audio_ctx, n_state)
        self.register_buffer("positional_embedding", positions, persistent=False)
        self.blocks = nn.ModuleList(EncoderBlock(n_state, dims.n_audio_head) for _ in range(dims.n_audio_layer))
        self.ln_post = nn.LayerNorm(n_state)

    def embed(self, mel: Tensor) -> Tensor:
        """(B, n_mels, 2 S) with S at most n_audio_ctx → (B, S, C), what the first block sees."""
        x = F.gelu(self.conv1(mel))
        x = F.gelu(self.conv2(x))
        x_BSC = x.transpose(1, 2)
        return x_BSC + self.positional_embedding[: x_BSC.shape[1]].to(x_BSC.dtype)

    def forward(self, mel: Tensor) -> Tensor:
        """(B, n_mels, 2 S) with S at most n_audio_ctx → (B, S, C)."""
        x_BSC = self.embed(mel)
        for block in self.blocks:
            x_BSC = block(x_BSC)
        out: Tensor = self.ln_post(x_BSC)
        return out


class TextDecoder(nn.Module):
    """Tokens and what they may look at → logits of the next token."""

    def __init__(self, dims: ModelDimensions) -> None:
        super().__init__()
        n_state = dims.n_text_state
        self.token_embedding = nn.Embedding(dims.n_vocab, n_state)
        self.positional_embedding = nn.Parameter(torch.empty(dims.n_text_ctx, n_state))
        self.blocks = nn.ModuleList(DecoderBlock(n_state, dims.n_text_head) for _ in range(dims.n_text_layer))
        self.ln = nn.LayerNorm(n_state)

    def project_audio(self, audio_features_BSC: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Each layer's keys and values of the audio, (B, H, S, D)."""
        return [block.cross_attn.project_keys_values(audio_features_BSC) for block in self._blocks()]

    def _blocks(self) -> list[DecoderBlock]:
        return [block for block in self.blocks if isinstance(block, DecoderBlock)]

    def embed(self, tokens_M: Tensor, positions_M: Tensor) -> Tensor:
        """(M,) tokens and their positions → (M, C), what the first block sees."""
        embedded: Tensor = self.token_embedding(tokens_M) + self.positional_embedding[positions_M]
        return embedded

    def forward(self, tokens_M: Tensor, positions_M: Tensor, memory: DecoderMemory) -> Tensor:
        """(M,) new tokens and their positions → (M, C) hidden states."""
        x_MC = self.embed(tokens_M, positions_M)
        for layer, block in enumerate(self.blocks):
            x_MC = block(x_MC, layer, memory)
        out: Tensor = self.ln(x_MC)
        return out

    def logits(self, hidden: Tensor) -> Tensor:
        """(M, C) hidden states → (M, V) float32 logits."""
        # As W xᵀ, with two columns at least: BLAS then streams the embedding once, where `linear` takes 3 to 8 times as
        # long for up to 5 rows (9.9 ms against 2.9 for one row of base; docs/results.md).
        columns = hidden if hidden.shape[0] > 1 else hidden.repeat(2, 1)  # not expand: BLAS takes no stride of 0
        logits_VM = self.token_embedding.weight @ columns.t()
        return logits_VM[:, : hidden.shape[0]].t().contiguous().float()


class Whisper(nn.Module):
    """Encoder and decoder of one checkpoint."""

    def __init__(self, dims: ModelDimensions) -> None:
        super().__init__()
        self.dims = dims
        self.encoder = AudioEncoder(dims)
        self.decoder = TextDecoder(dims)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.decoder.positional_embedding.device

    @property
    def dtype(self) -> torch.dtype:
        """What the weights are stored and computed in."""
        return self.decoder.positional_embedding.dtype
