"""Languages named against languages spoken. In: ``StoredRun``. Out: ``LanguageIdentification``.

A clip without a known language is left out; one that failed was named wrong, and so was one on which the target
abstained. Knows no text.
"""

from collections.abc import Iterable

from eval.corpora.types import canonical_language
from eval.hypotheses import Hypothesis, Reference, StoredRun
from eval.scoring.bootstrap import intervals, ratio, sum_by_cluster
from eval.scoring.clips import answered_clips, real_time, what_to_draw
from eval.scoring.types import LanguageIdentification, LanguageScores

__all__ = ["ABSTAINED", "FAILED", "detected_languages", "is_named_right", "score_languages"]

FAILED = "failed"  # the column of clips that the target gave no answer for
ABSTAINED = "none"  # the column of clips for which it answered, and named no language
AUTO = "auto"  # of the run's configuration: the target was not told


def score_languages(run: StoredRun) -> LanguageScores:
    """Score a run of ``--task detect-language``. Raises ResultsError when it has no hypotheses."""
    clips = answered_clips(run)
    return LanguageScores(
        config=run.config,
        n_missing=len(run.references) - len(clips),
        language_id=_identify(clips),
        real_time=real_time(run),
    )


def detected_languages(run: StoredRun) -> LanguageIdentification | None:
    """Of a transcription; None where the target was told the languages, never says which it took, or none is known."""
    if run.config.get("language") != AUTO:
        return None
    clips = [clip for clip in answered_clips(run) if clip[1].language is not None]
    return _identify(clips) if any(hypothesis.language for *_, hypothesis in clips) else None


def is_named_right(reference: Reference, hypothesis: Hypothesis) -> bool:
    """Whether the target named the language that is spoken, by code or by English name."""
    return _named(hypothesis) == reference.language


def _named(hypothesis: Hypothesis) -> str:
    return FAILED if hypothesis.error else canonical_language(hypothesis.language) or ABSTAINED


def _identify(clips: Iterable[tuple[str, Reference, Hypothesis]]) -> LanguageIdentification:
    known = [clip for clip in clips if clip[1].language is not None]
    confusion: dict[str, dict[str, int]] = {}
    for _, reference, hypothesis in known:
        row = confusion.setdefault(reference.language or "", {})
        named = _named(hypothesis)
        row[named] = row.get(named, 0) + 1
    correct = [int(is_named_right(reference, hypothesis)) for _, reference, hypothesis in known]
    interval = None
    if known:
        draw = what_to_draw((clip_id, reference) for clip_id, reference, _ in known)
        interval = intervals(sum_by_cluster(draw.clusters, [[right, 1] for right in correct]), ratio(0, 1))[0]
    return LanguageIdentification(
        n_clips=len(known),
        n_correct=sum(correct),
        accuracy=sum(correct) / len(known) if known else None,
        interval=interval,
        by_language={spoken: (sum(row.values()), row.get(spoken, 0)) for spoken, row in sorted(confusion.items())},
        confusion={spoken: dict(sorted(row.items())) for spoken, row in sorted(confusion.items())},
    )
