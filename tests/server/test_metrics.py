"""What Prometheus and /capacity see, after requests and from the workers' numbers."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families
from service_fakes import STATS, FakeWorkers

from asr.engine_counts import EngineCounts
from server.errors import ApiError
from server.models import ModelStatus
from server.pool_types import PoolStats

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def scrape(client: TestClient) -> Samples:
    answer = client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def value(samples: Samples, name: str, **labels: str) -> float | None:
    return samples.get((f"auricle_{name}", tuple(sorted(labels.items()))))


def post(client: TestClient, route: str = "/transcribe", **fields: str) -> None:
    client.post(route, files={"file": b"audio"}, data=fields)


def test_requests_are_counted_by_route_method_and_status(client: TestClient) -> None:
    for _ in range(2):
        post(client)
    post(client, colour="red")
    post(client, stream="true")
    samples = scrape(client)
    assert value(samples, "http_requests_total", route="/transcribe", method="POST", status="200") == 3
    assert value(samples, "http_requests_total", route="/transcribe", method="POST", status="400") == 1
    assert value(samples, "http_request_duration_seconds_count", route="/transcribe") == 4
    assert value(samples, "audio_seconds_total", route="/transcribe") == 12
    assert value(samples, "first_text_seconds_count", route="/transcribe") == 1
    assert value(samples, "queue_seconds_sum") == 1.5
    assert value(samples, "request_speed_ratio_bucket", le="4.0") == 3
    assert value(samples, "rejections_total", code="unsupported_parameter") == 1
    assert (value(samples, "upload_bytes_total") or 0) > 4 * len(b"audio")
    assert value(samples, "http_requests_in_flight") == 1  # the scrape itself
    assert ("process_resident_memory_bytes", ()) in samples
    assert ("process_start_time_seconds", ()) in samples


def test_what_clients_make_up_becomes_no_label(client: TestClient) -> None:
    for number in range(5):
        client.get(f"/made-up-{number}")
    client.request("BREW", "/transcribe")
    client.get("/v1/models/made-up")
    samples = scrape(client)
    assert not any("made-up" in str(sample) or "BREW" in str(sample) for sample in samples)
    assert value(samples, "http_requests_total", route="-", method="GET", status="404") == 5
    assert value(samples, "http_requests_total", route="/v1/models/{name:path}", method="GET", status="404") == 1


@pytest.mark.parametrize(("status", "code"), [(429, "queue_full"), (503, "loading")])
def test_rejections_have_their_reason(client: TestClient, workers: FakeWorkers, status: int, code: str) -> None:
    workers.refusal = ApiError(status, code, "later", retry_after_s=1)
    post(client)
    assert value(scrape(client), "rejections_total", code=code) == 1


def test_the_unforeseen_and_broken_streams_are_counted(client: TestClient, workers: FakeWorkers) -> None:
    workers.failure = ZeroDivisionError("x")
    post(client)
    workers.failure, workers.fail_after_segments = ApiError(503, "worker_died", "x"), 1
    post(client, stream="true")
    samples = scrape(client)
    assert value(samples, "rejections_total", code="internal_error") == 1
    assert value(samples, "rejections_total", code="worker_died") == 1


SMALL = ModelStatus(name="small", is_default=False, state="unloaded", model=None, stats=None)


def test_the_workers_are_asked_at_each_scrape(client: TestClient, workers: FakeWorkers) -> None:
    workers.others = [SMALL]
    engine = EngineCounts(steps=10, step_s=0.5, window_steps=40, tokens=300, heard_s=60.0, padded_s=90.0)
    workers.stats = replace(
        STATS, workers=2, queued_requests=7, queued_audio_s=70.0, deaths=4, retried=2, engine=engine
    )
    samples = scrape(client)
    expected = {
        "workers": 2, "queued_requests": 7, "queued_audio_seconds": 70, "speed_ratio": STATS.speed,
        "worker_deaths_total": 4, "retried_requests_total": 2, "decoder_steps_total": 10,
        "decoder_step_seconds_total": 0.5, "decoder_window_steps_total": 40, "tokens_total": 300,
        "heard_audio_seconds_total": 60, "padded_audio_seconds_total": 90,
    }  # fmt: skip
    assert {name: value(samples, name, model="base") for name in expected} == expected
    assert value(samples, "workers", model="small") is None
    workers.others = [replace(SMALL, state="ready", stats=replace(STATS, workers_ready=1))]
    assert value(scrape(client), "workers_ready", model="small") == 1


def test_applications_do_not_share_their_counts(serve: Callable[..., TestClient]) -> None:
    first, second = serve(), serve()
    post(first)
    assert value(scrape(second), "http_requests_total", route="/transcribe", method="POST", status="200") is None


BUSY = replace(
    STATS,
    queued_requests=0,
    queued_audio_s=0.0,
    workers_ready=1,
    places=8,
    running_requests=8,
    running_audio_s=30.0,
    speed=20.0,
)


@pytest.mark.parametrize(
    ("stats", "wait_s"),
    [
        (replace(BUSY, running_requests=7), 0.0),
        (BUSY, 1.5),
        (replace(BUSY, queued_requests=4, queued_audio_s=70.0), 5.0),
        (replace(BUSY, workers_ready=0), None),
    ],
)
def test_capacity_tells_the_wait(
    client: TestClient, workers: FakeWorkers, stats: PoolStats, wait_s: float | None
) -> None:
    workers.stats, workers.others = stats, [SMALL]
    answer = client.get("/capacity").json()
    assert (answer["max_queued_requests"], answer["max_queued_audio_s"]) == (64, 14_400)
    base, small = answer["models"]
    assert base == {"name": "base", "state": "ready", "estimated_wait_s": wait_s} | {
        name: getattr(stats, name) for name in base.keys() - {"name", "state", "estimated_wait_s"}
    }
    assert {name: value for name, value in small.items() if value is not None} == {"name": "small", "state": "unloaded"}
