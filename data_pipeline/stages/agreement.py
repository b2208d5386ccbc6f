"""Do captions say what a model hears (OLMoASR)? In: records and windows with the model's hypothesis.

Rates are rounded to three digits before they are compared, so that a last bit decides nothing. A translation is not
compared: the hypothesis is in the language of the speech. Drops: ``document_wer``, ``segment_wer``.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

from asr.tasks import Task
from data_pipeline.types import Cue, CutWindow, Drop, Record, Window
from eval.normalizers import Normalizer, NormalizerName, Unit, normalizer_for, unit_for
from eval.wer import ErrorCounts, count_character_errors, count_word_errors

__all__ = ["AgreementLimits", "agree_document", "agree_window", "document_errors"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AgreementLimits:
    """How far captions and model may be apart; 0.1 for distillation."""

    max_document_wer: float = 0.5
    max_segment_wer: float = 0.7


def document_errors(record: Record) -> ErrorCounts | None:
    """The captions as reference; None where there is no hypothesis to compare."""
    if record.hypothesis is None or record.task is Task.TRANSLATE:
        return None
    return _errors(record.text, record.hypothesis, record.language)


def agree_document(record: Record, limits: AgreementLimits) -> Record | Drop:
    """The stage."""
    return _beyond("document_wer", document_errors(record), limits.max_document_wer) or record


def agree_window(window: Window, record: Record, limits: AgreementLimits) -> Window | CutWindow:
    """The same of one window; the words of the hypothesis whose middle is in it, up to a cue that goes beyond it."""
    if record.hypothesis is None or record.task is Task.TRANSLATE or not window.cues:
        return window
    end = window.end if window.partial_start is None else window.partial_start
    heard = [cue for cue in record.hypothesis if window.start <= (cue.start + cue.end) / 2 < end]
    drop = _beyond("segment_wer", _errors(window.text, heard, record.language), limits.max_segment_wer)
    return CutWindow(start=window.start, next_start=window.next_start, drop=drop) if drop else window


def _beyond(reason: str, errors: ErrorCounts | None, limit: float) -> Drop | None:
    if errors is None:
        return None
    rate = round(errors.rate, 3) if errors.rate is not None else None
    if rate is None:  # nothing that is compared stands in the captions
        return Drop(reason=reason, value=None, limit=limit) if errors.insertions else None
    return Drop(reason=reason, value=rate, limit=limit) if rate > limit else None


def _errors(reference: str, hypothesis: Iterable[Cue], language: str | None) -> ErrorCounts:
    normalizer = _normalizer(language)
    heard = " ".join(cue.text.strip() for cue in hypothesis)
    texts = normalizer.normalize(reference, language), normalizer.normalize(heard, language)
    return count_word_errors(*texts) if unit_for(language) is Unit.WORD else count_character_errors(*texts)


@cache
def _normalizer(language: str | None) -> Normalizer:
    return normalizer_for(NormalizerName.WHISPER, language)
