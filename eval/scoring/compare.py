"""Two runs on the same clips. In: two ``StoredRun``. Out: ``Comparison``: what differs, how much, and is it luck.

Only clips that both runs answer, with the same reference, are counted, and both runs are drawn together. The p of the
rows by language and by dataset are corrected for their number together (Holm 1979); that of the whole is not.
Knows no output format.
"""

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

import numpy as np
import numpy.typing as npt

from eval.errors import ResultsError
from eval.hypotheses import ConfigDifference, Reference, StoredRun, config_differences
from eval.jobs import Job
from eval.normalizers import NormalizerName
from eval.scoring.bootstrap import Difference, Statistic, paired_difference, ratio, sum_by_cluster
from eval.scoring.clips import NO_DATASET, cluster_of, grouped, language_of
from eval.scoring.error_rates import score_clips
from eval.scoring.evidence import WordTimes
from eval.scoring.jobs import job_of
from eval.scoring.language_id import is_named_right
from eval.scoring.translation import bleu, chrf, count_ngrams
from eval.scoring.word_times import compare_word_times

__all__ = [
    "ClipChange",
    "ComparedGroup",
    "ComparedMeasure",
    "Comparison",
    "Measure",
    "compare_runs",
]


class Measure(StrEnum):
    """What two runs are compared by."""

    ERROR_RATE = "error_rate"  # fraction, each clip in its own unit; less is better
    BLEU = "bleu"  # 0 to 100
    CHRF = "chrf"  # 0 to 100
    ACCURACY = "accuracy"  # fraction of languages named right


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedGroup:
    """One measure of both runs over some clips."""

    n_clips: int
    n_clusters: int
    a: float | None
    """None without reference units."""
    b: float | None
    difference: Difference | None
    p_holm: float | None = None
    """``difference.p``, corrected for the number of rows; None for the whole."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedMeasure:
    """One measure, over all common clips and over parts of them."""

    measure: Measure
    overall: ComparedGroup
    languages: Mapping[str, ComparedGroup]
    datasets: Mapping[str, ComparedGroup]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipChange:
    """A clip that the runs score differently: errors, sentence chrF, or 1 for the right language and 0 for another."""

    id: str
    reference: Reference
    a: float
    b: float
    text_a: str
    """Of the hypothesis; the language named in a run of ``--task detect-language``."""
    text_b: str
    better: bool
    """Whether B does better."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """B against A."""

    config_a: Mapping[str, Any]
    config_b: Mapping[str, Any]
    differences: tuple[ConfigDifference, ...]
    n_common: int
    n_only_a: int
    """Clips that only A answered."""
    n_only_b: int
    n_other_reference: int
    """Clips that both answered, held against different references; they are not compared."""
    n_failed_a: int
    """Of ``n_common``."""
    n_failed_b: int
    measures: tuple[ComparedMeasure, ...]
    changes: tuple[ClipChange, ...]
    """Clips that differ, the largest change first; the rest of ``n_common`` are equal."""
    word_times: WordTimes | None
    """None where a run has no words with times."""

    @property
    def n_better(self) -> int:
        """Clips on which B does better."""
        return sum(change.better for change in self.changes)

    @property
    def n_worse(self) -> int:
        """Clips on which B does worse."""
        return len(self.changes) - self.n_better


@dataclass(frozen=True, slots=True, kw_only=True)
class _Clip:
    """One clip in both runs: counts to add, and its own score."""

    id: str
    reference: Reference
    a: npt.NDArray[np.float64]
    b: npt.NDArray[np.float64]
    score_a: float
    score_b: float
    text_a: str
    text_b: str


def compare_runs(a: StoredRun, b: StoredRun, *, normalizer: NormalizerName = NormalizerName.WHISPER) -> Comparison:
    """Compare B with A. Raises ResultsError when their jobs differ, or when they have no clip in common."""
    job = job_of(a)
    if job_of(b) is not job:
        raise ResultsError(f"got a run of --task {job} and one of --task {job_of(b)}, expected two of the same task")
    if job is not Job.TRANSCRIBE and normalizer is not NormalizerName.WHISPER:
        message = f"got --normalizer for runs of --task {job}, whose texts are not normalized; leave the option out"
        raise ResultsError(message)
    answered = [clip_id for clip_id in a.references if clip_id in a.hypotheses and clip_id in b.hypotheses]
    common = [clip_id for clip_id in answered if _is_same_reference(a.references[clip_id], b.references[clip_id])]
    if not common:
        raise ResultsError(
            f"got runs of {len(a.hypotheses)} and {len(b.hypotheses)} clips without a common one, "
            "expected two runs of one corpus"
        )
    kind = KINDS[job]
    parts = _part(a, common), _part(b, common)
    clips = kind.count(*parts, normalizer)
    return Comparison(
        config_a=a.config,
        config_b=b.config,
        differences=tuple(config_differences(a.config, b.config)),
        n_common=len(common),
        n_only_a=len(a.hypotheses.keys() - b.hypotheses.keys()),
        n_only_b=len(b.hypotheses.keys() - a.hypotheses.keys()),
        n_other_reference=len(answered) - len(common),
        n_failed_a=_n_failed(a, common),
        n_failed_b=_n_failed(b, common),
        measures=tuple(_compare(clips, measure, statistic) for measure, statistic in kind.statistics.items()),
        changes=_changes(clips, less_is_better=kind.less_is_better),
        word_times=compare_word_times(*parts, normalizer=normalizer),
    )


def _is_same_reference(a: Reference, b: Reference) -> bool:
    return (a.text, a.language, a.metric) == (b.text, b.language, b.metric)


def _n_failed(run: StoredRun, clip_ids: Iterable[str]) -> int:
    return sum(run.hypotheses[clip_id].error is not None for clip_id in clip_ids)


def _part(run: StoredRun, clip_ids: Iterable[str]) -> StoredRun:
    chosen = list(clip_ids)
    return StoredRun(
        config=run.config,
        references={clip_id: run.references[clip_id] for clip_id in chosen},
        hypotheses={clip_id: run.hypotheses[clip_id] for clip_id in chosen},
    )


def _count_errors(a: StoredRun, b: StoredRun, normalizer: NormalizerName) -> list[_Clip]:
    sides = (score_clips(a, normalizer=normalizer), score_clips(b, normalizer=normalizer))
    return [
        _Clip(
            id=in_a.id,
            reference=in_a.reference,
            a=np.array([in_a.counts.n_errors, in_a.counts.n_ref], dtype=np.float64),
            b=np.array([in_b.counts.n_errors, in_b.counts.n_ref], dtype=np.float64),
            score_a=in_a.counts.n_errors,
            score_b=in_b.counts.n_errors,
            text_a=in_a.hypothesis.text,
            text_b=in_b.hypothesis.text,
        )
        for in_a, in_b in zip(*sides, strict=True)
    ]


def _count_translations(a: StoredRun, b: StoredRun, _: NormalizerName) -> list[_Clip]:
    references = [reference.text for reference in a.references.values()]
    texts_a, texts_b = ([run.hypotheses[clip_id].text for clip_id in a.references] for run in (a, b))
    rows_a, rows_b = (count_ngrams(texts, references).rows for texts in (texts_a, texts_b))
    scores_a, scores_b = chrf(rows_a), chrf(rows_b)
    return [
        _Clip(
            id=clip_id,
            reference=reference,
            a=rows_a[number],
            b=rows_b[number],
            score_a=float(scores_a[number]),
            score_b=float(scores_b[number]),
            text_a=texts_a[number],
            text_b=texts_b[number],
        )
        for number, (clip_id, reference) in enumerate(a.references.items())
    ]


def _count_languages(a: StoredRun, b: StoredRun, _: NormalizerName) -> list[_Clip]:
    clips = []
    for clip_id, reference in a.references.items():
        in_a, in_b = a.hypotheses[clip_id], b.hypotheses[clip_id]
        right_a, right_b = (float(is_named_right(reference, named)) for named in (in_a, in_b))
        clips.append(
            _Clip(
                id=clip_id,
                reference=reference,
                a=np.array([right_a, 1.0]),
                b=np.array([right_b, 1.0]),
                score_a=right_a,
                score_b=right_b,
                text_a=in_a.language or "",
                text_b=in_b.language or "",
            )
        )
    return clips


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kind:
    """How the runs of a job are compared."""

    count: Callable[[StoredRun, StoredRun, NormalizerName], list[_Clip]]
    statistics: Mapping[Measure, Statistic]
    less_is_better: bool


KINDS: Mapping[Job, _Kind] = {
    Job.TRANSCRIBE: _Kind(count=_count_errors, statistics={Measure.ERROR_RATE: ratio(0, 1)}, less_is_better=True),
    Job.TRANSLATE: _Kind(
        count=_count_translations, statistics={Measure.BLEU: bleu, Measure.CHRF: chrf}, less_is_better=False
    ),
    Job.DETECT_LANGUAGE: _Kind(
        count=_count_languages, statistics={Measure.ACCURACY: ratio(0, 1)}, less_is_better=False
    ),
}


def _compare(clips: Sequence[_Clip], measure: Measure, statistic: Statistic) -> ComparedMeasure:
    def groups(name: Callable[[_Clip], str]) -> dict[str, ComparedGroup]:
        return {each: _compare_group(members, statistic) for each, members in grouped(clips, name).items()}

    languages = groups(lambda clip: language_of(clip.reference))
    datasets = groups(lambda clip: clip.reference.dataset or NO_DATASET)
    corrected = _holm([*languages.values(), *datasets.values()])
    return ComparedMeasure(
        measure=measure,
        overall=_compare_group(clips, statistic),
        languages=dict(zip(languages, corrected[: len(languages)], strict=True)),
        datasets=dict(zip(datasets, corrected[len(languages) :], strict=True)),
    )


def _compare_group(clips: Sequence[_Clip], statistic: Statistic) -> ComparedGroup:
    clusters: list[Hashable] = [cluster_of(clip.id, clip.reference) for clip in clips]
    a, b = (sum_by_cluster(clusters, rows) for rows in ([clip.a for clip in clips], [clip.b for clip in clips]))
    value_a, value_b = (float(statistic(counts.sum(axis=0, keepdims=True))[0]) for counts in (a, b))
    return ComparedGroup(
        n_clips=len(clips),
        n_clusters=len(a),
        a=None if np.isnan(value_a) else value_a,
        b=None if np.isnan(value_b) else value_b,
        difference=paired_difference(a, b, statistic),
    )


def _holm(groups: Sequence[ComparedGroup]) -> list[ComparedGroup]:
    """Holm's step-down: the smallest p times their number, the next times one less, and never below the one before."""
    tested = [(group.difference.p, number) for number, group in enumerate(groups)
              if group.difference is not None and group.difference.p is not None]  # fmt: skip
    corrected = list(groups)
    so_far = 0.0
    for rank, (p, number) in enumerate(sorted(tested)):
        so_far = min(1.0, max(so_far, p * (len(tested) - rank)))
        corrected[number] = replace(groups[number], p_holm=so_far)
    return corrected


def _changes(clips: Iterable[_Clip], *, less_is_better: bool) -> tuple[ClipChange, ...]:
    changed = sorted(
        (clip for clip in clips if clip.score_a != clip.score_b),
        key=lambda clip: (-abs(clip.score_b - clip.score_a), clip.id),
    )
    return tuple(
        ClipChange(
            id=clip.id,
            reference=clip.reference,
            a=clip.score_a,
            b=clip.score_b,
            text_a=clip.text_a,
            text_b=clip.text_b,
            better=(clip.score_b < clip.score_a) is less_is_better,
        )
        for clip in changed
    )
