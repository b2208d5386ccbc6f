"""Keys and values that decoding keeps between steps. In: new keys and values. Out: all so far. Knows no model.

Shapes: N rows (hypotheses), R windows, H heads, T text tokens so far, S audio positions, D head width.
Explicit objects that own their size, passed through the forward call.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["CrossAttentionCache", "DecoderCache", "SelfAttentionCache"]

GROWTH_TOKENS = 64  # capacity is added in steps of this many tokens, so that short answers stay small


class SelfAttentionCache:
    """Keys and values of the text tokens of every layer, each (N, H, capacity, D), grown as needed."""

    def __init__(self, n_layers: int) -> None:
        self._keys: list[Tensor | None] = [None] * n_layers
        self._values: list[Tensor | None] = [None] * n_layers
        self.n_tokens = 0
        """Tokens that every layer holds; ``advance`` raises it once a forward pass is through."""

    def append(self, layer: int, key_NHTD: Tensor, value_NHTD: Tensor) -> tuple[Tensor, Tensor]:
        """Store the new tokens' keys and values of ``layer``; return views of all tokens, the new ones included."""
        end = self.n_tokens + key_NHTD.shape[2]
        keys = self._with_room(self._keys[layer], key_NHTD, end)
        values = self._with_room(self._values[layer], value_NHTD, end)
        keys[:, :, self.n_tokens : end] = key_NHTD
        values[:, :, self.n_tokens : end] = value_NHTD
        self._keys[layer], self._values[layer] = keys, values
        return keys[:, :, :end], values[:, :, :end]

    def _with_room(self, buffer: Tensor | None, like: Tensor, end: int) -> Tensor:
        if buffer is not None and buffer.shape[2] >= end:
            return buffer
        n_rows, n_heads, _, width = like.shape
        capacity = -(-end // GROWTH_TOKENS) * GROWTH_TOKENS
        grown = like.new_empty(n_rows, n_heads, capacity, width)
        if buffer is not None:
            grown[:, :, : self.n_tokens] = buffer[:, :, : self.n_tokens]
        return grown

    def advance(self, n_tokens: int) -> None:
        """Count tokens that all layers have stored."""
        self.n_tokens += n_tokens

    def select_rows(self, rows: Tensor) -> None:
        """Keep, repeat or reorder rows: row i becomes old row ``rows[i]``."""
        for buffers in (self._keys, self._values):
            for layer, buffer in enumerate(buffers):
                if buffer is not None:
                    buffers[layer] = buffer.index_select(0, rows)


@dataclass(slots=True)
class CrossAttentionCache:
    """Keys and values of the audio features, one (R, H, S, D) pair a layer."""

    layers: list[tuple[Tensor, Tensor]]

    @property
    def n_windows(self) -> int:
        """R."""
        return self.layers[0][0].shape[0]

    def select_windows(self, windows: Tensor) -> None:
        """Keep or reorder windows."""
        self.layers = [(k.index_select(0, windows), v.index_select(0, windows)) for k, v in self.layers]


@dataclass(slots=True)
class DecoderCache:
    """All that one decoding batch remembers: N = R × width rows, the rows of a window side by side.

    ``n_padding`` (N,) counts the left padding of each row, so that prompts of unequal length share a batch: padded
    places are masked out of self-attention and positions count from the first real token.
    """

    cross: CrossAttentionCache
    self_attention: SelfAttentionCache
    n_padding: Tensor
    has_padding: bool

    def select(self, *, windows: Tensor | None, rows: Tensor) -> None:
        """Reorder rows, and windows where given."""
        self.self_attention.select_rows(rows)
        self.n_padding = self.n_padding[rows]
        if windows is not None:
            self.cross.select_windows(windows)

    def positions(self, n_new: int) -> Tensor:
        """(N, n_new) positions of the new tokens; 0 for padding."""
        start = self.self_attention.n_tokens
        steps = torch.arange(start, start + n_new, device=self.n_padding.device)
        return (steps[None] - self.n_padding[:, None]).clamp(min=0)

    def attention_mask(self, n_new: int) -> Tensor | None:
        """(N or 1, 1, n_new, T) boolean, True where a new token may look; None when it may look everywhere."""
        if n_new == 1 and not self.has_padding:
            return None
        n_total = self.self_attention.n_tokens + n_new
        device = self.n_padding.device
        keys = torch.arange(n_total, device=device)
        queries = torch.arange(n_total - n_new, n_total, device=device)
        causal = keys[None, None] <= queries[None, :, None]
        if not self.has_padding:
            return causal[:, None]
        visible = causal & (keys[None, None] >= self.n_padding[:, None, None])
        # A padding query sees itself, since a softmax over nothing is NaN; nobody ever looks at its result.
        return (visible | (keys[None, None] == queries[None, :, None]))[:, None]
