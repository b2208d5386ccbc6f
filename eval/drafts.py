"""What several tokens per pass would bring. In: a backend, windows, drafts. Out: greedy text, exactly, and its passes.

A draft guesses what the decoder will say; one pass then says what the decoder says after each guessed token, and the
guesses hold as far as they are that (Stern et al., NeurIPS 2018, with exact match). Rules are applied at every guessed
token, to the text that leads there. Knows no search but the greedy one, no engine and no head.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from asr.decoding import DecodeRequest
from asr.decoding.rules import Rules, rules_for
from asr.decoding.steps import Choice
from asr.engine.backend import Backend, EncodedWindow, Part
from asr.tokenizer import Tokenizer

__all__ = ["Counts", "Draft", "HeardDraft", "NoDraft", "Oracle", "decode_drafted"]


class Draft(Protocol):
    """What is guessed of one window."""

    def guess(self, said: Sequence[int], most: int) -> list[int]:
        """At most so many tokens after those that were said; more of them are said at each call."""


class NoDraft:
    """No guess: one token a pass."""

    def guess(self, _said: Sequence[int], _most: int) -> list[int]:
        """See Draft."""
        return []


class Oracle:
    """A guess that is always right: the ceiling of any draft. ``tokens``: the greedy text, its end token included."""

    def __init__(self, tokens: Sequence[int]) -> None:
        self._tokens = list(tokens)

    def guess(self, said: Sequence[int], most: int) -> list[int]:
        """See Draft."""
        return self._tokens[len(said) : len(said) + most]


class HeardDraft:
    """Text tokens that were heard without the decoder, timestamps put between them.

    After each pass the text that was said is aligned with the draft (edit distance), and guessing goes on behind the
    longest part of the draft that it is nearest to: an error costs its own pass and no more.
    """

    def __init__(self, text: Sequence[int], tokenizer: Tokenizer, *, timestamps: bool) -> None:
        self._text = list(text)
        self._begin = tokenizer.timestamp_begin
        self._eot = tokenizer.eot
        self._timestamps = timestamps
        self._n_said = 0
        self._distances = list(range(len(self._text) + 1))  # of what was said to each beginning of the draft

    def guess(self, said: Sequence[int], most: int) -> list[int]:
        """See Draft."""
        for token in said[self._n_said :]:
            if token < self._eot:
                self._align(token)
        self._n_said = len(said)
        nearest = min(self._distances)
        place = max(i for i, distance in enumerate(self._distances) if distance == nearest)
        rest = self._text[place:]
        if self._timestamps:
            return [*self._opening(said, is_over=not rest), *rest][:most]
        return [*rest, self._eot][:most]

    def _align(self, token: int) -> None:
        before, self._distances = self._distances, [self._distances[0] + 1]
        for place, drafted in enumerate(self._text):
            self._distances.append(
                min(before[place + 1] + 1, self._distances[place] + 1, before[place] + (drafted != token))
            )

    def _opening(self, said: Sequence[int], *, is_over: bool) -> list[int]:
        """The timestamp that text waits for, as likely as not: 0 at first, later the end of the segment before."""
        if not said:
            return [self._begin]
        closes_segment = said[-1] >= self._begin and len(said) > 1 and said[-2] < self._begin
        if not closes_segment:
            return []
        return [self._eot] if is_over else [said[-1]]


@dataclass(slots=True, kw_only=True)
class Counts:
    """Of one window."""

    tokens: list[int] = field(default_factory=list)
    """That were said, the end token included unless the text was cut short."""
    n_passes: int = 0
    n_guessed: int = 0
    n_accepted: int = 0


@dataclass(slots=True, eq=False)
class _Row:
    """One window on its way."""

    window: EncodedWindow
    row: int
    rules: Rules
    draft: Draft
    block: int
    end: int
    max_tokens: int
    fed: list[int]
    """What the next pass reads: tokens that hold, then guesses."""
    guesses: list[int] = field(default_factory=list)
    position: int = 0
    counts: Counts = field(default_factory=Counts)

    @property
    def is_done(self) -> bool:
        said = self.counts.tokens
        return len(said) >= self.max_tokens or said[-1:] == [self.end]

    def ask(self) -> tuple[Part, list[Choice]]:
        """Guess, and ask for the decoder's own choice after each guess, and after the token before them."""
        said = self.counts.tokens
        most = min(self.block, self.max_tokens - len(said)) - 1  # the last choice of a pass needs no guess
        self.guesses = self.draft.guess(said, most) if most > 0 else []
        first = len(self.fed) - 1
        self.fed += self.guesses
        wanted = [(0, place) for place in range(first, len(self.fed))]
        part = Part(
            window=self.window, rows=[self.row], tokens=[self.fed], position=self.position, sources=None, wanted=wanted
        )
        choices = [
            Choice(row=0, rules=self.rules.after([*said, *self.guesses[:n]])) for n in range(len(self.guesses) + 1)
        ]
        return part, choices

    def take(self, chosen: Sequence[int]) -> None:
        """Say the guesses that hold and the decoder's own token behind them; what they had wrong is read over."""
        n_right = next((n for n, guess in enumerate(self.guesses) if guess != chosen[n]), len(self.guesses))
        said = list(chosen[: n_right + 1])
        if self.end in said:
            said = said[: said.index(self.end) + 1]
        counts = self.counts
        counts.tokens += said
        counts.n_passes += 1
        counts.n_guessed += len(self.guesses)
        counts.n_accepted += n_right
        self.position += len(self.fed) - len(self.guesses) + n_right
        self.fed = said[-1:]


def decode_drafted(
    backend: Backend,
    windows: Sequence[EncodedWindow],
    requests: Sequence[DecodeRequest],
    drafts: Sequence[Draft],
    tokenizer: Tokenizer,
    *,
    block: int,
) -> list[Counts]:
    """Greedy text of windows side by side, at most ``block`` tokens of each a pass; the same whatever the drafts.

    That is the text of ``Engine.decode``: to the bit on the int8 backend, and in floating point save ties, since sums
    of another number of rows are rounded otherwise. Each request names its language.
    """
    half = backend.dims.n_text_ctx // 2
    numbers = backend.take_rows(len(windows))
    rows = []
    for window, request, draft, number in zip(windows, requests, drafts, numbers, strict=True):
        prompt = request.prompt.encode(tokenizer, max_context=half - 1)
        max_tokens = min(request.options.max_tokens or half, backend.dims.n_text_ctx - len(prompt) + 1)
        rows.append(
            _Row(window, number, rules_for(request, tokenizer), draft, block, tokenizer.eot, max_tokens, list(prompt))
        )
    try:
        while active := [row for row in rows if not row.is_done]:
            parts, choices = zip(*(row.ask() for row in active), strict=True)
            n_choices = sum(len(each) for each in choices)
            logits = backend.extend(parts)
            answers = iter(backend.choose(logits, list(range(n_choices)), [each for own in choices for each in own]))
            for row, own in zip(active, choices, strict=True):
                row.take([next(answers)[0][0] for _ in own])
    finally:
        backend.free_rows(numbers)
    return [row.counts for row in rows]
