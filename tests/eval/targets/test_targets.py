import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace

import httpx
import pytest

from asr.errors import CorruptAudioError, UnknownModelError
from asr.options import TranscribeOptions
from asr.tasks import Task
from eval.errors import ClipError, TargetUnavailableError
from eval.targets import MAX_ATTEMPTS, LocalTarget, ServerTarget

OK = {"text": "hello", "language": "en", "duration": 1.5, "model_hash": "abc"}


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    path = tmp_path / "clip.wav"
    path.write_bytes(b"RIFF")
    return path


def make_server(answer: Callable[[httpx.Request], httpx.Response], *, model: str | None = None):
    waits: list[float] = []
    target = ServerTarget("http://test/", model=model, transport=httpx.MockTransport(answer), sleep=waits.append)
    return target, waits


def test_the_form_carries_file_and_options(clip: Path) -> None:
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        request.read()
        seen.append(request)
        return httpx.Response(200, json=OK)

    target, _ = make_server(answer, model="base")
    options = TranscribeOptions(task=Task.TRANSLATE, language="de", beam_size=2, temperatures=(0.0, 0.5))
    reply = target.transcribe(clip, options)
    assert (reply.text, reply.language, reply.duration, reply.model_hash) == ("hello", "en", 1.5, "abc")
    assert str(seen[0].url) == "http://test/transcribe"
    body = seen[0].content.decode()
    assert 'name="file"; filename="clip.wav"' in body
    for name, value in {
        "response_format": "verbose_json",
        "task": "translate",
        "language": "de",
        "beam_size": "2",
        "temperature": "0,0.5",
        "model": "base",
    }.items():
        assert f'name="{name}"\r\n\r\n{value}\r\n' in body
    target.transcribe(clip, TranscribeOptions())
    assert all(f'name="{name}"' not in seen[1].content.decode() for name in ("temperature", "language"))


def test_a_busy_service_is_asked_again_after_the_time_it_names(clip: Path) -> None:
    answers = iter(
        [
            httpx.Response(429, headers={"Retry-After": "3"}),
            httpx.Response(503, headers={"Retry-After": "9999"}),
            httpx.Response(503),
            httpx.Response(200, json=OK),
        ]
    )
    target, waits = make_server(lambda _: next(answers))
    assert target.transcribe(clip, TranscribeOptions()).text == "hello"
    assert waits == [3.0, 60.0, 4.0]


def test_patience_with_a_busy_service_is_bounded(clip: Path) -> None:
    body = {"error": {"message": "The queue is full.", "code": "queue_full"}}
    target, waits = make_server(lambda _: httpx.Response(429, json=body, headers={"Retry-After": "1"}))
    with pytest.raises(ClipError) as caught:
        target.transcribe(clip, TranscribeOptions())
    assert (caught.value.code, caught.value.message) == ("queue_full", "The queue is full.")
    assert len(waits) == MAX_ATTEMPTS - 1


@pytest.mark.parametrize(
    ("response", "code"),
    [
        (
            httpx.Response(422, json={"error": {"message": "bad audio", "code": "undecodable_audio"}}),
            "undecodable_audio",
        ),
        (httpx.Response(502, text="<html>"), "http_502"),
        (httpx.Response(500, json={"error": "text"}), "http_500"),
        (httpx.Response(200, text="<html>"), "unexpected_response"),
        (httpx.Response(200, json=[]), "unexpected_response"),
    ],
)
def test_a_refusal_is_the_clips_error(clip: Path, response: httpx.Response, code: str) -> None:
    target, waits = make_server(lambda _: response)
    with pytest.raises(ClipError) as caught:
        target.transcribe(clip, TranscribeOptions())
    assert caught.value.code == code
    assert not waits


def test_nobody_listening_says_what_to_do(clip: Path) -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("Connection refused", request=request)

    target, _ = make_server(refuse)
    for ask in (target.describe, lambda: target.transcribe(clip, TranscribeOptions())):
        with pytest.raises(TargetUnavailableError, match=r"http://test .*auricle-serve.*continues"):
            ask()


def test_a_lost_connection_is_the_clips_error_only_while_the_service_lives(clip: Path) -> None:
    alive = True

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/healthz" and alive:
            return httpx.Response(200)
        raise httpx.ReadError("reset", request=request)

    target, _ = make_server(answer)
    with pytest.raises(ClipError) as caught:
        target.transcribe(clip, TranscribeOptions())
    assert caught.value.code == "connection_lost"
    alive = False
    with pytest.raises(TargetUnavailableError):
        target.transcribe(clip, TranscribeOptions())


def test_a_missing_file_is_the_clips_error(tmp_path: Path) -> None:
    target, _ = make_server(lambda _: httpx.Response(200, json=OK))
    with pytest.raises(ClipError) as caught:
        target.transcribe(tmp_path / "none.wav", TranscribeOptions())
    assert caught.value.code == "unreadable_file"


def test_what_is_no_address_says_so() -> None:
    with pytest.raises(TargetUnavailableError, match="--server"):
        ServerTarget("localhost:8000").describe()


class FakeTranscriber:
    model_name, model_hash = "base", "d0"

    def __init__(self, result: SimpleNamespace | Exception) -> None:
        self.result = result

    def transcribe(self, path: Path, options: TranscribeOptions) -> SimpleNamespace:
        assert path.exists()
        assert options.beam_size == 5
        if isinstance(self.result, Exception):
            raise self.result
        return self.result


def test_the_local_engine_answers(clip: Path) -> None:
    target = LocalTarget(FakeTranscriber(SimpleNamespace(text="hi", language="en", duration=2.0)))
    assert target.transcribe(clip, TranscribeOptions()).text == "hi"
    described = target.describe()
    assert (described["model"], described["model_hash"]) == ("base", "d0")
    assert described["versions"]["torch"]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (CorruptAudioError("no"), "undecodable_audio"),
        (FileNotFoundError(2, "No such file"), "unreadable_file"),
        (IndexError("7"), "internal_error"),
    ],
)
def test_a_local_failure_is_the_clips_error(clip: Path, error: Exception, code: str) -> None:
    with pytest.raises(ClipError) as caught:
        LocalTarget(FakeTranscriber(error)).transcribe(clip, TranscribeOptions())
    assert caught.value.code == code


def test_a_model_that_does_not_load_names_the_option(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(model: str) -> None:
        raise UnknownModelError("no model of this name")

    module = ModuleType("asr.transcriber")
    module.Transcriber = SimpleNamespace(load=load)
    monkeypatch.setitem(sys.modules, "asr.transcriber", module)
    with pytest.raises(TargetUnavailableError, match="--model huge: no model"):
        LocalTarget.load("huge")
