"""Runs of n words of a text, as duplicates and contamination compare them. In: text. Out: words, hashes of n-grams.

Case, punctuation and marks of width are no difference; where no spaces are written, each character is a word.
"""

import re
import unicodedata
from collections.abc import Sequence
from hashlib import blake2b

__all__ = ["hash64", "ngrams", "words_of"]

WORD = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff]|[^\\W_]+")


def words_of(text: str) -> tuple[str, ...]:
    """The words of a text in the form that is compared."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return tuple(WORD.findall(folded.replace("'", "").replace("’", "")))


def ngrams(words: Sequence[str], n: int) -> tuple[str, ...]:
    """Every run of n words, joined by spaces; none of a shorter text."""
    return tuple(" ".join(words[first : first + n]) for first in range(len(words) - n + 1))


def hash64(text: str) -> int:
    """The same on every machine and in every process, which ``hash`` is not."""
    return int.from_bytes(blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")
