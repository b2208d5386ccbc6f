from dataclasses import replace
from pathlib import Path

import pytest

from eval.errors import EvaluationError, TargetUnavailableError
from eval.load.numbers import load_as_json
from eval.load.servers import openai_server
from eval.load.study import draw_requests, n_requests, run_load


class Watcher:
    def __init__(self) -> None:
        self.steps: list[str] = []
        self.n_answered = 0

    def step(self, description: str) -> None:
        self.steps.append(description)

    def answered(self) -> None:
        self.n_answered += 1


@pytest.fixture
def watcher() -> Watcher:
    return Watcher()


@pytest.fixture
def long_file(tmp_path: Path) -> Path:
    (tmp_path / "long.flac").write_bytes(b"fLaC")
    return tmp_path / "long.flac"


def test_servers_take_turns_round_by_round(plan, url, watcher):
    plan = replace(plan, servers=(*plan.servers, openai_server("peer", url)))
    results = run_load(plan, watcher)
    in_turns = ["auricle", "auricle", "peer", "peer"] * 2
    assert [turn.server for turn in results.turns] == in_turns
    assert [turn.clients for turn in results.turns] == [1, 3] * 4
    assert [len(turn.outcomes) for turn in results.turns] == [4, 6] * 4
    assert watcher.n_answered == n_requests(plan) == 40
    assert all(turn.peak_mb is None for turn in results.turns)


def test_every_server_gets_the_same_and_every_fifth_is_long(plan):
    clips = tuple(replace(plan.clips[0], id=name) for name in "abcd")
    long = replace(plan.clips[0], id="long", is_long=True, duration=600.0)
    plan = replace(plan, clips=clips, long=long, requests=20)
    drawn = [clip.id for clip in draw_requests(plan, 1, 0)]
    assert drawn == [clip.id for clip in draw_requests(plan, 1, 0)]
    assert all(drawn[start : start + 5].count("long") == 1 for start in range(0, 20, 5))
    assert sorted(set(drawn)) == ["a", "b", "c", "d", "long"]
    assert drawn != [clip.id for clip in draw_requests(plan, 1, 1)]


def test_an_overload_is_refused_in_part(plan, service, watcher):
    service.delay_s, service.capacity = 0.3, 8
    plan = replace(plan, clients=(8,), overload_s=1.0, rounds=1)
    results = run_load(plan, watcher)
    numbers = load_as_json(plan, results)["overload"]
    assert numbers["asked_per_second"] == pytest.approx(4 * numbers["peak_per_second"])
    assert 0 < numbers["refused"] < 1
    assert set(numbers["errors"]) == {"429 queue_full"}
    assert numbers["refusal_s"]["p50"] < numbers["accepted_s"]["p50"]
    assert numbers["words"]["rate"] == 0


def test_a_server_that_answers_no_clip_is_not_measured(plan, service, watcher):
    service.capacity = 0
    with pytest.raises(TargetUnavailableError, match="got 429 queue_full for each of the first 8 clips, expected text"):
        run_load(plan, watcher)


def test_a_job_stands_beside_and_is_cancelled(plan, service, watcher, long_file):
    service.has_jobs = True
    results = run_load(replace(plan, background=long_file, clients=(2,), rounds=1), watcher)
    assert [turn.with_background for turn in results.turns] == [False, True]
    assert all(turn.background_lasted for turn in results.turns)
    assert service.asked.count("POST /jobs") == service.asked.count("DELETE /jobs/7") == 1
    assert b"fLaC" in b"".join(service.forms)


def test_without_jobs_a_request_stands_beside(plan, service, watcher, long_file):
    service.delay_s = 0.3  # of everything: the long recording takes as long as a clip
    plan = replace(plan, background=long_file, clients=(1,), rounds=1, requests=2)
    results = run_load(plan, watcher)
    assert [turn.background_lasted for turn in results.turns] == [True, False]
    alone, row = load_as_json(plan, results)["rows"]
    assert (row["with_background"], row["background_lasted"]) == (True, False)
    ratio = row["rounds"]["p95_s"][0] / alone["rounds"]["p95_s"][0]
    assert row["p95_over_alone"]["median"] == pytest.approx(ratio)


def test_a_server_with_jobs_may_be_sent_a_request(plan, service, watcher, long_file):
    service.has_jobs, service.delay_s = True, 0.1
    run_load(replace(plan, background=long_file, as_request=True, clients=(1,), rounds=1), watcher)
    assert "POST /jobs" not in service.asked


def test_a_background_that_is_over_at_once_is_an_error(plan, watcher, long_file):
    plan = replace(plan, background=long_file, settle_s=0.2, rounds=1)
    with pytest.raises(EvaluationError, match=r"auricle was done with it within 0.2 s; expected a longer recording"):
        run_load(plan, watcher)


def test_a_background_that_is_refused_is_an_error(plan, service, watcher, long_file):
    service.has_jobs = True
    service._body = lambda route: (413, "text/plain", "too long") if route == "POST /jobs" else _body(route)
    _body = type(service)._body.__get__(service)
    with pytest.raises(EvaluationError, match="auricle answered 413: too long"):
        run_load(replace(plan, background=long_file), watcher)
