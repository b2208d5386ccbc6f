"""Which token each row takes, and which hypothesis wins. In: candidates. Out: next tokens, then the winner.

One selector a window: it owns the window's ``width`` rows. Knows no model, no cache and no other window.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from asr.decoding.rules import Rules
from asr.decoding.steps import Ahead, Candidate, Choice
from asr.decoding.types import BeamSearch, Greedy, Sampling, Strategy

__all__ = ["Hypothesis", "Selector", "Step", "selector_for"]


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """Tokens after the prompt without the end token, and the sum of their log-probabilities, end token included."""

    tokens: tuple[int, ...]
    sum_logprob: float

    @property
    def avg_logprob(self) -> float:
        """Mean log-probability, the end token counted."""
        return self.sum_logprob / (len(self.tokens) + 1)


@dataclass(frozen=True, slots=True)
class Step:
    """What follows one step: each row's next token, and the row of this window it continues."""

    tokens: tuple[int, ...]
    sources: tuple[int, ...]
    done: bool
    """The window needs no further step."""


class Selector(Protocol):
    """One window's search."""

    rows: list[list[int]]
    """Each row's tokens so far, after the prompt; those of a finished row end with the end token."""

    def choices(self, rules: Rules) -> list[Choice]:
        """What it wants to know of the next tokens; at first there is one row, the prompt's."""

    def ahead(self, rules: Rules, n_tokens: int) -> Ahead | None:
        """Leave to answer up to ``n_tokens`` steps at once; None where each needs the answer to the one before."""

    def step(self, candidates: Sequence[Sequence[Candidate]]) -> Step:
        """Take the next tokens from the answers to ``choices``."""

    def best(self) -> Hypothesis:
        """The winner among what is finished, or cut short."""


class GreedySelector:
    """One row, its most likely token."""

    def __init__(self, eot: int) -> None:
        self._eot = eot
        self.rows: list[list[int]] = [[]]
        self._sum_logprob = 0.0

    def choices(self, rules: Rules) -> list[Choice]:
        """See Selector."""
        return [Choice(row=0, rules=rules.after(self.rows[0]))]

    def ahead(self, rules: Rules, n_tokens: int) -> Ahead | None:
        """See Selector."""
        return rules.ahead(self.rows[0], n_tokens)

    def step(self, candidates: Sequence[Sequence[Candidate]]) -> Step:
        """See Selector."""
        token, logprob = candidates[0][0]
        self._sum_logprob += logprob
        self.rows[0].append(token)
        return Step((token,), (0,), done=token == self._eot)

    def best(self) -> Hypothesis:
        """See Selector."""
        return Hypothesis(_without(self._eot, self.rows[0]), self._sum_logprob)


class SamplingSelector:
    """``best_of`` rows sampled at a temperature, each from its own stream of random numbers."""

    def __init__(self, strategy: Sampling, eot: int) -> None:
        self._strategy = strategy
        self._eot = eot
        self.rows: list[list[int]] = [[] for _ in range(strategy.best_of)]
        self._sum_logprobs = [0.0] * strategy.best_of
        self._random = random.Random(strategy.seed)  # noqa: S311 (no secret)

    def choices(self, rules: Rules) -> list[Choice]:
        """See Selector."""
        is_first = not self.rows[0]
        return [
            Choice(
                row=0 if is_first else place,
                rules=rules.after(row),
                temperature=self._strategy.temperature,
                draw=self._random.random(),
            )
            for place, row in enumerate(self.rows)
        ]

    def ahead(self, _rules: Rules, _n_tokens: int) -> Ahead | None:
        """See Selector."""
        return None

    def step(self, candidates: Sequence[Sequence[Candidate]]) -> Step:
        """See Selector."""
        is_first = not self.rows[0]
        tokens = []
        for row, [(token, logprob)] in enumerate(candidates):
            finished = self.rows[row][-1:] == [self._eot]
            tokens.append(self._eot if finished else token)
            if not finished:
                self.rows[row].append(token)
                self._sum_logprobs[row] += logprob
        done = all(row[-1] == self._eot for row in self.rows)
        sources = (0,) * len(tokens) if is_first else tuple(range(len(tokens)))
        return Step(tuple(tokens), sources, done=done)

    def best(self) -> Hypothesis:
        """See Selector."""
        candidates = [
            Hypothesis(_without(self._eot, row), total)
            for row, total in zip(self.rows, self._sum_logprobs, strict=True)
        ]
        return _best_ranked(candidates, self._strategy.length_penalty)


