"""Error counts and alignments. In: two normalized texts. Out: ``ErrorCounts``, added over a corpus; ``AlignedSpan``.

Adding counts and dividing once is the corpus rate of the literature; a mean of the clips' own rates is another, wrong
number. Knows no language, normalizer or file.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

import jiwer

__all__ = [
    "AlignedSpan",
    "Edit",
    "ErrorCounts",
    "align_characters",
    "align_words",
    "count_character_errors",
    "count_word_errors",
    "equal_positions",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorCounts:
    """Units (words or characters) of a minimal alignment of hypotheses with references. Add with ``+``."""

    hits: int = 0
    """Reference units found."""
    substitutions: int = 0
    """Reference units with another unit in their place."""
    deletions: int = 0
    """Reference units with nothing in their place."""
    insertions: int = 0
    """Hypothesis units without a reference unit."""

    def __add__(self, other: "ErrorCounts") -> "ErrorCounts":
        return ErrorCounts(
            hits=self.hits + other.hits,
            substitutions=self.substitutions + other.substitutions,
            deletions=self.deletions + other.deletions,
            insertions=self.insertions + other.insertions,
        )

    @property
    def n_ref(self) -> int:
        """Units in the references."""
        return self.hits + self.substitutions + self.deletions

    @property
    def n_errors(self) -> int:
        """Edits that turn the references into the hypotheses."""
        return self.substitutions + self.deletions + self.insertions

    @property
    def rate(self) -> float | None:
        """Errors for each reference unit, unrounded; None without reference units, whatever was inserted."""
        return self.n_errors / self.n_ref if self.n_ref else None


class Edit(StrEnum):
    """What an alignment makes of a stretch of text."""

    EQUAL = "equal"
    SUBSTITUTE = "substitute"
    DELETE = "delete"
    INSERT = "insert"


@dataclass(frozen=True, slots=True, kw_only=True)
class AlignedSpan:
    """A run of units of a minimal alignment that one kind of edit applies to."""

    kind: Edit
    reference: tuple[str, ...]
    """Words or characters; empty for ``insert``."""
    hypothesis: tuple[str, ...]
    """As many as in ``reference`` for ``equal`` and ``substitute``; empty for ``delete``."""


def count_word_errors(reference: str, hypothesis: str) -> ErrorCounts:
    """Count by word, words being what whitespace separates."""
    reference_words, hypothesis_words = reference.split(), hypothesis.split()
    if not reference_words:  # jiwer refuses an empty reference, but what was invented there is an error all the same
        return ErrorCounts(insertions=len(hypothesis_words))
    return _counts(jiwer.process_words(" ".join(reference_words), " ".join(hypothesis_words)))


def count_character_errors(reference: str, hypothesis: str) -> ErrorCounts:
    """Count by character (Unicode code point), whitespace left out: where no spaces are written, it says nothing."""
    reference_characters, hypothesis_characters = "".join(reference.split()), "".join(hypothesis.split())
    if not reference_characters:
        return ErrorCounts(insertions=len(hypothesis_characters))
    return _counts(jiwer.process_characters(reference_characters, hypothesis_characters))


def align_words(reference: str, hypothesis: str) -> tuple[AlignedSpan, ...]:
    """The alignment that ``count_word_errors`` counts, in the order of the texts; empty for two empty texts."""
    reference_words, hypothesis_words = reference.split(), hypothesis.split()
    if not reference_words:
        return _all_inserted(hypothesis_words)
    output = jiwer.process_words(" ".join(reference_words), " ".join(hypothesis_words))
    return _spans(output, reference_words, hypothesis_words)


def align_characters(reference: str, hypothesis: str) -> tuple[AlignedSpan, ...]:
    """The alignment that ``count_character_errors`` counts, whitespace left out."""
    reference_characters, hypothesis_characters = "".join(reference.split()), "".join(hypothesis.split())
    if not reference_characters:
        return _all_inserted(hypothesis_characters)
    output = jiwer.process_characters(reference_characters, hypothesis_characters)
    return _spans(output, reference_characters, hypothesis_characters)


def equal_positions(spans: Iterable[AlignedSpan]) -> tuple[tuple[int, int], ...]:
    """Positions (in the reference, in the hypothesis) of the units that are equal, in order."""
    positions: list[tuple[int, int]] = []
    in_reference = in_hypothesis = 0
    for span in spans:
        if span.kind is Edit.EQUAL:
            positions += ((in_reference + step, in_hypothesis + step) for step in range(len(span.reference)))
        in_reference += len(span.reference)
        in_hypothesis += len(span.hypothesis)
    return tuple(positions)


def _all_inserted(units: Sequence[str]) -> tuple[AlignedSpan, ...]:
    return (AlignedSpan(kind=Edit.INSERT, reference=(), hypothesis=tuple(units)),) if units else ()


def _spans(
    output: jiwer.WordOutput | jiwer.CharacterOutput, reference: Sequence[str], hypothesis: Sequence[str]
) -> tuple[AlignedSpan, ...]:
    return tuple(
        AlignedSpan(
            kind=Edit(chunk.type),
            reference=tuple(reference[chunk.ref_start_idx : chunk.ref_end_idx]),
            hypothesis=tuple(hypothesis[chunk.hyp_start_idx : chunk.hyp_end_idx]),
        )
        for chunk in output.alignments[0]
    )


def _counts(output: jiwer.WordOutput | jiwer.CharacterOutput) -> ErrorCounts:
    return ErrorCounts(
        hits=output.hits,
        substitutions=output.substitutions,
        deletions=output.deletions,
        insertions=output.insertions,
    )
