"""A recording of any length as a sequence of windows. In: results of windows. Out: the next window, then segments.

``LongFormSession`` is a pure state machine with two verbs: no model, tensor, clock or I/O. The heuristics of the
paper's section 4.5 are its state: beam search at first, then rising temperatures while the text looks like a loop or
a guess; the text before as context while the temperature is low; silence skipped; the first timestamp bounded; the
next window at the last predicted timestamp.
"""

from dataclasses import dataclass

from asr.decoding.types import BeamSearch, DecodingOptions, DecodingResult, Greedy, Sampling, Strategy
from asr.errors import AuricleError
from asr.features import N_FRAMES
from asr.options import TranscribeOptions
from asr.prompt import TaskPrompt
from asr.segments import FRAMES_PER_TIMESTAMP, split_segments
from asr.tokenizer import Tokenizer
from asr.transcript import Segment

__all__ = ["LongFormSession", "Window"]

MAX_CONTEXT_TEMPERATURE = 0.5  # text sampled above it is no good context (Whisper 4.5)
MAX_CONTEXT_TOKENS = (
    448  # the text context of every Whisper model, of which prompts use the last half; keeps memory flat
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """What to decode next: frames ``seek`` to ``seek + n_frames`` (of 10 ms), told and sought as given."""

    seek: int
    n_frames: int
    prompt: TaskPrompt
    options: DecodingOptions


class LongFormSession:
    """Walks one recording of ``n_frames`` frames (10 ms each).

    Call ``next_window``, decode it, hand the result to ``accept``; repeat until ``next_window`` returns None.
    """

    def __init__(self, n_frames: int, options: TranscribeOptions, tokenizer: Tokenizer) -> None:
        self._n_frames = n_frames
        self._options = options
        self._tokenizer = tokenizer
        self.seek = 0
        """First frame that is not yet transcribed."""
        self.language = options.language
        """Known from the start, or from the first result."""
        self.language_probs: dict[str, float] = {}
        """Of the first window, when the language was detected."""
        self._attempt = 0  # index into the temperatures
        self._n_segments = 0
        self._context: list[int] = tokenizer.encode(" " + options.prompt.strip()) if options.prompt.strip() else []

    def next_window(self) -> Window | None:
        """The window to decode next: the same one, at a higher temperature, while its results are not good enough."""
        if self.seek >= self._n_frames:
            return None
        return Window(
            seek=self.seek,
            n_frames=min(N_FRAMES, self._n_frames - self.seek),
            prompt=TaskPrompt(
                language=self.language,
                task=self._options.task,
                timestamps=self._options.timestamps,
                context=tuple(self._context),
            ),
            options=DecodingOptions(
                strategy=self._strategy(), max_initial_timestamp_s=self._options.max_initial_timestamp_s
            ),
        )

    def accept(self, window: Window, result: DecodingResult) -> list[Segment]:
        """Take the result of the window that ``next_window`` gave; returns the segments that are final now."""
        if window.seek != self.seek:
            raise AuricleError(f"got the result of the window at frame {window.seek}, expected frame {self.seek}")
        if self.language is None:
            self.language = result.language
            self.language_probs = dict(result.language_probs)
        is_silence = self._is_silence(result)
        is_last_attempt = self._attempt == len(self._options.temperatures) - 1
        if not is_silence and not is_last_attempt and self._needs_fallback(result):
            self._attempt += 1
            return []
        self._attempt = 0
        if is_silence:
            self.seek += window.n_frames
            return []
        split = split_segments(
            result, self._tokenizer, seek=window.seek, n_frames=window.n_frames, first_id=self._n_segments
        )
        # A window always moves on, if only by one timestamp step: text that never ends must not be read forever.
        self.seek += max(split.n_frames_done, FRAMES_PER_TIMESTAMP)
        self._n_segments += len(split.segments)
        self._remember(split.segments, result.temperature)
        return list(split.segments)

    def _strategy(self) -> Strategy:
        options = self._options
        temperature = options.temperatures[self._attempt]
        if temperature > 0:
            # Another seed at each attempt and window, else each would repeat the same draws.
            seed = None if options.seed is None else options.seed + self._attempt + (self.seek << 8)
            return Sampling(
                temperature=temperature,
                best_of=options.best_of,
                seed=seed,
                length_penalty=options.length_penalty,
            )
        if options.beam_size == 1:
            return Greedy()
        return BeamSearch(beam_size=options.beam_size, patience=options.patience, length_penalty=options.length_penalty)

    def _is_unlikely(self, result: DecodingResult) -> bool:
        threshold = self._options.logprob_threshold
        return threshold is not None and result.avg_logprob < threshold

    def _is_silence(self, result: DecodingResult) -> bool:
        threshold = self._options.no_speech_threshold
        if threshold is None or result.no_speech_prob <= threshold:
            return False
        return self._options.logprob_threshold is None or self._is_unlikely(result)

    def _needs_fallback(self, result: DecodingResult) -> bool:
        threshold = self._options.compression_ratio_threshold
        is_loop = threshold is not None and result.compression_ratio > threshold
        return is_loop or self._is_unlikely(result)

    def _remember(self, segments: tuple[Segment, ...], temperature: float) -> None:
        if not self._options.condition_on_previous_text or temperature > MAX_CONTEXT_TEMPERATURE:
            self._context = []
            return
        self._context += [token for segment in segments for token in segment.tokens]
        self._context = self._context[-MAX_CONTEXT_TOKENS:]
