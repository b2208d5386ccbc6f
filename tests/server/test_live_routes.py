"""``WS /stream`` over fake workers: the protocol, and every refusal with its close code."""

import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from service_fakes import FakeWorkers
from starlette.testclient import WebSocketTestSession
from starlette.websockets import WebSocketDisconnect

from asr.streaming import Partial
from asr.tasks import Task
from server.errors import ApiError
from server.live_protocol import MAX_FRAME_BYTES, StartForm

SECOND = bytes(32_000)  # at 16 kHz
Serve = Callable[..., TestClient]


def receive_all(socket: WebSocketTestSession) -> tuple[list[dict[str, Any]], int, str]:
    """Events until the close, its code and its reason."""
    events = []
    while True:
        try:
            events.append(socket.receive_json())
        except WebSocketDisconnect as closed:
            return events, closed.code, closed.reason


def refusal(socket: WebSocketTestSession) -> tuple[dict[str, Any], int]:
    events, code, reason = receive_all(socket)
    error = events[-1]
    assert error["type"] == "error"
    assert set(error["error"]) == {"message", "type", "param", "code", "request_id"}
    assert error["error"]["request_id"] == error["request_id"]
    assert reason == error["error"]["code"]
    return error["error"], code


def test_speech_becomes_partial_then_final_text_then_done(client: TestClient, workers: FakeWorkers) -> None:
    with client.websocket_connect("/stream?language=en", headers={"X-Request-Id": "mine-1"}) as socket:
        assert dict(socket.extra_headers)[b"x-request-id"] == b"mine-1"
        socket.send_bytes(SECOND)
        socket.send_json({"type": "stop"})
        events, code, _ = receive_all(socket)
    kinds = ["speech_started", "partial", "final", "speech_stopped", "utterance_ended", "done"]
    assert [event["type"] for event in events] == kinds
    assert [event["seq"] for event in events] == list(range(6))
    assert {event["request_id"] for event in events} == {"mine-1"}
    assert events[0]["start"] == 0.1
    assert events[1] | {"seq": 1} == {
        "type": "partial", "text": " Hello", "start": 0.1, "end": 0.5, "seq": 1, "request_id": "mine-1",
    }  # fmt: skip
    assert (events[2]["text"], events[2]["start"], events[2]["end"]) == (" Hello there.", 0.1, 1.0)
    assert (events[3]["end"], events[4]["start"], events[4]["end"]) == (1.0, 0.1, 1.0)
    done = events[-1]
    assert (done["text"], done["language"], done["duration"], done["model"]) == ("Hello there.", "en", 1.0, "base")
    assert set(done["timing"]) == {"encode", "decode", "total"}
    assert code == 1000
    assert workers.streams[0].closed


def test_words_come_where_they_are_asked_for(client: TestClient) -> None:
    with client.websocket_connect("/stream?timestamps=word") as socket:
        socket.send_bytes(SECOND)
        socket.receive_json()
        assert socket.receive_json()["words"] == [{"word": " Hello", "start": 0.1, "end": 0.5, "probability": 0.9}]


@pytest.mark.parametrize("as_query", [True, False])
def test_every_field_reaches_the_worker(client: TestClient, workers: FakeWorkers, as_query: bool) -> None:
    query = (
        "language=German&task=translate&prompt=Tolkien&hotwords=Frodo,Sam&sample_rate=24000&vad=false"
        "&vad_threshold=0.6&step_s=0.5&max_pause_s=1.5&settle_s=1&model=base"
    )
    start = {
        "type": "start", "language": "German", "task": "translate", "prompt": "Tolkien", "hotwords": ["Frodo", "Sam"],
        "sample_rate": 24000, "vad": False, "vad_threshold": 0.6, "step_s": 0.5, "max_pause_s": 1.5, "settle_s": 1,
        "model": "base",
    }  # fmt: skip
    with client.websocket_connect("/stream?" + query if as_query else "/stream") as socket:
        if not as_query:
            socket.send_json(start)
        socket.send_json({"type": "stop"})
        assert socket.receive_json()["type"] == "done"
    [work] = workers.stream_works
    assert work.sample_rate == 24_000
    options = work.options
    assert (options.language, options.task, options.prompt, options.hotwords) == (
        "de", Task.TRANSLATE, "Tolkien", ("Frodo", "Sam"),
    )  # fmt: skip
    assert (options.vad, options.vad_threshold, options.step_s, options.max_pause_s) == (False, 0.6, 0.5, 1.5)
    assert options.settle_s == 1


