"""Webhooks against a receiver on this machine: signed, repeated, and sent nowhere else."""

import asyncio
import base64
import hashlib
import hmac
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from service_fakes import MODEL, FakeWorkers, make_transcript
from typer.testing import CliRunner

from asr.errors import CorruptAudioError
from server.cli import app as command
from server.errors import api_error_from
from server.jobs import webhooks
from server.jobs.sqlite import SqliteJobStore
from server.jobs.store import NewJob
from server.jobs.webhooks import WebhookSender, signature
from server.responses import Answered

SECRET = "whsec_" + base64.b64encode(b"k" * 32).decode()
PATIENCE_S = 10.0


@dataclass
class Receiver:
    """Answers with the statuses it was given, then with 204."""

    url: str = ""
    statuses: list[int] = field(default_factory=list)
    got: list[tuple[dict[str, str], bytes]] = field(default_factory=list)

    def wait_for(self, count: int) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while len(self.got) < count:
            assert time.monotonic() < deadline, f"{len(self.got)} of {count} requests came"
            time.sleep(0.01)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    known = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            known.got.append(({name.lower(): value for name, value in self.headers.items()}, body))
            self.send_response(known.statuses.pop(0) if known.statuses else 204)
            self.send_header("Location", f"{known.url}/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    known.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield known
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhooks, "FIRST_PAUSE_S", 0.01)
    monkeypatch.setattr(webhooks, "POLL_S", 0.02)


def verified(headers: dict[str, str], body: bytes) -> dict[str, object]:
    """As the snippet in docs/jobs.md does it."""
    key = base64.b64decode(SECRET.removeprefix("whsec_"))
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    expected = "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    assert hmac.compare_digest(expected, headers["webhook-signature"])
    assert abs(time.time() - int(headers["webhook-timestamp"])) < 300
    message: dict[str, object] = json.loads(body)
    return message


def test_the_signature_is_that_of_the_specification() -> None:
    # The example of the reference libraries (github.com/standard-webhooks/standard-webhooks).
    body = b'{"test": 2432232314}'
    got = signature("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body)
    assert got == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_the_end_of_a_job_is_told_until_it_arrives(
    serve: Callable[..., TestClient], workers: FakeWorkers, receiver: Receiver
) -> None:
    client = serve(webhook_secret=SECRET, webhook_allowed_hosts="127.0.0.1, other")
    receiver.statuses = [500, 302, 429]
    answer = client.post("/jobs", files={"file": b"speech"}, data={"webhook_url": f"{receiver.url}/hook"})
    job_id = answer.json()["id"]
    receiver.wait_for(4)
    assert {headers["webhook-id"] for headers, _ in receiver.got} == {f"msg_{job_id}"}
    assert len({body for _, body in receiver.got}) == 1
    message = verified(*receiver.got[-1])
    assert message["type"] == "job.finished"
    state = client.get(f"/jobs/{job_id}").json()
    assert message["data"] == {name: state[name] for name in state.keys() - {"text", "queue_position"}}
    assert b"Hello" not in receiver.got[0][1]
    time.sleep(0.1)
    assert len(receiver.got) == 4


def test_failed_and_cancelled_jobs_are_told_too(
    serve: Callable[..., TestClient], workers: FakeWorkers, receiver: Receiver
) -> None:
    client = serve(webhook_secret=SECRET, webhook_allowed_hosts="127.0.0.1")
    workers.failure = api_error_from(CorruptAudioError, "no frame")
    client.post("/jobs", files={"file": b"speech"}, data={"webhook_url": receiver.url})
    receiver.wait_for(1)
    message = verified(*receiver.got[0])
    assert message["type"] == "job.failed"
    assert message["data"]["error"]["code"] == "undecodable_audio"  # type: ignore[index]


def test_a_receiver_that_wants_no_more_is_left_alone(
    serve: Callable[..., TestClient], workers: FakeWorkers, receiver: Receiver
) -> None:
    client = serve(webhook_secret=SECRET, webhook_allowed_hosts="127.0.0.1")
    receiver.statuses = [410]
    client.post("/jobs", files={"file": b"speech"}, data={"webhook_url": receiver.url})
    receiver.wait_for(1)
    time.sleep(0.1)
    assert len(receiver.got) == 1


def test_a_private_receiver_is_refused_when_the_job_is_sent(
    serve: Callable[..., TestClient], workers: FakeWorkers, receiver: Receiver
) -> None:
    client = serve(webhook_secret=SECRET)
    refused = client.post("/jobs", files={"file": b"speech"}, data={"webhook_url": receiver.url})
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "address_not_public")
    plain = serve()
    refused = plain.post("/jobs", files={"file": b"speech"}, data={"webhook_url": "https://example.org"})
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "webhooks_disabled")
    assert receiver.got == []


def test_retries_survive_a_restart_and_end(receiver: Receiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhooks, "MAX_ATTEMPTS", 5)
    receiver.statuses = [500] * 20

    async def run_until(store: SqliteJobStore, count: int) -> None:
        sender = WebhookSender(store, SECRET, {"127.0.0.1"})
        sender.start()
        await asyncio.to_thread(receiver.wait_for, count)
        await asyncio.sleep(0.1)
        await sender.stop()

    async def first() -> None:
        store = SqliteJobStore(tmp_path / "jobs.sqlite3")
        await store.add(NewJob(id="job_1", model="base", fields=(), request_id="r", webhook_url=receiver.url))
        job = await store.claim("a", ["base"], 10)
        assert job is not None
        answered = Answered(transcript=make_transcript(), model=MODEL, request_id="r", queue_s=0.0)
        await store.finish(job, answered, 100)
        await run_until(store, 2)
        await store.close()

    async def second() -> None:
        store = SqliteJobStore(tmp_path / "jobs.sqlite3")
        await run_until(store, 5)
        await asyncio.sleep(0.2)
        await store.close()

    asyncio.run(first())
    asyncio.run(second())
    assert len(receiver.got) == 5
    assert len({headers["webhook-id"] for headers, _ in receiver.got}) == 1


def test_a_secret_that_is_no_base64_is_refused_without_being_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AURICLE_WEBHOOK_SECRET", "whsec_not!base64")
    result = CliRunner().invoke(command, [])
    assert result.exit_code == 2
    assert "AURICLE_WEBHOOK_SECRET" in result.output
    assert "not!base64" not in result.output
