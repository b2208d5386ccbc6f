"""Hypotheses and references → scores. Knows no model, terminal or output format."""

from eval.scoring.clips import NO_LANGUAGE
from eval.scoring.error_rates import score_transcriptions
from eval.scoring.jobs import score_run
from eval.scoring.language_id import score_languages
from eval.scoring.translation import score_translations
from eval.scoring.types import ErrorGroup, Interval, TranscriptionScores

__all__ = [
    "NO_LANGUAGE",
    "ErrorGroup",
    "Interval",
    "TranscriptionScores",
    "score_languages",
    "score_run",
    "score_transcriptions",
    "score_translations",
]
