"""The job routes over fake workers: from the upload to the result, and everything that can be asked on the way."""

import asyncio
import json
import shutil
import sqlite3
import threading
import time
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient
from service_fakes import MODEL, SEGMENTS, FakeDecoder, FakeWorkers, make_transcript

from asr.errors import CorruptAudioError
from asr.options import Channels
from asr.ticket import Lane
from asr.transcript import Progress
from server.app import create_app
from server.errors import ApiError, api_error_from, insufficient_storage
from server.jobs import runner, service, storage
from server.keys import KeyFile
from server.limits import Limits
from server.messages import TranscribeWork, Work
from server.models import DEFAULT_MODEL_ALIAS
from server.pool_types import DecodedWindow, Result, Update, WorkerStatus
from server.settings import Settings
from server.worker_seat import WorkerState

PATIENCE_S = 10.0


class PausingWorkers(FakeWorkers):
    """Tells one window, one segment and the progress, then waits to be let go."""

    def __init__(self) -> None:
        super().__init__()
        self.go = threading.Event()
        self.n_closed = 0
        self.known: list[dict[str, str]] = []
        self.models_asked: list[str] = []

    async def run(self, work: Work, *, model: str = DEFAULT_MODEL_ALIAS) -> AsyncGenerator[Update]:
        assert isinstance(work, TranscribeWork)
        self.works.append(work)
        assert work.windows is not None
        self.known.append(json.loads(work.windows.read_text()))
        self.models_asked.append(model)
        self.files.append([path.name for path in Path(work.audio.path).parent.iterdir()])
        try:
            yield DecodedWindow(key="first", payload="[1]")
            yield SEGMENTS[0]
            yield Progress(done=2.0, duration=4.0)
            while not self.go.is_set():
                await asyncio.sleep(0.005)
            if self.failure:
                raise self.failure
            yield SEGMENTS[1]
            yield Result(output=self.transcript or make_transcript(work.options.task), queue_s=0.0)
        finally:
            self.n_closed += 1


@pytest.fixture
def workers() -> PausingWorkers:
    return PausingWorkers()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "POLL_S", 0.05)
    monkeypatch.setattr(runner, "WRITE_AFTER_S", 0.01)
    monkeypatch.setattr(service, "TIDY_EVERY_S", 0.1)


@pytest.fixture
def state_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("jobs")


@pytest.fixture
def client(serve: Callable[..., TestClient], state_dir: Path) -> TestClient:
    return serve(state_dir=state_dir)


@pytest.fixture
def media(state_dir: Path) -> Callable[[], list[str]]:
    """Names of the recordings that are kept."""
    return lambda: [path.parent.name for path in (state_dir / "media").glob("job_*/recording")]


def post(client: TestClient, content: bytes = b"speech", *, key: str | None = None, **fields: str) -> httpx.Response:
    headers = {"Idempotency-Key": key} if key is not None else {}
    return client.post("/jobs", files={"file": content}, data=fields, headers=headers)


def accepted(client: TestClient, content: bytes = b"speech", **fields: str) -> str:
    answer = post(client, content, **fields)
    assert answer.status_code == 202, answer.text
    assert answer.headers["location"] == f"/jobs/{answer.json()['id']}"
    return str(answer.headers["location"])


