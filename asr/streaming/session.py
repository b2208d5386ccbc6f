"""Speech as it is spoken. In: how much audio there is, and what windows say. Out: the next window, text as it comes.

``StreamingSession`` is a pure state machine: no model, tensor, clock or I/O, and no audio, which its driver keeps
(``asr.live``). Sentences that two successive decodings of the growing window agree on, and that have settled, become
final; once final, text never changes. A pause makes everything before it final; a window that grew long moves on, and
one that is full makes its older part final, so that neither delay nor memory grow with the stream.
Positions are samples, so that they are exact after days; times of words and events are seconds from the start.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import takewhile

from asr.assembling import SAMPLE_RATE
from asr.errors import AuricleError
from asr.prompt import TaskPrompt
from asr.streaming.agreement import n_agreed, n_heard_before
from asr.streaming.turns import FRAME_SAMPLES, Turn, TurnTracker
from asr.streaming.types import (
    Final,
    Hypothesis,
    Partial,
    StreamingEvent,
    StreamingOptions,
    StreamingWindow,
    UtteranceEnded,
    text_of,
)
from asr.tokenizer import Tokenizer
from asr.transcript import Word

__all__ = ["StreamingSession"]

MAX_CONTEXT_TOKENS = 223  # half of the text context of every Whisper model, less <|startofprev|>
LANGUAGE_S = 3.0  # speech that a vote on the language hears at least, unless the turn is shorter
CLEAR_GAP_S = 0.3  # between two words: a safe place to cut at
N_ANCHOR_WORDS = 3  # final words that stay in a window cut elsewhere, so that the next hypothesis can be aligned
UNSETTLED_S = 5.0  # at the end of a full window: kept from being made final without agreement
MIN_MOVE_S = 1.0  # of a window that has to move on
UNHEARD_S = 2.0  # of speech after the last word: the model stopped short
LOOP_COMPRESSION_RATIO, SILENCE_NO_SPEECH_PROB, SILENCE_LOGPROB = 2.4, 0.6, -1.0  # Whisper 4.5
SENTENCE_ENDS = (".", "?", "!", "。", "？", "！", "।", "؟")


class StreamingSession:
    """Follows one stream.

    Call ``push`` whenever there is more audio; while ``next_window`` gives a window, decode it and hand the result to
    ``accept``, which may happen while audio goes on being pushed. At the end ``finish``, and decode what is left.
    """

    def __init__(self, options: StreamingOptions, tokenizer: Tokenizer) -> None:
        self._options = options
        self._tokenizer = tokenizer
        self.language = options.language
        """Known from the start, or from the first speech."""
        self.language_probs: dict[str, float] = {}
        """Of the first speech, when the language was detected."""
        self.received = 0
        """Samples so far."""
        self._max_samples = round(options.max_window_s * SAMPLE_RATE)
        self._step_samples = round(options.step_s * SAMPLE_RATE)
        self._tracker = TurnTracker(
            threshold=options.vad_threshold, max_pause_s=options.max_pause_s, uses_voice_activity=options.vad
        )
        self._votes: dict[str, float] = {}
        self._is_finished = False
        self._asked: StreamingWindow | None = None
        self._turn: Turn | None = self._tracker.take()  # the one that is decoded
        self._start = 0  # of the next window
        self._decoded = 0  # end of the last one
        self._final: list[Word] = []  # the final words inside the window
        self._final_end = 0.0
        self._open: tuple[Word, ...] = ()  # the words after them
        self._shown = ""  # text of the last Partial, unless a Final followed
        self._history = _tokens(tokenizer, options.prompt)  # of the final text before the window
        self._hotwords = _tokens(tokenizer, ", ".join(options.hotwords))[: MAX_CONTEXT_TOKENS // 2]

    @property
    def drop_before(self) -> int:
        """The first sample that any window to come may hold; those before it are not needed again."""
        return self._tracker.needed_from if self._turn is None else self._start

    def push(self, n_samples: int, speech: Sequence[float] = ()) -> list[StreamingEvent]:
        """``n_samples`` more came, and ``speech`` are the probabilities of the frames (32 ms) complete with them.

        Raises AuricleError for frames beyond the samples, and after ``finish``.
        """
        if self._is_finished:
            raise AuricleError(f"got {n_samples} more samples after finish, expected none: open a new session")
        if n_samples < 0:
            raise AuricleError(f"got {n_samples} samples at sample {self.received}, expected 0 or more")
        if speech and not self._options.vad:
            raise AuricleError("got probabilities of speech, expected none: the stream was opened with vad=False")
        heard = self._tracker.heard_samples + len(speech) * FRAME_SAMPLES
        if heard > self.received + n_samples:
            message = f"got frames of speech up to sample {heard}, expected at most {self.received + n_samples}"
            raise AuricleError(f"{message}: the frames that the samples so far complete")
        self.received += n_samples
        return [*self._tracker.hear(speech), *self._settle()]

    def finish(self) -> list[StreamingEvent]:
        """No more audio comes. The windows that are left make everything final."""
        if self._is_finished:
            return []
        self._is_finished = True
        return [*self._tracker.finish(self.received), *self._settle()]

    def next_window(self) -> StreamingWindow | None:
        """The window to decode now, the same one until its result is accepted; None: wait for more audio."""
        if self._asked is None and (end := self._due()) is not None:
            context = self._hotwords + self._history[-(MAX_CONTEXT_TOKENS - len(self._hotwords)) :]
            prompt = TaskPrompt(language=self.language, task=self._options.task, context=tuple(context))
            is_last = self._turn is not None and not self._turn.is_open and end >= (self._turn.audible_end or 0)
            self._asked = StreamingWindow(start=self._start, end=end, prompt=prompt, ends_utterance=is_last)
        return self._asked

    def accept(self, window: StreamingWindow, hypothesis: Hypothesis) -> list[StreamingEvent]:
        """Take the result of the window that ``next_window`` gave. Raises AuricleError for another, or bad times."""
        if self._asked is None or window != self._asked:
            expected = "none" if self._asked is None else f"samples {self._asked.start} to {self._asked.end}"
            raise AuricleError(f"got the result of samples {window.start} to {window.end}, expected {expected}")
        _check_times(window, hypothesis.words)
        self._asked = None
        words = () if _is_silence(hypothesis) else hypothesis.words
        is_loop = hypothesis.compression_ratio > LOOP_COMPRESSION_RATIO
        reach = max(window.offset, self._final_end, words[-1].end if words else 0.0)
        stops_short = not is_loop and self._speech_end(window) - reach >= UNHEARD_S
        moves = reach >= window.offset + MIN_MOVE_S
        if self._history and (is_loop or (stops_short and not moves and self._options.vad)):
            self._history = []  # the usual cause; the same window comes again without it
            return []
        self._decoded = window.end
        self._vote(window, hypothesis, is_last=self._is_over())
        fresh = words[n_heard_before(self._final, words) :]
        events: list[StreamingEvent] = []
        if stops_short and moves and self.language is not None:
            events += self._go_on_from(reach, fresh)
        else:
            events += self._agree(window, fresh, is_loop=is_loop)
            self._move(window)
        if text_of(self._open) != self._shown:
            self._shown = text_of(self._open)
            events.append(Partial(words=self._open))
        return events + self._settle()

    # --- windows ---

    def _due(self) -> int | None:
        """Where the window that is to be decoded now ends."""
        turn = self._turn
        if turn is None:
            return None
        audible_end = self.received if turn.audible_end is None else min(turn.audible_end, self.received)
        end = min(audible_end, self._start + self._max_samples)
        is_full = end - self._start == self._max_samples
        n_new = end - self._decoded
        is_due = n_new >= self._step_samples or (n_new > 0 and (is_full or not turn.is_open))
        return end if is_due else None

    def _is_over(self) -> bool:
        """Whether the turn is closed and all of it decoded."""
        turn = self._turn
        return turn is not None and not turn.is_open and self._decoded >= (turn.audible_end or 0)

    def _settle(self) -> list[StreamingEvent]:
        """End the turn when it is over: its last words are final. Then begin the next one that waits."""
        events: list[StreamingEvent] = []
        if self._turn is not None and self._asked is None and self._is_over():
            events += self._finalize(self._open)
            self._open = ()
            self._leave(len(self._final))
            if self._turn.onset < self._turn.end:
                events.append(UtteranceEnded(start=self._turn.onset / SAMPLE_RATE, end=self._turn.end / SAMPLE_RATE))
            self._turn = None
        if self._turn is None and (turn := self._tracker.take()) is not None:
            self._turn = turn
            self._start = self._decoded = turn.start
        return events

    def _speech_end(self, window: StreamingWindow) -> float:
        """Where the last speech in a window ends, as far as is known."""
        turn = self._turn
        end = window.end if turn is None or turn.audible_end is None else min(turn.end, window.end)
        return end / SAMPLE_RATE

    def _go_on_from(self, reach: float, fresh: tuple[Word, ...]) -> list[StreamingEvent]:
        """The model fell silent though somebody speaks: what it said is final, the rest is decoded by itself."""
        events = self._finalize(fresh)
        self._leave(len(self._final))
        self._open = tuple(word for word in self._open if word.start >= reach)
        self._start = self._decoded = round(reach * SAMPLE_RATE)
        return events

    def _move(self, window: StreamingWindow) -> None:
        """Start the next window after the last final text, when this one has grown long."""
        half = self._max_samples // 2
        n_samples = window.end - window.start
        if n_samples <= half:
            return
        earliest = window.start + round(MIN_MOVE_S * SAMPLE_RATE)
        is_full = n_samples == self._max_samples
        cut = self._cut_at_pause(earliest)
        if cut is None and is_full:  # in the middle of a sentence, where the model hears less well
            cut = self._cut_at_anchor(window.end - half // 2)
        if is_full and (cut is None or cut[1] < earliest):
            opening = self._open[0].start if self._open else math.inf
            place_s = min(opening, window.end / SAMPLE_RATE - UNSETTLED_S)
            place = round(max(place_s, self._final_end, window.offset + MIN_MOVE_S) * SAMPLE_RATE)
            cut = len(self._final), min(place, window.end)
        if cut is not None:
            self._leave(cut[0])
            self._start = cut[1]

    def _cut_at_pause(self, earliest: int) -> tuple[int, int] | None:
        """The last end of a sentence or pause from a sample on: how many final words are before it, and where it is."""
        found: tuple[int, int] | None = None
        starts = [word.start for word in self._final[1:]] + [self._open[0].start if self._open else self._final_end]
        for n_words, (word, next_start) in enumerate(zip(self._final, starts, strict=False), start=1):
            gap = max(next_start - word.end, 0.0)
            place = round((word.end + min(gap, CLEAR_GAP_S) / 2) * SAMPLE_RATE)
            if place >= earliest and (_ends_sentence(word) or gap >= CLEAR_GAP_S):
                found = n_words, place
        return found

    def _cut_at_anchor(self, latest: int) -> tuple[int, int] | None:
        """The last place between two final words, up to a sample, with anchors after it."""
        found: tuple[int, int] | None = None
        for n_words in range(1, len(self._final) - N_ANCHOR_WORDS + 1):
            place = round(max(self._final[n_words - 1].end, self._final[n_words].start) * SAMPLE_RATE)
            if place <= latest:
                found = n_words, place
        return found

    def _leave(self, n_words: int) -> None:
        """The first final words are before the window from now on: its context."""
        history = self._history + _tokens(self._tokenizer, text_of(self._final[:n_words]))
        self._history = history[-MAX_CONTEXT_TOKENS:]
        self._final = self._final[n_words:]

    # --- text ---

    def _agree(self, window: StreamingWindow, fresh: tuple[Word, ...], *, is_loop: bool) -> list[StreamingEvent]:
        end_s = window.end / SAMPLE_RATE
        settled = takewhile(
            lambda word: word.end <= end_s - self._options.settle_s, fresh[: n_agreed(self._open, fresh)]
        )
        n_final = max((n for n, word in enumerate(settled, start=1) if _ends_sentence(word)), default=0)
        if is_loop and self._open:
            fresh, n_final = self._open, 0  # the hypothesis before is the better one
        if self.language is None:
            n_final = 0
        if window.end - window.start == self._max_samples:
            n_old = next((i for i, w in enumerate(fresh) if (w.start + w.end) / 2 >= end_s - UNSETTLED_S), len(fresh))
            n_final = max(n_final, n_old)
        if self._is_over():
            n_final = len(fresh)
        self._open = fresh[n_final:]
        return self._finalize(fresh[:n_final])

    def _finalize(self, words: Sequence[Word]) -> list[StreamingEvent]:
        if not words:
            return []
        final: list[Word] = []
        for word in words:
            start = max(word.start, self._final_end)
            self._final_end = max(word.end, start)
            final.append(replace(word, start=start, end=self._final_end))
        self._final += final
        self._shown = ""
        return [Final(words=tuple(final))]

    def _vote(self, window: StreamingWindow, hypothesis: Hypothesis, *, is_last: bool) -> None:
        if self.language is not None or _is_silence(hypothesis):
            return
        seconds = (window.end - window.start) / SAMPLE_RATE
        for language, probability in hypothesis.language_probs.items():
            # Each window is weighed by its length: the first second says little.
            self._votes[language] = self._votes.get(language, 0.0) + probability * seconds
        if seconds >= LANGUAGE_S or is_last:
            total = sum(self._votes.values())
            self.language_probs = {language: votes / total for language, votes in self._votes.items()}
            self.language = max(self._votes, key=self._votes.__getitem__, default=hypothesis.language)


def _tokens(tokenizer: Tokenizer, text: str) -> list[int]:
    return tokenizer.encode(" " + text.strip()) if text.strip() else []


def _ends_sentence(word: Word) -> bool:
    return word.word.rstrip("\"'”’»)").endswith(SENTENCE_ENDS)


def _is_silence(hypothesis: Hypothesis) -> bool:
    return hypothesis.no_speech_prob > SILENCE_NO_SPEECH_PROB and hypothesis.avg_logprob < SILENCE_LOGPROB


def _check_times(window: StreamingWindow, words: Sequence[Word]) -> None:
    reached, end = window.offset - 0.5 / SAMPLE_RATE, window.end / SAMPLE_RATE
    for place, word in enumerate(words):
        if not reached <= word.start <= word.end <= end + 0.5 / SAMPLE_RATE:
            message = f"word {place}, {word.word!r}: got {word.start:g} to {word.end:g} s, expected times that go on"
            raise AuricleError(f"{message} from {reached:g} s and end by {end:g} s")
        reached = word.start
