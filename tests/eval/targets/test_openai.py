from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from asr.options import TranscribeOptions
from asr.tasks import Task
from eval.errors import ClipError, TargetUnavailableError
from eval.targets import OpenAITarget

VERBOSE = {"task": "transcribe", "language": "german", "duration": 2.5, "text": "Guten Tag", "segments": []}
REFUSED_FORMATS = [
    {"error": {"message": "response_format 'verbose_json' is not compatible", "param": "response_format", "code": "x"}},
    {"object": "error", "message": "Currently only support response_format `text`, `json`", "code": 400},
    {"detail": [{"loc": ["body", "response_format"], "msg": "Input should be 'json'"}]},
]


class Endpoint:
    """Answers from a function of the request, and remembers the requests."""

    def __init__(self, answer: Callable[[httpx.Request], httpx.Response], url: str = "http://test/v1") -> None:
        self.requests: list[httpx.Request] = []
        self._answer = answer
        transport = httpx.MockTransport(self._remember)
        self.target = OpenAITarget(url, model="whisper-1", api_key="sk-1", transport=transport, sleep=lambda _: None)

    def _remember(self, request: httpx.Request) -> httpx.Response:
        request.read()
        self.requests.append(request)
        return self._answer(request)


def has_field(request: httpx.Request, name: str, value: str) -> bool:
    return f'name="{name}"\r\n\r\n{value}\r\n'.encode() in request.content


@pytest.mark.parametrize("url", ["http://test", "http://test/", "http://test/v1", "http://test/v1/"])
def test_a_transcription_in_openais_dialect(clip: Path, url: str) -> None:
    endpoint = Endpoint(lambda _: httpx.Response(200, json=VERBOSE), url)
    options = TranscribeOptions(language="de", temperatures=(0.2,), prompt="Tag")
    reply = endpoint.target.transcribe(clip, options)
    assert (reply.text, reply.language, reply.duration, reply.model_hash) == ("Guten Tag", "de", 2.5, None)
    request = endpoint.requests[0]
    assert str(request.url) == "http://test/v1/audio/transcriptions"
    assert request.headers["Authorization"] == "Bearer sk-1"
    said = {"model": "whisper-1", "language": "de", "temperature": "0.2", "prompt": "Tag"}
    for name, value in {**said, "response_format": "verbose_json"}.items():
        assert has_field(request, name, value)
    assert endpoint.target.settings(options) == {"temperature": "0.2", "prompt": "Tag"}


def test_at_the_defaults_the_endpoint_decides(clip: Path) -> None:
    endpoint = Endpoint(lambda _: httpx.Response(200, json=VERBOSE))
    endpoint.target.transcribe(clip, TranscribeOptions())
    assert endpoint.target.settings(TranscribeOptions()) == {}
    for name in (b"temperature", b"beam_size", b"language", b"seed"):
        assert b'name="' + name not in endpoint.requests[0].content


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (TranscribeOptions(beam_size=1), "beam_size"),
        (TranscribeOptions(seed=7), "seed"),
        (TranscribeOptions(temperatures=(0.0, 0.5)), "temperature"),
        (TranscribeOptions(timestamps=False), "timestamps"),
    ],
)
def test_what_the_dialect_cannot_say_is_refused(clip: Path, options: TranscribeOptions, named: str) -> None:
    endpoint = Endpoint(lambda _: httpx.Response(200, json=VERBOSE))
    for ask in (lambda: endpoint.target.settings(options), lambda: endpoint.target.transcribe(clip, options)):
        with pytest.raises(TargetUnavailableError, match=f"no field for {named}"):
            ask()
    assert not endpoint.requests


def test_a_translation_has_its_own_route_and_no_language(clip: Path) -> None:
    body = {"task": "translate", "language": "english", "text": "Good day"}
    endpoint = Endpoint(lambda _: httpx.Response(200, json=body))
    reply = endpoint.target.transcribe(clip, TranscribeOptions(task=Task.TRANSLATE))
    assert (reply.text, reply.language) == ("Good day", None)
    assert endpoint.requests[0].url.path == "/v1/audio/translations"
    with pytest.raises(TargetUnavailableError, match="--language auto"):
        endpoint.target.transcribe(clip, TranscribeOptions(task=Task.TRANSLATE, language="de"))


