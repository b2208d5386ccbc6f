"""The result of a transcription, as plain frozen data. Knows no model and no output format."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from asr.tasks import Task

__all__ = ["LanguageDetection", "Segment", "Timing", "Transcript"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """A stretch of text between two predicted timestamps; start and end in seconds from the recording's start."""

    id: int
    """Position in the transcript, from 0."""
    seek: int
    """First frame (10 ms) of the window that the segment was decoded from."""
    start: float
    end: float
    text: str
    """As decoded: begins with a space where the language writes spaces."""
    tokens: tuple[int, ...]
    """Token ids, timestamps included."""
    temperature: float
    """The temperature of the attempt that was kept."""
    avg_logprob: float
    """Mean log-probability of the window's tokens, end token included."""
    compression_ratio: float
    """Bytes of the window's text over bytes after zlib."""
    no_speech_prob: float
    """Probability of ``<|nospeech|>`` at the window's first step."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LanguageDetection:
    """The most likely language and the probability of every language the model knows."""

    language: str
    language_probs: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """Where the time of one transcription went, in seconds of wall clock."""

    decode_audio: float = 0.0
    encode: float = 0.0
    """Log-Mel and encoder."""
    decode: float = 0.0
    """Language id and text decoding."""
    total: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Transcript:
    """Everything that is known about one recording after transcription."""

    task: Task
    language: str
    """Code; of the speech, also when translating."""
    language_probs: Mapping[str, float] = field(default_factory=dict)
    """Empty when the caller named the language."""
    duration: float
    """Length of the decoded audio, seconds."""
    segments: tuple[Segment, ...]
    warnings: tuple[str, ...] = ()
    """What was wrong with the audio but did not prevent a transcript."""
    timing: Timing = field(default_factory=Timing)

    @property
    def text(self) -> str:
        """The whole text."""
        return "".join(segment.text for segment in self.segments).strip()
