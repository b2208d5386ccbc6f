"""What goes from stage to stage. A stage is ``Record -> Record | Drop``. Opens no file.

All times are seconds from the recording's start, unless a line says otherwise.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from asr.tasks import Task

__all__ = [
    "AudioPlace",
    "Blob",
    "Cue",
    "CutWindow",
    "Drop",
    "Item",
    "Origin",
    "Record",
    "SpokenLanguage",
    "Stage",
    "Window",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Drop:
    """Why something is left out: its value, and the limit that it did not keep."""

    reason: str
    value: str | float | int | None = None
    limit: str | float | int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Blob:
    """Bytes on disk: a file, or a member of a tar, which is read where it lies."""

    path: Path
    offset: int = 0
    size: int | None = None
    """None: to the file's end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioPlace:
    """A stretch of a recording."""

    blob: Blob
    start: float = 0.0
    duration: float | None = None
    """None: to its end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cue:
    """Text that is said from start to end."""

    start: float
    end: float
    text: str

    @property
    def duration(self) -> float:
        """Length in seconds; negative where a file says so."""
        return self.end - self.start

    @property
    def middle(self) -> float:
        """Where a word is counted."""
        return (self.start + self.end) / 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """What is known of everything in a source."""

    source: str
    """The source's name."""
    licence: str
    language: str | None = None
    """Whisper's code, where nothing closer says so."""

    def refuse(self, identity: str, drop: Drop) -> "Item":
        """The item of something that cannot be used."""
        return Item(id=identity, source=self.source, licence=self.licence, refused=drop)


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """What a source lists, before anything of it is opened."""

    id: str
    """Unique in the run: the source's name and a path in it."""
    source: str
    licence: str
    audio: AudioPlace | None = None
    captions: Blob | None = None
    format: str | None = None
    """Of the captions: vtt, srt, txt or json."""
    text: str | None = None
    """The caption where the listing itself has it, without times."""
    language: str | None = None
    """Whisper's code, as the source labels it."""
    refused: Drop | None = None
    """Why it cannot be opened, where the listing shows it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpokenLanguage:
    """What a model hears."""

    language: str
    probability: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A recording and its captions."""

    id: str
    source: str
    licence: str
    audio: AudioPlace
    audio_sha256: str
    """Of the decoded samples, so that another container is the same recording."""
    duration: float
    cues: tuple[Cue, ...]
    timed: bool
    """Whether the cues' times come from the captions; False: one cue over everything."""
    language: str | None = None
    """Whisper's code of the speech: at first the source's label, in the end what the language stage decides."""
    task: Task = Task.TRANSCRIBE
    """Translate: the speech is in ``language``, the text in English."""
    spoken: SpokenLanguage | None = None
    """None: no model was asked."""
    hypothesis: tuple[Cue, ...] | None = None
    """What a model makes of it, in words or segments; None: no model was asked."""

    @property
    def text(self) -> str:
        """All captions."""
        return " ".join(cue.text for cue in self.cues)


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A training example: at most 30 s of a record."""

    start: float
    end: float
    next_start: float
    """Where the next window begins; what is between ``start`` and there counts as this window's hours."""
    cues: tuple[Cue, ...] = ()
    """All of those that end in the window, in seconds of the record; empty: nobody speaks."""
    partial_start: float | None = None
    """Where a cue begins that ends beyond the window. With timestamps its start is the last token; without, the audio
    ends there (Whisper 2.1)."""
    previous_text: str = ""
    use_previous_text: bool = False
    use_timestamps: bool = False

    @property
    def text(self) -> str:
        """What is said in it."""
        return " ".join(cue.text for cue in self.cues)


@dataclass(frozen=True, slots=True, kw_only=True)
class CutWindow:
    """A stretch of a record of which no example is made."""

    start: float
    next_start: float
    drop: Drop


Stage = Callable[[Record], Record | Drop]
