"""What is evaluated, seen from outside. In: one audio file and its options. Out: ``Reply``, or ``ClipError``.

Knows no corpus, no reference and no file but the one it is given.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Protocol

from asr.options import TranscribeOptions
from asr.transcript import LanguageSpan, Suppressed, Word

__all__ = ["PhaseTimes", "Reply", "Target", "package_version"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseTimes:
    """Where the time of one transcription went, in seconds."""

    audio: float
    """File to samples."""
    encode: float
    """Samples to log-Mel to audio features."""
    decode: float
    """Audio features to text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What came back for one clip."""

    text: str
    language: str | None = None
    """As the target names it."""
    duration: float | None = None
    """Seconds of audio."""
    model_hash: str | None = None
    """Of the model that answered, where the target says it with each answer."""
    times: PhaseTimes | None = None
    """None where the target does not say."""
    words: tuple[Word, ...] | None = None
    """With their times, in order; None: not asked for, or the target has none."""
    languages: tuple[LanguageSpan, ...] = ()
    """Which language is spoken when, where the target says."""
    suppressed: tuple[Suppressed, ...] = ()
    """What was decoded and left out of the text, where the target says."""


class Target(Protocol):
    """Something that transcribes a file."""

    @property
    def n_parallel(self) -> int:
        """Files that it is asked for at a time, each by a thread of its own."""

    def describe(self) -> Mapping[str, Any]:
        """What identifies the target, for the run's configuration. Raises TargetUnavailableError."""

    def settings(self, options: TranscribeOptions) -> Mapping[str, Any]:
        """The options as the target will follow them, for the run's configuration.

        Raises TargetUnavailableError for one that the target cannot follow: nothing is dropped in silence.
        """

    def transcribe(self, path: Path, options: TranscribeOptions) -> Reply:
        """Transcribe or translate one file. Raises ClipError for this clip, TargetUnavailableError for all of them."""

    def detect_language(self, path: Path) -> Reply:
        """Name the language of the first 30 s; ``text`` is empty. Raises as ``transcribe`` does."""


def package_version(package: str) -> str | None:
    """The installed version; None for a checkout that is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None
