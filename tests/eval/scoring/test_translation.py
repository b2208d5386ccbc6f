import numpy as np
import pytest
import sacrebleu
from hypothesis import given, settings
from hypothesis import strategies as st

from eval.hypotheses import Hypothesis, Reference, StoredRun
from eval.scoring import score_run, score_translations
from eval.scoring.translation import bleu, chrf, count_ngrams

WORDS = ("the", "cat", "sat", "on", "a", "mat", ",", ".", "today", "字", "it's", "3.5")
texts = st.lists(st.sampled_from(WORDS), max_size=9).map(" ".join)
pairs = st.lists(st.tuples(texts, texts), min_size=1, max_size=6)


@settings(max_examples=300, deadline=None)
@given(pairs=pairs)
def test_added_counts_give_the_corpus_scores_of_sacrebleu(pairs: list[tuple[str, str]]) -> None:
    hypotheses, references = [list(side) for side in zip(*pairs, strict=True)]
    total = count_ngrams(hypotheses, references).rows.sum(axis=0, keepdims=True)
    assert bleu(total)[0] == pytest.approx(sacrebleu.corpus_bleu(hypotheses, [references]).score, abs=1e-9)
    assert chrf(total)[0] == pytest.approx(sacrebleu.corpus_chrf(hypotheses, [references]).score, abs=1e-9)


@given(pairs=pairs)
def test_many_sums_at_once_score_as_one_by_one(pairs: list[tuple[str, str]]) -> None:
    rows = count_ngrams(*[list(side) for side in zip(*pairs, strict=True)]).rows
    for score in (bleu, chrf):
        assert np.array_equal(score(rows), np.concatenate([score(row[None]) for row in rows]))


def make_run(*clips: tuple[str, str | None, str]) -> StoredRun:
    """Clips as (reference, hypothesis, language); hypothesis None: the clip failed."""
    references, hypotheses = {}, {}
    for number, (reference, text, language) in enumerate(clips):
        clip_id = str(number)
        references[clip_id] = Reference(key="k", audio="a", text=reference, language=language, dataset="covost")
        error = {"code": "internal_error", "message": "no"} if text is None else None
        hypotheses[clip_id] = Hypothesis(id=clip_id, key="k", text=text or "", seconds=0.5, duration=2, error=error)
    return StoredRun(config={"job": "translate"}, references=references, hypotheses=hypotheses)


RUN = make_run(
    ("The house is small.", "The house is small.", "de"),
    ("I would like a cup of tea, please.", "I want a cup of tea please.", "de"),
    ("Where is the station?", None, "fr"),
    ("The weather is nice today.", "The weather is fine today.", "fr"),
)


def test_groups_are_corpus_scores_and_a_failed_clip_is_an_empty_text() -> None:
    scores = score_translations(RUN)
    hypotheses = [RUN.hypotheses[clip_id].text for clip_id in RUN.references]
    references = [reference.text for reference in RUN.references.values()]
    assert scores.overall.bleu == pytest.approx(sacrebleu.corpus_bleu(hypotheses, [references]).score, abs=1e-9)
    french = sacrebleu.corpus_bleu(hypotheses[2:], [references[2:]])
    assert scores.languages["fr"].bleu == pytest.approx(french.score, abs=1e-9)
    assert (scores.languages["fr"].n_failed, scores.languages["fr"].n_reference_words) == (1, 9)
    assert scores.dataset_languages["covost/de"] == scores.languages["de"]
    assert [round(clip.chrf, 6) for clip in scores.clips] == [
        round(sacrebleu.sentence_chrf(hypothesis, [reference]).score, 6)
        for hypothesis, reference in zip(hypotheses, references, strict=True)
    ]


def test_intervals_hold_the_score_and_signatures_say_how_it_was_made() -> None:
    scores = score_run(RUN)
    group = scores.overall
    assert group.bleu_interval.low <= group.bleu <= group.bleu_interval.high
    assert group.chrf_interval.low < group.chrf < group.chrf_interval.high
    assert scores.bleu_signature == f"nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:{sacrebleu.__version__}"
    assert scores.chrf_signature.startswith("nrefs:1|case:mixed|eff:yes|nc:6|nw:0|space:no")
    assert scores.real_time.x_real_time == 4.0
