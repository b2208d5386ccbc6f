"""Timed words ↔ normalized text. In: words as a target has them, a text. Out: which word stands where in the text.

Normalization rewrites a whole text, and may merge words or split them: "twenty" and "-one" become "21", "don't" becomes
"do not". So the words are normalized twice, all together and each alone. Where both give the same, a unit of the text
belongs to the word it came from; a stretch that differs belongs to nobody, and its words are ``unclear``: they match
nothing, and are counted. Units are words, or characters where no spaces are written. Knows no time and no measure.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from eval.normalizers import Normalizer, Unit
from eval.wer import align_characters, align_words, equal_positions

__all__ = ["NormalizedWords", "find_words", "match_words", "normalize_words", "split_units"]


@dataclass(frozen=True, slots=True, kw_only=True)
class NormalizedWords:
    """Words, and the units that they become."""

    unit: Unit
    units: tuple[str, ...]
    """The normalized text of all words together."""
    positions: Mapping[int, tuple[int, ...]]
    """Number of a word → positions of its units in ``units``; words that are clear only."""
    n_unclear: int
    """Words with text whose units nobody can tell from their neighbours'."""

    @property
    def n_words(self) -> int:
        """Words with text left after normalization."""
        return len(self.positions) + self.n_unclear


def normalize_words(
    words: Sequence[str], *, normalizer: Normalizer, language: str | None, unit: Unit
) -> NormalizedWords:
    """Normalize the words of one transcript, which join to its text: they begin with a space where one is written."""
    texts = _spaced(words, unit)
    units = split_units(normalizer.normalize("".join(texts), language), unit)
    known: dict[str, tuple[str, ...]] = {}
    alone: list[str] = []
    owners: list[int] = []
    for number, text in enumerate(texts):
        if text not in known:
            known[text] = split_units(normalizer.normalize(text, language), unit)
        alone += known[text]
        owners += [number] * len(known[text])
    found: dict[int, list[int]] = {}
    for in_alone, in_units in _equal_positions(alone, units, unit):
        found.setdefault(owners[in_alone], []).append(in_units)
    positions = {number: tuple(places) for number, places in found.items() if len(places) == len(known[texts[number]])}
    return NormalizedWords(unit=unit, units=units, positions=positions, n_unclear=len(set(owners)) - len(positions))


def split_units(text: str, unit: Unit) -> tuple[str, ...]:
    """A normalized text in its units; whitespace is none."""
    return tuple("".join(text.split())) if unit is Unit.CHARACTER else tuple(text.split())


def find_words(words: NormalizedWords, text: Sequence[str]) -> dict[int, tuple[int, ...]]:
    """Number of a word → where its units stand in ``text``, by a minimal alignment; words found whole only."""
    places = {in_words: in_text for in_text, in_words in _equal_positions(text, words.units, words.unit)}
    return {
        number: tuple(places[position] for position in positions)
        for number, positions in words.positions.items()
        if all(position in places for position in positions)
    }


def match_words(a: NormalizedWords, b: NormalizedWords) -> tuple[tuple[int, int], ...]:
    """Numbers of the words in A and in B that are the same word in the same place of the text, in order."""
    words_of_a = {positions: number for number, positions in a.positions.items()}
    return tuple(
        (words_of_a[places], number)
        for number, places in sorted(find_words(b, a.units).items())
        if places in words_of_a
    )


def _spaced(words: Sequence[str], unit: Unit) -> list[str]:
    # Some services give words without the space before them.
    if unit is Unit.CHARACTER or any(word[:1].isspace() for word in words[1:]):
        return list(words)
    return [f" {word}" for word in words]


def _equal_positions(reference: Sequence[str], hypothesis: Sequence[str], unit: Unit) -> tuple[tuple[int, int], ...]:
    if unit is Unit.CHARACTER:
        return equal_positions(align_characters("".join(reference), "".join(hypothesis)))
    return equal_positions(align_words(" ".join(reference), " ".join(hypothesis)))
