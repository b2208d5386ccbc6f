import json
from pathlib import Path

import pytest

from data_pipeline.judging import judge
from data_pipeline.judging_tables import defect_table, hours_table, judgement_json, stage_table, summary
from data_pipeline.storage import write_lines

HOUR = 3600.0


def make_run(folder: Path, talks: list[tuple[str, str]], drops: list[dict], kept: list[tuple[str, float, float, str]]):
    """Truth and run of talks of an hour each; ``kept``: record, start and end of windows, text."""
    truth = [{"id": name, "defect": kind, "seconds": HOUR, "language": "en"} for name, kind in talks]
    write_lines(folder / "truth.jsonl", truth)
    write_lines(folder / "run/drops.jsonl", drops)
    windows = [{"record": name, "start": start, "next_start": end, "text": text} for name, start, end, text in kept]
    write_lines(folder / "run/manifest.jsonl", windows)
    return judge(folder, folder / "run")


def whole(record: str, stage: str) -> dict:
    return {"record": record, "stage": stage, "reason": "some", "value": 1}


def window(record: str, start: float, end: float, reason: str) -> dict:
    return {"record": record, "stage": "segment", "start": start, "next_start": end, "reason": reason}


def test_a_stage_is_judged_by_whose_defect_it_drops(tmp_path: Path):
    judgement = make_run(
        tmp_path,
        [
            ("a", "upper_case"),
            ("b", "none"),
            ("c", "duplicate"),
            ("d", "none"),
            ("e", "upper_case"),
            ("f", "upper_case"),
        ],
        [*(whole(name, "machine") for name in "abc"), whole("f", "audio"), window("d", 0, HOUR / 4, "segment_wer")],
        [("d", HOUR / 4, HOUR, "text"), ("e", 0, HOUR, "text")],
    )
    machine = judgement.stages["machine"]
    assert (machine.n_dropped, machine.n_right, machine.n_good) == (3, 1, 1)
    assert (machine.precision.k, machine.precision.n) == (2, 3)
    assert (machine.recall.k, machine.recall.n) == (1, 2), "what an earlier stage dropped never reached it"
    assert judgement.defects["duplicate"].n_by_expected == 0
    assert (judgement.defects["upper_case"].recall.k, judgement.defects["upper_case"].n) == (2, 3)
    assert {(each.id, each.stage) for each in judgement.surprises} == {("b", "machine"), ("e", None)}
    assert (judgement.languages["en"].k, judgement.languages["en"].n) == (1, 2)
    good, bad = judgement.good, judgement.bad
    assert (good.total, good.kept, dict(good.dropped), dict(good.cut)) == (
        2.0, 0.75, {"machine: some": 1.0}, {"segment_wer": 0.25},
    )  # fmt: skip
    assert (bad.total, bad.kept, sum(bad.dropped.values())) == (4.0, 1.0, 3.0)


@pytest.mark.parametrize(
    ("kept", "stage"),
    [
        ([("a", 0.0, 30.0, "text"), ("a", 40.0, 70.0, "text")], "segment"),
        ([("a", 0.0, 30.0, "text"), ("a", 30.0, 60.0, "text")], None),
        ([("a", 30.0, 60.0, "")], None),  # as an example of no speech, too
        ([("a", 0.0, 32.3, "text")], "segment"),  # less than half a second of it
        ([], "segment"),
    ],
)
def test_a_defect_in_a_stretch_is_found_where_no_window_has_it(
    tmp_path: Path, kept: list[tuple[str, float, float, str]], stage: str | None
):
    line = {"id": "a", "defect": "captions_missing", "seconds": 70.0, "language": "en", "stretches": [[32.0, 38.0]]}
    make_run(tmp_path, [], [], kept[:0])
    write_lines(tmp_path / "truth.jsonl", [line])
    windows = [{"record": name, "start": start, "next_start": end, "text": text} for name, start, end, text in kept]
    write_lines(tmp_path / "run/manifest.jsonl", windows)
    score = judge(tmp_path, tmp_path / "run").defects["captions_missing"]
    assert dict(score.stages) == ({stage: 1} if stage else {})


def test_silence_is_counted_by_windows(tmp_path: Path):
    judgement = make_run(
        tmp_path,
        [("a", "long_pause"), ("b", "upper_case")],
        [window("a", 30.0 * n, 30.0 * n + 30, "silence") for n in range(1, 10)] + [window("b", 0, 30, "silence")],
        [("a", 0.0, 30.0, "text"), ("a", 300.0, 330.0, "")],
    )
    assert (judgement.silence.k, judgement.silence.n) == (1, 10)


def test_everything_is_told(tmp_path: Path):
    judgement = make_run(tmp_path, [("a", "upper_case"), ("b", "none")], [whole("b", "machine")], [("a", 0, HOUR, "x")])
    table = json.loads(judgement_json(judgement))
    assert table["stages"]["machine"]["precision"] == {"k": 0, "n": 1, "rate": 0.0, "interval_95": [0.0, 0.7935]}
    assert table["hours"]["with_one"] == {"total": 1.0, "kept": 1.0, "dropped": {}, "cut": {}}
    assert table["surprises"][1] == {
        "id": "b", "defect": "none", "language": "en", "stage": "machine", "reason": "some", "value": 1,
    }  # fmt: skip
    assert [table.row_count for table in (defect_table(judgement), stage_table(judgement), hours_table(judgement))] == [
        2, 1, 3,
    ]  # fmt: skip
    assert "b (none, en): dropped by machine: some 1" in summary(judgement)
    assert "en 0 of 1; all of the other 0 languages." in summary(judgement)
