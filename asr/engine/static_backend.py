"""The backend of GPUs: steps of fixed shape over memory of fixed address, captured as graphs, several without waiting.

Prompts and second readings are the eager backend's, over the same memory. On a CPU the steps run as they are, which is
slower there than eager ones; tests hold the two against each other.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from asr.decoding.alignment import HeadSet
from asr.decoding.steps import Ahead, Candidate
from asr.engine.backend import Part
from asr.engine.cuda_graph import CapturedWork
from asr.engine.static_memory import Places, StaticMemory, StepMemory, StepShape, WindowSlots
from asr.engine.torch_backend import TorchBackend
from asr.engine.torch_rules import N_STATE, RuleState, likeliest, on_device, state_of, suppress
from asr.model import Whisper

__all__ = ["StaticBackend"]

MAX_AHEAD = 8  # tokens between two looks of the host: one in ten is then behind the end of its text
MIN_TEXT = 64  # positions; longer steps are made for powers of two

Numbers = tuple[int, ...]
Work = Callable[[], Tensor]
Capture = Callable[[Work, Any], Work]


class StaticBackend(TorchBackend):
    """See AheadBackend. ``capture`` makes of a step and a pool of memory what is launched; see CapturedWork."""

    def __init__(self, model: Whisper, heads: HeadSet, capture: Capture | None = None) -> None:
        super().__init__(model, heads)
        self._memory = StaticMemory(self._rows, WindowSlots(self.dims, device=self.device, dtype=model.dtype))
        self._capture = capture or (CapturedWork if self.device.type == "cuda" else _as_it_is)
        self._forget_steps()

    def free_rows(self, rows: Sequence[int]) -> None:
        """See Backend."""
        super().free_rows(rows)
        self._memory.slots.release(rows)

    def extend(self, parts: Sequence[Part]) -> Tensor:
        """See Backend."""
        steps = [part for part in parts if len(part.tokens[0]) == 1]
        if not steps:
            return super().extend(parts)
        step, firsts = self._loaded(steps)
        logits = [step.launch()]
        first_of_step, next_of_prompt = iter(firsts), len(logits[0])
        prompts = [part for part in parts if len(part.tokens[0]) > 1]
        if prompts:
            logits.append(super().extend(prompts))
        places: list[int] = []
        for part in parts:
            if len(part.tokens[0]) == 1:
                first = next(first_of_step)
                places += [first + row for row, _ in part.wanted]
            else:
                places += range(next_of_prompt, next_of_prompt + len(part.wanted))
                next_of_prompt += len(part.wanted)
        # A copy: the next step overwrites its own.
        return torch.cat(logits).index_select(0, on_device(places, self.device))

    def run_ahead(self, parts: Sequence[Part], asked: Sequence[Ahead]) -> list[list[Candidate]]:
        """See AheadBackend."""
        n_tokens = min(MAX_AHEAD, max(each.n_tokens for each in asked))
        step, firsts = self._loaded(parts, asked, n_tokens)
        found = torch.stack([step.launch().clone() for _ in range(n_tokens)], dim=1).tolist()
        return [
            [(int(token), logprob) for token, logprob in found[first][: each.n_tokens]]
            for first, each in zip(firsts, asked, strict=True)
        ]

    def _forget_steps(self) -> None:
        """Those to come run over the memory that there is now; torch uses no pool again whose graphs are gone."""
        self._steps: dict[StepShape, _Step] = {}
        self._sizes = self._memory.sizes
        self._pool = torch.cuda.graph_pool_handle() if self.device.type == "cuda" else None

    def _loaded(
        self, parts: Sequence[Part], asked: Sequence[Ahead] = (), n_tokens: int = 1
    ) -> tuple["_Step", list[int]]:
        """The step for parts of one new token a row, ready to be launched; and the place of each part's first row."""
        slots = [self._memory.slots.hold(part.rows[0], part.window) for part in parts]
        if self._sizes != self._memory.sizes:
            self._forget_steps()
        n_audio = [part.window.layers[0][0].shape[2] for part in parts]
        n_text = max(part.position for part in parts) + n_tokens
        shape = StepShape(
            n_slots=min(_power_of_two(max(slots) + 1), len(self._memory.slots)),
            n_rows=max(len(part.rows) for part in parts),
            n_text=min(max(_power_of_two(n_text), MIN_TEXT), self.dims.n_text_ctx),
            has_short_audio=min(n_audio) < self.dims.n_audio_ctx,
            chooses=bool(asked),
        )
        if shape not in self._steps:
            self._steps[shape] = _Step(self.model, self._memory, shape, lambda work: self._capture(work, self._pool))
        step = self._steps[shape]
        firsts = [slot * shape.n_rows for slot in slots]
        numbers: dict[int, Numbers] = {}
        for i, (part, first) in enumerate(zip(parts, firsts, strict=True)):
            sources = part.rows if part.sources is None else part.sources
            for place, (row, source, [token]) in enumerate(zip(part.rows, sources, part.tokens, strict=True), first):
                state = state_of(asked[i], self.dims.n_vocab) if asked else (token, *step.idle[1:N_STATE])
                numbers[place] = (*state, part.position, row, source, n_audio[i])
        step.load(numbers, {first: each.suppressed for first, each in zip(firsts, asked, strict=False)})
        return step, firsts


