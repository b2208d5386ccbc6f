"""Scores for programs. In: ``Scores`` or ``Comparison``. Out: a JSON-ready object whose keys stay. Rounds nothing.

An interval is ``[low, high]`` or null; a rate is a fraction, null without reference units; BLEU and chrF go to 100.
"""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from eval.jobs import Job
from eval.report.comparison import verdicts
from eval.report.evidence_json import (
    confidence_as_json,
    lost_text_as_json,
    placement_as_json,
    timeline_as_json,
    word_times_as_json,
)
from eval.scoring.compare import ClipChange, ComparedGroup, ComparedMeasure, Comparison
from eval.scoring.types import (
    ClipScore,
    ErrorGroup,
    Interval,
    InventedWords,
    LanguageIdentification,
    LanguageScores,
    RealTime,
    Scores,
    TranscriptionScores,
    TranslatedClip,
    TranslationGroup,
    TranslationScores,
)
from eval.wer import ErrorCounts

__all__ = ["comparison_as_json", "interval_as_json", "scores_as_json"]


def scores_as_json(scores: Scores) -> dict[str, Any]:
    """Everything in ``Scores``; ``job`` says which keys to expect.

    A group's ``wer`` and ``interval`` are in its own ``unit``; ``by_word`` and ``cer`` are of all its clips.
    """
    if isinstance(scores, TranscriptionScores):
        return _transcription(scores)
    return _translation(scores) if isinstance(scores, TranslationScores) else _languages(scores)


def comparison_as_json(comparison: Comparison) -> dict[str, Any]:
    """Everything in ``Comparison``; differences are B less A."""
    return {
        "verdicts": list(verdicts(comparison)),
        "measures": {each.measure.value: _measure(each) for each in comparison.measures},
        "word_times": None if comparison.word_times is None else word_times_as_json(comparison.word_times),
        "n_common": comparison.n_common,
        "n_only_a": comparison.n_only_a,
        "n_only_b": comparison.n_only_b,
        "n_other_reference": comparison.n_other_reference,
        "n_failed_a": comparison.n_failed_a,
        "n_failed_b": comparison.n_failed_b,
        "n_better": comparison.n_better,
        "n_worse": comparison.n_worse,
        "n_equal": comparison.n_common - len(comparison.changes),
        "differences": {each.key: {"a": each.a, "b": each.b} for each in comparison.differences},
        "run_a": dict(comparison.config_a),
        "run_b": dict(comparison.config_b),
        "changes": [_change(change) for change in comparison.changes],
    }


def interval_as_json(interval: Interval | None) -> list[float] | None:
    """``[low, high]``."""
    return None if interval is None else [interval.low, interval.high]


def _transcription(scores: TranscriptionScores) -> dict[str, Any]:
    return {
        "job": Job.TRANSCRIBE.value,
        "overall": _group(scores.overall),
        "headline": _group(scores.headline),
        "words": _group(scores.words),
        "characters": _group(scores.characters),
        "languages": _groups(scores.languages),
        "datasets": _groups(scores.datasets),
        "dataset_languages": _groups(scores.dataset_languages),
        "lengths": _groups(scores.lengths),
        "apart": _groups(scores.apart),
        "invented": {kind: _invented(words) for kind, words in scores.invented.items()},
        "invented_datasets": {name: _invented(words) for name, words in scores.invented_datasets.items()},
        "language_id": None if scores.language_id is None else _language_id(scores.language_id),
        "confidence": None if scores.confidence is None else confidence_as_json(scores.confidence),
        "placement": None if scores.placement is None else placement_as_json(scores.placement),
        "lost": None if scores.lost is None else lost_text_as_json(scores.lost),
        "suppressed": {reason: asdict(texts) for reason, texts in scores.suppressed.items()},
        "timeline": None if scores.timeline is None else timeline_as_json(scores.timeline),
        "real_time": _real_time(scores.real_time),
        "normalizers": {
            use.name: {"name": use.name, "version": use.version, "sha256": use.sha256} for use in scores.normalizers
        },
        "n_missing": scores.n_missing,
        "run": dict(scores.config),
        "clips": [_clip(clip) for clip in scores.clips],
    }


def _translation(scores: TranslationScores) -> dict[str, Any]:
    return {
        "job": Job.TRANSLATE.value,
        "overall": _translated(scores.overall),
        "languages": {name: _translated(group) for name, group in scores.languages.items()},
        "datasets": {name: _translated(group) for name, group in scores.datasets.items()},
        "dataset_languages": {name: _translated(group) for name, group in scores.dataset_languages.items()},
        "real_time": _real_time(scores.real_time),
        "signatures": {"bleu": scores.bleu_signature, "chrf": scores.chrf_signature},
        "n_missing": scores.n_missing,
        "run": dict(scores.config),
        "clips": [_translated_clip(clip) for clip in scores.clips],
    }


