"""Every refusal: its status, its code, the field it names, and that it never says where a file lies."""

from collections.abc import Callable

import pytest
from fastapi.testclient import TestClient
from httpx import Response
from service_fakes import FakeWorkers

from asr import errors
from server.errors import STATUS_OF_ERROR, ApiError, api_error_from, without_paths

STATUSES = [
    (errors.EmptyAudioError("x"), 400, "empty_file"),
    (errors.AudioTooShortError("x"), 400, "audio_too_short"),
    (errors.InvalidOptionError("x", param="beam_size"), 400, "invalid_value"),
    (errors.UnsupportedLanguageError("x", param="language"), 400, "unsupported_language"),
    (errors.UnknownModelError("x"), 404, "model_not_found"),
    (errors.AudioTooLongError("x"), 413, "audio_too_long"),
    (errors.UnsupportedMediaError("x"), 415, "unsupported_media"),
    (errors.CorruptAudioError("x"), 422, "undecodable_audio"),
    (errors.AudioError("x"), 422, "invalid_audio"),
    (errors.CheckpointError("x"), 500, "invalid_checkpoint"),
]


def post(client: TestClient, **fields: object) -> Response:
    return client.post("/transcribe", files={"file": b"audio"}, data=fields)


def check_refusal(answer: Response, status: int, code: str, param: str | None) -> str:
    assert answer.status_code == status, answer.text
    (error,) = answer.json().values()
    assert set(error) == {"message", "type", "param", "code", "request_id"}
    assert (error["code"], error["param"]) == (code, param)
    assert error["request_id"] == answer.headers["x-request-id"]
    family = "server_error" if status >= 500 else "rate_limit_error" if status == 429 else "invalid_request_error"
    assert error["type"] == family
    retries_by_itself = status in {408, 409, 429} or status >= 500
    if retries_by_itself and "retry-after" not in answer.headers:
        assert answer.headers["x-should-retry"] == "false"
    return str(error["message"])


@pytest.mark.parametrize(("error", "status", "code"), STATUSES)
@pytest.mark.parametrize("stream", ["false", "true"])
def test_every_error_of_asr(
    client: TestClient, workers: FakeWorkers, error: errors.AuricleError, status: int, code: str, stream: str
) -> None:
    workers.failure = error
    check_refusal(post(client, stream=stream), status, code, getattr(error, "param", None))


def test_the_table_is_tested_whole() -> None:
    assert {type(error) for error, _, _ in STATUSES} >= set(STATUS_OF_ERROR)


@pytest.mark.parametrize(
    ("fields", "code", "param"),
    [
        ({"colour": "red"}, "unsupported_parameter", "colour"),
        ({"timestamp_granularities[]": "word"}, "unsupported_parameter", "timestamp_granularities[]"),
        ({"response_format": "docx"}, "invalid_value", "response_format"),
        ({"response_format": "txt"}, "invalid_value", "response_format"),
        ({"timestamps": "phoneme"}, "invalid_value", "timestamps"),
        ({"plan": "random"}, "invalid_value", "plan"),
        ({"include": "tokens,colours"}, "invalid_value", "include"),
        ({"include": "suppressed", "response_format": "srt"}, "invalid_value", "include"),
        ({"languages": "de,Klingon"}, "unsupported_language", "language"),
        ({"languages[]": ["de", "fr"]}, "unsupported_language", "languages"),
        ({"languages": "de", "language": "en"}, "invalid_value", "language"),
        ({"language_threshold": "2"}, "invalid_value", "language_threshold"),
        ({"carry_prompt": "true"}, "invalid_value", "carry_prompt"),
        ({"hotwords": ["x"] * 51}, "invalid_value", "hotwords"),
        ({"hotwords": "a,,b"}, "invalid_value", "hotwords"),
        ({"hotwords": '["a'}, "invalid_value", "hotwords"),
        ({"clip_timestamps": "noon"}, "invalid_value", "clip_timestamps"),
        ({"clip_timestamps": "20-10"}, "invalid_value", "clip_timestamps"),
        ({"channels": "left"}, "invalid_value", "channels"),
        ({"vad": "perhaps"}, "invalid_value", "vad"),
        ({"vad_threshold": "0"}, "invalid_value", "vad_threshold"),
        ({"suppress_tokens": "-2"}, "invalid_value", "suppress_tokens"),
        ({"suppress_tokens": "a"}, "invalid_value", "suppress_tokens"),
        ({"max_initial_timestamp_s": "31"}, "invalid_value", "max_initial_timestamp_s"),
        ({"max_line_width": "0", "response_format": "srt"}, "invalid_value", "max_line_width"),
        ({"max_line_width": "42"}, "invalid_value", "max_line_width"),
        ({"max_line_width": "42", "response_format": "tsv"}, "invalid_value", "max_line_width"),
        ({"max_line_count": "2", "response_format": "vtt"}, "invalid_value", "max_line_count"),
        ({"language": "Klingon"}, "unsupported_language", "language"),
        ({"language": "fr"}, "unsupported_language", "language"),
        ({"task": "summarize"}, "invalid_value", "task"),
        ({"stream": "maybe"}, "invalid_value", "stream"),
        ({"beam_size": "many"}, "invalid_value", "beam_size"),
        ({"beam_size": "0"}, "invalid_value", "beam_size"),
        ({"beam_size": ["1", "2"]}, "invalid_value", "beam_size"),
        ({"temperature": "warm"}, "invalid_value", "temperature"),
        ({"temperature": "nan"}, "invalid_value", "temperature"),
        ({"temperature": "[0.2"}, "invalid_value", "temperature"),
        ({"temperature": "3"}, "invalid_value", "temperature"),
        ({"temperature": "[]"}, "invalid_value", "temperature"),
        ({"seed": "-1"}, "invalid_value", "seed"),
        ({"no_speech_threshold": "1.5"}, "invalid_value", "no_speech_threshold"),
        ({"prompt": "x" * 20_000}, "invalid_value", "prompt"),
    ],
)
def test_no_field_is_ignored(
    client: TestClient, workers: FakeWorkers, fields: dict[str, object], code: str, param: str
) -> None:
    message = check_refusal(post(client, **fields), 400, code, param)
    assert param in message
    assert workers.works == []


