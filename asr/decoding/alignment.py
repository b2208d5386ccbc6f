"""Where each text token was heard. In: audio features and texts of windows. Out: a ``TokenTime`` for each token.

A second look at what was decoded: all windows go through the decoder once more, side by side, with their text given.
The cross-attention of the alignment heads shows where the model listened as it spoke each token, and dynamic time
warping finds the best way through it on which time only moves on. Knows no words, no search, no recording.
Shapes: R windows, T tokens, S audio positions of 20 ms, H heads, D = head width, C width, V vocabulary.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 (the name that every torch code base uses)

from asr.decoding.types import TokenTime
from asr.errors import CheckpointError
from asr.features import FRAMES_PER_SECOND
from asr.model import ModelDimensions, Whisper

__all__ = ["HeadSet", "SpokenText", "align_texts", "alignment_heads", "median_filter", "warp"]

FRAMES_PER_POSITION = 2  # the encoder's second convolution has stride 2
POSITION_S = FRAMES_PER_POSITION / FRAMES_PER_SECOND  # 20 ms
MEDIAN_WIDTH = 7  # positions: what is shorter than 80 ms is no word but a flicker

HeadSet = tuple[tuple[int, int], ...]
"""(layer, head) pairs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpokenText:
    """What was said in one window."""

    prompt: tuple[int, ...]
    """The start sequence that the text follows."""
    tokens: tuple[int, ...]
    """Text tokens, at least one."""
    n_frames: int
    """Of audio (10 ms) in the window, padding left out."""