def until(client: TestClient, location: str, condition: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    deadline = time.monotonic() + PATIENCE_S
    while not condition(job := client.get(location).json()):
        assert time.monotonic() < deadline, job
        time.sleep(0.01)
    return job


def until_gone(path: Path) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while path.exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def has(status: str) -> Callable[[dict[str, Any]], bool]:
    return lambda job: job.get("status") == status


def code(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


def events(text: str) -> list[tuple[str, dict[str, Any]]]:
    found = []
    for block in text.split("\n\n"):
        lines = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        if lines:
            found.append((lines["event"], json.loads(lines["data"]) | ({"sse": lines["id"]} if "id" in lines else {})))
    return found


def test_a_job_from_upload_to_result(
    client: TestClient, workers: PausingWorkers, media: Callable[[], list[str]]
) -> None:
    location = accepted(client, timestamps="word", response_format="srt", max_line_width="40", max_line_count="1")
    job = until(client, location, lambda job: job["progress"]["done_s"] == 2.0)
    assert (job["status"], job["text"], job["queue_position"]) == ("running", "Hello there.", None)
    assert job["progress"]["duration_s"] == 4.0
    assert job["progress"]["rtfx"] > 0
    assert job["progress"]["eta_s"] >= 0
    assert media() == [job["id"]]
    unfinished = client.get(f"{location}/result")
    assert code(unfinished) == (409, "job_not_finished")
    assert unfinished.headers["x-should-retry"] == "false"
    workers.go.set()
    job = until(client, location, has("finished"))
    assert job["text"] == "Hello there. How are you?"
    assert job["expires_at"] > job["ended_at"] >= job["started_at"] >= job["created_at"]
    assert (job["progress"]["done_s"], job["progress"]["eta_s"], job["error"]) == (4.0, None, None)
    assert client.get(f"{location}/result").text.startswith("1\n00:00:00,000 --> 00:00:01,500\nHello there.")
    deadline = time.monotonic() + PATIENCE_S
    while media():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    [work] = workers.works
    assert isinstance(work, TranscribeWork)
    assert (work.lane, work.is_job) == (Lane.BULK, True)
    assert workers.models_asked == ["base"]
    assert work.options.word_timestamps


@pytest.mark.parametrize("response_format", ["json", "verbose_json", "text", "srt", "vtt", "tsv", "lrc"])
def test_a_result_is_what_transcribe_would_have_answered(
    client: TestClient, workers: PausingWorkers, response_format: str
) -> None:
    workers.go.set()
    location = accepted(client, max_line_width="20", response_format="vtt", include="")
    until(client, location, has("finished"))
    found = client.get(f"{location}/result", params={"format": response_format})
    fields = {"response_format": response_format}
    if response_format in {"text", "srt", "vtt", "lrc"}:
        fields["max_line_width"] = "20"
    plain = TestClient(create_app(Settings(), FakeWorkers(), FakeDecoder()))
    with plain:
        expected = plain.post("/transcribe", files={"file": b"speech"}, data=fields)
    assert found.headers["content-type"] == expected.headers["content-type"]
    if response_format == "verbose_json":
        own = {"request_id", "timing"}
        assert {name: found.json()[name] for name in found.json().keys() - own} == {
            name: expected.json()[name] for name in expected.json().keys() - own
        }
    else:
        assert found.text == expected.text


def test_an_unknown_format_is_refused_by_name(client: TestClient, workers: PausingWorkers) -> None:
    workers.go.set()
    location = accepted(client)
    until(client, location, has("finished"))
    refused = client.get(f"{location}/result?format=docx")
    assert code(refused) == (400, "invalid_value")
    assert "docx" in refused.json()["error"]["message"]


@pytest.mark.parametrize("route", ["", "/result", "/events"])
def test_an_unknown_job_is_a_404(client: TestClient, route: str) -> None:
    assert code(client.get(f"/jobs/job_1{route}")) == (404, "job_not_found")
    assert code(client.delete("/jobs/job_1")) == (404, "job_not_found")


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"beam_size": "0"}, "beam_size"),
        ({"language": "tlh"}, "language"),
        ({"stream": "true"}, "stream"),
        ({"max_line_width": "10"}, "max_line_width"),
        ({"webhook_url": "http://example.org"}, "webhook_url"),
        ({"nonsense": "1"}, "nonsense"),
    ],
)
def test_what_cannot_be_done_is_refused_before_it_is_accepted(
    client: TestClient, media: Callable[[], list[str]], fields: dict[str, str], param: str
) -> None:
    refused = post(client, **fields)
    assert refused.status_code == 400
    assert refused.json()["error"]["param"] == param
    assert media() == []


def test_jobs_wait_in_order_and_one_may_be_cancelled(
    client: TestClient, workers: PausingWorkers, decoder: FakeDecoder
) -> None:
    running = [accepted(client, b"a"), accepted(client, b"b")]
    waiting = [accepted(client, b"c"), accepted(client, b"d")]
    for location in running:
        until(client, location, has("running"))
    assert [client.get(each).json()["queue_position"] for each in waiting] == [1, 2]
    assert client.delete(waiting[0]).status_code == 204
    assert client.delete(running[0]).status_code == 204
    until(client, waiting[1], has("running"))
    assert decoder.uploads == [b"a", b"b", b"d"]
    assert workers.n_closed == 1
    workers.go.set()
    until(client, running[1], has("finished"))
    for cancelled in (waiting[0], running[0]):
        job = client.get(cancelled).json()
        assert (job["status"], job["text"]) == ("cancelled", "")
        assert code(client.get(f"{cancelled}/result")) == (410, "job_cancelled")
        assert client.delete(cancelled).status_code == 204