class BeamSelector:
    """Beam search; finished hypotheses are put aside until there are enough of them."""

    def __init__(self, strategy: BeamSearch, eot: int) -> None:
        self._strategy = strategy
        self._eot = eot
        self.rows: list[list[int]] = [[] for _ in range(strategy.beam_size)]
        self._sum_logprobs = [0.0] * strategy.beam_size
        self._finished: list[Hypothesis] = []

    def choices(self, rules: Rules) -> list[Choice]:
        """See Selector."""
        # All beams are the same before the first token: looking at one keeps them from finding the same thing.
        rows = self.rows if self.rows[0] else self.rows[:1]
        # One more than the beam: even when the best is the end token, enough remain.
        n_best = self._strategy.beam_size + 1
        return [Choice(row=place, rules=rules.after(row), n_best=n_best) for place, row in enumerate(rows)]

    def ahead(self, _rules: Rules, _n_tokens: int) -> Ahead | None:
        """See Selector."""
        return None

    def step(self, candidates: Sequence[Sequence[Candidate]]) -> Step:
        """See Selector."""
        beam_size = self._strategy.beam_size
        ranked = [
            (self._sum_logprobs[row] + logprob, row, token)
            for row, best in enumerate(candidates)
            for token, logprob in best
        ]
        ranked.sort(key=lambda candidate: -candidate[0])
        kept: list[tuple[float, int, int]] = []
        for candidate in ranked:
            total, row, token = candidate
            if token == self._eot:
                if len(self._finished) < self._strategy.max_candidates:
                    self._finished.append(Hypothesis(tuple(self.rows[row]), total))
            else:
                kept.append(candidate)
                if len(kept) == beam_size:
                    break
        self._sum_logprobs = [total for total, _, _ in kept]
        self.rows = [[*self.rows[row], token] for _, row, token in kept]
        return Step(
            tokens=tuple(token for _, _, token in kept),
            sources=tuple(row for _, row, _ in kept),
            done=len(self._finished) >= self._strategy.max_candidates,
        )

    def best(self) -> Hypothesis:
        """See Selector. Unfinished beams fill the list up to the beam size, the likeliest first."""
        open_beams = sorted(
            (Hypothesis(tuple(row), total) for row, total in zip(self.rows, self._sum_logprobs, strict=True)),
            key=lambda hypothesis: -hypothesis.sum_logprob,
        )
        n_missing = max(0, self._strategy.beam_size - len(self._finished))
        return _best_ranked([*self._finished, *open_beams[:n_missing]], self._strategy.length_penalty)


def _without(eot: int, tokens: Sequence[int]) -> tuple[int, ...]:
    return tuple(tokens[:-1] if tokens and tokens[-1] == eot else tokens)


def _best_ranked(candidates: Sequence[Hypothesis], length_penalty: float | None) -> Hypothesis:
    def score(hypothesis: Hypothesis) -> float:
        length = len(hypothesis.tokens)
        if length == 0:
            return float("-inf")  # something is better than nothing
        return hypothesis.sum_logprob / (length if length_penalty is None else ((5 + length) / 6) ** length_penalty)

    return max(candidates, key=score)


def selector_for(strategy: Strategy, eot: int) -> Selector:
    """The search of one window."""
    match strategy:
        case Greedy():
            return GreedySelector(eot)
        case Sampling():
            return SamplingSelector(strategy, eot)
        case BeamSearch():
            return BeamSelector(strategy, eot)
