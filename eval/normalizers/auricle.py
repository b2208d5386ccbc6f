"""Auricle's own normalizer. In: text and its language. Out: the text that is compared, or every rewrite on the way.

It removes differences that are no recognition errors (case, punctuation, width, scripts of digits, spelled numbers,
contractions, spelling variants) and merges no two words: marks, tones and accents stay. The rules are in ``rules``, in
the order in which they are applied; each is in one of the modules named in ``SOURCES``, with its reason.

The text that comes out is left alone by every rule, so normalizing twice is normalizing once.

Limits. Traditional and simplified Chinese are different texts. Russian все may be printed for всё, and is another word
here. Inflected numerals (двух, dvylikos), ordinals other than English ones and words such as French neuf that are also
no numeral stay words, so digits for them count as an error. Knows no error counts.
"""

import hashlib
import unicodedata
from functools import cache
from importlib.resources import files

from eval.normalizers.characters import CHARACTER_RULES
from eval.normalizers.cjk_numbers import CJK_NUMBER_RULES
from eval.normalizers.letters import LETTER_RULES
from eval.normalizers.numbers import NUMBER_RULES
from eval.normalizers.punctuation import PUNCTUATION_RULES
from eval.normalizers.rules import Rule, apply_edits, rewrites
from eval.normalizers.types import Rewrite
from eval.normalizers.words import WORD_RULES, british_spellings

__all__ = ["AuricleNormalizer"]

SOURCES = (
    "auricle.py",
    "characters.py",
    "cjk_numbers.py",
    "letters.py",
    "number_parser.py",
    "number_words.py",
    "numbers.py",
    "punctuation.py",
    "rules.py",
    "sign_words.py",
    "word_tables.py",
    "words.py",
)


class AuricleNormalizer:
    """Rules in a row, as a ``Normalizer``."""

    name = "auricle"
    version = "1"

    def __init__(self) -> None:
        self.rules: tuple[Rule, ...] = (
            *CHARACTER_RULES,
            *PUNCTUATION_RULES,
            *LETTER_RULES,
            *WORD_RULES,
            *NUMBER_RULES,
            *CJK_NUMBER_RULES,
        )

    @property
    def sha256(self) -> str:
        """See Normalizer; Python's Unicode tables decide too, so their version is in it."""
        return _digest()

    def normalize(self, text: str, language: str | None) -> str:
        """See Normalizer."""
        for rule in self.rules:
            text = apply_edits(text, rule.edits(text, language))
        return text

    def explain(self, text: str, language: str | None) -> tuple[Rewrite, ...]:
        """See Normalizer; a rewrite is as long as the words that the rule changed."""
        explanation: list[Rewrite] = []
        for rule in self.rules:
            edits = rule.edits(text, language)
            explanation += rewrites(rule.name, text, edits)
            text = apply_edits(text, edits)
        return tuple(explanation)


@cache
def _digest() -> str:
    here = files("eval.normalizers")
    sources = [(here / source).read_bytes() for source in SOURCES]
    tables = (british_spellings(), unicodedata.unidata_version.encode())
    return hashlib.sha256(b"".join((*sources, *tables))).hexdigest()
