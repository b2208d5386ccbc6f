import json
from dataclasses import replace

import pytest

from eval.load.numbers import load_as_json
from eval.load.servers import openai_server
from eval.load.study import LoadResults
from eval.load.types import LoadClip, Outcome, Turn
from eval.report.load import draw_load, load_as_report
from eval.report.markdown import render_markdown
from eval.report.plots import file_svg


def outcome(clip: LoadClip, seconds: float, text: str | None = "the cat sat", **fields) -> Outcome:
    return Outcome(clip=clip, seconds=seconds, text=text, code=None if text else "queue_full", **fields)


def turn(server: str, outcomes: list[Outcome], *, elapsed_s: float, clients: int = 4, beside: bool = False) -> Turn:
    return Turn(
        server=server,
        clients=clients,
        with_background=beside,
        outcomes=tuple(outcomes),
        elapsed_s=elapsed_s,
        clients_cpu_s=0.1,
        peak_mb=100.0,
    )


@pytest.fixture
def both(plan, url):
    return replace(plan, servers=(*plan.servers, openai_server("peer", url)), clients=(4,))


def rows_of(plan, *turns: Turn) -> list[dict]:
    return load_as_json(plan, LoadResults(turns=list(turns)))["rows"]


def test_ratios_are_taken_within_each_round(both, clip):
    answered = [outcome(clip, 1.0)] * 4
    ours = [turn("auricle", answered, elapsed_s=each) for each in (1.0, 2.0, 4.0)]
    peer = [turn("peer", answered, elapsed_s=each) for each in (3.0, 6.0, 4.0)]
    row = rows_of(both, *ours, *peer)[1]
    assert (row["per_second"], row["audio_per_second"]) == (1.0, 10.0)
    assert row["ours_over_per_second"] == {"median": 3.0, "low": 1.0, "high": 3.0}
    assert row["rounds"]["per_second"] == pytest.approx([4 / 3, 2 / 3, 1.0])


def test_latency_is_that_of_short_clips_that_were_answered(both, clip):
    long = replace(clip, is_long=True, duration=600.0)
    outcomes = [
        outcome(clip, 1.0, first_text_s=0.5),
        outcome(long, 50.0, first_text_s=5.0),
        outcome(clip, 9.0, None, status=429),
    ]
    row = rows_of(both, turn("auricle", outcomes, elapsed_s=50.0))[0]
    assert row["latency_s"] == {"n": 1, "p50": 1.0, "p95": 1.0, "p99": 1.0}
    assert (row["latency_long_s"]["p50"], row["first_text_long_s"]["p50"], row["first_text_s"]["p50"]) == (
        50.0,
        5.0,
        0.5,
    )
    assert (row["n"], row["n_answered"], row["refused"]) == (3, 2, pytest.approx(1 / 3))
    assert row["errors"] == {"429 queue_full": 1}


def test_a_request_without_an_answer_has_lost_its_words(both, clip):
    answered, unanswered = outcome(clip, 1.0), outcome(clip, 1.0, None)
    good = rows_of(both, turn("auricle", [answered] * 20, elapsed_s=1.0))[0]
    bad = rows_of(both, turn("auricle", [answered] * 18 + [unanswered] * 2, elapsed_s=1.0))[0]
    assert (good["counts"], good["words"]) == (True, {"n_ref": 60, "n_said": 60, "rate": 0.0, "lost_or_invented": 0.0})
    assert (bad["counts"], bad["words"]["lost_or_invented"]) == (False, 0.1)
    assert bad["errors"] == {"no status queue_full": 2}


def test_who_answers_nothing_still_has_a_row(both, clip):
    unanswered = [outcome(clip, 1.0, None, status=503)] * 2
    answered = [outcome(clip, 1.0)] * 2
    rows = rows_of(both, turn("auricle", answered, elapsed_s=1.0), turn("peer", unanswered, elapsed_s=1.0))
    assert (rows[1]["per_second"], rows[1]["ours_over_per_second"], rows[1]["latency_s"]) == (0.0, None, None)
    json.dumps(rows, allow_nan=False)


def test_fairness_is_the_ratio_of_percentiles(both, clip):
    alone = [turn("auricle", [outcome(clip, 1.0)], elapsed_s=1.0) for _ in range(2)]
    beside = [turn("auricle", [outcome(clip, each)], elapsed_s=1.0, beside=True) for each in (2.0, 4.0)]
    rows = rows_of(both, *alone, *beside)
    assert rows[0]["p95_over_alone"] is None
    assert rows[1]["p95_over_alone"]["median"] == 3.0


def test_page_and_plot_show_every_server(both, clip):
    alone = [turn(name, [outcome(clip, 1.0)], elapsed_s=1.0) for name in ("auricle", "peer")]
    beside = [turn(name, [outcome(clip, 2.0)], elapsed_s=2.0, beside=True) for name in ("auricle", "peer")]
    lossy = turn("peer", [outcome(clip, 2.0, "cat")], elapsed_s=2.0, clients=1)
    plan = replace(both, clients=(1, 4))
    numbers = load_as_json(plan, LoadResults(turns=[*alone, *beside, lossy]))
    page = render_markdown(load_as_report(numbers))
    assert "peer with 1 client loses or invents 67 % of the words" in page
    assert "1.00 (1.00 – 1.00)" in page
    drawn = file_svg(draw_load(numbers), name="load")
    assert all(f">{name}<" in drawn for name in ("auricle", "peer", "auricle, long recording beside"))
