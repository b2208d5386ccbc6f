"""What was said against what was written. In: ``StoredRun``. Out: ``TranscriptionScores``, counts by group.

Each clip is counted by word and by character; its own unit, that of its language or corpus, is what groups pool, and
counts are added before they are divided. A clip that failed is an empty hypothesis: all of its reference is deleted,
and it is never left out. Knows no model, terminal or output format.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise

from eval.hypotheses import Hypothesis, Reference, StoredRun
from eval.normalizers import NormalizerName, Unit, normalizer_for, unit_for
from eval.scoring.bootstrap import intervals, ratio, sum_by_cluster
from eval.scoring.clips import (
    NO_DATASET,
    answered_clips,
    duration_of,
    grouped,
    language_of,
    real_time,
    what_to_draw,
)
from eval.scoring.confidence import word_confidence
from eval.scoring.invented import invented_by_dataset, invented_words
from eval.scoring.language_id import detected_languages
from eval.scoring.lost_text import lost_text
from eval.scoring.placement import place_words
from eval.scoring.suppression import suppressed_speech
from eval.scoring.timeline import language_timeline
from eval.scoring.types import ClipScore, ErrorGroup, NormalizerUse, TranscriptionScores
from eval.wer import ErrorCounts, count_character_errors, count_word_errors

__all__ = ["is_doubtful", "is_spelled", "score_clips", "score_transcriptions"]

SPELLED_DATASETS = frozenset({"an4"})  # letters and numbers spelled out: a test of spelling, not of running speech
LENGTHS = (2, 5, 10, 20, 30)  # seconds at which one row of lengths ends and the next begins


def is_doubtful(reference: Reference) -> bool:
    """Whether the corpus says that nobody vouches for the transcript."""
    return (reference.quality or "").lower().startswith(("doubtful", "unvalidated"))


def is_spelled(reference: Reference) -> bool:
    """Whether the clip's corpus spells letters and numbers out."""
    return reference.dataset in SPELLED_DATASETS


APART: Mapping[str, Callable[[Reference], bool]] = {
    "doubtful": is_doubtful,
    "spelled": is_spelled,
    "single_word": lambda reference: reference.single_word,
}


def score_transcriptions(
    run: StoredRun, *, normalizer: NormalizerName = NormalizerName.WHISPER, unit: Unit | None = None
) -> TranscriptionScores:
    """Count a run, every clip in ``unit`` if one is given. Raises ResultsError when it has no hypotheses."""
    clips = score_clips(run, normalizer=normalizer, unit=unit)
    counted = [clip for clip in clips if not any(applies(clip.reference) for applies in APART.values())]
    heard = [(clip.id, clip.reference, clip.hypothesis) for clip in clips if not clip.failed]
    return TranscriptionScores(
        config=run.config,
        n_missing=len(run.references) - len(clips),
        normalizers=_normalizers(clips, normalizer),
        overall=_group(clips),
        headline=_group(counted),
        words=_group(clip for clip in clips if clip.unit is Unit.WORD),
        characters=_group(clip for clip in clips if clip.unit is Unit.CHARACTER),
        languages=_groups(clips, _language),
        datasets=_groups(clips, _dataset),
        dataset_languages=_groups(clips, lambda clip: f"{_dataset(clip)}/{_language(clip)}"),
        lengths=_by_length(clips),
        apart={name: _group(clip for clip in clips if applies(clip.reference)) for name, applies in APART.items()},
        invented=invented_words(clips),
        invented_datasets=invented_by_dataset(clips),
        language_id=detected_languages(run),
        confidence=word_confidence(counted, normalizer=normalizer),
        placement=place_words(heard, normalizer=normalizer),
        lost=lost_text(clips),
        suppressed=suppressed_speech(clips),
        timeline=language_timeline(heard),
        real_time=real_time(run),
        clips=clips,
    )