def _languages(scores: LanguageScores) -> dict[str, Any]:
    return {
        "job": Job.DETECT_LANGUAGE.value,
        "language_id": _language_id(scores.language_id),
        "real_time": _real_time(scores.real_time),
        "n_missing": scores.n_missing,
        "run": dict(scores.config),
    }


def _groups(groups: Mapping[str, ErrorGroup]) -> dict[str, dict[str, Any]]:
    return {name: _group(group) for name, group in groups.items()}


def _group(group: ErrorGroup) -> dict[str, Any]:
    return {
        "wer": group.counts.rate,
        "interval": interval_as_json(group.interval),
        "unit": group.unit,
        "n_clips": group.n_clips,
        "n_failed": group.n_failed,
        "n_clusters": group.n_clusters,
        "few_voices": group.few_voices,
        **_counts(group.counts),
        "cer": group.characters.rate,
        "cer_interval": interval_as_json(group.characters_interval),
        "by_word": {
            "rate": group.words.rate,
            "interval": interval_as_json(group.words_interval),
            **_counts(group.words),
        },
        "by_character": {
            "rate": group.characters.rate,
            "interval": interval_as_json(group.characters_interval),
            **_counts(group.characters),
        },
    }


def _counts(counts: ErrorCounts) -> dict[str, int]:
    return {
        "n_ref": counts.n_ref,
        "hits": counts.hits,
        "substitutions": counts.substitutions,
        "deletions": counts.deletions,
        "insertions": counts.insertions,
    }


def _invented(words: InventedWords) -> dict[str, Any]:
    return {
        "per_hour": words.per_hour,
        "interval": interval_as_json(words.interval),
        "n_words": words.n_words,
        "n_suppressed": words.n_suppressed,
        "hours": words.hours,
        "n_clips": words.n_clips,
        "n_clips_with_words": words.n_clips_with_words,
    }


def _language_id(found: LanguageIdentification) -> dict[str, Any]:
    return {
        "accuracy": found.accuracy,
        "interval": interval_as_json(found.interval),
        "n_clips": found.n_clips,
        "n_correct": found.n_correct,
        "by_language": {
            spoken: {"n_clips": n_clips, "n_correct": n_correct}
            for spoken, (n_clips, n_correct) in found.by_language.items()
        },
        "confusion": {spoken: dict(named) for spoken, named in found.confusion.items()},
    }


def _real_time(speed: RealTime) -> dict[str, Any]:
    return {
        "x_real_time": speed.x_real_time,
        "audio_s": speed.audio_s,
        "wall_s": speed.wall_s,
        "phases_s": dict(speed.phases_s),
    }


def _clip(clip: ClipScore) -> dict[str, Any]:
    return {
        **_answered(clip),
        "unit": clip.unit.value,
        "rate": clip.counts.rate,
        **_counts(clip.counts),
        "reference": clip.reference.text,
        "hypothesis": clip.hypothesis.text,
        "reference_normalized": clip.reference_text,
        "hypothesis_normalized": clip.hypothesis_text,
        "normalizer": clip.normalizer,
    }


def _translated(group: TranslationGroup) -> dict[str, Any]:
    return {
        "bleu": group.bleu,
        "bleu_interval": interval_as_json(group.bleu_interval),
        "chrf": group.chrf,
        "chrf_interval": interval_as_json(group.chrf_interval),
        "n_clips": group.n_clips,
        "n_failed": group.n_failed,
        "n_clusters": group.n_clusters,
        "few_voices": group.few_voices,
        "n_reference_words": group.n_reference_words,
    }


def _translated_clip(clip: TranslatedClip) -> dict[str, Any]:
    return {
        **_answered(clip),
        "chrf": clip.chrf,
        "reference": clip.reference.text,
        "hypothesis": clip.hypothesis.text,
    }


def _answered(clip: ClipScore | TranslatedClip) -> dict[str, Any]:
    error = clip.hypothesis.error
    return {
        "id": clip.id,
        "language": clip.reference.language,
        "dataset": clip.reference.dataset,
        "error": None if error is None else dict(error),
    }


def _measure(compared: ComparedMeasure) -> dict[str, Any]:
    return {
        "overall": _compared(compared.overall),
        "languages": {name: _compared(group) for name, group in compared.languages.items()},
        "datasets": {name: _compared(group) for name, group in compared.datasets.items()},
    }


def _compared(group: ComparedGroup) -> dict[str, Any]:
    difference = group.difference
    return {
        "a": group.a,
        "b": group.b,
        "difference": None if difference is None else difference.value,
        "interval": None if difference is None else interval_as_json(difference.interval),
        "p": None if difference is None else difference.p,
        "p_holm": group.p_holm,
        "n_clips": group.n_clips,
        "n_clusters": group.n_clusters,
    }


def _change(change: ClipChange) -> dict[str, Any]:
    return {
        "id": change.id,
        "language": change.reference.language,
        "dataset": change.reference.dataset,
        "better": change.better,
        "a": change.a,
        "b": change.b,
        "reference": change.reference.text,
        "hypothesis_a": change.text_a,
        "hypothesis_b": change.text_b,
    }
