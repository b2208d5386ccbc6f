"""Which language each stretch is decoded in. In: windows' language probabilities. Out: windows to listen to, languages.

A pure state machine, as ``LongFormSession``, which asks it when the caller names no language. First a vote over windows
spread along the recording. Where they disagree the recording is cut into its utterances, each is listened to, and
the most likely sequence of languages decides; else each stretch follows the vote unless it clearly says otherwise.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from asr.errors import AuricleError
from asr.features import FRAMES_PER_SECOND
from asr.language_vote import Ballot, choose, restrict, smooth, to_spans, vote
from asr.options import TranscribeOptions
from asr.stretches import Stretch
from asr.transcript import LanguageSpan
from asr.voice import Voice

__all__ = ["LanguageTimeline", "LanguageWindow"]

MAX_VOTES = 8
CLEAR = 0.8  # a vote below it, or a window as sure of another language, means that several may be spoken
MIN_MIXED_SPEECH_S = 10.0  # less speech is taken to be in one language
MIN_PIECE_S, MAX_PIECE_S = 3.0, 8.0  # of an utterance: enough to name its language, seldom more than one
MAX_SPAN_PAUSE_S = 2.0  # of a pause beside an utterance is in its language's span
PIECE_PAUSE_S = 0.25  # a pause that an utterance may end in
SHORT_PIECE_PAUSE_S = 0.7  # and one that even a shorter utterance ends in: there the speaker may change


@dataclass(frozen=True, slots=True, kw_only=True)
class LanguageWindow:
    """Frames (10 ms) whose language probabilities are wanted."""

    seek: int
    n_frames: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Utterance:
    """A part of the recording, and the part of it that has a voice: that is what is listened to."""

    stretch: Stretch
    heard: Stretch


class LanguageTimeline:
    """Listens to the ``clips`` of a recording, whose windows are ``windows``: stretches of at most 30 s in order."""

    def __init__(
        self, clips: Sequence[Stretch], windows: Sequence[Stretch], voice: Voice | None, options: TranscribeOptions
    ) -> None:
        self._clips = clips
        self._options = options
        self._voice = voice
        self._windows = list(windows)
        self._ballots: dict[tuple[int, int], Ballot] = {}  # by what was heard
        self._chosen: dict[tuple[int, int], tuple[Ballot, str]] = {}
        self._votes = _spread(self._windows, MAX_VOTES)
        self._utterances: list[_Utterance] = []
        self.probabilities: dict[str, float] = {}
        """The vote."""

    @property
    def language(self) -> str | None:
        """The winner of the vote, or None before it."""
        return max(self.probabilities, key=self.probabilities.__getitem__) if self.probabilities else None

    def next_windows(self) -> list[LanguageWindow]:
        """What to listen to before any text is decoded; none when that is done."""
        wanted = self._votes if not self.probabilities else [each.heard for each in self._utterances]
        return [_window(each) for each in wanted if _key(each) not in self._ballots]

    def accept(self, window: LanguageWindow, probabilities: Mapping[str, float]) -> None:
        """Take what a window says."""
        key = (window.seek, window.seek + window.n_frames)
        if key in self._ballots:
            raise AuricleError(f"got the languages of frames {key[0]} to {key[1]} twice, expected them once")
        self._ballots[key] = Ballot(
            start=key[0] / FRAMES_PER_SECOND,
            end=key[1] / FRAMES_PER_SECOND,
            probabilities=restrict(probabilities, self._options.languages),
        )
        if not self.probabilities and all(_key(each) in self._ballots for each in self._votes):
            self.probabilities = vote([self._ballots[_key(each)] for each in self._votes])
            self._utterances = [each for clip in self._clips for each in self._cut(clip)] if self._is_mixed() else []

    def runs(self) -> list[tuple[Stretch, str]]:
        """Stretches of one language each that follow on each other; none unless several languages may be spoken."""
        languages = smooth([self._ballots[_key(each.heard)] for each in self._utterances])
        runs: list[tuple[Stretch, str]] = []
        for utterance, language in zip(self._utterances, languages, strict=True):
            self._chosen[_key(utterance.heard)] = self._with_pauses(utterance), language
            stretch = utterance.stretch
            if runs and runs[-1][1] == language and runs[-1][0].end == stretch.begin:
                stretch = Stretch(begin=runs.pop()[0].begin, end=stretch.end)
            runs.append((stretch, language))
        return runs

    def language_of(self, stretch: Stretch) -> str | LanguageWindow:
        """The language to decode a stretch of at most 30 s in, or what to listen to first."""
        ballot = self._ballots.get(_key(stretch))
        if ballot is None:
            return _window(stretch)
        is_clear = max(ballot.probabilities.values()) >= self._options.language_threshold
        language = choose(ballot.probabilities, self.probabilities) if is_clear else self.language or "en"
        self._chosen[_key(stretch)] = ballot, language
        return language

    def settle(self) -> None:
        """Let the vote hold for the whole recording."""
        if self.probabilities:
            whole = Stretch(begin=self._windows[0].begin, end=self._windows[-1].end)
            start, end = whole.begin / FRAMES_PER_SECOND, whole.end / FRAMES_PER_SECOND
            ballot = Ballot(start=start, end=end, probabilities=self.probabilities)
            self._chosen = {_key(whole): (ballot, self.language or "en")}

    @property
    def spans(self) -> tuple[LanguageSpan, ...]:
        """Which language is spoken when, as far as it is decided."""
        chosen = [self._chosen[key] for key in sorted(self._chosen)]
        return to_spans([ballot for ballot, _ in chosen], [language for _, language in chosen])

    def _with_pauses(self, utterance: _Utterance) -> Ballot:
        """What an utterance says, over the pauses that belong to it too."""
        ballot = self._ballots[_key(utterance.heard)]
        stretch = utterance.stretch
        return replace(
            ballot,
            start=max(stretch.begin / FRAMES_PER_SECOND, ballot.start - MAX_SPAN_PAUSE_S),
            end=min(stretch.end / FRAMES_PER_SECOND, ballot.end + MAX_SPAN_PAUSE_S),
        )

    def _is_mixed(self) -> bool:
        if self._voice is None or len(self._options.languages) == 1:
            return False
        if sum(each.end - each.start for each in self._voice.speech) < MIN_MIXED_SPEECH_S:
            return False
        if max(self.probabilities.values()) < CLEAR:
            return True
        ballots = [self._ballots[_key(each)].probabilities for each in self._votes]
        return any(p > CLEAR and name != self.language for ballot in ballots for name, p in ballot.items())

    def _cut(self, clip: Stretch) -> list[_Utterance]:
        """Speech between pauses, of MIN_PIECE_S to MAX_PIECE_S; pauses go to their neighbours in halves."""
        if self._voice is None:
            return []
        begin_s, end_s = clip.begin / FRAMES_PER_SECOND, clip.end / FRAMES_PER_SECOND
        groups: list[tuple[float, float]] = []
        for each in self._voice.possible:
            start, end = max(each.start, begin_s), min(each.end, end_s)
            if _frame(start) >= _frame(end):
                continue
            if groups and end - groups[-1][0] <= MAX_PIECE_S:
                pause, shorter = start - groups[-1][1], min(groups[-1][1] - groups[-1][0], end - start)
                if pause < (SHORT_PIECE_PAUSE_S if shorter < MIN_PIECE_S else PIECE_PAUSE_S):
                    groups[-1] = (groups[-1][0], end)
                    continue
            groups += self._split(start, end)
        edges = [clip.begin]
        edges += [_frame((before[1] + after[0]) / 2) for before, after in pairwise(groups)]
        edges.append(clip.end)
        return [
            _Utterance(
                stretch=Stretch(begin=begin, end=end), heard=Stretch(begin=_frame(group[0]), end=_frame(group[1]))
            )
            for group, begin, end in zip(groups, edges, edges[1:], strict=False)
            if end > begin
        ]

    def _split(self, start: float, end: float) -> list[tuple[float, float]]:
        """Speech without a pause in pieces, cut where the voice is weakest."""
        pieces = []
        while self._voice is not None and end - start > MAX_PIECE_S + MIN_PIECE_S:
            cut = self._voice.activity.quietest(start + MIN_PIECE_S, start + MAX_PIECE_S)
            pieces.append((start, cut))
            start = cut
        return [*pieces, (start, end)]


def _key(stretch: Stretch) -> tuple[int, int]:
    return stretch.begin, stretch.end


def _window(stretch: Stretch) -> LanguageWindow:
    return LanguageWindow(seek=stretch.begin, n_frames=stretch.end - stretch.begin)


def _frame(time_s: float) -> int:
    return round(time_s * FRAMES_PER_SECOND)


def _spread(stretches: Sequence[Stretch], count: int) -> list[Stretch]:
    """At most ``count`` of them, evenly spread."""
    if len(stretches) <= count:
        return list(stretches)
    step = len(stretches) / count
    return [stretches[int((i + 0.5) * step)] for i in range(count)]
