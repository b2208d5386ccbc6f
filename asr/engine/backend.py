"""What computes. The engine speaks to a model through ``Backend`` alone, and there are three of them.

A backend keeps what the model remembers: of a window its cross-attention cache (``EncodedWindow``, opaque to the
engine), of each row (a hypothesis) the keys and values of its tokens.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from numpy.typing import NDArray
from torch import Tensor

from asr.decoding.steps import Ahead, Candidate, Choice, Heard, Read
from asr.model import ModelDimensions

__all__ = ["AheadBackend", "Backend", "EncodedWindow", "Part"]

EncodedWindow = Any
"""What a backend keeps of a window's audio; let go of, it is free."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """New tokens of one window."""

    window: EncodedWindow
    rows: Sequence[int]
    """The backend's numbers of the window's rows, one for each list of tokens."""
    tokens: Sequence[Sequence[int]]
    position: int
    sources: Sequence[int] | None
    """The backend's number of the row that each row continues; None: its own."""
    wanted: Sequence[tuple[int, int]]
    """Whose logits: places among the rows, and among a row's new tokens."""


class Backend(Protocol):
    """A model with its memory."""

    @property
    def dims(self) -> ModelDimensions:
        """Of the model."""

    @property
    def device(self) -> torch.device:
        """Where Mel spectrograms are wanted."""

    @property
    def precision(self) -> str:
        """What it computes in: int8, float32, bfloat16 …"""

    @property
    def max_encoded(self) -> int:
        """Windows that are best encoded together."""

    def encode(self, mels: Sequence[Tensor]) -> list[EncodedWindow]:
        """Hear windows of one length: (n_mels, n) float32 each, see ``DecodeRequest``."""

    def take_rows(self, n: int) -> list[int]:
        """Numbers of ``n`` free rows."""

    def free_rows(self, rows: Sequence[int]) -> None:
        """Give rows back."""

    def extend(self, parts: Sequence[Part]) -> Any:
        """Run the decoder over the new tokens of all parts; logits (n_wanted, at least n_vocab) in their order."""

    def logits(self, logits: Any, place: int) -> NDArray[Any]:
        """One row of logits as it is, (n_vocab,) float32."""

    def choose(self, logits: Any, places: Sequence[int], choices: Sequence[Choice]) -> list[list[Candidate]]:
        """The next tokens after rows of logits, which may be changed; the likeliest first."""

    def read(self, window: EncodedWindow, asked: Read) -> Heard:
        """Run the decoder over a whole text and tell where it listened."""


@runtime_checkable
class AheadBackend(Backend, Protocol):
    """A backend that can go on by itself, so that nobody waits for it at each token."""

    def run_ahead(self, parts: Sequence[Part], asked: Sequence[Ahead]) -> list[list[Candidate]]:
        """Each part's next tokens, one at least and at most as many as it asked for; its rows take all but the last.

        Parts of one row and one new token each.
        """
