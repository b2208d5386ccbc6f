"""Who gets in and who does not: over HTTP, over WebSockets, and with OpenAI's own client."""

import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import openai
import pytest
from fastapi import WebSocket
from fastapi.testclient import TestClient
from service_fakes import FakeDecoder, FakeWorkers
from starlette.testclient import WebSocketDenialResponse
from starlette.websockets import WebSocketDisconnect

from server.app import create_app
from server.keys import KeyFile
from server.limits import Limits
from server.settings import Settings

CLIP = {"file": ("a.wav", b"audio")}


@pytest.fixture
def keys(tmp_path_factory: pytest.TempPathFactory) -> KeyFile:
    file = KeyFile(tmp_path_factory.mktemp("keys") / "keys.json")
    file.create("someone", Limits())
    return file


@pytest.fixture
def guarded(serve: Callable[..., TestClient], keys: KeyFile) -> TestClient:
    return serve(api_keys_file=keys.path)


def bearer(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


def test_without_the_setting_the_service_is_open(client: TestClient) -> None:
    assert client.post("/transcribe", files=CLIP).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [{}, {"Authorization": "Bearer ak_wrong"}, {"Authorization": "Basic YTpi"}, {"Authorization": "Bearer "},
     {"Authorization": b"Bearer \xff\xfe"}],
)  # fmt: skip
def test_without_a_key_the_answer_is_401(
    guarded: TestClient, workers: FakeWorkers, headers: dict[str, str | bytes]
) -> None:
    answer = guarded.post("/transcribe", files=CLIP, headers=headers)
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
    error = answer.json()["error"]
    assert (error["code"], error["type"]) == ("invalid_api_key", "invalid_request_error")
    assert error["request_id"] == answer.headers["x-request-id"]
    assert workers.works == []


def test_a_key_lets_in_until_it_is_revoked(guarded: TestClient, keys: KeyFile) -> None:
    secret = keys.create("alice", Limits())
    assert guarded.post("/transcribe", files=CLIP, headers=bearer(secret)).status_code == 200
    assert guarded.get("/models", headers={"Authorization": f"bearer {secret}"}).status_code == 200
    keys.revoke("alice")
    assert guarded.get("/models", headers=bearer(secret)).status_code == 401


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/docs", "/openapi.json", "/metrics"])
def test_what_needs_no_key(guarded: TestClient, path: str) -> None:
    assert guarded.get(path).status_code == 200


@pytest.mark.parametrize(
    "path", ["/models", "/v1/models", "/capacity", "/nothing", "/healthzz", "//", "//healthz", "/playgrounds"]
)
def test_everything_else_needs_one(guarded: TestClient, path: str) -> None:
    assert guarded.get(f"http://testserver{path}").status_code == 401


def test_the_metrics_need_one_where_asked(serve: Callable[..., TestClient], keys: KeyFile) -> None:
    secret = keys.create("prometheus", Limits())
    client = serve(api_keys_file=keys.path, metrics_require_key=True)
    assert client.get("/metrics").status_code == 401
    assert client.get("/metrics", headers=bearer(secret)).status_code == 200


def test_the_rate_is_refused_before_the_upload_is_read(
    guarded: TestClient, keys: KeyFile, workers: FakeWorkers
) -> None:
    headers = bearer(keys.create("alice", Limits(requests_per_minute=2)))
    seen = [guarded.post("/transcribe", files=CLIP, headers=headers) for _ in range(3)]
    assert [answer.status_code for answer in seen] == [200, 200, 429]
    assert [answer.headers["x-ratelimit-remaining-requests"] for answer in seen] == ["1", "0", "0"]
    refused = seen[-1]
    assert refused.json()["error"]["code"] == "rate_limit_exceeded"
    assert refused.headers["x-ratelimit-limit-requests"] == "2"
    assert refused.headers["x-ratelimit-reset-requests"] == "1m0s"
    assert refused.headers["retry-after"] == "30"
    assert len(workers.works) == 2
    assert guarded.get("/models", headers=headers).status_code == 200  # reading is not counted


def test_a_place_is_free_again_after_any_end(guarded: TestClient, keys: KeyFile, workers: FakeWorkers) -> None:
    headers = bearer(keys.create("alice", Limits(concurrent=1)))
    for failure, status in ((None, 200), (ZeroDivisionError("x"), 500), (None, 200)):
        workers.failure = failure
        assert guarded.post("/transcribe", files=CLIP, headers=headers).status_code == status
    assert guarded.post("/transcribe", files=CLIP, headers=headers).status_code == 200


