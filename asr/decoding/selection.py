"""Which token each row takes, and which hypothesis wins. In: filtered logits. Out: next tokens, then the winner.

One selector a window: it owns the window's ``width`` rows. Knows no model, no cache and no other window.
Shapes: W = width rows of this window, V vocabulary.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

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

    def step(self, logits_WV: Tensor) -> Step:
        """Choose the next tokens from filtered logits."""

    def best(self) -> Hypothesis:
        """The winner among what is finished, or cut short."""


class GreedySelector:
    """One row, its most likely token."""

    def __init__(self, eot: int) -> None:
        self._eot = eot
        self.rows: list[list[int]] = [[]]
        self._sum_logprob = 0.0

    def step(self, logits_WV: Tensor) -> Step:
        """See Selector."""
        best = logits_WV[0].argmax()
        self._sum_logprob += float(logits_WV[0, best] - logits_WV[0].logsumexp(dim=0))
        token = int(best)
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
        self._generator = torch.Generator()
        if strategy.seed is None:
            self._generator.seed()
        else:
            self._generator.manual_seed(strategy.seed)

    def step(self, logits_WV: Tensor) -> Step:
        """See Selector."""
        probabilities = (logits_WV / self._strategy.temperature).softmax(dim=-1).cpu()
        drawn = torch.multinomial(probabilities, 1, generator=self._generator)[:, 0]
        logprobs = logits_WV.log_softmax(dim=-1).cpu().gather(1, drawn[:, None])[:, 0].tolist()
        tokens = []
        for row, token in enumerate(drawn.tolist()):
            finished = self.rows[row][-1:] == [self._eot]
            tokens.append(self._eot if finished else token)
            if not finished:
                self.rows[row].append(token)
                self._sum_logprobs[row] += logprobs[row]
        done = all(row[-1] == self._eot for row in self.rows)
        return Step(tuple(tokens), tuple(range(len(tokens))), done=done)

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

    def step(self, logits_WV: Tensor) -> Step:
        """See Selector."""
        beam_size = self._strategy.beam_size
        # All beams are the same before the first token: looking at one keeps them from finding the same thing.
        n_rows = 1 if not self.rows[0] else beam_size
        logprobs_WV = logits_WV[:n_rows].log_softmax(dim=-1)
        # One more than the beam: even when the best is the end token, enough remain.
        top = logprobs_WV.topk(beam_size + 1, dim=-1)
        candidates = [
            (self._sum_logprobs[row] + logprob, row, token)
            for row, (row_logprobs, row_tokens) in enumerate(
                zip(top.values.tolist(), top.indices.tolist(), strict=True)
            )
            for logprob, token in zip(row_logprobs, row_tokens, strict=True)
        ]
        candidates.sort(key=lambda candidate: -candidate[0])
        kept: list[tuple[float, int, int]] = []
        for candidate in candidates:
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
