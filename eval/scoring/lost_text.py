"""Text lost in long clips. In: scored clips. Out: ``LostText``: the longest runs of consecutive deleted units.

An alignment with the fewest errors is one of several, and most of them cut what is lost in two: with "a b c a d" said
and "a d" written, the a may be the first or the second. So a run is taken over the alignments that cost the same: what
stands between two equal stretches has lost its units less those written there, in whatever order the alignment names
them, and an equal stretch that fits the other side of a gap as well is moved there. Knows no normalizer.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from eval.normalizers import Unit
from eval.scoring.clips import duration_of
from eval.scoring.evidence import LostRun, LostText, LostTextClip
from eval.scoring.types import ClipScore
from eval.scoring.word_matching import split_units
from eval.wer import AlignedSpan, Edit, align_characters, align_words

__all__ = ["MIN_UNITS", "deletion_runs", "is_long", "lost_text"]

MIN_UNITS = 10
LONG_S = 60.0
LONG = "long"  # what a corpus calls a long clip
N_AROUND = 5  # units shown before and after a run
N_SHOWN = 12  # units shown of a run


@dataclass(frozen=True, slots=True, kw_only=True)
class _Gap:
    """A stretch of the reference between two equal ones, ``[start, end)``."""

    start: int
    end: int
    n_written: int
    """Units of the hypothesis in it."""

    @property
    def n_lost(self) -> int:
        return max(0, self.end - self.start - self.n_written)


def lost_text(clips: Iterable[ClipScore]) -> LostText | None:
    """Look for it in long clips with speech; None where there are none."""
    looked_at = [_clip(clip) for clip in clips if is_long(clip) and clip.counts.n_ref]
    if not looked_at:
        return None
    return LostText(
        min_units=MIN_UNITS,
        n_runs=sum(len(clip.runs) for clip in looked_at),
        longest=max(clip.longest for clip in looked_at),
        clips=tuple(sorted(looked_at, key=lambda clip: (-clip.longest, clip.id))),
    )


def is_long(clip: ClipScore) -> bool:
    """Whether the corpus calls the clip long, or it lasts more than a minute."""
    return clip.reference.kind == LONG or (duration_of(clip.reference, clip.hypothesis) or 0.0) > LONG_S


def deletion_runs(spans: Iterable[AlignedSpan], reference: Sequence[str]) -> tuple[tuple[int, int], ...]:
    """Position and length of every run of deleted units, the longest first; ``spans`` align ``reference``."""
    gaps: list[_Gap] = []
    for gap in _gaps(spans):
        gaps.append(gap)
        while len(gaps) > 1 and (joined := _join(gaps[-2], gaps[-1], reference)) is not None:
            gaps[-2:] = [joined]
    runs = [(gap.start, gap.n_lost) for gap in gaps if gap.n_lost]
    return tuple(sorted(runs, key=lambda run: (-run[1], run[0])))


def _gaps(spans: Iterable[AlignedSpan]) -> Iterable[_Gap]:
    start = position = n_written = 0
    for span in spans:
        if span.kind is Edit.EQUAL:
            yield _Gap(start=start, end=position, n_written=n_written)
            position += len(span.reference)
            start, n_written = position, 0
        else:
            position += len(span.reference)
            n_written += len(span.hypothesis)
    yield _Gap(start=start, end=position, n_written=n_written)


def _join(first: _Gap, second: _Gap, reference: Sequence[str]) -> _Gap | None:
    """One gap in the place of two, at the same cost: the equal units between them are found again at its other end."""
    equal = reference[first.end : second.start]
    n_equal = len(equal)
    if not first.n_lost or not second.n_lost or first.n_written or second.n_written:
        return None
    if reference[first.start : first.start + n_equal] == equal:
        return _Gap(start=first.start + n_equal, end=second.end, n_written=0)
    if reference[second.end - n_equal : second.end] == equal:
        return _Gap(start=first.start, end=second.end - n_equal, n_written=0)
    return None


def _clip(clip: ClipScore) -> LostTextClip:
    by_character = clip.unit is Unit.CHARACTER
    align = align_characters if by_character else align_words
    units = split_units(clip.reference_text, clip.unit)
    runs = deletion_runs(align(clip.reference_text, clip.hypothesis_text), units)
    space = "" if by_character else " "
    return LostTextClip(
        id=clip.id,
        language=clip.reference.language,
        duration=duration_of(clip.reference, clip.hypothesis),
        unit=clip.unit.value,
        n_ref=len(units),
        longest=runs[0][1] if runs else 0,
        runs=tuple(_run(units, start, length, space) for start, length in runs if length >= MIN_UNITS),
    )


def _run(units: Sequence[str], start: int, length: int, space: str) -> LostRun:
    end = start + length
    shown = space.join(units[start : min(end, start + N_SHOWN)])
    return LostRun(
        n_units=length,
        position=start,
        before=space.join(units[max(0, start - N_AROUND) : start]),
        text=shown if length <= N_SHOWN else f"{shown} …",
        after=space.join(units[end : end + N_AROUND]),
    )
