import pytest

from eval.errors import ResultsError
from eval.hypotheses import Hypothesis, Reference, StoredRun
from eval.report import Breakdown, scores_as_json, scores_as_table
from eval.scoring import score_run
from eval.wer import ErrorCounts


def make_run(*clips: tuple[dict, str | None], config: dict | None = None) -> StoredRun:
    """Clips as (reference fields, hypothesis text); None: the clip failed."""
    references, hypotheses = {}, {}
    for number, (fields, text) in enumerate(clips):
        references[str(number)] = Reference(**{"language": "en", **fields})
        error = {"code": "undecodable_audio", "message": "no"} if text is None else None
        hypotheses[str(number)] = Hypothesis(id=str(number), text=text or "", seconds=0.1, error=error)
    return StoredRun(config=config or {"model": "base"}, references=references, hypotheses=hypotheses)


RUN = make_run(
    ({"text": "Mr. Smith won't go.", "dataset": "a"}, "mister smith will not go"),  # equal once normalized: 5 words
    ({"text": "one two three four five", "dataset": "a"}, "one two three for"),  # 1 S, 1 D of 5 words, as numbers
    ({"text": "Guten Tag, Welt!", "language": "de", "dataset": "b"}, "guten tag schöne welt"),  # 1 I on 3 words
    ({"text": "你好吗？", "language": "zh", "dataset": "b"}, "你 好 啊"),  # 1 S on 3 characters
    ({"text": "", "language": None, "dataset": "noise"}, "Thank you."),  # 2 I on nothing
    ({"text": "hallo du", "language": "de", "dataset": "b"}, None),  # failed: 2 D
)


def test_numbers_by_hand() -> None:
    report = scores_as_json(score_run(RUN))
    german = report["languages"]["de"]
    assert german["wer"] == 3 / 5
    assert (german["insertions"], german["deletions"], german["n_failed"], german["unit"]) == (1, 2, 1, "word")
    chinese = report["languages"]["zh"]
    assert (chinese["wer"], chinese["n_ref"], chinese["unit"]) == (1 / 3, 3, "character")
    assert report["languages"]["none"]["wer"] is None
    assert report["languages"]["none"]["insertions"] == 2
    assert report["datasets"]["b"]["unit"] == "mixed"
    assert report["datasets"]["b"]["n_ref"] == 8
    assert report["characters"]["wer"] == 1 / 3
    overall = report["overall"]
    added = [overall[name] for name in ("substitutions", "deletions", "insertions")]
    assert overall["wer"] == sum(added) / overall["n_ref"]
    assert overall["n_clips"] == 6
    assert report["words"]["n_ref"] + report["characters"]["n_ref"] == overall["n_ref"]
    assert set(report["normalizers"]) == {"whisper-english", "whisper-basic"}
    assert report["normalizers"]["whisper-basic"]["version"].startswith("whisper-normalizer 0.")
    assert report["run"] == {"model": "base"}


def test_english_is_normalized_as_in_the_paper() -> None:
    scores = score_run(make_run(({"text": "Mr. Smith won't go."}, "mister smith will not go")))
    assert scores.overall.counts == ErrorCounts(hits=5)


@pytest.mark.parametrize(("language", "unit"), [("zh", "character"), ("ja", "character"), ("th", "character"),
                                                ("yue", "character"), ("lo", "character"), ("ko", "word")])  # fmt: skip
def test_the_language_names_the_unit(language: str, unit: str) -> None:
    assert score_run(make_run(({"text": "a b", "language": language}, "a"))).overall.unit == unit


@pytest.mark.parametrize(("metric", "n_ref"), [("cer", 7), ("wer", 2), (None, 2)])
def test_a_metric_of_the_corpus_decides(metric: str | None, n_ref: int) -> None:
    fields = {"text": "guten tag"[:8], "language": "de", "metric": metric}
    assert score_run(make_run((fields, "guten ta"))).overall.counts.n_ref == n_ref


def test_spaces_are_no_characters() -> None:
    scores = score_run(make_run(({"text": "你好 世界", "language": "zh"}, "你好世界")))
    assert scores.overall.counts == ErrorCounts(hits=4)


def test_headline_leaves_out_what_is_reported_apart() -> None:
    scores = score_run(
        make_run(
            ({"text": "good morning"}, "good morning"),
            ({"text": "yes", "single_word": True}, "no"),
            ({"text": "a b c", "dataset": "an4"}, "a b"),
            ({"text": "salom dunyo", "language": "uz", "quality": 'unvalidated (CV "other" split)'}, "x y"),
            ({"text": "one", "quality": "doubtful"}, "one"),
        )
    )
    assert scores.headline.counts == ErrorCounts(hits=2)
    assert scores.overall.n_clips == 5
    assert {name: group.n_clips for name, group in scores.apart.items()} == {
        "doubtful": 2,
        "spelled": 1,
        "single_word": 1,
    }


def test_an_unfinished_run_says_so() -> None:
    run = make_run(({"text": "a"}, "a"), ({"text": "b"}, "b"))
    partial = StoredRun(config=run.config, references=run.references, hypotheses={"0": run.hypotheses["0"]})
    scores = score_run(partial)
    assert (scores.n_missing, scores.overall.n_clips) == (1, 1)


def test_nothing_to_score_is_an_error() -> None:
    with pytest.raises(ResultsError, match="no hypotheses"):
        score_run(make_run())
    with pytest.raises(ResultsError, match="translate"):
        score_run(make_run(({"text": "a"}, "a"), config={"options": {"task": "translate"}}))


def test_the_table_has_the_rows_asked_for() -> None:
    scores = score_run(RUN)

    def rows(by: Breakdown | None) -> list[str]:
        return [str(cell) for cell in scores_as_table(scores, by=by).columns[0].cells]

    totals = ["all by word", "all by character", "headline", "overall"]
    assert rows(Breakdown.LANGUAGE) == ["de", "en", "none", "zh", *totals]
    assert rows(Breakdown.DATASET) == ["a", "b", "noise", *totals]
    assert rows(None) == ["de", "en", "none", "zh", "a", "b", "noise", *totals]
