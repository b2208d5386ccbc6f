"""Text normalization before counting. In: a language. Out: the normalizer and the unit its texts are scored with.

The normalizers are those of the Whisper paper (appendix C), so that numbers compare with published ones: English has
its own, every other language the basic one. Both sides of a comparison go through the same. Knows no error counts.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from importlib.metadata import version

__all__ = ["CHARACTER_LANGUAGES", "Normalizer", "Unit", "normalizer_for", "unit_for"]

CHARACTER_LANGUAGES = frozenset({"zh", "ja", "th", "yue", "lo", "my", "km"})  # written without spaces between words


class Unit(StrEnum):
    """What is counted."""

    WORD = "word"
    CHARACTER = "character"


@dataclass(frozen=True, slots=True, kw_only=True)
class Normalizer:
    """A named, versioned rewriting of text."""

    name: str
    version: str
    """Package and version that the rules come from."""
    normalize: Callable[[str], str]


def unit_for(language: str | None) -> Unit:
    """The unit a language is scored in: the character where no spaces are written, else the word."""
    return Unit.CHARACTER if language in CHARACTER_LANGUAGES else Unit.WORD


def normalizer_for(language: str | None) -> Normalizer:
    """The paper's normalizer for a language code; None, where nobody speaks, gets the basic one."""
    return _whisper_english() if language == "en" else _whisper_basic()


@cache
def _whisper_english() -> Normalizer:
    from whisper_normalizer.english import EnglishTextNormalizer

    return Normalizer(name="whisper-english", version=_package_version(), normalize=EnglishTextNormalizer())


@cache
def _whisper_basic() -> Normalizer:
    from whisper_normalizer.basic import BasicTextNormalizer

    return Normalizer(name="whisper-basic", version=_package_version(), normalize=BasicTextNormalizer())


def _package_version() -> str:
    return f"whisper-normalizer {version('whisper-normalizer')}"
