"""What a normalizer is, and what a language is counted in. Knows no rule of any normalizer."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

__all__ = ["CHARACTER_LANGUAGES", "Normalizer", "Rewrite", "Unit", "unit_for"]

CHARACTER_LANGUAGES = frozenset({"zh", "ja", "th", "yue", "lo", "my", "km"})  # written without spaces between words


class Unit(StrEnum):
    """What is counted."""

    WORD = "word"
    CHARACTER = "character"


def unit_for(language: str | None) -> Unit:
    """The unit a language is scored in: the character where no spaces are written, else the word."""
    return Unit.CHARACTER if language in CHARACTER_LANGUAGES else Unit.WORD


@dataclass(frozen=True, slots=True, kw_only=True)
class Rewrite:
    """One change that a normalizer made."""

    rule: str
    """Name of the rule, as its documentation has it."""
    start: int
    """Where it begins, in characters of the text as the rewrites before this one left it."""
    before: str
    """The stretch of text that the rule saw; "" where something was added."""
    after: str
    """What stands there now; "" where it was removed."""


class Normalizer(Protocol):
    """A named, versioned rewriting of text; both sides of a comparison go through the same.

    Both methods take a language code, or None where it is not known.
    """

    @property
    def name(self) -> str:
        """As ``--normalizer`` has it."""

    @property
    def version(self) -> str:
        """Package and version that the rules come from."""

    @property
    def sha256(self) -> str:
        """Digest of the rules' source and tables: equal digests, equal rewriting."""

    def normalize(self, text: str, language: str | None) -> str:
        """The text in its normal form, words separated by single spaces."""

    def explain(self, text: str, language: str | None) -> tuple[Rewrite, ...]:
        """Every rewrite, in the order of the rules, left to right; made in turn they give ``normalize``'s text."""
