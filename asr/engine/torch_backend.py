"""The backend of torch: any device, any floating-point precision. The reference that the int8 one is held against."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from asr.decoding.alignment import HeadSet, find_starts
from asr.decoding.steps import Candidate, Choice, Heard, Read
from asr.engine.backend import Part
from asr.engine.torch_memory import Listener, PartMemory, RowMemory, TorchWindow
from asr.engine.torch_rules import apply_rules, likeliest, on_device
from asr.model import Whisper

__all__ = ["TorchBackend"]

MAX_ENCODED = 8  # windows together fill a GPU; on a CPU one alone is as fast


class TorchBackend:
    """See Backend."""

    def __init__(self, model: Whisper, heads: HeadSet) -> None:
        self.model = model
        self.dims = model.dims
        self.device = model.device
        self.precision = str(model.dtype).removeprefix("torch.")
        self.max_encoded = MAX_ENCODED if self.device.type == "cuda" else 1
        self._heads = heads
        self._rows = RowMemory(model.dims, device=model.device, dtype=model.dtype)

    def encode(self, mels: Sequence[Tensor]) -> list[TorchWindow]:
        """See Backend."""
        features = self.model.encoder(torch.stack(list(mels)).to(device=self.device, dtype=self.model.dtype))
        layers = self.model.decoder.project_audio(features)
        # Each window's own memory, so that it is free when the window is done with.
        return [
            TorchWindow([(keys[i, None].clone(), values[i, None].clone()) for keys, values in layers])
            for i in range(len(mels))
        ]

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
        return self.model.decoder.logits(hidden_MC.index_select(0, on_device(wanted, self.device)))

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
        rows_RV = logits.index_select(0, on_device(places, logits.device))
        apply_rules(rows_RV, [choice.rules for choice in choices])
        tokens_RB, logprobs_RV = likeliest(rows_RV, max(choice.n_best for choice in choices))
        drawing = [place for place, choice in enumerate(choices) if choice.draw is not None]
        if drawing:
            asked = [(choices[place].temperature, choices[place].draw) for place in drawing]
            drawing_D = on_device(drawing, logits.device)
            drawn_D = _draw(rows_RV.index_select(0, drawing_D), on_device(asked, logits.device, torch.float64))
            tokens_RB[:, 0].index_copy_(0, drawing_D, drawn_D)
        # In one piece: each copy from a device waits for all that is under way on it.
        found = torch.stack([tokens_RB.double(), logprobs_RV.gather(1, tokens_RB).double()]).tolist()
        return [
            [(int(token), logprob) for token, logprob in zip(tokens, logprobs, strict=True)][: choice.n_best]
            for choice, tokens, logprobs in zip(choices, *found, strict=True)
        ]

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


def _draw(logits_RV: Tensor, asked: Tensor) -> Tensor:
    """Where draws lie in the distributions, tokens in order of their ids; ``asked``: temperature and draw of each."""
    temperatures, draws = asked[:, :, None].unbind(dim=1)
    totals = (logits_RV.double() / temperatures).softmax(dim=-1).cumsum(dim=-1)
    places = torch.searchsorted(totals, draws * totals[:, -1:], right=True)
    return places[:, 0].clamp(max=totals.shape[1] - 1)
