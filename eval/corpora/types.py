"""A corpus in memory, as every reader makes it: clips and what is known about them. Opens no file."""

from dataclasses import dataclass
from pathlib import Path

from asr.errors import UnsupportedLanguageError
from asr.languages import to_language_code
from eval.jobs import Job

__all__ = ["Corpus", "Part", "Utterance", "canonical_language"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One clip inside a recording that was joined of several; start and end in seconds from the recording's start."""

    id: str
    """Of the clip in its own corpus."""
    start: float
    end: float
    text: str
    language: str | None
    """Whisper's code; None: not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Utterance:
    """One clip and what is known about it."""

    id: str
    """Unique in its corpus."""
    path: Path
    """Where the audio is."""
    text: str | None
    """What is said; "": nothing; None: not known."""
    language: str | None
    """Whisper's code; a code it does not know is kept as written; None: nobody speaks, or not known."""
    duration: float | None
    """Seconds, as the corpus has it."""
    translation_en: str | None = None
    speaker: str | None = None
    dataset: str | None = None
    metric: str | None = None
    """"wer" or "cer" where the corpus says which it asks for."""
    kind: str | None = None
    """"short", "long", "noise" or "music"."""
    single_word: bool = False
    quality: str | None = None
    """A remark on the transcript, such as "doubtful"."""
    parts: tuple[Part, ...] = ()
    """Where in the recording which clip is spoken, in order; empty: the recording was not joined."""

    def reference(self, job: Job) -> str | None:
        """The text that the job's output is held against; None: there is none."""
        match job:
            case Job.TRANSCRIBE:
                return self.text
            case Job.TRANSLATE:
                return self.translation_en
            case Job.DETECT_LANGUAGE:
                return self.language


@dataclass(frozen=True, slots=True, kw_only=True)
class Corpus:
    """Clips, in the order of their corpus."""

    name: str
    """What the corpus calls itself, or its file with the folder it is in."""
    sha256: str
    """Digest of the bytes that list the clips and their texts."""
    utterances: tuple[Utterance, ...]


def canonical_language(language: str | None) -> str | None:
    """Whisper's code of a language code or English name; what Whisper does not know is kept as written."""
    if not language:
        return None
    try:
        return to_language_code(language)
    except UnsupportedLanguageError:
        return language  # the target refuses it, and that is this clip's result