def score_clips(
    run: StoredRun, *, normalizer: NormalizerName = NormalizerName.WHISPER, unit: Unit | None = None
) -> tuple[ClipScore, ...]:
    """Count each clip that has a hypothesis, in the order of the corpus. Raises ResultsError when there are none."""
    return tuple(
        _score_clip(clip_id, reference, hypothesis, normalizer, unit or _unit(reference))
        for clip_id, reference, hypothesis in answered_clips(run)
    )


def _score_clip(
    clip_id: str, reference: Reference, hypothesis: Hypothesis, name: NormalizerName, unit: Unit
) -> ClipScore:
    normalizer = normalizer_for(name, reference.language)
    said = normalizer.normalize(reference.text, reference.language)
    written = normalizer.normalize(hypothesis.text, reference.language)
    return ClipScore(
        id=clip_id,
        reference=reference,
        hypothesis=hypothesis,
        reference_text=said,
        hypothesis_text=written,
        unit=unit,
        words=count_word_errors(said, written),
        characters=count_character_errors(said, written),
        normalizer=normalizer.name,
    )


def _unit(reference: Reference) -> Unit:
    # A corpus that names its metric decides; otherwise the language does.
    if reference.metric is not None:
        return Unit.CHARACTER if reference.metric == "cer" else Unit.WORD
    return unit_for(reference.language)


def _group(clips: Iterable[ClipScore]) -> ErrorGroup:
    members = list(clips)
    own, words, characters = (
        _added(getattr(clip, kind) for clip in members) for kind in ("counts", "words", "characters")
    )
    draw = what_to_draw((clip.id, clip.reference) for clip in members)
    own_interval = words_interval = characters_interval = None
    if members:
        rows = [_row(clip) for clip in members]
        own_interval, words_interval, characters_interval = intervals(
            sum_by_cluster(draw.clusters, rows), ratio(0, 1), ratio(2, 3), ratio(4, 5)
        )
    units = {clip.unit.value for clip in members}
    return ErrorGroup(
        n_clips=len(members),
        n_failed=sum(clip.failed for clip in members),
        n_clusters=draw.n_clusters,
        few_voices=draw.few_voices,
        unit="mixed" if len(units) > 1 else next(iter(units), Unit.WORD.value),
        counts=own,
        interval=own_interval,
        words=words,
        words_interval=words_interval,
        characters=characters,
        characters_interval=characters_interval,
    )


def _added(counts: Iterable[ErrorCounts]) -> ErrorCounts:
    return sum(counts, ErrorCounts())


def _row(clip: ClipScore) -> list[int]:
    return [
        number for counts in (clip.counts, clip.words, clip.characters) for number in (counts.n_errors, counts.n_ref)
    ]


def _groups(clips: Iterable[ClipScore], key: Callable[[ClipScore], str]) -> dict[str, ErrorGroup]:
    return {name: _group(members) for name, members in grouped(clips, key).items()}


def _language(clip: ClipScore) -> str:
    return language_of(clip.reference)


def _dataset(clip: ClipScore) -> str:
    return clip.reference.dataset or NO_DATASET


def _by_length(clips: Iterable[ClipScore]) -> dict[str, ErrorGroup]:
    names = [f"< {LENGTHS[0]} s", *(f"{low}-{high} s" for low, high in pairwise(LENGTHS))]
    names.append(f">= {LENGTHS[-1]} s")
    members: dict[str, list[ClipScore]] = {name: [] for name in names}
    for clip in clips:
        duration = duration_of(clip.reference, clip.hypothesis)
        if clip.reference.text and duration is not None:
            members[names[sum(duration >= length for length in LENGTHS)]].append(clip)
    return {name: _group(group) for name, group in members.items() if group}


def _normalizers(clips: Sequence[ClipScore], name: NormalizerName) -> tuple[NormalizerUse, ...]:
    languages = {clip.normalizer: clip.reference.language for clip in clips}
    used = [normalizer_for(name, languages[normalizer]) for normalizer in sorted(languages)]
    return tuple(NormalizerUse(name=each.name, version=each.version, sha256=each.sha256) for each in used)
