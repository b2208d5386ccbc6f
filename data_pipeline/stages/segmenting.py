"""A record → training windows of at most 30 s (Whisper 2.1). In: a record, a seed. Out: windows and what is cut.

The windows' ``start … next_start`` cover the recording without gap or overlap, so that every second is accounted for.
Deterministic: what is drawn depends on seed, record and place alone.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from hashlib import blake2b

from asr.audio import MIN_DURATION_S
from data_pipeline.types import Cue, CutWindow, Drop, Record, Window

__all__ = ["WINDOW_S", "SegmentLimits", "segment", "with_previous_text"]

WINDOW_S = 30.0
MAX_PREVIOUS_CHARACTERS = 2_000  # more than the 223 tokens that a decoder is told


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentLimits:
    """What becomes an example."""

    min_cue_s: float = 0.015
    max_cue_s: float = WINDOW_S
    silence_share: float = 0.1
    """Of the windows without captions, kept as examples of no speech."""
    previous_text_share: float = 0.5
    timestamps_share: float = 0.5


def segment(record: Record, limits: SegmentLimits, seed: int) -> tuple[Window | CutWindow, ...]:
    """Windows in order. Drops: ``cue_length``, ``silence`` (not drawn), ``too_short``."""
    return tuple(_decide(window, record, limits, seed) for window in _windows(record, limits))


def with_previous_text(windows: Iterable[Window | CutWindow]) -> tuple[Window | CutWindow, ...]:
    """Give each window the text before it, back to the last stretch that was cut for its captions."""
    previous, result = "", list[Window | CutWindow]()
    for window in windows:
        if isinstance(window, CutWindow):
            previous = previous if window.drop.reason == "silence" else ""
            result.append(window)
        else:
            result.append(replace(window, previous_text=previous[-MAX_PREVIOUS_CHARACTERS:]))
            previous = f"{previous} {window.text}".strip()[-MAX_PREVIOUS_CHARACTERS:]
    return tuple(result)


def _windows(record: Record, limits: SegmentLimits) -> Iterable[Window | CutWindow]:
    cues, start = record.cues, 0.0
    while start < record.duration:
        end = min(start + WINDOW_S, record.duration)
        n_complete = next((place for place, cue in enumerate(cues) if cue.end > end), len(cues))
        partial = cues[n_complete] if n_complete < len(cues) and cues[n_complete].start < end else None
        n_whole, next_start = (n_complete, end) if partial is None else _before(cues[:n_complete], partial.start)
        if next_start > start:
            yield _window(start, end, next_start, cues[:n_whole], partial, limits)
            start, cues = next_start, cues[n_whole:]
        else:  # what begins here fits no window
            after, cues = _skip(cues, start)
            yield _cut(start, after, "cue_length", after - start, limits.max_cue_s)
            start = after


def _before(cues: tuple[Cue, ...], time: float) -> tuple[int, float]:
    """How many cues end before ``time``, or before the first of those that do not: voices overlap."""
    n = len(cues)
    while n and max(cue.end for cue in cues[:n]) > time:
        n = next(place for place, cue in enumerate(cues[:n]) if cue.end > time)
        time = cues[n].start
    return n, time


def _skip(cues: tuple[Cue, ...], start: float) -> tuple[float, tuple[Cue, ...]]:
    """Past what begins at ``start`` and all that overlaps it: where that is, and the cues from there on."""
    after, n = start, 0
    while n < len(cues) and (cues[n].start <= start or cues[n].start < after):
        after, n = max(after, cues[n].end), n + 1
    return after, cues[n:]


def _window(
    start: float, end: float, next_start: float, cues: tuple[Cue, ...], partial: Cue | None, limits: SegmentLimits
) -> Window:
    # Before a cue that fits no window, and before any speech, there is no use for audio beyond its start.
    is_marked = partial is not None and len(cues) > 0 and partial.duration <= limits.max_cue_s
    return Window(
        start=start,
        end=end if is_marked else next_start,
        next_start=next_start,
        cues=cues,
        partial_start=next_start if is_marked else None,
    )


def _decide(window: Window | CutWindow, record: Record, limits: SegmentLimits, seed: int) -> Window | CutWindow:
    if isinstance(window, CutWindow):
        return window
    start, next_start = window.start, window.next_start
    shortest = min((cue.duration for cue in window.cues), default=limits.min_cue_s)
    if shortest < limits.min_cue_s:
        return _cut(start, next_start, "cue_length", shortest, limits.min_cue_s)
    if window.end - start < MIN_DURATION_S:
        return _cut(start, next_start, "too_short", window.end - start, MIN_DURATION_S)
    if not window.cues:
        is_kept = _drawn(seed, record, start, "silence", limits.silence_share)
        return window if is_kept else _cut(start, next_start, "silence", window.end - start, limits.silence_share)
    return replace(
        window,
        use_previous_text=_drawn(seed, record, start, "previous text", limits.previous_text_share),
        use_timestamps=record.timed and _drawn(seed, record, start, "timestamps", limits.timestamps_share),
    )


def _cut(start: float, next_start: float, reason: str, value: float, limit: float) -> CutWindow:
    return CutWindow(start=start, next_start=next_start, drop=Drop(reason=reason, value=round(value, 3), limit=limit))


def _drawn(seed: int, record: Record, start: float, what: str, share: float) -> bool:
    digest = blake2b(
        f"{seed}\n{record.id}\n{start:.3f}\n{what}".encode("utf-8", "surrogatepass"), digest_size=8
    ).digest()
    return int.from_bytes(digest, "big") / 2**64 < share
