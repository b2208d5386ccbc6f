"""One stretch of a recording as a sequence of windows. In: results of windows. Out: the next window, then segments.

``Walk`` is the state machine that every plan is made of, with two verbs: no model, tensor, clock or I/O. The heuristics
of the paper's section 4.5 are its state: beam search at first, then rising temperatures while the text looks like a
loop or a guess; the text before as context while the temperature is low; silence skipped; the first timestamp
bounded; the next window at the last predicted timestamp. Voice activity adds: windows without any voice are not
decoded, and silence is believed only where nobody is heard.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice

from asr.audio_context import context_of
from asr.decoding.types import BeamSearch, DecodingOptions, DecodingResult, Greedy, Sampling, Strategy
from asr.errors import AuricleError
from asr.features import FRAMES_PER_SECOND, N_FRAMES, WINDOW_S
from asr.options import AudioContext, Plan, TranscribeOptions
from asr.prompt import TaskPrompt
from asr.quality import (
    LOOP,
    NO_SPEECH,
    NO_TIME,
    PHANTOM,
    TOO_DENSE,
    failures,
    is_phantom,
    is_silence,
    segment_flags,
    suppression_reason,
    too_dense,
)
from asr.repetition import without_loop
from asr.segments import FRAMES_PER_TIMESTAMP, WindowSegments, split_segments
from asr.stretches import Stretch
from asr.tasks import Task
from asr.tokenizer import Tokenizer
from asr.transcript import Attempt, Quality, Segment, Suppressed
from asr.voice import Voice
from asr.voice_activity import SpeechStretch
from asr.words import snap_words, words_of_segments

__all__ = ["MAX_CONTEXT_TOKENS", "Context", "Setup", "Walk", "Window"]

MAX_CONTEXT_TEMPERATURE = 0.5  # text sampled above it is no good context (Whisper 4.5)
MAX_CONTEXT_TOKENS = 223  # half of the text context of every Whisper model, less the token that begins it
DOUBTFUL_LOGPROB = -0.5  # of a window heard with little silence: below, it is heard in full too (docs/performance.md)
MIN_VOICE_S = 0.5  # so much voice in a window is somebody speaking, whatever the model says


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """What to decode next: frames ``seek`` to ``seek + n_frames`` (of 10 ms), told and sought as given."""

    walk: int
    """Which of the session's walks asks."""
    seek: int
    n_frames: int
    padded_to: int
    """Frames that the encoder hears: the window, and silence after it."""
    prompt: TaskPrompt
    options: DecodingOptions

    @property
    def duration(self) -> float:
        """In seconds."""
        return self.n_frames / FRAMES_PER_SECOND


@dataclass(slots=True)
class Context:
    """What windows are told came before them: ``carried`` to every window, then the latest of ``text``."""

    carried: tuple[int, ...] = ()
    text: tuple[int, ...] = ()

    def tokens(self) -> tuple[int, ...]:
        """For the next window; keeps memory flat."""
        room = MAX_CONTEXT_TOKENS - len(self.carried)
        return (*self.carried, *self.text[max(len(self.text) - room, 0) :])

    def add(self, tokens: Sequence[int]) -> None:
        """Append what was said."""
        self.text = (*self.text, *tokens)[-MAX_CONTEXT_TOKENS:]

    def forget(self) -> None:
        """Drop what was said; what is carried stays."""
        self.text = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """What all walks of a recording share."""

    options: TranscribeOptions
    tokenizer: Tokenizer
    voice: Voice | None


