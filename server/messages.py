"""What the API process and its worker process say to each other: frozen dataclasses, pickled over one pipe.

Knows nothing of HTTP and imports no torch: both sides import it.
"""

from dataclasses import dataclass
from pathlib import Path

from asr.errors import AuricleError
from asr.options import TranscribeOptions
from asr.transcript import LanguageDetection, Segment, Transcript

__all__ = [
    "Crashed",
    "DetectWork",
    "Detected",
    "Failed",
    "FromWorker",
    "Job",
    "LoadFailed",
    "ModelInfo",
    "Ready",
    "SegmentDecoded",
    "Shutdown",
    "ToWorker",
    "TranscribeWork",
    "Transcribed",
    "Work",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class TranscribeWork:
    """Transcribe or translate one file."""

    path: Path
    options: TranscribeOptions
    max_duration_s: float
    send_segments: bool
    """Report each segment as soon as it is decoded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectWork:
    """Name the language of one file."""

    path: Path
    max_duration_s: float
    languages: tuple[str, ...] = ()
    """Codes to choose among; empty: all."""
    language_threshold: float = 0.0
    """Below it no language is named."""


Work = TranscribeWork | DetectWork


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A piece of work with the number that its reports carry."""

    number: int
    work: Work


@dataclass(frozen=True, slots=True, kw_only=True)
class Shutdown:
    """Leave at once, whatever you are doing."""


ToWorker = Job | Shutdown


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelInfo:
    """The model that a worker serves."""

    name: str
    hash: str
    languages: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """The model is loaded."""

    model: ModelInfo


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadFailed:
    """The model cannot be loaded; the worker exits after saying so."""

    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentDecoded:
    """One segment of a job that asked for them."""

    number: int
    segment: Segment


@dataclass(frozen=True, slots=True, kw_only=True)
class Transcribed:
    """A transcription is done."""

    number: int
    transcript: Transcript


@dataclass(frozen=True, slots=True, kw_only=True)
class Detected:
    """A language detection is done."""

    number: int
    detection: LanguageDetection


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """A job was refused for a reason the caller can act on.

    Carries the class, not the exception: exceptions with keyword-only arguments do not survive pickling.
    """

    number: int
    kind: type[AuricleError]
    message: str
    param: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Crashed:
    """A job met an exception nobody foresaw; the worker lives on."""

    number: int
    traceback: str
    """For the log only."""


FromWorker = Ready | LoadFailed | SegmentDecoded | Transcribed | Detected | Failed | Crashed
