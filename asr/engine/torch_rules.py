"""The rules of tokens on logits, in torch. In: rules, or the state that they follow from. Out: logits, tokens.

Nothing here waits for the device. Knows no model and no memory.

Shapes: R rows, V vocabulary, B best tokens.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from asr.decoding.steps import Ahead, RowRules

__all__ = ["N_STATE", "RuleState", "apply_rules", "likeliest", "on_device", "state_of", "suppress"]

NEVER = float("-inf")
N_STATE = 5  # numbers of a row's RuleState


def on_device(values: Any, device: torch.device, dtype: torch.dtype | None = None) -> Tensor:
    """Numbers as a tensor; on their way to a GPU the host does not wait for what it is busy with."""
    is_cuda = device.type == "cuda"
    return torch.tensor(values, dtype=dtype, pin_memory=is_cuda).to(device, non_blocking=is_cuda)


@lru_cache(maxsize=16)
def _kept(tokens: tuple[int, ...], device: torch.device) -> Tensor:
    return torch.tensor(tokens, dtype=torch.long, device=device)


def suppress(logits_RV: Tensor, tokens: Sequence[tuple[int, ...]]) -> None:
    """Forbid each row's tokens, in place; rows have them in common, so there are few kinds."""
    rows_of: defaultdict[tuple[int, ...], list[int]] = defaultdict(list)
    for row, each in enumerate(tokens):
        rows_of[each].append(row)
    for each, rows in rows_of.items():
        logits_RV[on_device(rows, logits_RV.device)[:, None], _kept(each, logits_RV.device)] = NEVER


def apply_rules(logits_RV: Tensor, rules: Sequence[RowRules]) -> None:
    """Forbid what must not come next, in place; a row of logits for each of the rules."""
    device, n_vocab = logits_RV.device, logits_RV.shape[1]
    suppress(logits_RV, [each.suppressed for each in rules])
    n_ranges = max(len(each.ranges) for each in rules)
    # Those of timestamps come last: aligned, most steps look at no more of the vocabulary than theirs.
    ranges = [[*[(0, 0)] * (n_ranges - len(each.ranges)), *each.ranges] for each in rules]
    bounds_RK2 = on_device(ranges, device, torch.int32).view(len(rules), n_ranges, 2)
    for kind, each in enumerate(zip(*ranges, strict=True)):
        firsts, ends = zip(*([bounds for bounds in each if bounds[0] < bounds[1]] or [(0, 0)]), strict=True)
        _forbid(logits_RV[:, min(firsts) : max(ends)], bounds_RK2[:, kind] - min(firsts))
    # Rows without the rule have no timestamps that could win.
    begins = [n_vocab if each.timestamp_begin is None else each.timestamp_begin for each in rules]
    _let_timestamps_win(logits_RV, on_device(begins, device, torch.int32))


def _forbid(logits_RV: Tensor, bounds_R2: Tensor) -> None:
    """A range of each row, in place."""
    tokens_V = torch.arange(logits_RV.shape[1], dtype=torch.int32, device=logits_RV.device)
    logits_RV.masked_fill_((tokens_V >= bounds_R2[:, :1]) & (tokens_V < bounds_R2[:, 1:]), NEVER)


def _let_timestamps_win(logits_RV: Tensor, begins_R: Tensor) -> None:
    """Where together they outweigh the best text token, in place."""
    is_timestamp_RV = torch.arange(logits_RV.shape[1], dtype=torch.int32, device=logits_RV.device) >= begins_R[:, None]
    # Comparing unnormalized sums is comparing probabilities: the normalizer is the same on both sides.
    timestamps_R = logits_RV.masked_fill(~is_timestamp_RV, NEVER).logsumexp(dim=1)
    text_R = logits_RV.masked_fill(is_timestamp_RV, NEVER).amax(dim=1)
    logits_RV.masked_fill_((timestamps_R > text_R)[:, None] & ~is_timestamp_RV, NEVER)


def likeliest(logits_RV: Tensor, n_best: int) -> tuple[Tensor, Tensor]:
    """Tokens (R, B), the likeliest first, and the log-probabilities of all (R, V)."""
    logprobs_RV = logits_RV.log_softmax(dim=-1)
    return logprobs_RV.topk(n_best, dim=-1).indices, logprobs_RV


def state_of(ahead: Ahead, n_vocab: int) -> tuple[int, ...]:
    """The numbers of a RuleState, of one row."""
    begin = n_vocab if ahead.timestamp_begin is None else ahead.timestamp_begin
    # What is missing before the first token counts as a timestamp: a segment opens.
    before = ahead.tokens[-2] if len(ahead.tokens) > 1 else begin
    latest = next((token for token in reversed(ahead.tokens) if token >= begin), -1)
    return ahead.tokens[-1], before, latest, begin, ahead.end


@dataclass(frozen=True, slots=True)
class RuleState:
    """What the rules of ``asr.decoding.rules`` follow from behind the first token, (R,) each, as in ``state_of``.

    Its tensors stay where they are.
    """

    last: Tensor
    before: Tensor
    """The token before the last."""
    latest: Tensor
    """The latest timestamp; -1 for none."""
    begin: Tensor
    """The first timestamp; the size of the vocabulary where no rule asks for timestamps."""
    end: Tensor
    """The end token."""

    def obey(self, logits_RV: Tensor, bias_RV: Tensor) -> None:
        """Forbid what must not come next, in place; the bias is that of what is always suppressed, see ``suppress``."""
        last_is_timestamp_R = self.last >= self.begin
        opens_R = last_is_timestamp_R & (self.before >= self.begin)
        closes_R = last_is_timestamp_R & ~opens_R
        logits_RV.add_(bias_RV)
        n_vocab, nothing_R = logits_RV.shape[1], torch.zeros_like(self.end)
        _forbid(logits_RV, torch.stack([nothing_R, torch.where(closes_R, self.end, 0)], dim=1))
        # No segment is empty, but the next may start where the last one ended; behind its start text follows.
        first_free_R = torch.where(self.latest < 0, self.begin, self.latest + (~closes_R).long())
        _forbid(logits_RV, torch.stack([self.begin, torch.where(opens_R, n_vocab, first_free_R)], dim=1))
        _let_timestamps_win(logits_RV, self.begin)

    def advance(self, tokens_R: Tensor) -> None:
        """Take the next tokens, in place."""
        self.before.copy_(self.last)
        self.last.copy_(tokens_R)
        self.latest.copy_(torch.where(tokens_R >= self.begin, tokens_R, self.latest))
