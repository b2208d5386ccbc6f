"""Error counts. In: two normalized texts. Out: ``ErrorCounts``, which are added over a corpus; the rate comes last.

Adding counts and dividing once is the corpus rate of the literature; a mean of the clips' own rates is another, wrong
number. Knows no language, normalizer or file.
"""

from dataclasses import dataclass

import jiwer

__all__ = ["ErrorCounts", "count_character_errors", "count_word_errors"]


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


def _counts(output: jiwer.WordOutput | jiwer.CharacterOutput) -> ErrorCounts:
    return ErrorCounts(
        hits=output.hits,
        substitutions=output.substitutions,
        deletions=output.deletions,
        insertions=output.insertions,
    )