@pytest.fixture
def echo(workers: FakeWorkers, keys: KeyFile, tmp_path: Path) -> Iterator[TestClient]:
    """The application with a WebSocket that says one word and stays open until the client leaves."""
    app = create_app(Settings(spool_dir=tmp_path, api_keys_file=keys.path), workers, FakeDecoder())

    @app.websocket("/echo")
    async def echo(socket: WebSocket) -> None:
        await socket.accept()
        await socket.send_text("hello")
        await socket.receive()

    with TestClient(app) as client:
        yield client


def test_a_websocket_without_a_key_is_refused_before_it_opens(echo: TestClient) -> None:
    with pytest.raises(WebSocketDenialResponse) as denied, echo.websocket_connect("/echo"):
        pass
    assert denied.value.status_code == 401
    assert denied.value.json()["error"]["code"] == "invalid_api_key"


def test_where_the_server_cannot_say_why_the_handshake_just_fails(echo: TestClient) -> None:
    plain = echo.app

    async def without_extension(scope, receive, send):
        await plain({**scope, "extensions": {}}, receive, send)

    with pytest.raises(WebSocketDisconnect) as closed, TestClient(without_extension).websocket_connect("/echo"):
        pass
    assert closed.value.code == 1008


def test_a_websocket_opens_with_the_key_in_the_header(echo: TestClient, keys: KeyFile) -> None:
    with echo.websocket_connect("/echo", headers=bearer(keys.create("alice", Limits()))) as socket:
        assert socket.receive_text() == "hello"
        assert socket.accepted_subprotocol is None


def test_a_browser_sends_the_key_as_a_subprotocol_and_does_not_get_it_back(echo: TestClient, keys: KeyFile) -> None:
    secret = keys.create("alice", Limits())
    protocols = [f"openai-insecure-api-key.{secret}", "realtime"]
    with echo.websocket_connect("/echo", subprotocols=protocols) as socket:
        assert socket.receive_text() == "hello"
        assert socket.accepted_subprotocol == "realtime"


def test_open_websockets_count_against_concurrency(echo: TestClient, keys: KeyFile) -> None:
    headers = bearer(keys.create("alice", Limits(concurrent=1)))
    with echo.websocket_connect("/echo", headers=headers):
        refused = echo.post("/transcribe", files=CLIP, headers=headers)
        assert (refused.status_code, refused.json()["error"]["code"]) == (429, "rate_limit_exceeded")
        assert refused.headers["retry-after"] == "1"
        with pytest.raises(WebSocketDenialResponse) as denied, echo.websocket_connect("/echo", headers=headers):
            pass
        assert denied.value.status_code == 429
    assert echo.post("/transcribe", files=CLIP, headers=headers).status_code == 200


def test_the_log_has_the_name_and_never_the_key(
    guarded: TestClient, keys: KeyFile, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    secret = keys.create("alice", Limits())
    guarded.post("/transcribe", files=CLIP, headers=bearer(secret))
    (line,) = [record for record in caplog.records if record.name == "auricle.requests"]
    assert line.fields["key"] == "alice"
    assert not any(secret in str(record.__dict__) for record in caplog.records)


def openai_client(client: TestClient, secret: str) -> openai.OpenAI:
    return openai.OpenAI(base_url="http://testserver/v1", api_key=secret, http_client=client, max_retries=0)


def test_openais_client_raises_its_own_errors(guarded: TestClient, keys: KeyFile) -> None:
    audio = ("a.wav", b"audio")
    with pytest.raises(openai.AuthenticationError) as unknown:
        openai_client(guarded, "ak_wrong").audio.transcriptions.create(model="whisper-1", file=audio)
    assert unknown.value.code == "invalid_api_key"
    client = openai_client(guarded, keys.create("alice", Limits(requests_per_minute=1)))
    assert client.audio.transcriptions.create(model="whisper-1", file=audio).text
    with pytest.raises(openai.RateLimitError) as limited:
        client.audio.transcriptions.create(model="whisper-1", file=audio)
    assert limited.value.code == "rate_limit_exceeded"
