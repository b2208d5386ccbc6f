"""Where each text token was heard. In: what the alignment heads saw. Out: a ``TokenTime`` for each token.

A second look at what was decoded: its text goes through the decoder once more, all at once. The cross-attention of the
alignment heads shows where the model listened as it spoke each token, and dynamic time warping finds the best way
through it on which time only moves on. Knows no words, no search, no recording.
Shapes: T tokens, S audio positions of 20 ms, H heads.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 (the name that every torch code base uses)

from asr.decoding.steps import Heard
from asr.decoding.types import TokenTime
from asr.errors import CheckpointError
from asr.features import FRAMES_PER_SECOND
from asr.model import ModelDimensions

__all__ = ["HeadSet", "alignment_heads", "find_starts", "median_filter", "place_tokens", "warp"]

FRAMES_PER_POSITION = 2  # the encoder's second convolution has stride 2
POSITION_S = FRAMES_PER_POSITION / FRAMES_PER_SECOND  # 20 ms
MEDIAN_WIDTH = 7  # positions: what is shorter than 80 ms is no word but a flicker

HeadSet = tuple[tuple[int, int], ...]
"""(layer, head) pairs."""


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


def place_tokens(heard: Heard, *, n_text: int) -> tuple[TokenTime, ...]:
    """Times of ``n_text`` text tokens from a reading that ended with the end token.

    The times of a text move on only: each token ends where the next one starts. Tokens that were not read, since the
    model's text context is too short, stand at the end of those before them, with probability 0.
    """
    starts = [start * POSITION_S for start in heard.starts]
    return _token_times(starts, list(heard.probabilities[:-1]), n_tokens=n_text)


def find_starts(weights_HTS: Tensor, *, first: int, n_positions: int) -> list[int]:
    """The position where each token behind ``first`` begins, from where the heads listened as they spoke each token.

    A row of attention belongs to the token that it predicts.
    """
    matrix_TS = _heard_matrix(weights_HTS[:, :, :n_positions], first)
    starts: list[int] = warp(-matrix_TS.double().numpy()).tolist()
    return starts


def _token_times(starts: list[float], probabilities: list[float], *, n_tokens: int) -> tuple[TokenTime, ...]:
    """``starts`` has one more than was placed: where the end token is heard, the last text token ends."""
    times = [
        TokenTime(start=start, end=end, probability=probability)
        for start, end, probability in zip(starts, starts[1:], probabilities, strict=False)
    ]
    beyond = TokenTime(start=starts[-1], end=starts[-1], probability=0.0)
    return (*times, *[beyond] * (n_tokens - len(times)))


def _heard_matrix(weights_HTS: Tensor, first_row: int) -> Tensor:
    """(T - first_row - 1, S): how much more than usual the heads listen to each position, summed over them.

    One head at a time, so that memory does not grow with their number.
    """
    n_tokens, n_positions = weights_HTS.shape[1:]
    tiny = torch.finfo(weights_HTS.dtype).tiny  # where padding took all, nothing is left to be divided
    matrix = torch.zeros(n_tokens - 1 - first_row, n_positions)
    for weights_TS in weights_HTS:
        within_TS = weights_TS / weights_TS.sum(dim=1, keepdim=True).clamp(min=tiny)  # what padding took is left out
        std, mean = torch.std_mean(within_TS, dim=0, correction=0)
        unusual_TS = (within_TS - mean) / std.clamp(min=tiny)
        matrix += median_filter(unusual_TS[first_row:-1], MEDIAN_WIDTH)
    return matrix


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
