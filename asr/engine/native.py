"""The int8 backend for CPUs with AVX-512 VNNI: compiled kernels (``asr.native``) over memory that is kept here.

Activations have one scale a row and sums are whole numbers, so a window's answer is the same to the bit in any company.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from asr.decoding.alignment import HeadSet
from asr.decoding.steps import Candidate, Choice, Heard, Read
from asr.engine.backend import Part
from asr.native.library import CHOICE, MAX_RANGES, NEW_TOKEN, CRowCache, CWatch, CWindowCache, address
from asr.native.structures import NativeModel

__all__ = ["NativeBackend"]

VOCABULARY_PANEL = 64  # logits of a row come in whole panels
MAX_KEPT_WINDOWS = 4  # cross-attention caches that are kept to be used again: their pages are mapped already

Array = NDArray[Any]


class _Window:
    """The cross-attention cache of one window; its memory goes back to the pool."""

    def __init__(self, memory: Array, n_positions: int, pool: list[Array]) -> None:
        self.memory = memory
        self.n_positions = n_positions
        self._pool = pool

    def __del__(self, most: int = MAX_KEPT_WINDOWS) -> None:  # bound here: globals are gone when Python ends
        if len(self._pool) < most:
            self._pool.append(self.memory)


class NativeBackend:
    """See Backend."""

    max_encoded = 1  # a window fills the processor

    def __init__(self, model: NativeModel, heads: HeadSet, kernels: Any) -> None:
        self._model = model
        dims = self.dims = model.dims
        self.device = torch.device("cpu")
        self.precision = "int8"
        self._kernels = kernels
        self._layers = np.array([layer for layer, _ in heads], np.int32)
        self._heads = np.array([head for _, head in heads], np.int32)
        self._cells: list[Array] = []
        self._pointers = np.zeros(0, np.uintp)
        self._ancestors = np.zeros((0, dims.n_text_ctx), np.int32)
        self._free: list[int] = []
        self._pool: list[Array] = []
        self._logits = np.zeros((0, -(-dims.n_vocab // VOCABULARY_PANEL) * VOCABULARY_PANEL), np.float32)
        self._suppressed: dict[tuple[int, ...], Array] = {}

    def encode(self, mels: Sequence[Tensor]) -> list[_Window]:
        """See Backend."""
        return [self._encode(mel) for mel in mels]

    def _encode(self, mel: Tensor) -> _Window:
        self._use_threads()
        n_positions = mel.shape[1] // 2
        # One silent frame on each side, for the convolution.
        frames = np.zeros((2 * n_positions + 2, self.dims.n_mels), np.float32)
        frames[1:-1] = mel.t().numpy()
        size = self._kernels.auricle_cross_cache_bytes(self._model.encoder, n_positions)
        place = next((i for i, memory in enumerate(self._pool) if len(memory) == size), None)
        memory = np.empty(size, np.uint8) if place is None else self._pool.pop(place)
        features = np.empty((n_positions, self.dims.n_audio_state), np.float32)
        self._kernels.auricle_encode(
            self._model.encoder, address(frames), n_positions, address(features), address(memory)
        )
        return _Window(memory, n_positions, self._pool)

    def take_rows(self, n: int) -> list[int]:
        """See Backend."""
        while len(self._free) < n:
            self._free.append(len(self._cells))
            # Pages that no token reaches are never mapped.
            self._cells.append(
                np.empty((self.dims.n_text_layer, self.dims.n_text_ctx, 2, self.dims.n_text_state), np.uint16)
            )
            self._pointers = np.array([address(cells) for cells in self._cells], np.uintp)
            more = np.zeros((len(self._cells) - len(self._ancestors), self.dims.n_text_ctx), np.int32)
            self._ancestors = np.concatenate([self._ancestors, more])
        rows, self._free = self._free[:n], self._free[n:]
        return rows

    def free_rows(self, rows: Sequence[int]) -> None:
        """See Backend."""
        self._free = sorted([*self._free, *rows])  # the first rows have their pages mapped

    def extend(self, parts: Sequence[Part]) -> Array:
        """See Backend."""
        tokens: list[tuple[int, int, int, int, int]] = []
        n_wanted = 0
        for number, part in enumerate(parts):
            self._continue_rows(part)
            wanted = {place: n_wanted + i for i, place in enumerate(part.wanted)}
            n_wanted += len(part.wanted)
            tokens += [
                (token, part.position + t, row, number, wanted.get((r, t), -1))
                for r, (row, new) in enumerate(zip(part.rows, part.tokens, strict=True))
                for t, token in enumerate(new)
            ]
        if len(self._logits) < n_wanted:
            self._logits = np.empty((n_wanted, self._logits.shape[1]), np.float32)
        self._run(np.array(tokens, NEW_TOKEN), [part.window for part in parts], None)
        return self._logits

    def _continue_rows(self, part: Part) -> None:
        end = part.position + len(part.tokens[0])
        if part.sources is not None:
            self._ancestors[part.rows, : part.position] = self._ancestors[part.sources, : part.position]
        self._ancestors[part.rows, part.position : end] = np.asarray(part.rows)[:, None]

    def _run(self, tokens: Array, windows: Sequence[_Window], watch: CWatch | None) -> None:
        self._use_threads()
        rows = CRowCache(address(self._pointers), address(self._ancestors), self.dims.n_text_ctx)
        caches = (CWindowCache * len(windows))(
            *(CWindowCache(address(window.memory), window.n_positions) for window in windows)
        )
        self._kernels.auricle_extend(
            self._model.decoder, address(tokens), len(tokens), rows, caches, address(self._logits), watch
        )

    def logits(self, logits: Array, place: int) -> Array:
        """See Backend."""
        return logits[place, : self.dims.n_vocab].copy()

    def choose(self, logits: Array, places: Sequence[int], choices: Sequence[Choice]) -> list[list[Candidate]]:
        """See Backend."""
        first, end = places[0], places[0] + len(places)
        # Side by side they are worked on where they are; a row that several samples are drawn from is copied.
        rows = logits[first:end] if list(places) == list(range(first, end)) else logits[list(places)]
        asked = np.array([self._asked(choice) for choice in choices], CHOICE)
        most = max(choice.n_best for choice in choices)
        tokens = np.zeros((len(choices), most), np.int32)
        logprobs = np.zeros((len(choices), most), np.float32)
        self._kernels.auricle_choose(
            address(rows), len(rows), rows.shape[1], self.dims.n_vocab, address(asked), most, address(tokens),
            address(logprobs),
        )  # fmt: skip
        return [
            list(zip(row_tokens[: choice.n_best], row_logprobs[: choice.n_best], strict=True))
            for choice, row_tokens, row_logprobs in zip(choices, tokens.tolist(), logprobs.tolist(), strict=True)
        ]

    def _asked(self, choice: Choice) -> tuple[Any, ...]:
        """The fields of ``CHOICE``."""
        rules = choice.rules
        suppressed = self._suppressed_array(rules.suppressed)
        return (
            address(suppressed),
            len(suppressed),
            [*rules.ranges, *[(0, 0)] * (MAX_RANGES - len(rules.ranges))],
            -1 if rules.timestamp_begin is None else rules.timestamp_begin,
            choice.n_best,
            choice.temperature,
            -1.0 if choice.draw is None else choice.draw,
        )

    def _suppressed_array(self, tokens: tuple[int, ...]) -> Array:
        if tokens not in self._suppressed:
            self._suppressed[tokens] = np.array(tokens, np.int32)
        return self._suppressed[tokens]

    def read(self, window: _Window, asked: Read) -> Heard:
        """See Backend."""
        weights_HTS, probabilities = self.listen(window, asked.tokens, asked.vocabulary_end)
        n_heads, n_tokens, n_positions = weights_HTS.shape
        starts = np.zeros(n_tokens - 1 - asked.first, np.int32)
        self._kernels.auricle_align(
            address(weights_HTS), n_heads, n_tokens, n_positions, asked.n_positions, asked.first, address(starts)
        )
        return Heard(starts=starts.tolist(), probabilities=probabilities[asked.first : -1].tolist())

    def listen(self, window: _Window, text: Sequence[int], vocabulary_end: int) -> tuple[Array, Array]:
        """See TorchBackend.listen."""
        [row] = self.take_rows(1)
        self._ancestors[row, : len(text)] = row
        tokens = np.array([(token, i, row, 0, -1) for i, token in enumerate(text)], NEW_TOKEN)
        targets = np.array([token if token < vocabulary_end else -1 for token in [*text[1:], vocabulary_end]], np.int32)
        weights_HTS = np.empty((len(self._heads), len(text), window.n_positions), np.float32)
        probabilities = np.zeros(len(text), np.float32)
        watch = CWatch(
            address(self._layers), address(self._heads), address(weights_HTS), len(self._heads), window.n_positions,
            address(targets), address(probabilities), vocabulary_end,
        )  # fmt: skip
        try:
            self._run(tokens, [window], watch)
        finally:
            self.free_rows([row])
        return weights_HTS, probabilities

    def _use_threads(self) -> None:
        self._kernels.auricle_set_threads(torch.get_num_threads())
