"""Captions that say their lines again (OLMoASR): rolling captions, and recognizers stuck in a loop. Knows no audio.

Drops: ``repeated_captions`` (value: the share of cues that say again what the one before ended with, or word for word
what an earlier one said), ``caption_loop`` (value: how often in a row one cue is said).
"""

import re
from dataclasses import dataclass
from itertools import groupby, pairwise

from data_pipeline.types import Drop, Record

__all__ = ["RepeatLimits", "drop_repeated"]

WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True, kw_only=True)
class RepeatLimits:
    """How much people repeat themselves."""

    max_share: float = 0.1
    """Of the cues."""
    min_words: int = 3
    """Shorter cues are often said twice: "Yes." "Yes." """
    max_run: int = 4
    """Of one cue, however short."""


def drop_repeated(record: Record, limits: RepeatLimits) -> Record | Drop:
    """The stage."""
    cues = [tuple(WORD.findall(cue.text.lower())) for cue in record.cues]
    longest = max((len(list(run)) for _, run in groupby(cues)), default=0)
    if longest > limits.max_run:
        return Drop(reason="caption_loop", value=longest, limit=limits.max_run)
    said: set[tuple[str, ...]] = set()
    n_repeats = 0
    for before, words in pairwise([(), *cues]):
        n_repeats += words in said or _says_again(before, words, limits.min_words)
        said |= {words} if len(words) >= limits.min_words else set()
    share = n_repeats / len(cues) if cues else 0.0
    if share > limits.max_share and n_repeats > 1:
        return Drop(reason="repeated_captions", value=round(share, 3), limit=limits.max_share)
    return record


def _says_again(before: tuple[str, ...], words: tuple[str, ...], min_words: int) -> bool:
    """Whether a cue begins with the end of the one before, at least ``min_words`` of it: so captions roll."""
    longest = min(len(before), len(words))
    return any(before[-n:] == words[:n] for n in range(min_words, longest + 1))
