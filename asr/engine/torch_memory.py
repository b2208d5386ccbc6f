"""What rows and windows remember, in torch tensors. Out: attention over it. Knows no text and no search.

Shapes: M new tokens, R rows, N new tokens of each row, T text positions, S audio positions, C model width, H heads,
D = C / H.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 (the name that every torch code base uses)

from asr.engine.backend import Part
from asr.model import ModelDimensions

__all__ = ["Listener", "PartMemory", "RowMemory", "TorchWindow"]

ROWS_STEP = 8  # rows are added so many at a time


@dataclass(slots=True)
class TorchWindow:
    """Keys and values of a window's audio, one (1, H, S, D) pair a layer."""

    layers: list[tuple[Tensor, Tensor]]


class RowMemory:
    """Keys and values of every row's tokens, (R, T, C) a layer.

    Beams share their pasts: ``ancestors`` (R, T) names for every position the row that holds it, so that reordering
    beams moves no key.
    """

    def __init__(self, dims: ModelDimensions, *, device: torch.device, dtype: torch.dtype) -> None:
        self._dims = dims
        self._like = torch.empty(0, device=device, dtype=dtype)
        self.keys: list[Tensor] = []
        self.values: list[Tensor] = []
        self.ancestors = torch.zeros(0, dims.n_text_ctx, dtype=torch.long, device=device)
        self._free: list[int] = []

    def take(self, n: int) -> list[int]:
        """Numbers of ``n`` free rows."""
        while len(self._free) < n:
            self._grow()
        rows, self._free = self._free[:n], self._free[n:]
        return rows

    def free(self, rows: Sequence[int]) -> None:
        """Give rows back."""
        self._free = sorted([*self._free, *rows])

    def _grow(self) -> None:
        dims, n_rows = self._dims, len(self.ancestors)
        more = [
            self._like.new_empty(ROWS_STEP, dims.n_text_ctx, dims.n_text_state) for _ in range(2 * dims.n_text_layer)
        ]
        old = [*self.keys, *self.values] or [self._like.new_empty(0, dims.n_text_ctx, dims.n_text_state)] * len(more)
        grown = [torch.cat(pair) for pair in zip(old, more, strict=True)]
        self.keys, self.values = grown[: dims.n_text_layer], grown[dims.n_text_layer :]
        self.ancestors = torch.cat([self.ancestors, self.ancestors.new_zeros(ROWS_STEP, dims.n_text_ctx)])
        self._free += range(n_rows, n_rows + ROWS_STEP)

    def continue_rows(self, part: Part) -> None:
        """Let the rows of a part go on from their sources, and own their new tokens."""
        rows = torch.tensor(part.rows, device=self.ancestors.device)
        if part.sources is not None:
            sources = torch.tensor(part.sources, device=self.ancestors.device)
            self.ancestors[rows, : part.position] = self.ancestors[sources, : part.position]
        self.ancestors[rows, part.position : part.position + len(part.tokens[0])] = rows[:, None]


class Listener:
    """Keeps where heads look in the audio: softmax over S, in float32 whatever the model computes in."""

    def __init__(self, heads: Sequence[tuple[int, int]]) -> None:
        self._heads = heads
        self._weights: dict[tuple[int, int], Tensor] = {}

    def hear(self, layer: int, query_HTD: Tensor, key_HSD: Tensor) -> None:
        """Look at one layer."""
        for place in self._heads:
            if place[0] == layer:
                query, key = query_HTD[place[1]].float(), key_HSD[place[1]].float()
                self._weights[place] = (query @ key.t() / query.shape[-1] ** 0.5).softmax(dim=-1).cpu()

    def weights(self) -> Tensor:
        """(heads, T, S)."""
        return torch.stack([self._weights[place] for place in self._heads])


@dataclass(slots=True)
class _RowGroup:
    """Rows with as many new tokens each, which look at their pasts together."""

    places_RN: Tensor
    """Of their new tokens, among all M."""
    holders_RT: Tensor
    """The row that holds each position of their pasts."""
    is_visible_R1NT: Tensor