def test_a_deleted_result_is_gone_and_deleting_it_again_is_no_error(
    client: TestClient, workers: PausingWorkers, state_dir: Path
) -> None:
    workers.go.set()
    location = accepted(client, prompt="Secret names")
    until(client, location, has("finished"))
    for _ in range(2):
        assert client.delete(location).status_code == 204
    for route in ("", "/result", "/events"):
        assert code(client.get(location + route)) == (410, "job_expired")
    with sqlite3.connect(state_dir / "jobs.sqlite3") as db:
        assert not any(word in line for line in db.iterdump() for word in ("Hello", "Secret names"))


def test_a_result_expires(serve: Callable[..., TestClient], workers: PausingWorkers, state_dir: Path) -> None:
    client = serve(state_dir=state_dir, job_ttl=0.5)
    workers.go.set()
    location = accepted(client)
    until(client, location, has("finished"))
    until(client, location, lambda answer: (answer["error"] or {}).get("code") == "job_expired")


def test_a_failed_job_has_the_error_that_http_would_have(client: TestClient, workers: PausingWorkers) -> None:
    workers.failure = api_error_from(CorruptAudioError, "the file: no frame could be decoded")
    workers.go.set()
    location = accepted(client)
    job = until(client, location, has("failed"))
    assert job["error"] == {
        "message": "the file: no frame could be decoded",
        "type": "invalid_request_error",
        "param": None,
        "code": "undecodable_audio",
    }
    assert code(client.get(f"{location}/result")) == (422, "undecodable_audio")
    assert events(client.get(f"{location}/events").text)[-1][0] == "error"


def test_an_unforeseen_exception_is_a_failed_job(client: TestClient, workers: PausingWorkers) -> None:
    workers.failure = ZeroDivisionError("secret")
    workers.go.set()
    job = until(client, accepted(client), has("failed"))
    assert job["error"]["code"] == "internal_error"


def test_a_recording_that_cannot_be_decoded_fails_its_job(
    client: TestClient, decoder: FakeDecoder, workers: PausingWorkers
) -> None:
    decoder.failure = CorruptAudioError("no frame could be decoded")
    location = accepted(client)
    assert until(client, location, has("failed"))["error"]["code"] == "undecodable_audio"
    decoder.failure = ApiError(422, "decoding_timeout", "The file could not be decoded within 1 s.", param="file")
    slow = accepted(client)
    until(client, slow, has("failed"))
    assert code(client.get(f"{slow}/result")) == (422, "decoding_timeout")
    assert workers.works == []


def test_a_job_whose_recording_is_gone_fails(client: TestClient, workers: PausingWorkers, state_dir: Path) -> None:
    running = [accepted(client), accepted(client)]
    lost = accepted(client)
    for location in running:
        until(client, location, has("running"))
    shutil.rmtree(state_dir / "media" / lost.rpartition("/")[2])
    workers.go.set()
    assert until(client, lost, has("failed"))["error"]["code"] == "recording_lost"


