import json

import pytest
from rich.console import Console

from eval.hypotheses import Hypothesis, Reference, StoredRun
from eval.report.as_json import scores_as_json
from eval.report.terminal import Breakdown, scores_as_tables, with_interval
from eval.scoring import Interval, score_run

# What programs read today; a key that goes, or changes its meaning, breaks them.
GROUP_KEYS = {
    "wer", "interval", "unit", "n_clips", "n_failed", "n_clusters", "few_voices", "n_ref", "hits", "substitutions",
    "deletions", "insertions", "cer", "cer_interval", "by_word", "by_character",
}  # fmt: skip
KEYS = {
    "job", "overall", "headline", "words", "characters", "languages", "datasets", "dataset_languages", "lengths",
    "apart", "invented", "invented_datasets", "language_id", "confidence", "placement", "lost", "suppressed",
    "timeline", "real_time", "normalizers", "n_missing", "run", "clips",
}  # fmt: skip


def make_run(job: str = "transcribe") -> StoredRun:
    texts = {"en-1": ("one fine day", "one fine day", "en"), "en-2": ("two nights", "two knights", "en"),
             "zh-1": ("你好吗", "你好", "zh"), "hum": ("", "you", None)}  # fmt: skip
    references = {
        clip_id: Reference(
            key="k", audio="a.wav", text=said, language=language, dataset=f"[b]{clip_id[:2]}", duration=4
        )
        for clip_id, (said, _, language) in texts.items()
    }
    hypotheses = {
        clip_id: Hypothesis(id=clip_id, key="k", text=heard, language="nl", seconds=0.5)
        for clip_id, (_, heard, _) in texts.items()
    }
    config = {"model": "base", "corpus": "c", "job": job, "language": "auto"}
    return StoredRun(config=config, references=references, hypotheses=hypotheses)


def rows(by: Breakdown | None) -> list[str]:
    return [str(cell) for cell in scores_as_tables(score_run(make_run()), by=by)[0].columns[0].cells]


def test_the_table_has_the_rows_asked_for() -> None:
    totals = ["all by word", "all by character", "headline", "overall"]
    assert rows(Breakdown.LANGUAGE) == ["en", "none", "zh", *totals]
    assert rows(Breakdown.DATASET) == ["[b]en", "[b]hu", "[b]zh", *totals]
    assert rows(None) == ["en", "none", "zh", "[b]en", "[b]hu", "[b]zh", "2-5 s", *totals]


@pytest.mark.parametrize("job", ["transcribe", "translate", "detect-language"])
def test_every_kind_of_score_fits_the_terminal_and_json(job: str) -> None:
    scores = score_run(make_run(job))
    console = Console(width=120)
    with console.capture() as capture:
        console.print(*scores_as_tables(scores), sep="\n")
    shown = capture.get()
    assert "base on c" in shown
    assert job == "detect-language" or "[b]zh" in shown
    assert "Speed: 8.0 × real time (16 s of audio in 2 s)" in shown
    assert max(len(line) for line in shown.splitlines()) <= 120
    written = scores_as_json(scores)
    assert json.loads(json.dumps(written, allow_nan=False)) == written
    assert written["job"] == job


def test_the_keys_of_json_stay() -> None:
    written = scores_as_json(score_run(make_run()))
    assert set(written) == KEYS
    assert all(set(group) == GROUP_KEYS for group in (written["overall"], *written["languages"].values()))
    english = written["languages"]["en"]
    assert english["wer"] == english["by_word"]["rate"] == 1 / 5
    assert english["interval"] == [0.0, 0.5]
    assert written["languages"]["zh"]["wer"] == written["languages"]["zh"]["cer"] == 1 / 3
    assert written["languages"]["none"]["wer"] is None
    assert written["clips"][1]["hypothesis"] == "two knights"
    assert written["clips"][3]["rate"] is None


def test_numbers_beside_their_intervals() -> None:
    assert with_interval(0.22, Interval(low=0.181, high=0.263)) == "22.0 [18.1, 26.3]"
    assert with_interval(0.22, None) == "22.0"
    assert with_interval(None, None) == "–"
