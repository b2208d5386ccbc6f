"""Hypotheses against references. In: ``StoredRun``. Out: ``Scores``, counts by group.

Each clip is counted in the unit of its language, word or character, and counts are added. A clip that failed is an
empty hypothesis: all of its reference is deleted, and it is never left out. Knows no model, terminal or output format.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from eval.errors import ResultsError
from eval.hypotheses import Hypothesis, Reference, StoredRun
from eval.jobs import Job
from eval.normalizers import Normalizer, NormalizerName, Unit, normalizer_for, unit_for
from eval.wer import ErrorCounts, count_character_errors, count_word_errors

__all__ = ["NO_LANGUAGE", "Group", "Scores", "is_doubtful", "is_spelled", "score_run"]

NO_LANGUAGE = "none"  # the row of clips in which nobody speaks
NO_DATASET = "none"
SPELLED_DATASETS = frozenset({"an4"})  # letters and numbers spelled out: a test of spelling, not of running speech


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipScore:
    """One clip, counted."""

    reference: Reference
    counts: ErrorCounts
    unit: Unit
    failed: bool
    normalizer: Normalizer


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """The sum over some clips."""

    counts: ErrorCounts
    n_clips: int
    n_failed: int
    """Clips among them whose transcription failed; their references are counted as deleted."""
    unit: str
    """"word", "character", or "mixed" where clips of both kinds are pooled, each counted in its own."""

    @classmethod
    def of(cls, clips: Iterable[ClipScore]) -> "Group":
        """Add clips up; a group of none has zero counts and no rate."""
        members = list(clips)
        units = {clip.unit.value for clip in members}
        return cls(
            counts=sum((clip.counts for clip in members), ErrorCounts()),
            n_clips=len(members),
            n_failed=sum(clip.failed for clip in members),
            unit="mixed" if len(units) > 1 else next(iter(units), Unit.WORD.value),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """Counts of one run; every group is summed from the same clips."""

    overall: Group
    """Every clip with a transcript, each in its own unit."""
    headline: Group
    """``overall`` without doubtful transcripts, spelled-out corpora and single words."""
    words: Group
    """The clips of ``overall`` that are counted by word."""
    characters: Group
    """The clips of ``overall`` that are counted by character."""
    languages: Mapping[str, Group]
    datasets: Mapping[str, Group]
    apart: Mapping[str, Group]
    """What ``headline`` leaves out, by reason; a clip can have more than one."""
    normalizers: Mapping[str, str]
    """Versions of the normalizers used, by name."""
    n_missing: int
    """Clips with a reference but no hypothesis: the run is not finished, and they are in no group."""
    config: Mapping[str, Any]
    """What was run."""


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


def score_run(run: StoredRun) -> Scores:
    """Count a run. Raises ResultsError when it has no hypotheses, or is a translation, which WER does not measure."""
    if run.config.get("job") == Job.TRANSLATE:
        raise ResultsError(
            "got a run with --task translate, expected transcribe: a word error rate measures no translation"
        )
    clips = [
        _score_clip(reference, run.hypotheses[clip_id])
        for clip_id, reference in run.references.items()
        if clip_id in run.hypotheses
    ]
    if not clips:
        raise ResultsError("got no hypotheses to score; repeat the `auricle-eval run` command to make them")
    reasons = APART.values()
    return Scores(
        overall=Group.of(clips),
        headline=Group.of(clip for clip in clips if not any(applies(clip.reference) for applies in reasons)),
        words=Group.of(clip for clip in clips if clip.unit is Unit.WORD),
        characters=Group.of(clip for clip in clips if clip.unit is Unit.CHARACTER),
        languages=_group_by(clips, lambda clip: clip.reference.language or NO_LANGUAGE),
        datasets=_group_by(clips, lambda clip: clip.reference.dataset or NO_DATASET),
        apart={name: Group.of(clip for clip in clips if applies(clip.reference)) for name, applies in APART.items()},
        normalizers={clip.normalizer.name: clip.normalizer.version for clip in clips},
        n_missing=len(run.references) - len(clips),
        config=run.config,
    )


def _score_clip(reference: Reference, hypothesis: Hypothesis) -> ClipScore:
    normalizer = normalizer_for(NormalizerName.WHISPER, reference.language)
    unit = _unit(reference)
    count = count_character_errors if unit is Unit.CHARACTER else count_word_errors
    return ClipScore(
        reference=reference,
        counts=count(*(normalizer.normalize(text, reference.language) for text in (reference.text, hypothesis.text))),
        unit=unit,
        failed=hypothesis.error is not None,
        normalizer=normalizer,
    )


def _unit(reference: Reference) -> Unit:
    # A corpus that names its metric decides; otherwise the language does.
    if reference.metric is not None:
        return Unit.CHARACTER if reference.metric == "cer" else Unit.WORD
    return unit_for(reference.language)


def _group_by(clips: Iterable[ClipScore], key: Callable[[ClipScore], str]) -> dict[str, Group]:
    members: dict[str, list[ClipScore]] = {}
    for clip in clips:
        members.setdefault(key(clip), []).append(clip)
    return {name: Group.of(members[name]) for name in sorted(members)}
