"""A recording of any length as walks over stretches. In: results of windows. Out: the next windows, then segments.

``LongFormSession`` is a pure state machine: no model, tensor, clock or I/O. Whatever the plan, the work is done by
``asr.walk.Walk``; plans differ in the stretches they cut and in what a walk is told:

- sequential: one walk over the whole recording (or each of the caller's clips), its context carried on.
- parallel: a walk for every stretch between pauses, each by itself, so that their windows batch; speech that got no
  text is walked once more.
- hybrid: as parallel; a stretch whose text is weak is first walked again with the text before it as context. The better
  one of two walks is kept.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from asr.decoding.types import DecodingResult
from asr.errors import AuricleError, InvalidOptionError
from asr.features import FRAMES_PER_SECOND
from asr.language_timeline import LanguageTimeline, LanguageWindow
from asr.options import Plan, TranscribeOptions
from asr.slots import Slot, lost_speech
from asr.stretches import Stretch, clips_to_stretches, cut_anywhere, cut_at_pauses
from asr.tokenizer import Tokenizer
from asr.transcript import Attempt, LanguageSpan, Segment, Suppressed
from asr.voice import Voice
from asr.voice_activity import VoiceActivity
from asr.walk import MAX_CONTEXT_TOKENS, Context, Setup, Walk, Window

__all__ = ["LanguageWindow", "LongFormSession", "Window"]

WEAK_LOGPROB = -0.4  # a stretch whose text is less probable is walked again: a third of them (docs/results.md)
MIN_KEPT_TEXT = 0.6  # of a walk's letters must be in the one that takes its place
LOOK_AHEAD_SLOTS = 32  # begun before the first of them is final; bounds time and memory
MAX_CARRIED_TOKENS = 111  # half of what a window may be told; the rest is for the text before it


class LongFormSession:
    """Transcribes one recording of ``n_frames`` frames (10 ms each).

    Call ``next_windows`` and answer each of them with ``accept`` or ``accept_language``, until there are none;
    ``pop_segments`` gives what became final meanwhile. ``activity`` may be None in the sequential plan without VAD.
    """

    def __init__(
        self,
        n_frames: int,
        options: TranscribeOptions,
        tokenizer: Tokenizer,
        activity: VoiceActivity | None = None,
    ) -> None:
        if len(options.languages) == 1:
            options = replace(options, language=options.languages[0])
        self._n_frames = n_frames
        self._options = options
        self._voice = None if activity is None else Voice(activity, threshold=options.vad_threshold)
        self._setup = Setup(options=options, tokenizer=tokenizer, voice=self._voice)
        self._carried, first_text = _told(options, tokenizer)
        self._context = Context(carried=self._carried, text=first_text)
        self.warnings = _warnings(self._carried, first_text)
        """What of the options could not be heeded in full."""
        clips = clips_to_stretches(options.clip_timestamps, n_frames)
        self._clips = clips
        self._timeline = None
        if options.language is None and tokenizer.is_multilingual:
            self._timeline = LanguageTimeline(clips, self._windows(clips), self._voice, options)
        self._slots: list[Slot] | None = None
        self._walks: dict[int, Walk] = {}  # under way, by number
        self._n_walks = 0
        self._asked: set[int | LanguageWindow] = set()  # walks and windows that wait for an answer
        self._final: list[Segment] = []  # not yet popped
        self._n_segments = 0  # final ones
        self._n_emitted = 0  # of them, those of the slot under way
        self._n_done = 0  # slots
        self.suppressed: list[Suppressed] = []
        """What was decoded and left out, so far."""

    @property
    def done_frames(self) -> int:
        """Frames before which everything is final."""
        if self._slots is None:
            return 0
        if self._n_done == len(self._slots):
            return self._n_frames
        slot = self._slots[self._n_done]
        return slot.walk.seek if slot.walk is not None and self._emits_at_once else slot.stretch.begin

    @property
    def language(self) -> str | None:
        """Of most of the recording; None before the vote, and where nobody speaks."""
        if self._timeline is not None:
            return self._timeline.language
        return self._options.language or "en"

    @property
    def language_probs(self) -> dict[str, float]:
        """The vote; empty when the language was named."""
        return {} if self._timeline is None else self._timeline.probabilities

    @property
    def languages(self) -> tuple[LanguageSpan, ...]:
        """Which language is spoken when; empty when it was named."""
        return () if self._timeline is None else self._timeline.spans

    def next_windows(self, limit: int) -> list[Window | LanguageWindow]:
        """At most ``limit`` windows to decode now; none while all wait for answers, and when the recording is done."""
        if self._slots is None:
            wanted = self._timeline.next_windows() if self._timeline is not None else []
            if wanted:
                return self._ask([each for each in wanted if each not in self._asked][:limit])
            self._slots = self._new_slots()
        self._advance(self._slots)
        windows: list[Window | LanguageWindow] = []
        for slot in self._active(self._slots):
            if len(windows) >= limit:
                break
            if slot.walk is None and isinstance(language := self._language_of(slot), LanguageWindow):
                windows += [language] if language not in self._asked else []
                continue
            for walk in slot.walks():
                window = walk.next_window() if walk.number not in self._asked else None
                windows += [window] if window is not None else []
        return self._ask(windows[:limit])

    def accept_language(self, window: LanguageWindow, probabilities: Mapping[str, float]) -> None:
        """Take the language probabilities of a window that ``next_windows`` gave."""
        if self._timeline is None or window not in self._asked:
            raise AuricleError(f"got languages of frame {window.seek}, expected those of a window that was asked about")
        self._asked.discard(window)
        self._timeline.accept(window, probabilities)

    def accept(self, window: Window, result: DecodingResult) -> None:
        """Take the result of a window that ``next_windows`` gave."""
        if window.walk not in self._asked or self._slots is None:
            raise AuricleError(f"got the result of walk {window.walk}, expected one that was asked for")
        self._asked.discard(window.walk)
        walk = self._walks[window.walk]
        walk.accept(window, result)
        self._advance(self._slots)

    def pop_segments(self) -> list[Segment]:
        """Segments that became final since the last call, in order of time."""
        final, self._final = self._final, []
        return final

    @property
    def _emits_at_once(self) -> bool:
        return self._options.plan is Plan.SEQUENTIAL

    def _ask(self, windows: Sequence[Window | LanguageWindow]) -> list[Window | LanguageWindow]:
        self._asked |= {each.walk if isinstance(each, Window) else each for each in windows}
        return list(windows)

    def _windows(self, stretches: Sequence[Stretch]) -> list[Stretch]:
        """Stretches of at most 30 s."""
        if self._voice is None:
            return [window for stretch in stretches for window in cut_anywhere(stretch)]
        return [
            window
            for stretch in stretches
            for window in cut_at_pauses(
                stretch, self._voice.possible, self._voice.activity, keep_silence=not self._options.vad
            )
        ]

    def _new_slots(self) -> list[Slot]:
        runs = self._timeline.runs() if self._timeline is not None else []
        if self._options.plan is Plan.SEQUENTIAL:
            if self._timeline is not None and not runs:
                self._timeline.settle()
            stretches = runs or [(clip, self.language or "en") for clip in self._clips]
            return [Slot(stretch=stretch, language=language) for stretch, language in stretches]
        if runs:
            return [
                Slot(stretch=window, language=language) for run, language in runs for window in self._windows([run])
            ]
        language = None if self._timeline is not None else self.language
        return [Slot(stretch=window, language=language) for window in self._windows(self._clips)]

    def _active(self, slots: list[Slot]) -> list[Slot]:
        """The slots that may have work now."""
        return slots[self._n_done : self._n_done + 1] if self._emits_at_once else slots[self._n_done : self._end(slots)]

    def _end(self, slots: list[Slot]) -> int:
        return min(self._n_done + LOOK_AHEAD_SLOTS, len(slots))

    def _language_of(self, slot: Slot) -> str | LanguageWindow | None:
        if slot.language is None and self._timeline is not None:
            language = self._timeline.language_of(slot.stretch)
            if isinstance(language, LanguageWindow):
                return language
            slot.language = language
        return slot.language

    def _advance(self, slots: list[Slot]) -> None:
        """Start the walks that can start, settle those that are done, and emit what is final."""
        n_done = -1
        while n_done < self._n_done:  # those that have no voice are done at once, and the next ones can start
            n_done = self._n_done
            self._advance_once(slots)

    def _advance_once(self, slots: list[Slot]) -> None:
        for place in range(self._n_done, self._end(slots)):
            if self._emits_at_once and place > self._n_done:
                return
            slot = slots[place]
            if slot.walk is None and not isinstance(self._language_of(slot), LanguageWindow):
                self._start(slot, place, slots)
            is_done = slot.walk is not None and not slot.walks() and self._settle(slot, place, slots)
            if place == self._n_done and (is_done or self._emits_at_once):
                self._emit(slot, is_done=is_done)

    def _start(self, slot: Slot, place: int, slots: list[Slot]) -> None:
        context = self._context
        if self._emits_at_once and place and slots[place - 1].language != slot.language:
            context.forget()
        if not self._emits_at_once and place:
            context = Context(carried=self._carried)
        slot.walk = self._new_walk(slot, slot.stretch, context)
        # Context costs one decoding, the ladder of temperatures up to five times five.
        slot.walk.gives_up = self._can_use_context(place)

    def _new_walk(self, slot: Slot, stretch: Stretch, context: Context, earlier: tuple[Attempt, ...] = ()) -> Walk:
        self._n_walks += 1
        walk = Walk(
            self._n_walks,
            stretch,
            self._setup,
            context=context,
            language=slot.language,
            earlier=earlier,
        )
        self._walks[walk.number] = walk
        return walk

    def _can_use_context(self, place: int) -> bool:
        is_wanted = self._options.plan is Plan.HYBRID and self._options.condition_on_previous_text
        return is_wanted and place > 0

    def _settle(self, slot: Slot, place: int, slots: list[Slot]) -> bool:
        """What follows when all walks of a slot are done; True when nothing does."""
        walk = slot.walk
        if walk is None:
            return False
        if slot.second is not None:
            walk = self._keep_better(slot, walk, slot.second)
        elif walk.gave_up or (not slot.walked_again and self._can_use_context(place) and _is_weak(walk)):
            if place > self._n_done:
                return False  # the text before it is not final yet
            slot.walked_again = True
            self._walk_again(slot, walk, slots[place - 1])
        if not slot.walks() and slot.rescues is None:
            slot.rescues = self._rescue(slot, walk)
        return not slot.walks()

    def _keep_better(self, slot: Slot, first: Walk, second: Walk) -> Walk:
        slot.second = None
        # Little text is easily probable: the better walk must not be the one that left some of it out.
        is_whole = second.n_letters >= MIN_KEPT_TEXT * first.n_letters and _lost_s(second) <= _lost_s(first)
        is_whole = is_whole and (bool(second.segments) or not first.has_doubted_text)
        if second.rank > first.rank and is_whole:
            slot.walk = second
            del self._walks[first.number]
            return second
        del self._walks[second.number]
        if first.gave_up:
            first.make_do()
        first.note(second.tried)
        return first

    def _walk_again(self, slot: Slot, walk: Walk, before: Slot) -> None:
        """Walk with the text before it as context; without any, a walk that gave up climbs on."""
        text = before.walk.context.text if before.walk is not None and before.language == slot.language else ()
        if text:
            context = Context(carried=self._carried, text=text)
            slot.second = self._new_walk(slot, slot.stretch, context, tuple(walk.tried))
        elif walk.gave_up:
            walk.climb()

    def _rescue(self, slot: Slot, walk: Walk) -> list[Walk]:
        """Walks over speech that ``walk`` left without text."""
        walks = []
        for lost in walk.lost():
            if self._emits_at_once:
                slot.lost.append(lost_speech(lost))
                continue
            stretch = Stretch(begin=round(lost.start * FRAMES_PER_SECOND), end=round(lost.end * FRAMES_PER_SECOND))
            walks.append(self._new_walk(slot, stretch, Context(carried=self._carried)))
        return walks

    def _emit(self, slot: Slot, *, is_done: bool) -> None:
        new = slot.text(self._setup.tokenizer)[self._n_emitted :]
        if not self._options.word_timestamps:
            new = [replace(segment, words=()) for segment in new]
        self._final += [replace(segment, id=self._n_segments + i) for i, segment in enumerate(new)]
        self._n_segments += len(new)
        self._n_emitted += len(new)
        if is_done:
            self.suppressed += slot.suppressed()
            self._n_emitted = 0
            self._n_done += 1
            for walk in (slot.walk, *(slot.rescues or ())):
                if walk is not None:
                    del self._walks[walk.number]


def _is_weak(walk: Walk) -> bool:
    """Whether the text before might help: the model was unsure, or the first word may be cut."""
    if not walk.segments:
        return False
    return bool(walk.failed) or walk.avg_logprob < WEAK_LOGPROB or not walk.stretch.after_pause


def _lost_s(walk: Walk) -> float:
    return sum(lost.end - lost.start for lost in walk.lost())


def _warnings(carried: tuple[int, ...], prompt: tuple[int, ...]) -> tuple[str, ...]:
    room = MAX_CONTEXT_TOKENS - len(carried)
    if len(prompt) <= room:
        return ()
    return (f"prompt: got {len(prompt)} tokens, the model is told the last {room}",)


def _told(options: TranscribeOptions, tokenizer: Tokenizer) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Tokens that every window is told, and those for the first window only."""
    prompt = tuple(tokenizer.encode(" " + options.prompt.strip())) if options.prompt.strip() else ()
    try:
        words = " " + ", ".join(word.strip() for word in options.hotwords)
        carried = tuple(tokenizer.encode(words)) if options.hotwords else ()
    except InvalidOptionError as error:
        raise InvalidOptionError(f"hotwords: {error}", param="hotwords") from error
    if len(carried) > MAX_CARRIED_TOKENS:
        message = f"hotwords: got {len(carried)} tokens, expected at most {MAX_CARRIED_TOKENS}: name fewer"
        raise InvalidOptionError(message, param="hotwords")
    if not options.carry_prompt:
        return carried, prompt
    if len(carried) + len(prompt) > MAX_CARRIED_TOKENS:
        got = f"{len(carried) + len(prompt)} tokens with the hotwords"
        message = f"carry_prompt: got a prompt of {got}, expected at most {MAX_CARRIED_TOKENS}: shorten it"
        raise InvalidOptionError(message, param="carry_prompt")
    return (*carried, *prompt), ()
