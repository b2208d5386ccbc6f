"""The result of a transcription, as plain frozen data. Knows no model and no output format."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

from asr.tasks import Task

__all__ = [
    "Attempt",
    "LanguageDetection",
    "LanguageSpan",
    "Progress",
    "Quality",
    "Segment",
    "Suppressed",
    "Timing",
    "Transcript",
    "Word",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """One word with its punctuation, placed in time by the cross-attention; seconds from the recording's start."""

    word: str
    """As in the segment's text: begins with a space where the language writes spaces."""
    start: float
    end: float
    probability: float
    """Mean probability of the word's tokens."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One decoding of a window, kept or not."""

    temperature: float
    with_context: bool
    """Whether the window was told the text before it."""
    heard_s: float
    """What the encoder heard: the window and the silence it was padded with; 30 in all, or less (``context``)."""
    avg_logprob: float
    compression_ratio: float
    no_speech_prob: float
    rejected: tuple[str, ...] = ()
    """Why it was not good enough, in the words of ``Quality.flags``; empty when it passed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Quality:
    """The evidence for and against a segment; nothing in it changes the text."""

    flags: tuple[str, ...] = ()
    """What speaks against the text that was kept, see ``asr.quality``; empty: nothing."""
    attempts: tuple[Attempt, ...] = ()
    """Every decoding of the segment's window in order; the last one, or the best of them, was kept."""


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
    language: str = "en"
    """Code of the language that the window was decoded in."""
    words: tuple[Word, ...] = ()
    """In order; empty unless word times were asked for."""
    quality: Quality = field(default_factory=Quality)
    channel: int | None = None
    """The channel it was heard in, from 0, when channels are transcribed apart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Suppressed:
    """Text that was decoded and left out of the transcript, so that nobody has to guess what is missing."""

    start: float
    end: float
    text: str
    reason: str
    """One of ``asr.quality``'s reasons."""
    avg_logprob: float
    compression_ratio: float
    no_speech_prob: float
    channel: int | None = None

    @classmethod
    def of(cls, segment: Segment, reason: str, *, text: str | None = None) -> Self:
        """Of a segment, all of it or the part that ``text`` is."""
        return cls(
            start=segment.start,
            end=segment.end,
            text=(segment.text if text is None else text).strip(),
            reason=reason,
            avg_logprob=segment.avg_logprob,
            compression_ratio=segment.compression_ratio,
            no_speech_prob=segment.no_speech_prob,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class LanguageSpan:
    """A stretch of the recording in one language; seconds from its start."""

    start: float
    end: float
    language: str
    probability: float
    """Of the language, over the stretch."""
    channel: int | None = None
    """As of a segment."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LanguageDetection:
    """The most likely language and the probability of every language the model knows or was allowed."""

    language: str | None
    """Code; None: no language reaches the threshold."""
    language_probs: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a transcription is, in seconds of the recording."""

    done: float
    duration: float


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
    suppressed: tuple[Suppressed, ...] = ()
    """What was decoded and left out, in order of time."""
    languages: tuple[LanguageSpan, ...] = ()
    """Which language is spoken when; one span when it never changes, none where nobody speaks."""
    warnings: tuple[str, ...] = ()
    """What was wrong with the audio but did not prevent a transcript."""
    timing: Timing = field(default_factory=Timing)

    @property
    def text(self) -> str:
        """The whole text."""
        return "".join(segment.text for segment in self.segments).strip()
