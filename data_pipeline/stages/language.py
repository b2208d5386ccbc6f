"""Does the text's language agree with the spoken one? In: a record, with what a model heard where one was asked.

Out: the record with its language, and the task: English text over other speech is a translation (X→en rescue).
Drops: ``language_mismatch`` (value: the text's, limit: the speech's), ``language_unknown``.
"""

from dataclasses import dataclass, replace
from typing import Final

import pycld2

from asr.tasks import Task
from data_pipeline.readers.finding import language_or_none
from data_pipeline.types import Drop, Record

__all__ = ["LanguageLimits", "agree_language", "text_language"]

# Languages that pycld2, or a speaker of one of them, takes for another.
CONFUSED: Final = tuple(
    map(frozenset, (("hr", "sr", "bs"), ("no", "nn", "da"), ("id", "ms"), ("zh", "yue"), ("cs", "sk")))
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LanguageLimits:
    """When an answer counts."""

    min_probability: float = 0.7
    """Of the spoken language; below it the source's label stands."""


def agree_language(record: Record, limits: LanguageLimits) -> Record | Drop:
    """The stage."""
    heard = record.spoken if record.spoken and record.spoken.probability >= limits.min_probability else None
    speech = heard.language if heard else record.language
    text = text_language(record.text)
    if speech is None and text is None:
        return Drop(reason="language_unknown", value=round(record.spoken.probability, 3) if record.spoken else None)
    if speech is None or text is None or _same(speech, text):
        return replace(record, language=speech or text)
    if text == "en" and heard:
        return replace(record, language=speech, task=Task.TRANSLATE)
    return Drop(reason="language_mismatch", value=text, limit=speech)


def text_language(text: str) -> str | None:
    """Whisper's code of the language a text is written in; None where pycld2 is not sure, as on short texts."""
    # It raises on control characters.
    fit = "".join(character if character.isprintable() else " " for character in text)
    try:
        is_reliable, _, guesses = pycld2.detect(fit)
    except pycld2.error:  # private and unassigned characters
        return None
    return language_or_none(guesses[0][1]) if is_reliable and guesses[0][1] != "un" else None


def _same(speech: str, text: str) -> bool:
    return speech == text or any({speech, text} <= languages for languages in CONFUSED)
