"""The rules that logits obey, in the order they apply (Whisper 2.3, 4.5). In: logits. Out: logits, forbidden ones −inf.

Shapes: N rows, V vocabulary. Knows no model and no search strategy.
"""

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from asr.decoding.types import DecodeRequest
from asr.options import NON_SPEECH_SYMBOLS
from asr.tokenizer import TIMESTAMP_STEP_S, Tokenizer

__all__ = ["LogitFilter", "SuppressBlank", "SuppressTokens", "TimestampRules", "filters_for"]

NEVER = float("-inf")


class LogitFilter(Protocol):
    """One rule."""

    def apply(self, logits_NV: Tensor, sampled: Sequence[Sequence[int]]) -> None:
        """Change the logits in place; ``sampled`` has each row's tokens after the prompt."""


class SuppressBlank:
    """A transcript begins neither with a lone space nor with its end."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokens = list(tokenizer.blank_tokens)

    def apply(self, logits_NV: Tensor, sampled: Sequence[Sequence[int]]) -> None:
        """See LogitFilter."""
        if not sampled[0]:
            logits_NV[:, self._tokens] = NEVER


class SuppressTokens:
    """Some tokens never."""

    def __init__(self, tokens: Sequence[int], device: torch.device) -> None:
        self._tokens = torch.tensor(tokens, device=device)

    def apply(self, logits_NV: Tensor, sampled: Sequence[Sequence[int]]) -> None:  # noqa: ARG002 (part of the protocol)
        """See LogitFilter."""
        logits_NV.index_fill_(1, self._tokens, NEVER)


class TimestampRules:
    """Timestamps come in pairs, never go back, come first, and win when together they outweigh the best text token."""

    def __init__(self, tokenizer: Tokenizer, *, max_initial_timestamp_s: float) -> None:
        self._eot = tokenizer.eot
        self._no_timestamps = tokenizer.no_timestamps
        self._begin = tokenizer.timestamp_begin
        self._last_initial = self._begin + round(max_initial_timestamp_s / TIMESTAMP_STEP_S)

    def apply(self, logits_NV: Tensor, sampled: Sequence[Sequence[int]]) -> None:
        """See LogitFilter."""
        logits_NV[:, self._no_timestamps] = NEVER
        for row, tokens in enumerate(sampled):
            self._forbid_by_history(logits_NV[row], tokens)
        self._prefer_timestamps(logits_NV)

    def _forbid_by_history(self, logits_V: Tensor, tokens: Sequence[int]) -> None:
        begin = self._begin
        if not tokens:
            logits_V[:begin] = NEVER
            logits_V[self._last_initial + 1 :] = NEVER
            return
        last_is_timestamp = tokens[-1] >= begin
        opens_segment = last_is_timestamp and (len(tokens) < 2 or tokens[-2] >= begin)
        closes_segment = last_is_timestamp and not opens_segment
        if opens_segment:
            logits_V[begin:] = NEVER  # text follows
        elif closes_segment:
            logits_V[: self._eot] = NEVER  # the next start, or the end, follows
        latest = next((token for token in reversed(tokens) if token >= begin), None)
        if latest is not None:
            # The next segment may start where the last one ended; but no segment is empty.
            logits_V[begin : latest if closes_segment else latest + 1] = NEVER

    def _prefer_timestamps(self, logits_NV: Tensor) -> None:
        # Comparing unnormalized sums is comparing probabilities: the normalizer is the same on both sides.
        timestamp_score = logits_NV[:, self._begin :].logsumexp(dim=1)
        best_text_score = logits_NV[:, : self._begin].amax(dim=1)
        prefer = timestamp_score > best_text_score
        if prefer.any():
            logits_NV[:, : self._begin].masked_fill_(prefer[:, None], NEVER)


def filters_for(request: DecodeRequest, tokenizer: Tokenizer, device: torch.device) -> list[LogitFilter]:
    """The rules of one request, in order."""
    asked = request.options.suppress_tokens
    symbols = tokenizer.non_speech_tokens if NON_SPEECH_SYMBOLS in asked else ()
    never = {*tokenizer.control_tokens, *symbols, *(token for token in asked if token != NON_SPEECH_SYMBOLS)}
    filters: list[LogitFilter] = [SuppressBlank(tokenizer), SuppressTokens(sorted(never), device)]
    if request.prompt.timestamps:
        filters.append(TimestampRules(tokenizer, max_initial_timestamp_s=request.options.max_initial_timestamp_s))
    return filters
