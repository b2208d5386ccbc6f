"""Memory of fixed address and shape: what a captured graph can be replayed over. In: rows, windows. Out: attention.

Windows under way lie in slots, so that all of them are listened to at once; rows keep their places in ``RowMemory``.
Knows no text and no search.

Shapes: L layers, W slots of a step, B rows of each, M = W B, S audio positions, T text positions, C model width,
H heads, D = C / H.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 (the name that every torch code base uses)

from asr.engine.torch_memory import RowMemory, TorchWindow
from asr.model import ModelDimensions

__all__ = ["Places", "StaticMemory", "StepMemory", "StepShape", "WindowSlots"]

SLOTS_STEP = 8  # slots are added so many at a time: as many as the engine has windows under way


class WindowSlots:
    """Keys and values of the audio of windows under way, (L, 2, slots, H, S, D), S always that of 30 s."""

    def __init__(self, dims: ModelDimensions, *, device: torch.device, dtype: torch.dtype) -> None:
        head = dims.n_text_state // dims.n_text_head
        self._shape = (dims.n_text_layer, 2, SLOTS_STEP, dims.n_text_head, dims.n_audio_ctx, head)
        self._like = torch.empty(0, device=device, dtype=dtype)
        self.memory = self._like.new_zeros(0)
        self._windows: list[TorchWindow | None] = []
        self._owners: list[int | None] = []

    def __len__(self) -> int:
        return len(self._owners)

    def hold(self, row: int, window: TorchWindow) -> int:
        """The slot of the window that a row belongs to, which is copied there once."""
        if row not in self._owners:
            if None not in self._owners:
                self._grow()
            self._owners[self._owners.index(None)] = row
        slot = self._owners.index(row)
        if self._windows[slot] is not window:
            self._copy(slot, window)
        return slot

    def release(self, rows: Sequence[int]) -> None:
        """Forget the windows that these rows belonged to."""
        for slot, owner in enumerate(self._owners):
            if owner in rows:
                self._owners[slot] = self._windows[slot] = None

    def _copy(self, slot: int, window: TorchWindow) -> None:
        self._windows[slot] = window
        for layer, pair in enumerate(window.layers):
            for kept_HSD, heard_1HSD in zip(self.memory[layer, :, slot], pair, strict=True):
                kept_HSD[:, : heard_1HSD.shape[2]] = heard_1HSD[0]
        # Masked, but a number: what a window before it left here may be none.
        self.memory[:, :, slot, :, window.layers[0][0].shape[2] :] = 0

    def _grow(self) -> None:
        more = self._like.new_zeros(self._shape)
        self.memory = torch.cat([self.memory, more], dim=2) if len(self) else more
        self._owners += [None] * SLOTS_STEP
        self._windows += [None] * SLOTS_STEP


@dataclass(frozen=True, slots=True, kw_only=True)
class StepShape:
    """What a step is made for: each of its own shape, and on a GPU captured once."""

    n_slots: int
    """The first W."""
    n_rows: int
    """Of each slot, B."""
    n_text: int
    """Positions that rows may look back at, T."""
    has_short_audio: bool
    """Whether a window is shorter than 30 s: only then is there a mask, which flash attention does without."""
    chooses: bool
    """Whether the next tokens are chosen, and taken as the new ones of the next step."""


@dataclass(frozen=True, slots=True)
class Places:
    """Where each row of a step is, (M,) each, in the order of the slots."""

    position: Tensor
    """Of its new token."""
    row: Tensor
    source: Tensor
    """The row that it continues."""
    n_audio: Tensor
    """Positions of its window's audio."""


class StaticMemory:
    """Rows, windows, and a ``spare`` row that stands for those of a step that are not in use.

    Its first position is never written: it is what rows see, masked, behind their own past.
    """

    def __init__(self, rows: RowMemory, slots: WindowSlots) -> None:
        self.rows = rows
        self.slots = slots
        [self.spare] = rows.take(1)
        for memory_RTC in (*rows.keys, *rows.values):
            memory_RTC[self.spare] = 0
        rows.ancestors[self.spare] = self.spare

    @property
    def sizes(self) -> tuple[int, int]:
        """What has grown has moved: other sizes, other addresses."""
        return len(self.rows.ancestors), len(self.slots)


class StepMemory:
    """One new token in each row of some slots, by tensor operations of fixed shape alone. See DecoderMemory.

    ``places`` may hold other numbers at each call.
    """

    def __init__(self, memory: StaticMemory, places: Places, shape: StepShape) -> None:
        self._rows = memory.rows
        self._slots = memory.slots
        self._spare = memory.spare
        self._places = places
        self._shape = shape
        self._n_head = memory.slots.memory.shape[3]
        self._is_heard_W1BS: Tensor | None = None

    def begin(self) -> None:
        """Let rows go on from their sources; find where their pasts are, and what is theirs of the audio."""
        at, ancestors = self._places, self._rows.ancestors
        ancestors[at.row] = ancestors[at.source]
        ancestors[at.row, at.position] = at.row
        past_T = torch.arange(self._shape.n_text, device=ancestors.device)
        is_visible_MT = past_T <= at.position[:, None]
        n_text_ctx = ancestors.shape[1]
        held_MT = ancestors[at.row, : self._shape.n_text] * n_text_ctx + past_T
        self._cells = torch.where(is_visible_MT, held_MT, self._spare * n_text_ctx).flatten()
        self._own_cell_M = at.row * n_text_ctx + at.position
        self._is_visible_M11T = is_visible_MT[:, None, None]
        if self._shape.has_short_audio:
            heard_S = torch.arange(self._slots.memory.shape[4], device=ancestors.device)
            is_heard_MS = heard_S < at.n_audio[:, None]
            self._is_heard_W1BS = is_heard_MS.view(self._shape.n_slots, 1, self._shape.n_rows, -1)

    def attend_past(self, layer: int, query_MC: Tensor, key_MC: Tensor, value_MC: Tensor) -> Tensor:
        """See DecoderMemory."""
        q_MH1D, k_MHTD, v_MHTD = (
            self._heads(x, n) for x, n in (
                (query_MC, 1),
                (self._kept(self._rows.keys[layer], key_MC), self._shape.n_text),
                (self._kept(self._rows.values[layer], value_MC), self._shape.n_text),
            )
        )  # fmt: skip
        mixed_MH1D = F.scaled_dot_product_attention(q_MH1D, k_MHTD, v_MHTD, attn_mask=self._is_visible_M11T)
        return mixed_MH1D.flatten(1)

    def _kept(self, memory_RTC: Tensor, new_MC: Tensor) -> Tensor:
        """(M T, C) of all rows' pasts, the new one kept among them."""
        cells_NC = memory_RTC.flatten(0, 1)
        cells_NC[self._own_cell_M] = new_MC
        return cells_NC.index_select(0, self._cells)

    def attend_audio(self, layer: int, query_MC: Tensor) -> Tensor:
        """See DecoderMemory."""
        keys, values = self._slots.memory[layer, :, : self._shape.n_slots]
        # Audio has no order of its queries: the rows of a window read its keys and values once, together.
        q_WHBD = self._heads(query_MC, self._shape.n_rows)
        mixed_WHBD = F.scaled_dot_product_attention(q_WHBD, keys, values, attn_mask=self._is_heard_W1BS)
        return mixed_WHBD.transpose(1, 2).flatten(2).flatten(0, 1)

    def _heads(self, x_NC: Tensor, n_each: int) -> Tensor:
        """(W n, C) → (W, H, n, D)."""
        return x_NC.view(-1, n_each, self._n_head, x_NC.shape[1] // self._n_head).transpose(1, 2)