def test_a_job_waits_for_room_to_decode_in(
    client: TestClient,
    decoder: FakeDecoder,
    workers: PausingWorkers,
    state_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(runner, "LONGEST_PAUSE_S", 0.05)
    workers.go.set()
    decoder.failure = insufficient_storage()
    location = accepted(client, channels="split")
    deadline = time.monotonic() + PATIENCE_S
    while len(decoder.uploads) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    decoder.failure = None
    until(client, location, has("finished"))
    assert decoder.asked[-1] == (Channels.SPLIT, 10_800)
    [beside] = workers.files
    assert len(beside) == 3  # the recording, its samples, and what is known of its windows
    until_gone(state_dir / "media" / location.rpartition("/")[2])


def test_a_job_for_a_model_that_cannot_be_loaded_keeps_no_other_from_its_place(
    client: TestClient, workers: PausingWorkers
) -> None:
    workers.go.set()
    ready, broken = workers.status, WorkerStatus(state=WorkerState.FAILED, model=MODEL)
    workers.status = broken
    location = accepted(client)
    time.sleep(0.2)
    assert client.get(location).json()["status"] == "queued"
    workers.status = ready
    until(client, location, has("finished"))


def test_jobs_need_a_key_where_keys_are_asked_for(
    serve: Callable[..., TestClient], workers: PausingWorkers, state_dir: Path
) -> None:
    file = KeyFile(state_dir / "keys.json")
    secret = file.create("alice", Limits())
    client = serve(state_dir=state_dir, api_keys_file=file.path)
    workers.go.set()
    assert post(client).status_code == 401
    client.headers["Authorization"] = f"Bearer {secret}"
    location = accepted(client)
    until(client, location, has("finished"))
    del client.headers["Authorization"]
    for route in ("", "/result", "/events"):
        assert client.get(location + route).status_code == 401
    assert client.delete(location).status_code == 401


def test_a_full_queue_of_requests_refuses_no_job(client: TestClient, workers: PausingWorkers) -> None:
    workers.refusal = ApiError(429, "queue_full", "Too much is waiting to be recognized.", retry_after_s=5)
    workers.go.set()
    until(client, accepted(client), has("finished"))


def test_a_worker_that_dies_without_progress_fails_the_job_at_last(
    client: TestClient, workers: PausingWorkers, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def die(work: Work, *, model: str) -> AsyncGenerator[Update]:
        assert isinstance(work, TranscribeWork)
        workers.works.append(work)
        if len(workers.works) == 2:
            yield DecodedWindow(key="first", payload="[1]")
        raise ApiError(503, "worker_died", "The worker process died.", retry_after_s=1)

    monkeypatch.setattr(workers, "run", die)
    job = until(client, accepted(client), has("failed"))
    assert job["error"]["code"] == "recording_kills_worker"
    # Once, then again with a window finished, and from there on three times in a row, one of them at that window.
    assert [work.n_deaths for work in workers.works if isinstance(work, TranscribeWork)] == [0, 1, 1, 2]


def test_a_job_is_accepted_while_a_worker_is_replaced(client: TestClient, workers: PausingWorkers) -> None:
    ready = workers.status
    workers.status = WorkerStatus(state=WorkerState.LOADING, model=ready.model)
    workers.refusal = ApiError(503, "loading", "The model is being loaded.", retry_after_s=5)
    location = accepted(client)
    assert client.get(location).json()["status"] == "queued"
    workers.status = ready
    until(client, location, has("running"))


def test_a_service_that_stops_gives_its_job_back_and_the_next_goes_on(
    serve: Callable[..., TestClient], workers: PausingWorkers, state_dir: Path
) -> None:
    def app() -> TestClient:
        return TestClient(create_app(Settings(state_dir=state_dir), workers, FakeDecoder()))

    with app() as first:
        location = accepted(first)
        until(first, location, lambda job: job["text"] == "Hello there.")
    with app() as second:
        job = until(second, location, has("running"))
        assert job["text"] == "Hello there."
        workers.go.set()
        until(second, location, has("finished"))
    assert workers.known == [{}, {"first": "[1]"}]
    assert [work.done_s for work in workers.works if isinstance(work, TranscribeWork)] == [0.0, 2.0]


def test_a_stop_that_comes_with_news_is_not_lost(client: TestClient) -> None:
    jobs = client.app.state.jobs

    async def stop_when_woken() -> None:
        for part in (jobs._runner, jobs._webhooks):
            part.wake()
            await asyncio.wait_for(part.stop(), 5)

    for _ in range(3):
        time.sleep(0.02)  # for the loops to wait again
        client.portal.call(stop_when_woken)
        client.portal.call(jobs._runner.start)
        client.portal.call(jobs._webhooks.start)


# --- idempotency ---


def test_the_same_request_under_the_same_key_is_the_same_job(
    client: TestClient, workers: PausingWorkers, media: Callable[[], list[str]]
) -> None:
    first = post(client, key="k", language="en")
    again = post(client, key="k", language="en")
    assert (first.status_code, again.status_code) == (202, 202)
    assert first.json()["id"] == again.json()["id"]
    assert media() == [first.json()["id"]]
    for other in (post(client, b"other", key="k", language="en"), post(client, key="k", language="de")):
        assert code(other) == (422, "idempotency_key_reused")
    assert post(client, key="l", language="en").json()["id"] != first.json()["id"]
    assert code(post(client, key="x" * 256)) == (400, "invalid_value")
    assert len(media()) == 2


def test_many_at_once_under_one_key_are_one_job(client: TestClient, media: Callable[[], list[str]]) -> None:
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: post(client, key="k"), range(16)))
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert len(media()) == 1


# --- events ---


