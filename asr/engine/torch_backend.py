"""The backend of torch: any device, any floating-point precision. The reference that the int8 one is held against."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from asr.decoding.alignment import HeadSet, find_starts
from asr.decoding.steps import Candidate, Choice, Heard, Read, RowRules
from asr.engine.backend import Part
from asr.engine.torch_memory import Listener, PartMemory, RowMemory, TorchWindow
from asr.model import Whisper

__all__ = ["TorchBackend"]

NEVER = float("-inf")


class TorchBackend:
    """See Backend."""

    def __init__(self, model: Whisper, heads: HeadSet) -> None:
        self.model = model
        self.dims = model.dims
        self.device = model.device
        self.precision = str(model.dtype).removeprefix("torch.")
        self._heads = heads
        self._rows = RowMemory(model.dims, device=model.device, dtype=model.dtype)

    def encode(self, mel: Tensor) -> TorchWindow:
        """See Backend."""
        features = self.model.encoder(mel[None].to(device=self.device, dtype=self.model.dtype))
        layers = self.model.decoder.project_audio(features)
        return TorchWindow([(keys.contiguous(), values.contiguous()) for keys, values in layers])

    def take_rows(self, n: int) -> list[int]:
        """See Backend."""
        return self._rows.take(n)

    def free_rows(self, rows: Sequence[int]) -> None:
        """See Backend."""
        self._rows.free(rows)

    def extend(self, parts: Sequence[Part]) -> Tensor:
        """See Backend."""
        hidden_MC = self._run(parts)
        wanted, first = [], 0
        for part in parts:
            n_new = len(part.tokens[0])
            wanted += [first + row * n_new + token for row, token in part.wanted]
            first += len(part.rows) * n_new
        return self.model.decoder.logits(hidden_MC[wanted])

    def _run(self, parts: Sequence[Part], listener: Listener | None = None) -> Tensor:
        for part in parts:
            self._rows.continue_rows(part)
        memory = PartMemory(self._rows, parts, self.dims.n_text_head, listener)
        tokens = [token for part in parts for row in part.tokens for token in row]
        hidden: Tensor = self.model.decoder(torch.tensor(tokens, device=self.device), memory.positions_M, memory)
        return hidden

    def logits(self, logits: Tensor, place: int) -> NDArray[np.float32]:
        """See Backend."""
        row: NDArray[np.float32] = logits[place].cpu().numpy().copy()
        return row

    def choose(self, logits: Tensor, places: Sequence[int], choices: Sequence[Choice]) -> list[list[Candidate]]:
        """See Backend."""
        rows = logits[list(places)]
        for row, choice in zip(rows, choices, strict=True):
            apply_rules(row, choice.rules)
        logprobs = rows.log_softmax(dim=-1)
        n_best = max(choice.n_best for choice in choices)
        best = logprobs.topk(n_best, dim=-1)
        chosen = []
        for place, (choice, values, tokens) in enumerate(
            zip(choices, best.values.tolist(), best.indices.tolist(), strict=True)
        ):
            if choice.draw is None:
                chosen.append(list(zip(tokens[: choice.n_best], values[: choice.n_best], strict=True)))
            else:
                token = _draw(rows[place], choice.temperature, choice.draw)
                chosen.append([(token, float(logprobs[place, token]))])
        return chosen

    def read(self, window: TorchWindow, asked: Read) -> Heard:
        """See Backend."""
        weights_HTS, probabilities = self.listen(window, asked.tokens, asked.vocabulary_end)
        starts = find_starts(torch.from_numpy(weights_HTS), first=asked.first, n_positions=asked.n_positions)
        return Heard(starts=starts, probabilities=probabilities[asked.first : -1].tolist())

    def listen(
        self, window: TorchWindow, text: Sequence[int], vocabulary_end: int
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Where each alignment head listens at each token of a text, and how probable each next token is.

        (H, T, S) softmax over the positions of the audio, and (T,) probabilities of the token after each among those
        below ``vocabulary_end``; of no use where it is none of them.
        """
        rows = self.take_rows(1)
        listener = Listener(self._heads)
        part = Part(window=window, rows=rows, tokens=[text], position=0, sources=None, wanted=())
        try:
            hidden_TC = self._run([part], listener)
        finally:
            self.free_rows(rows)
        following = torch.tensor([*text[1:], 0], device=hidden_TC.device).clamp(max=vocabulary_end - 1)
        probabilities = [
            self.model.decoder.logits(hidden)[:, :vocabulary_end].softmax(dim=-1).gather(1, targets[:, None])
            for hidden, targets in zip(torch.split(hidden_TC, 32), torch.split(following, 32), strict=True)
        ]
        return listener.weights().numpy(), torch.cat(probabilities)[:, 0].cpu().numpy()


def apply_rules(logits_V: Tensor, rules: RowRules) -> None:
    """Forbid what must not come next, in place."""
    logits_V[list(rules.suppressed)] = NEVER
    for first, end in rules.ranges:
        logits_V[first:end] = NEVER
    if rules.timestamp_begin is not None:
        # Comparing unnormalized sums is comparing probabilities: the normalizer is the same on both sides.
        text, timestamps = logits_V[: rules.timestamp_begin], logits_V[rules.timestamp_begin :]
        if timestamps.logsumexp(dim=0) > text.amax():
            text.fill_(NEVER)


def _draw(logits_V: Tensor, temperature: float, draw: float) -> int:
    """Where ``draw`` lies in the distribution, tokens in order of their ids."""
    totals = (logits_V.double() / temperature).softmax(dim=-1).cumsum(dim=-1)
    place = int(torch.searchsorted(totals, draw * totals[-1], right=True))
    return min(place, len(totals) - 1)