def test_without_any_field_the_first_message_may_be_audio(client: TestClient, workers: FakeWorkers) -> None:
    with client.websocket_connect("/stream") as socket:
        socket.send_bytes(SECOND)
        socket.send_json({"type": "stop"})
        receive_all(socket)
    assert workers.streams[0].pcm == [SECOND]
    assert workers.stream_works[0].sample_rate == 16_000


@pytest.mark.parametrize(
    ("query", "code", "param"),
    [
        ("beam_size=5", "unsupported_parameter", "beam_size"),
        ("sample_rate=44100", "invalid_value", "sample_rate"),
        ("task=summarize", "invalid_value", "task"),
        ("language=Klingon", "unsupported_language", "language"),
        ("step_s=99", "invalid_value", "step_s"),
        ("vad=perhaps", "invalid_value", "vad"),
        ("language=en&language=de", "invalid_value", "language"),
        ("hotwords=a,,b", "invalid_value", "hotwords"),
        ("model=large", "model_not_found", "model"),
    ],
)
def test_a_wrong_field_is_refused_by_name(client: TestClient, query: str, code: str, param: str) -> None:
    with client.websocket_connect(f"/stream?{query}") as socket:
        error, closed = refusal(socket)
    assert (error["code"], error["param"], error["type"], closed) == (code, param, "invalid_request_error", 1008)


@pytest.mark.parametrize(
    ("message", "code", "closed"),
    [
        ("hello", "invalid_json", 1007),
        ("[1]", "invalid_json", 1007),
        ('{"type": "pause"}', "unknown_message", 1003),
        ("{}", "unknown_message", 1003),
        ('{"type": "stop", "now": true}', "unsupported_parameter", 1008),
        ('{"type": "start"}', "unexpected_start", 1008),
        (b"\0\0\0", "odd_audio", 1007),
        (bytes(MAX_FRAME_BYTES + 2), "message_too_large", 1009),
        (" " * (MAX_FRAME_BYTES + 1), "message_too_large", 1009),
    ],
)
def test_a_message_that_is_none_ends_the_stream(
    client: TestClient, workers: FakeWorkers, message: str | bytes, code: str, closed: int
) -> None:
    with client.websocket_connect("/stream?language=en") as socket:
        socket.send_bytes(message) if isinstance(message, bytes) else socket.send_text(message)
        error, got = refusal(socket)
    assert (error["code"], got) == (code, closed)
    assert workers.streams[0].closed


@pytest.mark.parametrize(
    "start",
    [{"hotwords": [1]}, {"hotwords": {}}, {"prompt": 5}, {"sample_rate": None}, {"sample_rate": [16000]}, {"odd": 1}],
)
def test_a_wrong_first_message_is_refused_by_name(client: TestClient, start: dict[str, Any]) -> None:
    with client.websocket_connect("/stream") as socket:
        socket.send_json({"type": "start"} | start)
        error, closed = refusal(socket)
    assert (error["param"], closed) == (next(iter(start)), 1008)


def test_after_stop_only_cancel_is_expected(client: TestClient, workers: FakeWorkers) -> None:
    workers.takes_audio = False
    with client.websocket_connect("/stream?stop") as socket:
        assert refusal(socket)[0]["param"] == "stop"
    with client.websocket_connect("/stream") as socket:
        socket.send_json({"type": "cancel"})
        assert receive_all(socket) == ([], 1000, "")


@pytest.mark.parametrize(
    ("error", "closed", "kind"),
    [
        (ApiError(503, "loading", "The model is being loaded.", retry_after_s=5), 1013, "server_error"),
        (ApiError(429, "too_many_streams", "Full.", retry_after_s=5), 1013, "rate_limit_error"),
    ],
)
def test_a_service_that_cannot_is_tried_again_later(
    client: TestClient, workers: FakeWorkers, error: ApiError, closed: int, kind: str
) -> None:
    workers.refusal = error
    with client.websocket_connect("/stream?language=en") as socket:
        got, code = refusal(socket)
    assert (got["code"], got["type"], code) == (error.code, kind, closed)