@pytest.mark.parametrize("refusal", REFUSED_FORMATS)
def test_json_is_asked_for_where_verbose_json_is_refused(clip: Path, refusal: dict) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if has_field(request, "response_format", "verbose_json"):
            return httpx.Response(400, json=refusal)
        return httpx.Response(200, json={"text": "hello"})

    endpoint = Endpoint(answer)
    for _ in range(2):
        reply = endpoint.target.transcribe(clip, TranscribeOptions())
        assert (reply.text, reply.language, reply.duration) == ("hello", None, None)
    assert len(endpoint.requests) == 3  # it is not tried again with the next clip


def test_an_endpoint_that_refuses_both_formats_is_not_asked_for_ever(clip: Path) -> None:
    endpoint = Endpoint(lambda _: httpx.Response(400, json=REFUSED_FORMATS[0]))
    with pytest.raises(ClipError):
        endpoint.target.transcribe(clip, TranscribeOptions())
    assert len(endpoint.requests) == 2


@pytest.mark.parametrize(
    ("body", "language"),
    [
        (VERBOSE, "de"),
        ({"text": "x", "language": "pt-BR", "duration": "2.5"}, "pt"),
        ({"text": "x", "language": "Klingon"}, "klingon"),
    ],
)
def test_the_language_of_a_transcript_is_the_language_detected(clip: Path, body: dict, language: str) -> None:
    reply = Endpoint(lambda _: httpx.Response(200, json=body)).target.detect_language(clip)
    assert (reply.text, reply.language) == ("", language)


def test_without_a_language_nothing_is_detected(clip: Path) -> None:
    with pytest.raises(ClipError) as caught:
        Endpoint(lambda _: httpx.Response(200, json={"text": "hello"})).target.detect_language(clip)
    assert caught.value.code == "language_not_named"


@pytest.mark.parametrize(
    ("status", "body", "code", "message"),
    [
        (400, {"error": {"message": "Too short.", "type": "invalid_request_error", "code": None}}, "invalid_", "Too"),
        (500, {"error": "whisper failed"}, "http_500", "whisper failed"),
        (422, {"detail": "no audio"}, "http_422", "no audio"),
        (400, {"object": "error", "message": "bad audio", "code": 400}, "http_400", "bad audio"),
        (200, {"segments": []}, "unexpected_response", "expected text"),
        (200, {"text": "x", "duration": "long"}, "unexpected_response", "duration"),
    ],
)
def test_errors_of_peers_are_the_clips(clip: Path, status: int, body: dict, code: str, message: str) -> None:
    with pytest.raises(ClipError) as caught:
        Endpoint(lambda _: httpx.Response(status, json=body)).target.transcribe(clip, TranscribeOptions())
    assert caught.value.code.startswith(code)
    assert message in caught.value.message


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (401, {"error": {"message": "Incorrect API key provided.", "code": "invalid_api_key"}}),
        (404, {"error": {"message": "The model does not exist", "code": "model_not_found"}}),
        (429, {"error": {"message": "You exceeded your current quota", "code": "insufficient_quota"}}),
    ],
)
def test_what_no_clip_can_help_ends_the_run(clip: Path, status: int, body: dict) -> None:
    endpoint = Endpoint(lambda _: httpx.Response(status, json=body))
    with pytest.raises(TargetUnavailableError, match=body["error"]["message"]) as caught:
        endpoint.target.transcribe(clip, TranscribeOptions())
    assert "--api-key-env" in str(caught.value)
    assert "sk-1" not in str(caught.value)
    assert len(endpoint.requests) == 1


def test_the_description_needs_an_answer_but_no_list_of_models() -> None:
    described = Endpoint(lambda _: httpx.Response(404)).target.describe()
    assert (described["target"], described["model"]) == ("http://test", "whisper-1")
    assert "sk-1" not in str(described)
    with pytest.raises(TargetUnavailableError, match="API key"):
        Endpoint(lambda _: httpx.Response(401)).target.describe()

    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("Connection refused", request=request)

    with pytest.raises(TargetUnavailableError, match="no answer"):
        Endpoint(refuse).target.describe()
