"""Captions whose times cannot be those of their recording. In: a record with its duration. Out: cues inside it.

Drops: ``times_not_monotone``, ``captions_beyond_audio`` (value and limit in seconds), ``characters_per_second``.
Cues of an implausible length cost their window, not the record: ``segmenting`` drops those.
"""

import math
import re
import statistics
from dataclasses import dataclass, replace
from itertools import pairwise

from data_pipeline.types import Cue, Drop, Record

__all__ = ["TimingLimits", "check_timing"]

DENSE = re.compile("[\u3040-\u9fff\uac00-\ud7a3]")  # a syllable or more in a character


@dataclass(frozen=True, slots=True, kw_only=True)
class TimingLimits:
    """What a speaker can do."""

    max_overrun_s: float = 1.0
    """Captions may end so much later than the audio; a player's last line stays on."""
    max_step_back_s: float = 0.5
    """Cues of two voices overlap, and their starts may be out of order by little."""
    min_characters_per_second: float = 0.5
    max_characters_per_second: float = 40.0
    """Fast English has 20, median over the cues; characters of scripts without spaces count three times."""


def check_timing(record: Record, limits: TimingLimits) -> Record | Drop:
    """The stage; untimed captions get the recording's own end."""
    if not record.timed:
        cues = tuple(replace(cue, start=0.0, end=record.duration) for cue in record.cues)
        return _check_rate(replace(record, cues=cues), limits)
    back = max((first.start - second.start for first, second in pairwise(record.cues)), default=0.0)
    if back > limits.max_step_back_s:
        return Drop(reason="times_not_monotone", value=round(back, 3), limit=limits.max_step_back_s)
    if min(cue.start for cue in record.cues) < 0:
        return Drop(reason="times_not_monotone", value=min(cue.start for cue in record.cues), limit=0.0)
    end = max(max(cue.start, cue.end) for cue in record.cues)
    if end > record.duration + limits.max_overrun_s:
        limit = round(record.duration + limits.max_overrun_s, 3)
        return Drop(reason="captions_beyond_audio", value=round(end, 3), limit=limit)
    inside = (
        replace(cue, end=max(min(cue.end, record.duration), cue.start))
        for cue in record.cues
        if cue.start < record.duration
    )
    cues = tuple(sorted(inside, key=lambda cue: cue.start))
    return _check_rate(replace(record, cues=cues), limits) if cues else Drop(reason="captions_beyond_audio", value=end)


def _check_rate(record: Record, limits: TimingLimits) -> Record | Drop:
    rates = [_weight(cue) / cue.duration for cue in record.cues if cue.duration > 0]
    rate = statistics.median(rates) if rates else math.inf
    if not limits.min_characters_per_second <= rate <= limits.max_characters_per_second:
        is_fast = rate > limits.max_characters_per_second
        limit = limits.max_characters_per_second if is_fast else limits.min_characters_per_second
        return Drop(reason="characters_per_second", value=round(rate, 3) if rates else None, limit=limit)
    return record


def _weight(cue: Cue) -> int:
    return sum(3 if DENSE.match(character) else 1 for character in cue.text)
