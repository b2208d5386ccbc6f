"""What groups are called where people read. In: keys of scores. Out: labels; programs are given the keys themselves.

Knows no score.
"""

from collections.abc import Callable, Mapping
from typing import TypeVar

from asr.languages import LANGUAGES
from eval.scoring import NO_LANGUAGE
from eval.scoring.clips import SEVERAL

__all__ = ["corpus_language_label", "labelled", "language_label", "length_label"]

NO_SPEECH = "no speech"
SEVERAL_LANGUAGES = "several languages"

Group = TypeVar("Group")


def labelled(groups: Mapping[str, Group], label: Callable[[str], str]) -> dict[str, Group]:
    """The groups under their labels, in the same order."""
    return {label(key): group for key, group in groups.items()}


def language_label(code: str | None) -> str:
    """``de German``; the code alone where Whisper has no such language."""
    if code is None or code == NO_LANGUAGE:
        return NO_SPEECH
    if code == SEVERAL:
        return SEVERAL_LANGUAGES
    return f"{code} {LANGUAGES[code]}" if code in LANGUAGES else code


def corpus_language_label(key: str) -> str:
    """``fleurs/de``, as it is; ``noise/no speech`` where nobody speaks."""
    corpus, _, language = key.rpartition("/")
    return f"{corpus}/{NO_SPEECH}" if language == NO_LANGUAGE else key


def length_label(key: str) -> str:
    """``5–10 s``, ``≥ 30 s``."""
    return key.replace("-", "–").replace(">=", "≥")
