"""The normalizers of the Whisper paper (appendix C), so that numbers compare with published ones.

In: text. Out: ``whisper-english`` or ``whisper-basic`` text, from the whisper-normalizer package. Its basic normalizer
replaces combining marks by spaces, which takes Indic and Thai words apart: that is what the published numbers have.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import cache
from importlib.metadata import version
from importlib.resources import files

from eval.normalizers.rules import apply_edits, phrase_edits, rewrites, whitespace_edits
from eval.normalizers.types import Rewrite

__all__ = ["WhisperNormalizer", "whisper_basic", "whisper_english"]


@dataclass(frozen=True, slots=True, kw_only=True)
class WhisperNormalizer:
    """One of the package's normalizers as a ``Normalizer``; the language changes nothing."""

    name: str
    version: str
    sha256: str
    rewrite: Callable[[str], str]

    def normalize(self, text: str, language: str | None) -> str:  # noqa: ARG002  (the protocol's)
        """See Normalizer."""
        return " ".join(self.rewrite(text).split())

    def explain(self, text: str, language: str | None) -> tuple[Rewrite, ...]:
        """What changed, word by word: the package does not say which of its rules did it."""
        spaces = whitespace_edits(text)
        before = apply_edits(text, spaces)
        words, after = before.split(), self.normalize(text, language).split()
        changes = SequenceMatcher(None, words, after, autojunk=False).get_opcodes()
        phrases = [(a, b, " ".join(after[c:d])) for kind, a, b, c, d in changes if kind != "equal"]
        return (
            *rewrites("whitespace", text, spaces),
            *rewrites(self.name, before, list(phrase_edits(before, phrases))),
        )


@cache
def whisper_english() -> WhisperNormalizer:
    """English: contractions, titles, spelled numbers, British spellings."""
    from whisper_normalizer.english import EnglishTextNormalizer

    return _normalizer(
        "whisper-english", EnglishTextNormalizer(), ("basic.py", "english.py", "normalizers/english.json")
    )


@cache
def whisper_basic() -> WhisperNormalizer:
    """Every other language: lower case, no brackets, marks, symbols and punctuation become spaces."""
    from whisper_normalizer.basic import BasicTextNormalizer

    return _normalizer("whisper-basic", BasicTextNormalizer(), ("basic.py",))


def _normalizer(name: str, rewrite: Callable[[str], str], sources: tuple[str, ...]) -> WhisperNormalizer:
    package = files("whisper_normalizer")
    digest = hashlib.sha256(b"".join((package / source).read_bytes() for source in sources))
    installed = f"whisper-normalizer {version('whisper-normalizer')}"
    return WhisperNormalizer(name=name, version=installed, sha256=digest.hexdigest(), rewrite=rewrite)
