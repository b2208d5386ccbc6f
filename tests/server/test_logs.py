"""Log lines as they are written: JSON, the request's id on every one, and nothing that is private."""

import io
import json
import logging
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import uvicorn
from fastapi import WebSocket
from fastapi.testclient import TestClient
from service_fakes import FakeDecoder, FakeWorkers
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from server.app import create_app
from server.keys import KeyFile
from server.limits import Limits
from server.logs import JsonFormatter, TextFormatter, configure_logging
from server.settings import Settings


@pytest.fixture
def written() -> Iterator[io.StringIO]:
    """What the service's loggers write as JSON."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter())
    ours = logging.getLogger("auricle")  # the root has the test client's lines too
    ours.addHandler(handler)
    ours.setLevel("INFO")
    yield stream
    ours.removeHandler(handler)
    ours.setLevel("NOTSET")


def lines_of(stream: io.StringIO, logger: str = "auricle.requests") -> list[dict[str, object]]:
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    return [line for line in lines if line["logger"] == logger]


def test_a_request_is_one_line_with_what_is_known_of_it(client: TestClient, written: io.StringIO) -> None:
    answer = client.post("/transcribe", files={"file": b"audio"})
    (line,) = lines_of(written)
    assert line.pop("duration_ms") >= 0
    assert line.pop("time").endswith("+00:00")
    assert line == {
        "level": "info",
        "logger": "auricle.requests",
        "message": "request",
        "request_id": answer.headers["x-request-id"],
        "route": "/transcribe",
        "method": "POST",
        "status": 200,
        "model": "base",
        "audio_s": 4.0,
        "queue_s": 0.5,
    }


def test_a_stream_says_when_its_first_text_came(client: TestClient, written: io.StringIO) -> None:
    client.post("/transcribe", files={"file": b"audio"}, data={"stream": "true"})
    (line,) = lines_of(written)
    assert line["first_text_s"] >= 0
    assert line["audio_s"] == 4.0


def test_a_refusal_has_its_code(client: TestClient, written: io.StringIO) -> None:
    client.post("/transcribe", files={"file": b"audio"}, data={"colour": "red"})
    (line,) = lines_of(written)
    assert (line["status"], line["code"]) == (400, "unsupported_parameter")


def test_every_line_within_a_request_has_its_id(
    serve: Callable[..., TestClient], workers: FakeWorkers, written: io.StringIO
) -> None:
    workers.failure = ZeroDivisionError("x")
    answer = serve().post("/transcribe", files={"file": b"audio"}, headers={"X-Request-Id": "mine-1"})
    assert answer.headers["x-request-id"] == "mine-1"
    lines = lines_of(written)
    assert [line["message"] for line in lines] == ["unforeseen exception", "request"]
    assert {line["request_id"] for line in lines} == {"mine-1"}
    assert "ZeroDivisionError" in lines[0]["exception"]
    logging.getLogger("auricle.requests").warning("afterwards")
    assert "request_id" not in lines_of(written)[-1]


def test_no_text_file_name_or_query_is_written(client: TestClient, written: io.StringIO) -> None:
    client.post("/transcribe?prompt=confidential", files={"file": ("private-name.wav", b"audio")})
    client.get("/secret-path?token=secret-token")
    for private in ("confidential", "private-name", "Hello", "secret"):
        assert private not in written.getvalue()


@pytest.mark.usefixtures("restored_logging")
def test_a_websocket_over_a_real_socket_leaves_one_line_and_no_query(
    workers: FakeWorkers, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = KeyFile(tmp_path_factory.mktemp("keys") / "keys.json")
    headers = {"Authorization": f"Bearer {keys.create('alice', Limits())}"}
    app = create_app(Settings(spool_dir=tmp_path, api_keys_file=keys.path), workers, FakeDecoder())

    @app.websocket("/echo")
    async def echo(socket: WebSocket) -> None:
        await socket.accept()
        await socket.receive()

    monkeypatch.setattr("sys.stderr", written := io.StringIO())
    configure_logging("info", "json")
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None, access_log=False))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    url = f"ws://127.0.0.1:{port}/echo?token=secret"
    with pytest.raises(InvalidStatus):
        connect(url)
    connect(url, additional_headers=headers).close()
    server.should_exit = True
    thread.join(10)
    assert "secret" not in written.getvalue()
    assert '"error"' not in written.getvalue()
    assert [line["status"] for line in lines_of(written)] == [401, 101]


@pytest.mark.parametrize("text", ["two\nlines", 'quotes "and" {braces}', "\x1b[31m", "ümläut", "\udcff"])
def test_whatever_is_logged_is_one_line_of_json(text: str) -> None:
    record = logging.LogRecord("auricle.x", logging.INFO, __file__, 1, "%s", (text,), None)
    line = JsonFormatter().format(record)
    assert line.isprintable()
    assert json.loads(line)["message"] == text


def test_text_is_for_people() -> None:
    record = logging.LogRecord("auricle.x", logging.INFO, __file__, 1, "request", (), None)
    record.fields = {"route": "/transcribe", "status": 200}
    assert TextFormatter().format(record).endswith("INFO auricle.x request route=/transcribe status=200")


@pytest.fixture
def restored_logging() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(capture=False)


@pytest.mark.parametrize(
    ("log_format", "is_terminal", "is_json"),
    [("auto", True, False), ("auto", False, True), ("json", True, True), ("text", False, False)],
)
@pytest.mark.usefixtures("restored_logging")
def test_the_form_follows_the_setting_and_the_terminal(
    monkeypatch: pytest.MonkeyPatch, log_format: str, is_terminal: bool, is_json: bool
) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(stream, "isatty", lambda: is_terminal)
    monkeypatch.setattr("sys.stderr", stream)
    configure_logging("info", log_format)
    logging.getLogger("uvicorn.error").info("Started")
    assert stream.getvalue().startswith("{") is is_json
