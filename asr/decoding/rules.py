"""The rules that tokens obey (Whisper 2.3, 4.5). In: a row's tokens so far. Out: what must not come next.

Knows no logits and no search strategy.
"""

from collections.abc import Sequence

from asr.decoding.steps import Ahead, RowRules
from asr.decoding.types import DecodeRequest
from asr.options import NON_SPEECH_SYMBOLS
from asr.tokenizer import TIMESTAMP_STEP_S, Tokenizer

__all__ = ["Rules", "rules_for"]

Range = tuple[int, int]


class Rules:
    """The rules of one request."""

    def __init__(
        self,
        tokenizer: Tokenizer,
        *,
        suppressed: Sequence[int] = (),
        timestamps: bool = True,
        max_initial_timestamp_s: float = 1.0,
    ) -> None:
        self._eot = tokenizer.eot
        self._begin = tokenizer.timestamp_begin
        self._end = tokenizer.n_vocab
        self._timestamps = timestamps
        self._last_initial = self._begin + round(max_initial_timestamp_s / TIMESTAMP_STEP_S)
        always = {*suppressed, *([tokenizer.no_timestamps] if timestamps else [])}
        self._always = tuple(sorted(always))
        # A transcript begins neither with a lone space nor with its end.
        self._at_first = tuple(sorted({*always, *tokenizer.blank_tokens}))

    def after(self, tokens: Sequence[int]) -> RowRules:
        """For the token after ``tokens``, those of one row behind the prompt."""
        suppressed = self._always if tokens else self._at_first
        if not self._timestamps:
            return RowRules(suppressed=suppressed)
        return RowRules(suppressed=suppressed, ranges=self._ranges(tokens), timestamp_begin=self._begin)

    def ahead(self, tokens: Sequence[int], n_tokens: int) -> Ahead:
        """For so many tokens after ``tokens``, which are one at least."""
        return Ahead(
            n_tokens=n_tokens,
            tokens=tuple(tokens),
            suppressed=self._always,
            end=self._eot,
            timestamp_begin=self._begin if self._timestamps else None,
        )

    def _ranges(self, tokens: Sequence[int]) -> tuple[Range, ...]:
        """Timestamps come in pairs, never go back, and come first."""
        begin = self._begin
        if not tokens:
            return (0, begin), (self._last_initial + 1, self._end)
        ranges: list[Range] = []
        last_is_timestamp = tokens[-1] >= begin
        opens_segment = last_is_timestamp and (len(tokens) < 2 or tokens[-2] >= begin)
        closes_segment = last_is_timestamp and not opens_segment
        if opens_segment:
            ranges.append((begin, self._end))  # text follows
        elif closes_segment:
            ranges.append((0, self._eot))  # the next start, or the end, follows
        latest = next((token for token in reversed(tokens) if token >= begin), None)
        if latest is not None:
            # The next segment may start where the last one ended; but no segment is empty.
            ranges.append((begin, latest if closes_segment else latest + 1))
        return tuple(ranges)


def rules_for(request: DecodeRequest, tokenizer: Tokenizer) -> Rules:
    """The rules of one request."""
    asked = request.options.suppress_tokens
    symbols = tokenizer.non_speech_tokens if NON_SPEECH_SYMBOLS in asked else ()
    never = {*tokenizer.control_tokens, *symbols, *(token for token in asked if token != NON_SPEECH_SYMBOLS)}
    return Rules(
        tokenizer,
        suppressed=sorted(never),
        timestamps=request.prompt.timestamps,
        max_initial_timestamp_s=request.options.max_initial_timestamp_s,
    )
