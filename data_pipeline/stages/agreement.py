"""Do captions say what a model hears (OLMoASR), and where? In: records and windows with the model's hypothesis.

A rate counts by words, or by characters: of a language with long words a model may miss half, by a letter each, and the
captions are right all the same. Rates are rounded to three digits before they are compared, so that a last bit decides
nothing. What a translation says is not compared: the hypothesis is in the language of the speech.

Drops: ``document_wer``, ``caption_lag`` (value: seconds that captions begin after their words; negative: before),
``segment_wer``, ``uncaptioned_speech`` (value: words heard in a row where no caption is).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

from asr.tasks import Task
from data_pipeline.stages.lag import caption_lag, uncaptioned_words
from data_pipeline.types import Cue, CutWindow, Drop, Record, Window
from eval.normalizers import Normalizer, NormalizerName, Unit, normalizer_for, unit_for
from eval.wer import ErrorCounts, count_character_errors, count_word_errors

__all__ = ["AgreementLimits", "agree_document", "agree_window", "document_errors"]

CHARACTERS_FOR_WORDS = 0.6
"""A limit by characters, of the one by words. Right captions of languages that a model hears badly are at 0.1 to 0.3 by
characters and up to 0.9 by words; other captions in the same language at 0.7 or more by both (docs/data.md)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgreementLimits:
    """How far captions and model may be apart; 0.1 by words for distillation."""

    max_document_wer: float = 0.5
    max_segment_wer: float = 0.7
    max_lag_s: float = 1.5
    """The median over a recording's cues. Subtitles are up to a second early, live captions several late."""
    max_uncaptioned_words: int = 3
    """Heard in a row outside of captions: what more is said there, training would teach to leave out."""


def document_errors(record: Record) -> ErrorCounts | None:
    """The captions as reference; None where there is no hypothesis to compare."""
    if record.hypothesis is None or record.task is Task.TRANSLATE:
        return None
    return _Comparison(record.text, record.hypothesis, record.language).errors()


def agree_document(record: Record, limits: AgreementLimits) -> Record | Drop:
    """The stage."""
    if record.hypothesis is None or record.task is Task.TRANSLATE:
        return record
    comparison = _Comparison(record.text, record.hypothesis, record.language)
    drop = comparison.beyond("document_wer", limits.max_document_wer)
    return drop or _lag(record, record.hypothesis, limits) or record


def agree_window(window: Window, record: Record, limits: AgreementLimits) -> Window | CutWindow:
    """The same of one window; the words of the hypothesis whose middle is in it, up to a cue that goes beyond it."""
    if record.hypothesis is None:
        return window
    end = window.end if window.partial_start is None else window.partial_start
    heard = [word for word in record.hypothesis if window.start <= word.middle < end]
    drop = None
    if window.cues and record.task is not Task.TRANSLATE:
        comparison = _Comparison(window.text, heard, record.language)
        drop = comparison.beyond("segment_wer", limits.max_segment_wer)
    if drop is None:
        n_words = uncaptioned_words(record.cues, record.hypothesis, window.start, end)
        limit = limits.max_uncaptioned_words
        drop = Drop(reason="uncaptioned_speech", value=n_words, limit=limit) if n_words > limit else None
    return CutWindow(start=window.start, next_start=window.next_start, drop=drop) if drop else window


def _lag(record: Record, heard: Iterable[Cue], limits: AgreementLimits) -> Drop | None:
    lag = caption_lag(record.cues, heard) if record.timed else None
    if lag is None or abs(lag) <= limits.max_lag_s:
        return None
    return Drop(reason="caption_lag", value=lag, limit=limits.max_lag_s)


class _Comparison:
    """Captions and what is heard, in the form that is compared."""

    def __init__(self, captions: str, heard: Iterable[Cue], language: str | None) -> None:
        normalizer = _normalizer(language)
        self._texts = (
            normalizer.normalize(captions, language),
            normalizer.normalize(" ".join(cue.text.strip() for cue in heard), language),
        )
        self._unit = unit_for(language)

    def errors(self) -> ErrorCounts:
        """By the language's unit."""
        return (count_word_errors if self._unit is Unit.WORD else count_character_errors)(*self._texts)

    def beyond(self, reason: str, limit: float) -> Drop | None:
        """Why the two do not agree, by words nor by characters."""
        errors = self.errors()
        rate = _rate(errors)
        if rate is None:  # nothing that is compared stands in the captions
            return Drop(reason=reason, value=None, limit=limit) if errors.insertions else None
        if rate <= limit or self._character_rate() <= round(CHARACTERS_FOR_WORDS * limit, 3):
            return None
        return Drop(reason=reason, value=rate, limit=limit)

    def _character_rate(self) -> float:
        return _rate(count_character_errors(*self._texts)) or 0.0


def _rate(errors: ErrorCounts) -> float | None:
    return None if errors.rate is None else round(errors.rate, 3)


@cache
def _normalizer(language: str | None) -> Normalizer:
    return normalizer_for(NormalizerName.WHISPER, language)