class Walk:
    """Walks one stretch: call ``next_window``, decode it, hand the result to ``accept``; repeat until ``done``."""

    def __init__(
        self,
        number: int,
        stretch: Stretch,
        setup: Setup,
        *,
        context: Context,
        language: str | None,
        earlier: tuple[Attempt, ...] = (),
    ) -> None:
        self.number = number
        self.stretch = stretch
        self.seek = stretch.begin
        """First frame that is not yet transcribed."""
        self.language = language
        self.context = context
        self.segments: list[Segment] = []
        self.suppressed: list[Suppressed] = []
        self.failed: tuple[str, ...] = ()
        """Why the first window that was kept in spite of its failures, or was given up, had failed."""
        self.gave_up = False
        """Whether it stopped at a failure because of ``gives_up``."""
        self.gives_up = False
        """Stop at the first window that fails at the first temperature, instead of climbing the ladder."""
        self.attempts: list[tuple[Attempt, DecodingResult]] = []
        """At the window under way."""
        self.tried: list[Attempt] = []
        """At all windows."""
        self._options, self._tokenizer, self._voice = setup.options, setup.tokenizer, setup.voice
        # Only words tell where speech got no text: a segment's predicted times reach over what it leaves out.
        self._places_words = setup.options.word_timestamps or (
            setup.options.plan is Plan.HYBRID and setup.voice is not None and setup.options.timestamps
        )
        self._earlier = earlier
        # Text that is doubtful may be so for want of the silence that the model was trained with.
        was_doubtful = bool(earlier) and (bool(earlier[-1].rejected) or earlier[-1].heard_s == WINDOW_S)
        self._context = AudioContext.EXACT if was_doubtful else setup.options.context
        self._window: Window | None = None
        self._logprob_sum, self._n_tokens = 0.0, 0
        self._move_on(0)

    @property
    def done(self) -> bool:
        """Whether nothing is left to decode."""
        return self.gave_up or self.seek >= self.stretch.end

    @property
    def n_letters(self) -> int:
        """Of the text; of a walk that gave up, nothing is kept yet."""
        return sum(len(segment.text) for segment in self.segments)

    @property
    def has_doubted_text(self) -> bool:
        """Whether a walk that gave up took it for speech, and wrote more than what models write over silence."""
        return self.gave_up and any(
            NO_SPEECH not in attempt.rejected and not is_phantom(result.text) for attempt, result in self.attempts
        )

    def lost(self) -> list[SpeechStretch]:
        """Where somebody speaks without text, as far as the walk has come."""
        if self._voice is None or not self._options.timestamps:
            return []
        said = [(each.start, each.end) for segment in self.segments for each in (segment.words or (segment,))]
        said += [(each.start, each.end) for each in self.suppressed if each.end > each.start]
        begin, end = self.stretch.begin / FRAMES_PER_SECOND, self.stretch.end / FRAMES_PER_SECOND
        return self._voice.lost(sorted(said), begin, end)

    @property
    def rank(self) -> tuple[bool, bool, float]:
        """How good the text is; more is better. Of a walk that gave up, that of its best attempt."""
        if self.gave_up:
            return max(_rank(attempt) for attempt, _ in self.attempts)
        return not self.failed, LOOP not in self.failed, self.avg_logprob

    @property
    def avg_logprob(self) -> float:
        """Mean over the tokens of all kept windows; 0 for none."""
        return self._logprob_sum / max(self._n_tokens, 1)

    def next_window(self) -> Window | None:
        """The window to decode next: the same one, at a higher temperature, while its results are not good enough."""
        if self.done:
            return None
        temperature, padded_to = self._tries()[len(self.attempts)]
        self._window = Window(
            walk=self.number,
            seek=self.seek,
            n_frames=self._n_frames,
            padded_to=padded_to,
            prompt=TaskPrompt(
                language=self.language,
                task=self._options.task,
                timestamps=self._options.timestamps,
                context=self.context.tokens(),
            ),
            options=DecodingOptions(
                strategy=self._strategy(temperature),
                max_initial_timestamp_s=self._options.max_initial_timestamp_s,
                suppress_tokens=self._options.suppress_tokens,
                token_times=self._places_words,
            ),
        )
        return self._window

    def accept(self, window: Window, result: DecodingResult) -> list[Segment]:
        """Take the result of the window that ``next_window`` gave; returns the segments that it is sure of now."""
        if window.seek != self.seek:
            raise AuricleError(f"got the result of the window at frame {window.seek}, expected frame {self.seek}")
        self.language = self.language or result.language
        rejected = failures(result, self._options, window.duration)
        silent = is_silence(result, self._options)
        if silent and not self._is_voiced(window):
            self._skip(window, result)
            return []
        if silent:
            rejected = (*rejected, NO_SPEECH)
        attempt = self._attempt(window, result, rejected)
        self.attempts.append((attempt, result))
        self.tried.append(attempt)
        if rejected and self.gives_up:
            self.gave_up, self.failed = True, rejected
            return []
        if self._tries_again(window, attempt):
            return []
        return self._keep(window)

    def _tries_again(self, window: Window, attempt: Attempt) -> bool:
        if len(self.attempts) == len(self._tries()):
            return False
        if window.padded_to < N_FRAMES and attempt.avg_logprob < DOUBTFUL_LOGPROB:
            return True
        return all(each.rejected for each, _ in self.attempts)

    def climb(self) -> None:
        """Go on from where the walk gave up: at the next temperature, if there is one."""
        self.gives_up = False
        if len(self.attempts) == len(self._tries()):
            self.make_do()
        else:
            self.gave_up = False

    def make_do(self) -> None:
        """Keep what the window has at which the walk gave up, and go on with the next."""
        self.gave_up = self.gives_up = False
        if self._window is not None:
            self._keep(self._window)

    def _move_on(self, n_frames: int) -> None:
        self.seek = min(self.seek + n_frames, self.stretch.end)
        if self._voice is not None and self._options.vad:
            self.seek = self._voice.next_voice(self.seek, self.stretch.end)

    def note(self, attempts: Sequence[Attempt]) -> None:
        """Add what another walk tried to the evidence of every segment."""
        self.segments = [
            replace(each, quality=replace(each.quality, attempts=(*each.quality.attempts, *attempts)))
            for each in self.segments
        ]

    @property
    def _n_frames(self) -> int:
        """Of the window at which the walk is."""
        return min(N_FRAMES, self.stretch.end - self.seek)

    def _tries(self) -> list[tuple[float, int]]:
        """Temperatures, and frames that the encoder hears, one after the other while the text is not good enough.

        A short window is first heard with little silence after it, or none (``asr.audio_context``).
        """
        ladder = [(temperature, N_FRAMES) for temperature in self._options.temperatures]
        padded_to = context_of(self._n_frames, self._context)
        return ladder if padded_to == N_FRAMES else [(ladder[0][0], padded_to), *ladder]

    def _attempt(self, window: Window, result: DecodingResult, rejected: tuple[str, ...]) -> Attempt:
        return Attempt(
            temperature=result.temperature,
            with_context=bool(self.context.text),
            heard_s=window.padded_to / FRAMES_PER_SECOND,
            avg_logprob=result.avg_logprob,
            compression_ratio=result.compression_ratio,
            no_speech_prob=result.no_speech_prob,
            rejected=rejected,
        )

    def _is_voiced(self, window: Window) -> bool:
        return self._voice is not None and self._voice.speech_s(window.seek, window.n_frames) >= MIN_VOICE_S

    def _skip(self, window: Window, result: DecodingResult) -> None:
        """Believe that nobody speaks, and report what the model would have written."""
        self.attempts = []
        self._move_on(window.n_frames)
        if result.text:
            left_out = Suppressed(
                start=window.seek / FRAMES_PER_SECOND,
                end=(window.seek + window.n_frames) / FRAMES_PER_SECOND,
                text=result.text.strip(),
                reason=NO_SPEECH,
                avg_logprob=result.avg_logprob,
                compression_ratio=result.compression_ratio,
                no_speech_prob=result.no_speech_prob,
            )
            self.suppressed.append(left_out)

    def _keep(self, window: Window) -> list[Segment]:
        """Turn the best attempt at the window into segments, and move on."""
        attempts, self.attempts = self.attempts, []
        attempt, result = max(attempts, key=lambda each: _rank(each[0]))
        tried = (*self._earlier, *(attempt for attempt, _ in attempts))
        quality = Quality(flags=attempt.rejected, attempts=tried)
        self._earlier = ()
        self.failed = self.failed or attempt.rejected
        split = split_segments(
            result, self._tokenizer, seek=window.seek, n_frames=window.n_frames, language=self.language or "en"
        )
        # A window always moves on, if only by one timestamp step: text that never ends must not be read forever.
        self._move_on(max(split.n_frames_done, FRAMES_PER_TIMESTAMP))
        self._logprob_sum += result.avg_logprob * (len(result.tokens) + 1)
        self._n_tokens += len(result.tokens) + 1
        self.suppressed += [Suppressed.of(each, NO_TIME) for each in split.timeless]
        segments = self._with_words(split, result, window)
        if LOOP in attempt.rejected:
            segments, removed = without_loop(segments, self._tokenizer)
            self.suppressed += removed
        if TOO_DENSE in attempt.rejected and too_dense("".join(each.text for each in segments), window.duration):
            self.suppressed += [Suppressed.of(each, TOO_DENSE) for each in segments]
            segments = []
        has_vad = self._voice is not None and self._options.vad
        if attempt.rejected and has_vad and all(is_phantom(each.text) for each in segments):
            # A guess, and nothing but what models write over silence and music.
            self.suppressed += [Suppressed.of(each, PHANTOM) for each in segments]
            segments = []
        kept = [segment for segment in (self._judge(each, quality) for each in segments) if segment is not None]
        self._remember(kept, result.temperature)
        self.segments += kept
        return kept

    def _with_words(self, split: WindowSegments, result: DecodingResult, window: Window) -> list[Segment]:
        segments = split.segments
        if not self._places_words:
            return list(segments)
        offset = window.seek / FRAMES_PER_SECOND
        # Not into what the next window is going to say.
        end = (window.seek + min(split.n_frames_done, window.n_frames)) / FRAMES_PER_SECOND
        language = "en" if self._options.task is Task.TRANSLATE else result.language
        placed = words_of_segments(segments, result, self._tokenizer, language=language, offset=offset, end=end)
        speech = self._voice.speech_between(offset, end) if self._voice is not None and self._options.vad else []
        # All at once: the last word of a segment must not overtake the first of the next.
        snapped = iter(snap_words([word for words in placed for word in words], speech))
        return [
            replace(segment, words=tuple(islice(snapped, len(words))))
            for segment, words in zip(segments, placed, strict=True)
        ]

    def _judge(self, segment: Segment, quality: Quality) -> Segment | None:
        voice = None
        if self._voice is not None and self._options.vad:
            voice = self._voice.evidence(segment.start, segment.end)
        flags = tuple(dict.fromkeys((*quality.flags, *segment_flags(segment, voice, self._options))))
        reason = suppression_reason(segment, flags, voice)
        if reason is not None:
            self.suppressed.append(Suppressed.of(segment, reason))
            return None
        return replace(segment, quality=replace(quality, flags=flags))

    def _remember(self, segments: Sequence[Segment], temperature: float) -> None:
        if not self._options.condition_on_previous_text or temperature > MAX_CONTEXT_TEMPERATURE:
            self.context.forget()
            return
        self.context.add([token for segment in segments for token in segment.tokens])

    def _strategy(self, temperature: float) -> Strategy:
        options = self._options
        if temperature > 0:
            # Another seed at each attempt and window, else each would repeat the same draws.
            seed = None if options.seed is None else options.seed + len(self.attempts) + (self.seek << 8)
            return Sampling(
                temperature=temperature,
                best_of=options.best_of,
                seed=seed,
                length_penalty=options.length_penalty,
            )
        if options.beam_size == 1:
            return Greedy()
        return BeamSearch(beam_size=options.beam_size, patience=options.patience, length_penalty=options.length_penalty)


def _rank(attempt: Attempt) -> tuple[bool, bool, float]:
    """An attempt that passed is best; then those that may have been said as they are, by their probability."""
    return not attempt.rejected, not {LOOP, TOO_DENSE}.intersection(attempt.rejected), attempt.avg_logprob