class PartMemory:
    """The memory of one call: parts of windows, each with as many new tokens in all its rows. See DecoderMemory."""

    def __init__(self, rows: RowMemory, parts: Sequence[Part], n_head: int, listener: Listener | None = None) -> None:
        self._rows = rows
        self._parts = parts
        self._n_head = n_head
        self._listener = listener
        device = rows.ancestors.device
        n_new = [len(part.tokens[0]) for part in parts]
        self._row_M = torch.tensor(
            [row for part, n in zip(parts, n_new, strict=True) for row in part.rows for _ in range(n)], device=device
        )
        self.positions_M = torch.tensor(
            [part.position + t for part, n in zip(parts, n_new, strict=True) for _ in part.rows for t in range(n)],
            device=device,
        )
        members: defaultdict[int, list[int]] = defaultdict(list)  # by number of new tokens: where each row's begin
        first = 0
        for part, n in zip(parts, n_new, strict=True):
            members[n] += range(first, first + len(part.rows) * n, n)
            first += len(part.rows) * n
        self._groups = [self._group(torch.tensor(firsts, device=device), n) for n, firsts in members.items()]

    def _group(self, firsts_R: Tensor, n_new: int) -> _RowGroup:
        places_RN = firsts_R[:, None] + torch.arange(n_new, device=firsts_R.device)
        positions_RN = self.positions_M[places_RN]
        past = torch.arange(int(positions_RN.max()) + 1, device=firsts_R.device)
        return _RowGroup(
            places_RN=places_RN,
            holders_RT=self._rows.ancestors[self._row_M[firsts_R], : len(past)],
            is_visible_R1NT=(past <= positions_RN[..., None])[:, None],
        )

    def attend_past(self, layer: int, query_MC: Tensor, key_MC: Tensor, value_MC: Tensor) -> Tensor:
        """See DecoderMemory."""
        keys, values = self._rows.keys[layer], self._rows.values[layer]
        keys[self._row_M, self.positions_M] = key_MC
        values[self._row_M, self.positions_M] = value_MC
        attended_MC = torch.empty_like(query_MC)
        for group in self._groups:
            past = torch.arange(group.holders_RT.shape[1], device=query_MC.device)
            # Beyond its own past a row's ancestors are of no meaning; what is there is masked, but must be a number.
            is_empty_RT1 = ~group.is_visible_R1NT[:, 0, -1, :, None]
            k_RHTD = self._heads(keys[group.holders_RT, past].masked_fill(is_empty_RT1, 0))
            v_RHTD = self._heads(values[group.holders_RT, past].masked_fill(is_empty_RT1, 0))
            q_RHND = self._heads(query_MC[group.places_RN])
            mixed_RHND = F.scaled_dot_product_attention(q_RHND, k_RHTD, v_RHTD, attn_mask=group.is_visible_R1NT)
            attended_MC[group.places_RN] = mixed_RHND.transpose(1, 2).flatten(2)
        return attended_MC

    def attend_audio(self, layer: int, query_MC: Tensor) -> Tensor:
        """See DecoderMemory."""
        attended = []
        sizes = [len(part.rows) * len(part.tokens[0]) for part in self._parts]
        for part, query in zip(self._parts, torch.split(query_MC, sizes), strict=True):
            # Audio has no order of its queries: the rows of a window read its keys and values once, together.
            keys, values = part.window.layers[layer]
            q_1HTD = self._heads(query[None])
            if self._listener is not None:
                self._listener.hear(layer, q_1HTD[0], keys[0])
            attended.append(F.scaled_dot_product_attention(q_1HTD, keys, values)[0].transpose(0, 1).flatten(1))
        return torch.cat(attended)

    def _heads(self, x_BTC: Tensor) -> Tensor:
        """(B, T, C) → (B, H, T, D)."""
        return x_BTC.view(*x_BTC.shape[:2], self._n_head, -1).transpose(1, 2)