def test_a_worker_that_dies_ends_the_stream_and_what_was_final_stays(client: TestClient, workers: FakeWorkers) -> None:
    with client.websocket_connect("/stream?language=en") as socket:
        socket.send_bytes(SECOND)
        assert socket.receive_json()["type"] == "speech_started"
        socket.receive_json()
        stream = workers.streams[0]
        client.portal.call(stream.show, ApiError(503, "worker_died", "The worker process died."))
        error, code = refusal(socket)
    assert (error["code"], code) == ("worker_died", 1011)


def test_an_unforeseen_failure_tells_nothing(client: TestClient, workers: FakeWorkers) -> None:
    workers.failure = ZeroDivisionError("secret")
    with client.websocket_connect("/stream?language=en") as socket:
        error, code = refusal(socket)
    assert (error["code"], code) == ("internal_error", 1011)
    assert "secret" not in json.dumps(error)


def test_a_client_that_falls_silent_is_closed(serve: Serve) -> None:
    client = serve(stream_idle_s=0.1)
    for path in ("/stream", "/stream?language=en"):
        with client.websocket_connect(path) as socket:
            error, code = refusal(socket)
        assert (error["code"], code) == ("stream_idle", 1008)


def test_a_worker_that_takes_no_audio_ends_the_stream(serve: Serve, workers: FakeWorkers) -> None:
    workers.takes_audio = False
    with serve(stream_idle_s=0.1).websocket_connect("/stream?language=en") as socket:
        socket.send_bytes(SECOND)
        error, code = refusal(socket)
    assert (error["code"], code) == ("overloaded", 1013)


def test_a_client_ahead_of_the_worker_is_not_read(client: TestClient, workers: FakeWorkers) -> None:
    workers.takes_audio = False
    with client.websocket_connect("/stream?language=en") as socket:
        for _ in range(5):
            socket.send_bytes(SECOND)
        assert [socket.receive_json()["type"] for _ in range(2)] == ["speech_started", "partial"]
        assert len(workers.streams[0].pcm) == 1
        client.portal.call(workers.streams[0].takes_audio.set)
        socket.send_json({"type": "stop"})
        events, code, _ = receive_all(socket)
    assert (events[-1]["duration"], code) == (5.0, 1000)


def test_a_stream_that_is_too_long_gets_its_last_text_and_is_closed(serve: Serve, workers: FakeWorkers) -> None:
    with serve(max_stream_s=2).websocket_connect("/stream?language=en") as socket:
        for _ in range(3):
            socket.send_bytes(SECOND)
        events, code, _ = receive_all(socket)
    assert [event["type"] for event in events][-4:] == ["final", "speech_stopped", "utterance_ended", "error"]
    assert (events[-1]["error"]["code"], code) == ("audio_too_long", 1008)
    assert len(workers.streams[0].pcm) == 2


def test_a_stream_that_is_too_old_is_closed(serve: Serve) -> None:
    with serve(max_stream_s=0.1, stream_idle_s=0.15).websocket_connect("/stream?language=en") as socket:
        time.sleep(0.12)
        socket.send_bytes(b"")
        error, code = refusal(socket)
    assert (error["code"], code) == ("audio_too_long", 1008)


def test_a_client_that_leaves_or_cancels_frees_its_place(client: TestClient, workers: FakeWorkers) -> None:
    for goodbye in ({"type": "cancel"}, None):
        with client.websocket_connect("/stream?language=en") as socket:
            socket.send_bytes(SECOND)
            socket.receive_json()
            if goodbye:
                socket.send_json(goodbye)
                assert receive_all(socket)[1] == 1000
        deadline = time.monotonic() + 5
        while not workers.streams[-1].closed:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert not workers.streams[-1].finished


def test_a_taken_back_partial_is_empty(client: TestClient, workers: FakeWorkers) -> None:
    with client.websocket_connect("/stream?language=en") as socket:
        socket.send_bytes(SECOND)
        for _ in range(2):
            socket.receive_json()
        client.portal.call(workers.streams[0].show, Partial(words=()))
        event = socket.receive_json()
    assert (event["text"], event["start"], event["end"]) == ("", None, None)


def test_the_documentation_names_every_field_and_every_refusal() -> None:
    text = (Path(__file__).parents[2] / "docs" / "streaming.md").read_text()
    server = Path(__file__).parents[2] / "server"
    codes = {
        code
        for name in ("live_protocol.py", "live_routes.py", "live_streams.py")
        for code in re.findall(r'ApiError\(\d+, "(\w+)"', (server / name).read_text())
    }
    assert len(codes) > 8
    for name in (*StartForm.model_fields, *codes):
        assert f"`{name}`" in text, name