def test_detection_refuses_as_transcription_does(client: TestClient, workers: FakeWorkers) -> None:
    for fields, code, param in (
        ({"languages": "fr"}, "unsupported_language", "languages"),
        ({"language_threshold": "-1"}, "invalid_value", "language_threshold"),
        ({"vad": "false"}, "unsupported_parameter", "vad"),
    ):
        answer = client.post("/detect-language", files={"file": b"audio"}, data=fields)
        check_refusal(answer, 400, code, param)
    assert workers.works == []


def test_an_unknown_model(client: TestClient) -> None:
    assert "base" in check_refusal(post(client, model="large-v9"), 404, "model_not_found", "model")


def test_unknown_routes_and_methods_have_the_same_shape(client: TestClient) -> None:
    check_refusal(client.get("/nothing/here"), 404, "not_found", None)
    answer = client.get("/transcribe")
    check_refusal(answer, 405, "method_not_allowed", None)
    assert answer.headers["allow"] == "POST"


@pytest.mark.parametrize("status", [429, 503])
def test_what_may_pass_says_when_to_come_back(client: TestClient, workers: FakeWorkers, status: int) -> None:
    workers.refusal = ApiError(status, "busy", "later", retry_after_s=2.2)
    answer = post(client)
    check_refusal(answer, status, "busy", None)
    assert answer.headers["retry-after"] == "3"


def test_the_unforeseen_tells_the_log_and_nobody_else(
    serve: Callable[..., TestClient], workers: FakeWorkers, caplog: pytest.LogCaptureFixture
) -> None:
    workers.failure = ZeroDivisionError("/secret/path")
    answer = post(serve())
    message = check_refusal(answer, 500, "internal_error", None)
    assert "secret" not in message
    assert "Traceback" not in answer.text
    assert "ZeroDivisionError" in caplog.text


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("/var/spool/auricle-x/abc: no frame", "<file>: no frame"),
        ("in '/srv/models/a.bin' and ~/x/y.wav", "in '<file>' and <file>"),
        ("C:\\models\\a.bin is damaged", "<file> is damaged"),
        ("expected audio/wav, 1/2 or and/or", "expected audio/wav, 1/2 or and/or"),
        ("see /docs", "see /docs"),
    ],
)
def test_paths_are_taken_out_of_messages(message: str, shown: str) -> None:
    assert without_paths(message) == shown
    assert api_error_from(errors.CorruptAudioError, message).message == shown


def test_the_log_has_route_status_and_id_but_no_text(client: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "auricle")
    client.post("/transcribe?prompt=confidential", files={"file": ("private-name.wav", b"audio")})
    (line,) = [record for record in caplog.records if record.name == "auricle.requests"]
    assert (line.fields["route"], line.fields["status"]) == ("/transcribe", 200)
    for secret in ("confidential", "private-name", "Hello"):
        assert secret not in caplog.text
