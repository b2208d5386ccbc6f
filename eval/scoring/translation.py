"""Translations against references. In: ``StoredRun``. Out: ``TranslationScores``, BLEU and chrF by group.

sacrebleu takes the texts as they are, tokenizes them (13a) and counts n-grams clip by clip; the counts are added over a
group and the score is computed from the sum, which is sacrebleu's corpus score, and which can be drawn anew 2,000 times
without another look at the texts. A clip that failed is an empty hypothesis. Knows no normalizer.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from eval.hypotheses import StoredRun
from eval.scoring.bootstrap import Counts, intervals, sum_by_cluster
from eval.scoring.clips import NO_DATASET, answered_clips, grouped, language_of, real_time, what_to_draw
from eval.scoring.types import TranslatedClip, TranslationGroup, TranslationScores

__all__ = ["NgramCounts", "bleu", "chrf", "count_ngrams", "score_translations"]

WORD_ORDER = 4  # BLEU: n-grams of 1 to 4 words
CHARACTER_ORDER = 6  # chrF: n-grams of 1 to 6 characters
BETA_SQUARED = 2**2  # chrF2: recall weighs twice as much as precision
N_BLEU_COLUMNS = 2 + 2 * WORD_ORDER  # lengths of hypothesis and reference; matches, then totals, by order


@dataclass(frozen=True, slots=True, kw_only=True)
class NgramCounts:
    """What both scores are computed from."""

    rows: Counts
    """One row a clip: BLEU's columns, then (hypothesis, reference, match) for each order of chrF."""
    bleu_signature: str
    chrf_signature: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Counted:
    clip: TranslatedClip
    row: npt.NDArray[np.float64]


def score_translations(run: StoredRun) -> TranslationScores:
    """Score a run of ``--task translate``. Raises ResultsError when it has no hypotheses."""
    answered = answered_clips(run)
    ngrams = count_ngrams([hypothesis.text for *_, hypothesis in answered], [clip.text for _, clip, _ in answered])
    clips = [
        _Counted(
            clip=TranslatedClip(id=clip_id, reference=reference, hypothesis=hypothesis, chrf=float(chrf(row[None])[0])),
            row=row,
        )
        for (clip_id, reference, hypothesis), row in zip(answered, ngrams.rows, strict=True)
    ]
    return TranslationScores(
        config=run.config,
        n_missing=len(run.references) - len(clips),
        bleu_signature=ngrams.bleu_signature,
        chrf_signature=ngrams.chrf_signature,
        overall=_group(clips),
        languages=_groups(clips, _language),
        datasets=_groups(clips, _dataset),
        dataset_languages=_groups(clips, lambda counted: f"{_dataset(counted)}/{_language(counted)}"),
        real_time=real_time(run),
        clips=tuple(counted.clip for counted in clips),
    )


def count_ngrams(hypotheses: Sequence[str], references: Sequence[str]) -> NgramCounts:
    """Count each clip's n-grams with sacrebleu."""
    from sacrebleu.metrics.bleu import BLEU
    from sacrebleu.metrics.chrf import CHRF

    # Its corpus_score adds up the rows of this very method, as its own significance tests do; no public one has them.
    word, character = BLEU(), CHRF()
    rows = [metric._extract_corpus_statistics(hypotheses, [references]) for metric in (word, character)]
    return NgramCounts(
        rows=np.hstack(rows).astype(np.float64),
        bleu_signature=str(word.get_signature()),
        chrf_signature=str(character.get_signature()),
    )


def bleu(sums: Counts) -> npt.NDArray[np.float64]:
    """BLEU of each row of added counts, 0 to 100, as sacrebleu computes it, with its smoothing ``exp``."""
    hypothesis, reference = sums[:, 0], sums[:, 1]
    matches, totals = sums[:, 2 : 2 + WORD_ORDER], sums[:, 2 + WORD_ORDER : N_BLEU_COLUMNS]
    defined = matches.any(axis=1) & totals.all(axis=1)
    totals = np.where(totals > 0, totals, 1)
    smoothing = 0.5 ** np.cumsum(matches == 0, axis=1)  # 1/2, 1/4 … of a match for the first, second … order without
    log_precisions = np.log(np.where(matches > 0, matches, smoothing) / totals)
    log_brevity = np.minimum(0, 1 - reference / np.where(hypothesis > 0, hypothesis, 1))
    return np.where(defined, 100 * np.exp(log_brevity + log_precisions.mean(axis=1)), 0.0)


def chrf(sums: Counts) -> npt.NDArray[np.float64]:
    """The chrF2 of each row of added counts, 0 to 100, as sacrebleu computes it, over orders that both sides have."""
    by_order = sums[:, N_BLEU_COLUMNS:].reshape(len(sums), CHARACTER_ORDER, 3)
    hypothesis, reference, matches = by_order[..., 0], by_order[..., 1], by_order[..., 2]
    present = (hypothesis > 0) & (reference > 0)
    n_orders = np.maximum(present.sum(axis=1), 1)
    precision = np.divide(matches, hypothesis, out=np.zeros_like(matches), where=present).sum(axis=1) / n_orders
    recall = np.divide(matches, reference, out=np.zeros_like(matches), where=present).sum(axis=1) / n_orders
    weighted = BETA_SQUARED * precision + recall
    score = np.zeros(len(sums))
    np.divide(100 * (1 + BETA_SQUARED) * precision * recall, weighted, out=score, where=weighted > 0)
    return score


def _group(clips: Sequence[_Counted]) -> TranslationGroup:
    rows = np.stack([counted.row for counted in clips])
    draw = what_to_draw((counted.clip.id, counted.clip.reference) for counted in clips)
    bleu_interval, chrf_interval = intervals(sum_by_cluster(draw.clusters, rows), bleu, chrf)
    total = rows.sum(axis=0, keepdims=True)
    return TranslationGroup(
        n_clips=len(clips),
        n_failed=sum(counted.clip.hypothesis.error is not None for counted in clips),
        n_clusters=draw.n_clusters,
        few_voices=draw.few_voices,
        n_reference_words=sum(len(counted.clip.reference.text.split()) for counted in clips),
        bleu=float(bleu(total)[0]),
        bleu_interval=bleu_interval,
        chrf=float(chrf(total)[0]),
        chrf_interval=chrf_interval,
    )


def _groups(clips: Iterable[_Counted], key: Callable[[_Counted], str]) -> dict[str, TranslationGroup]:
    return {name: _group(members) for name, members in grouped(clips, key).items()}


def _language(counted: _Counted) -> str:
    return language_of(counted.clip.reference)


def _dataset(counted: _Counted) -> str:
    return counted.clip.reference.dataset or NO_DATASET
