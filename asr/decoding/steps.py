"""What a window asks of the decoder, and what it hears. One type per arrow between algorithm and machinery.

A window's algorithm (``asr.decoding.window``) knows neither model nor batch: it yields these requests, and whoever
drives it, answers. The drivers batch the requests of many windows.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

__all__ = ["Ahead", "Candidate", "Choice", "Extend", "Extended", "Heard", "Read", "RowRules"]

Candidate = tuple[int, float]
"""A token and its log-probability."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RowRules:
    """What the next token of a row must not be."""

    suppressed: tuple[int, ...] = ()
    ranges: tuple[tuple[int, int], ...] = ()
    """Forbidden ids, first to end; three at most."""
    timestamp_begin: int | None = None
    """From here on tokens are timestamps, and win where together they outweigh the best text token; None: no rule."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """How to choose the token after a row's last: the ``n_best`` likeliest, or a sample at a temperature."""

    row: int
    rules: RowRules
    n_best: int = 1
    temperature: float = 0.0
    draw: float | None = None
    """In [0, 1): where in the distribution the sample lies; None: the likeliest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ahead:
    """Leave to choose more tokens of a row than one: the likeliest each time, by rules that follow from the tokens."""

    n_tokens: int
    """That are wanted at most."""
    tokens: Sequence[int]
    """Of the row behind the prompt, one at least."""
    suppressed: tuple[int, ...]
    end: int
    """The end token, behind all text; what comes after it is not wanted, and may be said all the same."""
    timestamp_begin: int | None
    """From here on tokens are timestamps, under the rules of ``asr.decoding.rules``; None: no such rules."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Extend:
    """New tokens for the rows (hypotheses) of a window, and what to tell about them."""

    tokens: Sequence[Sequence[int]]
    """Of each row, the same number for all."""
    position: int
    """Of the first of them in the row."""
    sources: Sequence[int] | None = None
    """The old row that each row continues; None: its own."""
    choices: Sequence[Choice] = ()
    probes: Sequence[int] = ()
    """Places among the first row's new tokens whose logits are wanted as they are."""
    ahead: Ahead | None = None
    """Of a single row with one choice: that the answer may go further."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Extended:
    """The answer to ``Extend``."""

    candidates: list[list[Candidate]]
    """Of each choice, the likeliest first; of a sample, it alone."""
    logits: list[NDArray[Any]]
    """Of each probe, (n_vocab,) float32."""
    further: Sequence[list[list[Candidate]]] = ()
    """What ``candidates`` would be of the next steps, each of which took the token before; none without ``ahead``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """A whole text, prompt first, to be heard once more."""

    tokens: Sequence[int]
    first: int
    """The place of the token before the first that is to be placed."""
    n_positions: int
    """Of the window's audio (20 ms), padding left out."""
    vocabulary_end: int
    """Probabilities are among the tokens below."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """The answer to ``Read``: for each token behind ``first`` (T) where it was heard."""

    starts: Sequence[int]
    """(T,) positions (20 ms), never falling."""
    probabilities: Sequence[float]
    """(T,); of no use where the token is not below ``vocabulary_end``."""
