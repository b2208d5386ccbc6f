"""What a caller may ask of a transcription. In: plain values. Out: one validated, frozen object.

Shared by the library, the command line and the service; imports no torch. Knows nothing of tokens or models.
"""

import math
from dataclasses import dataclass
from enum import StrEnum

from asr.errors import InvalidOptionError
from asr.languages import to_language_code
from asr.tasks import Task

__all__ = [
    "DEFAULT_TEMPERATURES",
    "NON_SPEECH_SYMBOLS",
    "AudioContext",
    "Channels",
    "Plan",
    "Quantization",
    "TranscribeOptions",
]

DEFAULT_TEMPERATURES = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)  # Whisper 4.5: fall back in steps of 0.2
MAX_BEAM_SIZE = 32  # a beam of 32 holds 32 rows of cache a window; more has never measured better
MAX_BEST_OF = 32
MAX_HOTWORDS = 50
MAX_CLIPS = 1_000
NON_SPEECH_SYMBOLS = -1  # stands in ``suppress_tokens`` for the signs of what is not spoken, as in openai-whisper


class Quantization(StrEnum):
    """How weights and activations are computed with."""

    AUTO = "auto"
    """int8 where the processor has AVX-512 VNNI and the kernels are built."""
    INT8 = "int8"
    NONE = "none"


class Plan(StrEnum):
    """How a long recording is cut into windows."""

    SEQUENTIAL = "sequential"  # the paper's walk (4.5): the window moves to the last predicted timestamp
    PARALLEL = "parallel"  # cut at pauses into stretches near 30 s, each walked by itself, so that they batch
    HYBRID = "hybrid"  # parallel; then weak stretches are decoded again with their neighbours' text as context


class AudioContext(StrEnum):
    """How much the encoder hears of a window that is shorter than 30 s."""

    AUTO = "auto"  # the window and some silence; all 30 s where its text is doubtful (asr.audio_context)
    EXACT = "exact"  # always padded to 30 s, as the model was trained
    FIT = "fit"  # the window alone, by a model that was trained for it; all 30 s where its text is doubtful


class Channels(StrEnum):
    """What becomes of a recording's channels."""

    MIX = "mix"  # their mean is transcribed
    SPLIT = "split"  # each is transcribed apart, and the segments are merged by time: telephone calls


