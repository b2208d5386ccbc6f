"""Transcripts that a recognizer made (Whisper 2.1; OLMoASR): no casing, or no punctuation. Knows no audio.

Drops: ``all_upper``, ``all_lower``, ``casing_vote`` (value: the share of cues in one case), ``no_punctuation``,
``no_comma`` (value: how many words have none).
"""

import re
from dataclasses import dataclass

from data_pipeline.types import Cue, Drop, Record

__all__ = ["MachineLimits", "drop_machine_made"]

MARKS = re.compile(r"[.?!…,;:。！？，、．؟،۔।॥;·።፣]")
COMMAS = re.compile("[,，、،፣、]")
# Scripts that are written without commas and stops: Thai, Lao, Myanmar, Khmer, Tibetan.
UNPUNCTUATED = re.compile("[\u0e00-\u0eff\u0f00-\u0fff\u1000-\u109f\u1780-\u17ff]")
SPACELESS = re.compile("[\u3040-\u30ff\u3400-\u9fff]")  # a character counts as half a word


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineLimits:
    """From how much text on an absence means something."""

    casing_vote: float = 0.6
    """Share of the cues in one case from which on the document is taken as caseless (OLMoASR)."""
    min_words_for_case: int = 3
    min_words_for_punctuation: int = 20
    min_words_for_comma: int = 120
    """In written English one word in 15 to 20 has a comma after it."""


def drop_machine_made(record: Record, limits: MachineLimits) -> Record | Drop:
    """The stage."""
    return _case(record, limits) or _punctuation(record.text, limits) or record


def _case(record: Record, limits: MachineLimits) -> Drop | None:
    text = record.text
    if len(text.split()) < limits.min_words_for_case or not any(_is_cased(letter) for letter in text):
        return None
    if not any(letter.islower() for letter in text):
        return Drop(reason="all_upper", value=1.0, limit=limits.casing_vote)
    if not any(letter.isupper() for letter in text):
        return Drop(reason="all_lower", value=1.0, limit=limits.casing_vote)
    votes = [vote for cue in record.cues if (vote := _vote(cue)) is not None]
    share = max(votes.count("upper"), votes.count("lower")) / len(votes) if votes else 0.0
    if len(votes) > 1 and share >= limits.casing_vote:
        return Drop(reason="casing_vote", value=round(share, 3), limit=limits.casing_vote)
    return None


def _vote(cue: Cue) -> str | None:
    """The case of a cue; None where it has too few letters to say. A cue may begin inside a sentence.

    That is why one in lower case votes only where it also ends none: people break sentences over cues, and such cues
    have stops, or names, or a capital after them.
    """
    letters = [letter for letter in cue.text if _is_cased(letter)]
    if len(letters) < 4:
        return None
    if all(letter.isupper() for letter in letters):
        return "upper"
    if all(letter.islower() for letter in letters) and not MARKS.search(cue.text):
        return "lower"
    return "mixed"


def _is_cased(letter: str) -> bool:
    return letter.isupper() or letter.islower()


def _punctuation(text: str, limits: MachineLimits) -> Drop | None:
    n_letters = sum(character.isalpha() for character in text)
    if 2 * len(UNPUNCTUATED.findall(text)) > n_letters:
        return None
    n_words = len(text.split()) + len(SPACELESS.findall(text)) // 2
    if n_words >= limits.min_words_for_punctuation and not MARKS.search(text):
        return Drop(reason="no_punctuation", value=n_words, limit=limits.min_words_for_punctuation)
    if n_words >= limits.min_words_for_comma and not COMMAS.search(text):
        return Drop(reason="no_comma", value=n_words, limit=limits.min_words_for_comma)
    return None
