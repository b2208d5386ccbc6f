"""What a caller may ask of a transcription. In: plain values. Out: one validated, frozen object.

Shared by the library, the command line and the service; imports no torch. Knows nothing of tokens or models.
"""

import math
from dataclasses import dataclass
from enum import StrEnum

from asr.errors import InvalidOptionError
from asr.languages import to_language_code
from asr.tasks import Task

__all__ = ["DEFAULT_TEMPERATURES", "Plan", "TranscribeOptions"]

DEFAULT_TEMPERATURES = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)  # Whisper 4.5: fall back in steps of 0.2
MAX_BEAM_SIZE = 32  # a beam of 32 holds 32 rows of cache a window; more has never measured better
MAX_BEST_OF = 32


class Plan(StrEnum):
    """How a long recording is cut into windows."""

    SEQUENTIAL = "sequential"  # the paper's walk (4.5): the window moves to the last predicted timestamp


@dataclass(frozen=True, slots=True, kw_only=True)
class TranscribeOptions:
    """Options of one transcription; every field has a default chosen by measurement (docs/results.md).

    Raises InvalidOptionError, naming the field, when a value is out of range.
    """

    task: Task = Task.TRANSCRIBE
    """Transcribe, or translate into English."""
    language: str | None = None
    """Code or English name ("de", "German"); None: detected from the first window."""
    timestamps: bool = True
    """Let the model predict segment times; without them the text of each 30 s window is one segment."""
    prompt: str = ""
    """Text that the first window is told came before it: names, spelling, style."""
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
    plan: Plan = Plan.SEQUENTIAL
    """How a long recording is walked."""

    def __post_init__(self) -> None:
        """Validate, and put the language into its code."""
        if self.language is not None:
            object.__setattr__(self, "language", to_language_code(self.language))
        _check_range("beam_size", self.beam_size, 1, MAX_BEAM_SIZE)
        _check_range("best_of", self.best_of, 1, MAX_BEST_OF)
        _check_range("patience", self.patience, 0.1, 10)
        _check_range("length_penalty", self.length_penalty, 0, 1)
        _check_range("no_speech_threshold", self.no_speech_threshold, 0, 1)
        _check_range("compression_ratio_threshold", self.compression_ratio_threshold, 0, math.inf)
        _check_range("logprob_threshold", self.logprob_threshold, -math.inf, 0)
        _check_range("max_initial_timestamp_s", self.max_initial_timestamp_s, 0, 30)
        _check_range("seed", self.seed, 0, 2**63 - 1)
        if not self.temperatures:
            raise InvalidOptionError(
                "temperature: got an empty list, expected at least one number", param="temperature"
            )
        for temperature in self.temperatures:
            _check_range("temperature", temperature, 0, 2)
        if round(self.beam_size * self.patience) < 1:
            message = f"patience: got {self.patience} with beam_size {self.beam_size}, which waits for no hypothesis"
            raise InvalidOptionError(message, param="patience")


def _check_range(param: str, value: float | None, low: float, high: float) -> None:
    # `not low <= value` refuses NaN too.
    if value is not None and not low <= value <= high:
        raise InvalidOptionError(f"{param}: got {value}, expected {low:g} to {high:g}", param=param)
