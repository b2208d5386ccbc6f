"""What decoding takes and gives. Strategies are a sum type, so that no combination of fields is invalid."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from torch import Tensor

from asr.options import NON_SPEECH_SYMBOLS
from asr.prompt import TaskPrompt

__all__ = [
    "BeamSearch",
    "DecodeRequest",
    "DecodingOptions",
    "DecodingResult",
    "Greedy",
    "Sampling",
    "Strategy",
    "TokenTime",
    "WindowDecoder",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Greedy:
    """The most likely token at each step."""

    width = 1
    """Rows (hypotheses) that one window takes in a batch."""
    temperature = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """``best_of`` independent samples, of which the best ranked is kept."""

    temperature: float
    best_of: int = 1
    seed: int | None = None
    """None: a new one each time. The samples depend on the seed alone, not on the company in the batch."""
    length_penalty: float | None = None

    @property
    def width(self) -> int:
        """Rows that one window takes in a batch."""
        return self.best_of


@dataclass(frozen=True, slots=True, kw_only=True)
class BeamSearch:
    """Beam search that waits for ``round(beam_size * patience)`` finished hypotheses (arXiv:2204.05424)."""

    beam_size: int = 5
    patience: float = 1.0
    length_penalty: float | None = None
    """None: rank by average log-probability; else the exponent of GNMT's length penalty (arXiv:1609.08144, eq. 14)."""
    temperature = 0.0

    @property
    def width(self) -> int:
        """Rows that one window takes in a batch."""
        return self.beam_size

    @property
    def max_candidates(self) -> int:
        """Finished hypotheses after which the search ends."""
        return round(self.beam_size * self.patience)


Strategy = Greedy | Sampling | BeamSearch


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodingOptions:
    """How one window is decoded."""

    strategy: Strategy = field(default_factory=Greedy)
    max_initial_timestamp_s: float = 1.0
    """The first timestamp is at most this (Whisper 4.5)."""
    suppress_tokens: tuple[int, ...] = (NON_SPEECH_SYMBOLS,)
    """Token ids that never appear; -1 stands for the signs that captions use for what is not spoken."""
    max_tokens: int | None = None
    """Tokens after which decoding stops; None: half of the text context (224)."""
    token_times: bool = False
    """Place each text token in time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodeRequest:
    """One window of at most 30 s."""

    mel: Tensor
    """(n_mels, n) float32 with an even n of at most 3,000: what the encoder hears, padding included.

    The reference pads every window with zeros to 3,000 frames (``pad_or_trim``). The encoded window is remembered as
    long as this tensor lives: asking again at another temperature encodes nothing.
    """
    prompt: TaskPrompt
    options: DecodingOptions
    n_frames: int | None = None
    """Of the frames, those that are not padding; None: all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenTime:
    """Where one text token was heard; seconds from the window's start."""

    start: float
    end: float
    probability: float
    """Of the token among all text tokens, given the text before it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodingResult:
    """What one window says."""

    tokens: tuple[int, ...]
    """After the prompt, timestamps included, end token left out."""
    text: str
    language: str
    language_probs: Mapping[str, float]
    """Empty when the request named the language."""
    avg_logprob: float
    """Sum of log-probabilities over number of tokens, the end token counted."""
    no_speech_prob: float
    """Of ``<|nospeech|>`` right after ``<|startoftranscript|>``."""
    compression_ratio: float
    """Bytes of the text over bytes after zlib; loops compress well."""
    temperature: float
    token_times: tuple[TokenTime, ...] = ()
    """One for each text token (not timestamp) of ``tokens``, in order; empty unless asked for."""


class WindowDecoder(Protocol):
    """The seam between algorithm (long-form sessions) and machinery (models, batching)."""

    def decode(self, requests: Sequence[DecodeRequest]) -> list[DecodingResult]:
        """Decode windows together; each result depends on its own request alone."""