@dataclass(frozen=True, slots=True, kw_only=True)
class TranscribeOptions:
    """Options of one transcription; every field has a default chosen by measurement (docs/results.md).

    Raises InvalidOptionError, naming the field, when a value is out of range.
    """

    task: Task = Task.TRANSCRIBE
    """Transcribe, or translate into English."""
    language: str | None = None
    """Code or English name ("de", "German"); None: detected, by a vote over several windows."""
    languages: tuple[str, ...] = ()
    """The languages that detection may choose among, as codes or English names; empty: all the model knows."""
    language_threshold: float = 0.5
    """A detection whose best language is less probable than this abstains: a stretch is decoded in the language of
    most of the recording, and where that is uncertain the transcript has a warning."""
    timestamps: bool = True
    """Let the model predict segment times; without them the text of each 30 s window is one segment."""
    word_timestamps: bool = False
    """Place each word in time, with its probability."""
    prompt: str = ""
    """Text that the first window is told came before it: names, spelling, style."""
    carry_prompt: bool = False
    """Tell every window the prompt, not only the first."""
    hotwords: tuple[str, ...] = ()
    """Names and terms that every window is told; past about ten they crowd out the context."""
    clip_timestamps: tuple[tuple[float, float | None], ...] = ()
    """Stretches to transcribe, as (start, end) in seconds, in order; an end of None is the recording's; empty: all."""
    channels: Channels = Channels.MIX
    """Transcribe the mean of the channels, or each channel apart."""
    vad: bool = True
    """Leave out stretches in which nobody speaks (voice activity detection); False: decode everything."""
    vad_threshold: float = 0.5
    """Probability of speech above which a 32 ms frame counts as speech."""
    suppress_tokens: tuple[int, ...] = (NON_SPEECH_SYMBOLS,)
    """Token ids that never appear; -1 stands for the signs that captions use for what is not spoken."""
    beam_size: int = 5
    """Beams at temperature 0; 1 is greedy."""
    patience: float = 1.0
    """Beam search waits for ``round(beam_size * patience)`` finished hypotheses (arXiv:2204.05424)."""
    length_penalty: float | None = None
    """None: rank by average log-probability; else the exponent of GNMT's length penalty, 0 to 1."""
    best_of: int = 5
    """Samples drawn at temperatures above 0, of which the best is kept."""
    temperatures: tuple[float, ...] = DEFAULT_TEMPERATURES
    """Tried in order until a window passes the thresholds."""
    seed: int | None = None
    """Makes sampling reproducible; None draws anew each time."""
    compression_ratio_threshold: float | None = 2.4
    """Text that zlib compresses better than this is a loop: try the next temperature."""
    logprob_threshold: float | None = -1.0
    """An average log-probability below this is a failure: try the next temperature."""
    no_speech_threshold: float | None = 0.6
    """A no-speech probability above this, with a log-probability below its threshold, is silence."""
    condition_on_previous_text: bool = True
    """Give each window the text of the one before as context, while its temperature is below 0.5."""
    max_initial_timestamp_s: float = 1.0
    """The first timestamp of a window is at most this."""
    plan: Plan = Plan.HYBRID
    """How a long recording is walked."""
    context: AudioContext = AudioContext.AUTO
    """How much the encoder hears of a window that is shorter than 30 s."""

    def __post_init__(self) -> None:
        """Validate, and put the language into its code."""
        if self.language is not None:
            object.__setattr__(self, "language", to_language_code(self.language))
        object.__setattr__(self, "languages", tuple(to_language_code(language) for language in self.languages))
        _check_range("language_threshold", self.language_threshold, 0, 1)
        _check_range("vad_threshold", self.vad_threshold, 0.01, 0.99)
        _check_range("beam_size", self.beam_size, 1, MAX_BEAM_SIZE)
        _check_range("best_of", self.best_of, 1, MAX_BEST_OF)
        _check_range("patience", self.patience, 0.1, 10)
        _check_range("length_penalty", self.length_penalty, 0, 1)
        _check_range("no_speech_threshold", self.no_speech_threshold, 0, 1)
        _check_range("compression_ratio_threshold", self.compression_ratio_threshold, 0, math.inf)
        _check_range("logprob_threshold", self.logprob_threshold, -math.inf, 0)
        _check_range("max_initial_timestamp_s", self.max_initial_timestamp_s, 0, 30)
        _check_range("seed", self.seed, 0, 2**63 - 1)
        self._check_languages()
        self._check_words_and_tokens()
        _check_clips(self.clip_timestamps)
        if not self.temperatures:
            raise InvalidOptionError(
                "temperature: got an empty list, expected at least one number", param="temperature"
            )
        for temperature in self.temperatures:
            _check_range("temperature", temperature, 0, 2)
        if round(self.beam_size * self.patience) < 1:
            message = f"patience: got {self.patience} with beam_size {self.beam_size}, which waits for no hypothesis"
            raise InvalidOptionError(message, param="patience")

    def _check_languages(self) -> None:
        if self.language is not None and self.languages and self.language not in self.languages:
            message = f"language: got {self.language!r}, which is not among languages {', '.join(self.languages)}"
            raise InvalidOptionError(message, param="language")

    def _check_words_and_tokens(self) -> None:
        if self.word_timestamps and not self.timestamps:
            message = "word_timestamps: needs timestamps, which were turned off"
            raise InvalidOptionError(message, param="word_timestamps")
        if self.carry_prompt and not self.prompt.strip():
            raise InvalidOptionError("carry_prompt: needs a prompt to carry", param="carry_prompt")
        if len(self.hotwords) > MAX_HOTWORDS:
            message = f"hotwords: got {len(self.hotwords)}, expected at most {MAX_HOTWORDS}"
            raise InvalidOptionError(message, param="hotwords")
        if any(not word.strip() for word in self.hotwords):
            raise InvalidOptionError("hotwords: got an empty one, expected words", param="hotwords")
        if any(token < NON_SPEECH_SYMBOLS for token in self.suppress_tokens):
            message = f"suppress_tokens: got {min(self.suppress_tokens)}, expected token ids, or -1"
            raise InvalidOptionError(message, param="suppress_tokens")


def _check_clips(clips: tuple[tuple[float, float | None], ...]) -> None:
    if len(clips) > MAX_CLIPS:
        message = f"clip_timestamps: got {len(clips)} stretches, expected at most {MAX_CLIPS}"
        raise InvalidOptionError(message, param="clip_timestamps")
    reached = 0.0
    for place, (start, end) in enumerate(clips, start=1):
        if end is None and place < len(clips):
            message = f"clip_timestamps: stretch {place} has no end, which only the last one may leave out"
            raise InvalidOptionError(message, param="clip_timestamps")
        stop = math.inf if end is None else end
        if not (math.isfinite(start) and reached <= start < stop) or (end is not None and not math.isfinite(end)):
            message = f"clip_timestamps: got {start:g} to {stop:g} s, expected start < end, from {reached:g} s on"
            raise InvalidOptionError(message, param="clip_timestamps")
        reached = stop


def _check_range(param: str, value: float | None, low: float, high: float) -> None:
    # `not low <= value` refuses NaN too.
    if value is not None and not low <= value <= high:
        expected = " to ".join(str(bound) if isinstance(bound, int) else f"{bound:g}" for bound in (low, high))
        raise InvalidOptionError(f"{param}: got {value}, expected {expected}", param=param)