def test_late_and_returning_listeners_hear_the_same(client: TestClient, workers: PausingWorkers) -> None:
    location = accepted(client, include="attempts")
    until(client, location, lambda job: job["progress"]["done_s"] == 2.0)

    def listen(last: str | None = None) -> list[tuple[str, dict[str, Any]]]:
        headers = {"Last-Event-ID": last} if last else {}
        answer = client.get(f"{location}/events", headers=headers)
        assert answer.headers["content-type"].startswith("text/event-stream")
        return events(answer.text)

    with ThreadPoolExecutor(3) as threads:
        listeners = [threads.submit(listen) for _ in range(3)]
        time.sleep(0.1)
        workers.go.set()
        heard = [each.result(PATIENCE_S) for each in listeners]
    for each in [*heard, listen()]:
        segments = [data for name, data in each if name == "segment"]
        assert [(data["sse"], data["text"]) for data in segments] == [("0", " Hello there."), ("1", " How are you?")]
        assert each[-1][0] == "done"
        assert each[-1][1]["text"] == "Hello there. How are you?"
        assert "progress" in {name for name, _ in each}
    assert [data["sse"] for name, data in listen("0") if name == "segment"] == ["1"]
    assert [name for name, _ in listen("1")] == ["progress", "done"]
    assert code(client.get(f"{location}/events", headers={"Last-Event-ID": "x"})) == (400, "invalid_value")


def test_a_listener_hears_of_the_end_of_a_cancelled_job(client: TestClient, workers: PausingWorkers) -> None:
    location = accepted(client)
    until(client, location, has("running"))
    with ThreadPoolExecutor(1) as threads:
        listener = threads.submit(client.get, f"{location}/events")
        time.sleep(0.1)
        client.delete(location)
        name, data = events(listener.result(PATIENCE_S).text)[-1]
    assert (name, data["error"]["code"]) == ("error", "job_cancelled")


def test_a_quiet_stream_is_kept_alive(
    client: TestClient, workers: PausingWorkers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.jobs.events.KEEP_ALIVE_S", 0.05)
    location = accepted(client)
    with ThreadPoolExecutor(1) as threads:
        listener = threads.submit(client.get, f"{location}/events")
        time.sleep(0.4)
        workers.go.set()
        assert ": keep-alive" in listener.result(PATIENCE_S).text


# --- storage ---


@pytest.fixture
def blocked(state_dir: Path) -> Path:
    """A state folder that cannot be: its parent is a file."""
    path = state_dir / "file"
    path.write_text("")
    return path / "state"


def test_a_folder_that_cannot_be_used_refuses_jobs_only_and_comes_back(
    serve: Callable[..., TestClient], workers: PausingWorkers, blocked: Path
) -> None:
    client = serve(state_dir=blocked)
    refused = post(client)
    assert code(refused) == (503, "storage_unavailable")
    assert "retry-after" in refused.headers
    assert str(blocked) not in refused.text
    assert code(client.get("/jobs/job_1")) == (503, "storage_unavailable")
    assert client.get("/healthz").status_code == 200
    blocked.parent.unlink()
    workers.go.set()
    until(client, accepted(client), has("finished"))


def test_a_full_disk_is_a_507_and_comes_back(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, media: Callable[[], list[str]], spooled: Callable[[], Any]
) -> None:
    def no_room(path: Path) -> None:
        raise OSError(28, "No space left on device", str(path))

    with monkeypatch.context() as patch:
        patch.setattr(storage, "sync", no_room)
        refused = post(client)
        assert code(refused) == (507, "insufficient_storage")
        assert "retry-after" in refused.headers
    with monkeypatch.context() as patch:
        patch.setattr(storage, "MIN_FREE_BYTES", 2**62)
        assert code(post(client)) == (507, "insufficient_storage")
    assert media() == []
    accepted(client)


def test_what_a_crash_left_behind_is_swept(
    serve: Callable[..., TestClient], state_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage, "GRACE_S", 0.0)
    upload = state_dir / "media" / "receiving-1" / "auricle-x" / "upload"
    upload.parent.mkdir(parents=True)
    orphan = state_dir / "media" / "job_never_committed" / "recording"
    orphan.parent.mkdir()
    for path in (upload, orphan):
        path.write_bytes(b"speech")
    time.sleep(0.01)
    serve(state_dir=state_dir)
    deadline = time.monotonic() + PATIENCE_S
    while upload.exists() or orphan.exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_the_routes_are_described(client: TestClient) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    create = paths["/jobs"]["post"]
    form = create["requestBody"]["content"]["multipart/form-data"]["schema"]["properties"]
    assert {"file", "webhook_url", "language", "response_format"} <= form.keys()
    assert {"202", "400", "422", "503", "507"} <= create["responses"].keys()
    assert create["parameters"][0]["name"].lower() == "idempotency-key"
    assert {"404", "409", "410"} <= paths["/jobs/{id}/result"]["get"]["responses"].keys()
    described = client.get("/openapi.json").json()["components"]["schemas"]["JobAnswer"]["properties"]
    assert all("description" in field or "$ref" in field for field in described.values())
