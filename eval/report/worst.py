"""The clips to look at first. In: scored clips. Out: ``WorstClip``s, the worst first. Knows no page."""

from collections.abc import Callable, Mapping, Sequence
from math import ceil
from typing import TypeVar

from eval.normalizers import Unit
from eval.report.document import WorstClip, percent
from eval.scoring.clips import language_of
from eval.scoring.types import ClipScore, TranscriptionScores, TranslatedClip, TranslationScores
from eval.wer import align_characters, align_words

__all__ = ["worst_transcriptions", "worst_translations"]

MIN_PER_LANGUAGE = 3  # clips of one language that are shown before any other's are left out

Clip = TypeVar("Clip", ClipScore, TranslatedClip)


def worst_transcriptions(scores: TranscriptionScores, n: int) -> tuple[WorstClip, ...]:
    """By errors beyond those that the rate of the clip's language predicts.

    The count alone puts the longest clips first, the rate alone the shortest; this puts what is unusually wrong first.
    """
    rates = {name: group.counts.rate or 0.0 for name, group in scores.languages.items()}

    def excess(clip: ClipScore) -> float:
        return clip.counts.n_errors - rates.get(language_of(clip.reference), 0.0) * clip.counts.n_ref

    ordered = sorted((clip for clip in scores.clips if clip.counts.n_errors), key=lambda clip: (-excess(clip), clip.id))
    return tuple(_transcription(clip) for clip in _varied(ordered, n, lambda clip: clip.reference.language or ""))


def worst_translations(scores: TranslationScores, n: int) -> tuple[WorstClip, ...]:
    """By sentence chrF, the lowest first; of equal ones the longest."""
    ordered = sorted(scores.clips, key=lambda clip: (clip.chrf, -len(clip.reference.text), clip.id))
    return tuple(_translation(clip) for clip in _varied(ordered, n, lambda clip: clip.reference.language or ""))


def _varied(ordered: Sequence[Clip], n: int, language_of: Callable[[Clip], str]) -> list[Clip]:
    # No language takes all the room, unless there are no others.
    n_languages = len({language_of(clip) for clip in ordered})
    allowed = max(MIN_PER_LANGUAGE, ceil(n / max(n_languages, 1)))
    taken: dict[str, int] = {}
    first: list[int] = []
    later: list[int] = []
    for index, clip in enumerate(ordered):
        language = language_of(clip)
        taken[language] = taken.get(language, 0) + 1
        (first if taken[language] <= allowed else later).append(index)
    return [ordered[index] for index in sorted([*first, *later][:n])]


def _transcription(clip: ClipScore) -> WorstClip:
    by_character = clip.unit is Unit.CHARACTER
    align = align_characters if by_character else align_words
    return WorstClip(
        id=clip.id,
        language=clip.reference.language,
        dataset=clip.reference.dataset or "",
        summary=_counted(clip),
        reference=clip.reference.text,
        hypothesis=clip.hypothesis.text,
        audio=clip.reference.audio,
        spans=align(clip.reference_text, clip.hypothesis_text),
        by_character=by_character,
        error=_error(clip.hypothesis.error),
    )


def _translation(clip: TranslatedClip) -> WorstClip:
    return WorstClip(
        id=clip.id,
        language=clip.reference.language,
        dataset=clip.reference.dataset or "",
        summary=f"chrF {clip.chrf:.1f}",
        reference=clip.reference.text,
        hypothesis=clip.hypothesis.text,
        audio=clip.reference.audio,
        error=_error(clip.hypothesis.error),
    )


def _counted(clip: ClipScore) -> str:
    counts, units = clip.counts, "characters" if clip.unit is Unit.CHARACTER else "words"
    if not counts.n_ref:
        return f"{counts.insertions} {units} invented"
    measure = "CER" if clip.unit is Unit.CHARACTER else "WER"
    kinds = {"substituted": counts.substitutions, "deleted": counts.deletions, "inserted": counts.insertions}
    parts = ", ".join(f"{count} {kind}" for kind, count in kinds.items() if count)
    return f"{measure} {percent(counts.rate)}: {parts}, of {counts.n_ref} {units}"


def _error(error: Mapping[str, str] | None) -> str | None:
    return None if error is None else f"{error.get('code', '')}: {error.get('message', '')}"