class _Step:
    """The decoder over one new token of each row, by inputs that stay where they are."""

    def __init__(self, model: Whisper, memory: StaticMemory, shape: StepShape, capture: Callable[[Work], Work]) -> None:
        dims, device = model.dims, model.device
        # No timestamps; at the second position of the spare row, since the first is read, masked, by the others.
        self.idle: Numbers = (0, 0, -1, dims.n_vocab, 0, 1, memory.spare, memory.spare, dims.n_audio_ctx)
        self._model = model
        self._shape = shape
        self._inputs = on_device([self.idle] * (shape.n_slots * shape.n_rows), device)
        self._state = RuleState(*self._inputs[:, :N_STATE].unbind(dim=1))
        self._places = Places(*self._inputs[:, N_STATE:].unbind(dim=1))
        self._memory = StepMemory(memory, self._places, shape)
        self._suppressed: dict[int, tuple[int, ...]] = {}
        self._bias_MV = torch.zeros(len(self._inputs), dims.n_vocab, device=device)
        # Captured while all rows are idle: running it then changes nothing that is remembered.
        self.launch = capture(self._choose if shape.chooses else self._logits)

    def load(self, numbers: dict[int, Numbers], suppressed: dict[int, tuple[int, ...]]) -> None:
        """Set the rows in use, in one transfer; what is suppressed seldom changes."""
        device = self._inputs.device
        self._inputs.copy_(on_device([numbers.get(place, self.idle) for place in range(len(self._inputs))], device))
        for place, tokens in suppressed.items():
            if self._suppressed.get(place) != tokens:
                self._suppressed[place] = tokens
                suppress(self._bias_MV[place : place + 1].zero_(), [tokens])

    def _logits(self) -> Tensor:
        """(M, V) float32."""
        self._memory.begin()
        hidden_MC: Tensor = self._model.decoder(self._state.last, self._places.position, self._memory)
        return self._model.decoder.logits(hidden_MC)

    def _choose(self) -> Tensor:
        """(M, 2) float64: the likeliest tokens that the rules allow, which are taken, and their log-probabilities."""
        logits_MV = self._logits()
        self._state.obey(logits_MV, self._bias_MV)
        tokens_M1, logprobs_MV = likeliest(logits_MV, 1)
        self._state.advance(tokens_M1[:, 0])
        # What lies behind the last position is not wanted.
        self._places.position.add_(1).clamp_(max=self._shape.n_text - 1)
        return torch.cat([tokens_M1.double(), logprobs_MV.gather(1, tokens_M1).double()], dim=1)


def _as_it_is(work: Work, _pool: Any) -> Work:
    return work


def _power_of_two(least: int) -> int:
    return 1 << (least - 1).bit_length()
