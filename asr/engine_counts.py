"""What an engine has done so far, for those who watch it. Plain numbers that only grow; imports nothing heavy."""

from dataclasses import dataclass, fields
from typing import Self

__all__ = ["EngineCounts"]


@dataclass(slots=True, kw_only=True)
class EngineCounts:
    """Since the engine was made."""

    steps: int = 0
    """Of the decoder, each for all windows that were under way."""
    step_s: float = 0.0
    window_steps: int = 0
    """Windows in all steps: divided by ``steps``, how many were decoded side by side."""
    windows: int = 0
    """That were begun, those heard a second time or for their language among them."""
    encode_s: float = 0.0
    heard_s: float = 0.0
    """Audio of the windows, in seconds."""
    padded_s: float = 0.0
    """What the encoder was given for it, padding included."""
    tokens: int = 0
    """In the answers."""

    def __add__(self, other: Self) -> Self:
        return type(self)(**{each.name: getattr(self, each.name) + getattr(other, each.name) for each in fields(self)})