def alignment_heads(heads: HeadSet, dims: ModelDimensions) -> HeadSet:
    """``heads``; where a checkpoint names none, all of the upper half of the layers, which follow the audio best.

    Raises CheckpointError for a head that the model has not.
    """
    for layer, head in heads:
        if not (0 <= layer < dims.n_text_layer and 0 <= head < dims.n_text_head):
            raise CheckpointError(
                f"alignment_heads: got layer {layer}, head {head}, expected a layer below {dims.n_text_layer} "
                f"and a head below {dims.n_text_head}"
            )
    upper = range(dims.n_text_layer // 2, dims.n_text_layer)
    return heads or tuple((layer, head) for layer in upper for head in range(dims.n_text_head))


@torch.inference_mode()
def align_texts(
    model: Whisper, heads: HeadSet, features_RSC: Tensor, texts: Sequence[SpokenText], *, eot: int
) -> list[tuple[TokenTime, ...]]:
    """Place every token of every text; ``features_RSC`` are the windows' audio features, one for each text.

    The times of a text move on only: each token ends where the next one starts. Tokens past the text context of the
    model (448 with the prompt) stand at the end of those before them, with probability 0.
    """
    if not texts:
        return []
    n_text_ctx = model.dims.n_text_ctx
    rows = [[*(*text.prompt, *text.tokens)[: n_text_ctx - 1], eot] for text in texts]
    longest = max(len(row) for row in rows)
    # Padding stands on the right, where no real token looks.
    tokens_RT = torch.tensor([row + [eot] * (longest - len(row)) for row in rows], device=features_RSC.device)
    heard = _HeardMatrices(
        heads,
        # A row of attention belongs to the token that it predicts: it begins at the prompt's last token.
        first_rows=[len(text.prompt) - 1 for text in texts],
        n_tokens=[len(row) for row in rows],
        n_positions=[max(text.n_frames // FRAMES_PER_POSITION, 1) for text in texts],
    )
    cache = model.decoder.new_cache(features_RSC, [0] * len(texts))
    hidden_RTC = model.decoder(tokens_RT, cache, heard.watch)
    aligned = []
    for text, row, hidden_TC, matrix_TS in zip(texts, rows, hidden_RTC, heard.matrices, strict=True):
        n_prompt = len(text.prompt)
        n_placed = len(row) - n_prompt - 1
        logits_TV = model.decoder.logits(hidden_TC[n_prompt - 1 : n_prompt - 1 + n_placed])
        placed = torch.tensor(text.tokens[:n_placed], device=logits_TV.device)
        probabilities = logits_TV[:, :eot].softmax(dim=-1).gather(1, placed[:, None])[:, 0].tolist()
        starts = warp(-matrix_TS.double().cpu().numpy()) * POSITION_S
        aligned.append(_token_times(starts.tolist(), probabilities, n_tokens=len(text.tokens)))
    return aligned


def _token_times(starts: list[float], probabilities: list[float], *, n_tokens: int) -> tuple[TokenTime, ...]:
    """``starts`` has one more than was placed: where the end token is heard, the last text token ends."""
    times = [
        TokenTime(start=start, end=end, probability=probability)
        for start, end, probability in zip(starts, starts[1:], probabilities, strict=False)
    ]
    beyond = TokenTime(start=starts[-1], end=starts[-1], probability=0.0)
    return (*times, *[beyond] * (n_tokens - len(times)))


class _HeardMatrices:
    """Watches a forward pass and adds up, window by window, where the alignment heads listen.

    ``matrices`` holds for each window (T, S): for every token to be predicted (the prompt's last one predicts the
    first of the text) how much more than usual the heads listen to each position. One head at a time, so that memory
    does not grow with their number.
    """

    def __init__(
        self, heads: HeadSet, *, first_rows: Sequence[int], n_tokens: Sequence[int], n_positions: Sequence[int]
    ) -> None:
        self._heads: dict[int, list[int]] = defaultdict(list)
        for layer, head in heads:
            self._heads[layer].append(head)
        self._shapes = list(zip(first_rows, n_tokens, n_positions, strict=True))
        self.matrices = [torch.zeros(end - 1 - first, width) for first, end, width in self._shapes]

    def watch(self, layer: int, queries_RHTD: Tensor, keys_RHSD: Tensor) -> None:
        """See AttentionWatcher."""
        for window, (first_row, n_tokens, n_positions) in enumerate(self._shapes):
            for head in self._heads.get(layer, ()):
                # float32 whatever the model computes in: a softmax over 1,500 places needs it.
                query_TD = queries_RHTD[window, head, :n_tokens].float()
                key_SD = keys_RHSD[window, head, :n_positions].float()
                weights_TS = (query_TD @ key_SD.t() / query_TD.shape[-1] ** 0.5).softmax(dim=-1)
                std, mean = torch.std_mean(weights_TS, dim=0, correction=0)
                unusual_TS = (weights_TS - mean) / std.clamp(min=torch.finfo(std.dtype).tiny)
                self.matrices[window] += median_filter(unusual_TS[first_row:-1], MEDIAN_WIDTH).cpu()


def median_filter(x: Tensor, width: int) -> Tensor:
    """The median of each ``width`` (odd) neighbours along the last axis, the ends mirrored.

    ``x``, at least 2-dimensional, comes back as it is when it is no longer than the mirrored part. Bubble sort across
    shifted copies, as far as the middle: a tenth of the time of a sort in place by place.
    """
    margin = width // 2
    if x.shape[-1] <= margin:
        return x
    neighbours = list(F.pad(x, (margin, margin), mode="reflect").unfold(-1, width, 1).unbind(-1))
    for end in range(width - 1, margin - 1, -1):
        for i in range(end):
            low, high = neighbours[i], neighbours[i + 1]
            neighbours[i], neighbours[i + 1] = torch.minimum(low, high), torch.maximum(low, high)
    return neighbours[margin]


def warp(cost: NDArray[np.float64]) -> NDArray[np.int64]:
    """The column in which each row is entered by the cheapest path from the first cell to the last, moving down,
    right or both at once (dynamic time warping).

    The best cost of a row's cell is the row's own costs up to there plus the cheapest place to have entered the row,
    so each row is two running sums and a running minimum instead of a loop over its cells.
    """
    n_rows, n_columns = cost.shape
    columns = np.arange(n_columns)
    entries = np.zeros((n_rows, n_columns), dtype=np.int64)  # where the best path to a cell entered the cell's row
    is_diagonal = np.zeros((n_rows, n_columns), dtype=bool)  # entered from the column before, not from right above
    best = np.cumsum(cost[0])
    for row in range(1, n_rows):
        sums = np.cumsum(cost[row])
        left_above = np.concatenate(([np.inf], best[:-1]))
        is_diagonal[row] = left_above < best
        entering = np.minimum(left_above, best) - (sums - cost[row])
        cheapest = np.minimum.accumulate(entering)
        is_cheaper = np.concatenate(([True], entering[1:] < cheapest[:-1]))
        entries[row] = np.maximum.accumulate(np.where(is_cheaper, columns, 0))
        best = sums + cheapest
    starts = np.zeros(n_rows, dtype=np.int64)
    column = n_columns - 1
    for row in range(n_rows - 1, 0, -1):
        starts[row] = entries[row, column]
        column = starts[row] - is_diagonal[row, starts[row]]
    return starts
