"""What a stream takes and gives, as plain frozen data. Knows no session, no model and no audio."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from asr.assembling import SAMPLE_RATE
from asr.errors import InvalidOptionError
from asr.languages import to_language_code
from asr.prompt import TaskPrompt
from asr.streaming.turns import PAD_S, SpeechStarted, SpeechStopped
from asr.tasks import Task
from asr.transcript import Word

__all__ = [
    "Final",
    "Hypothesis",
    "Partial",
    "StreamingEvent",
    "StreamingOptions",
    "StreamingWindow",
    "UtteranceEnded",
    "text_of",
]

MAX_STEP_S = 5.0
MAX_SETTLE_S = 5.0
MIN_WINDOW_S, MAX_WINDOW_S = 15.0, 30.0  # 30: what the model hears at once


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamingOptions:
    """Options of one stream. Raises InvalidOptionError, naming the field, when a value is out of range."""

    language: str | None = None
    """Code or English name; None: detected from the first speech, and kept."""
    task: Task = Task.TRANSCRIBE
    """Transcribe, or translate into English."""
    step_s: float = 1.0
    """New audio that a decoding waits for: less is faster and costs more."""
    settle_s: float = 2.0
    """An agreed sentence becomes final when so much sound after it was heard; a pause ends the wait."""
    max_pause_s: float = 0.8
    """A pause this long ends an utterance and makes all of it final."""
    max_window_s: float = 28.0
    """A window this long makes its older part final, agreed or not; from half of it on, windows move on."""
    prompt: str = ""
    """Text that the first window is told came before it: names, spelling, style."""
    hotwords: tuple[str, ...] = ()
    """Names and terms that every window is told; past about ten they crowd out the context."""
    vad: bool = True
    """Decode only where somebody speaks; the session is then told the probability of speech of each 32 ms."""
    vad_threshold: float = 0.5
    """Probability of speech above which a 32 ms frame counts as speech."""

    def __post_init__(self) -> None:
        """Validate, and put the language into its code."""
        if self.language is not None:
            object.__setattr__(self, "language", to_language_code(self.language))
        _check_range("step_s", self.step_s, 0.1, MAX_STEP_S)
        _check_range("settle_s", self.settle_s, 0, MAX_SETTLE_S)
        _check_range("max_pause_s", self.max_pause_s, PAD_S, 10)
        _check_range("max_window_s", self.max_window_s, MIN_WINDOW_S, MAX_WINDOW_S)
        _check_range("vad_threshold", self.vad_threshold, 0.01, 0.99)
        if any(not word.strip() for word in self.hotwords):
            raise InvalidOptionError("hotwords: got an empty one, expected words", param="hotwords")


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamingWindow:
    """What to decode next: samples ``start`` to ``end`` of the stream, told what ``prompt`` says."""

    start: int
    end: int
    prompt: TaskPrompt
    ends_utterance: bool = False
    """What it says becomes final as it is."""

    @property
    def offset(self) -> float:
        """Where the window starts, in seconds."""
        return self.start / SAMPLE_RATE


@dataclass(frozen=True, slots=True, kw_only=True)
class Hypothesis:
    """What one decoding of a window says."""

    words: tuple[Word, ...]
    """In order, in seconds from the stream's start, inside the window."""
    language: str
    language_probs: Mapping[str, float] = field(default_factory=dict)
    """Empty when the window named the language."""
    avg_logprob: float = 0.0
    no_speech_prob: float = 0.0
    compression_ratio: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Partial:
    """The text after the final one as it seems now; replaces the Partial before, as a Final does."""

    words: tuple[Word, ...]

    @property
    def text(self) -> str:
        """As decoded: begins with a space where the language writes spaces."""
        return text_of(self.words)


@dataclass(frozen=True, slots=True, kw_only=True)
class Final:
    """More text, which never changes again: the text of a stream is that of its Finals."""

    words: tuple[Word, ...]
    """At least one; times never go back."""

    @property
    def text(self) -> str:
        """As decoded: begins with a space where the language writes spaces."""
        return text_of(self.words)

    @property
    def start(self) -> float:
        """Of the first word."""
        return self.words[0].start

    @property
    def end(self) -> float:
        """Of the last word."""
        return self.words[-1].end


@dataclass(frozen=True, slots=True, kw_only=True)
class UtteranceEnded:
    """All that was said from ``start`` to ``end`` is final; follows the utterance's last Final."""

    start: float
    end: float


StreamingEvent = SpeechStarted | SpeechStopped | Partial | Final | UtteranceEnded


def text_of(words: Sequence[Word]) -> str:
    """The words as one text, as decoded."""
    return "".join(word.word for word in words)


def _check_range(param: str, value: float, low: float, high: float) -> None:
    # `not low <= value` refuses NaN too.
    if not low <= value <= high:
        raise InvalidOptionError(f"{param}: got {value}, expected {low:g} to {high:g}", param=param)
