"""An alignment as pairs to set one above the other. In: ``AlignedSpan``s. Out: ``Pair``s. Knows no HTML.

Of long clips, stretches without an error are left out, and so is everything after MAX_PAIRS: a page shows errors, and
the texts stand beside it in full.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice

from eval.wer import AlignedSpan, Edit

__all__ = ["Mark", "Pair", "align_for_view"]

LONG_UNITS = 100  # a clip of more than these is shown without its longer correct stretches
KEPT_UNITS = 5  # on either side of a stretch that is left out
CHARACTERS_TOGETHER = 6  # correct ones in one pair, so that lines still break
MAX_PAIRS = 250


class Mark(StrEnum):
    """What happened to a pair."""

    EQUAL = "equal"
    SUBSTITUTE = "substitute"
    DELETE = "delete"
    INSERT = "insert"
    SKIP = "skip"  # not shown


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Reference above, hypothesis below."""

    mark: Mark
    reference: str = ""
    hypothesis: str = ""


def align_for_view(spans: Sequence[AlignedSpan], *, by_character: bool) -> tuple[Pair, ...]:
    """Word under word, or character under character."""
    is_long = sum(max(len(span.reference), len(span.hypothesis)) for span in spans) > LONG_UNITS
    pairs = (pair for span in spans for pair in _pairs(span, by_character=by_character, is_long=is_long))
    shown = tuple(islice(pairs, MAX_PAIRS))
    is_cut = next(pairs, None) is not None
    return (*shown, Pair(mark=Mark.SKIP, reference="the rest")) if is_cut else shown


def _pairs(span: AlignedSpan, *, by_character: bool, is_long: bool) -> Iterator[Pair]:
    match span.kind:
        case Edit.EQUAL:
            yield from _equal(span.reference, by_character=by_character, is_long=is_long)
        case Edit.SUBSTITUTE:
            for reference, hypothesis in zip(span.reference, span.hypothesis, strict=True):
                yield Pair(mark=Mark.SUBSTITUTE, reference=reference, hypothesis=hypothesis)
        case Edit.DELETE:
            for reference in span.reference:
                yield Pair(mark=Mark.DELETE, reference=reference)
        case Edit.INSERT:
            for hypothesis in span.hypothesis:
                yield Pair(mark=Mark.INSERT, hypothesis=hypothesis)


def _equal(units: Sequence[str], *, by_character: bool, is_long: bool) -> Iterator[Pair]:
    n_skipped = len(units) - 2 * KEPT_UNITS if is_long else 0
    if n_skipped <= KEPT_UNITS:  # what is put in its place would take as much room
        yield from _same(units, by_character=by_character)
        return
    yield from _same(units[:KEPT_UNITS], by_character=by_character)
    yield Pair(mark=Mark.SKIP, reference=f"{n_skipped} correct")
    yield from _same(units[-KEPT_UNITS:], by_character=by_character)


def _same(units: Sequence[str], *, by_character: bool) -> Iterator[Pair]:
    for text in _chunks(units, CHARACTERS_TOGETHER) if by_character else units:
        yield Pair(mark=Mark.EQUAL, reference=text, hypothesis=text)


def _chunks(units: Sequence[str], size: int) -> Iterable[str]:
    return ("".join(units[start : start + size]) for start in range(0, len(units), size))
