from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from asr.options import Channels, Plan, TranscribeOptions
from asr.tasks import Task
from asr.transcript import LanguageSpan, Suppressed, Word
from eval.errors import ClipError, TargetUnavailableError
from eval.targets import PhaseTimes, ServerTarget
from eval.targets.http import PATIENCE_S
from server.forms import TranscriptionForm, parse_form

OK = {
    "text": "hello",
    "language": "en",
    "duration": 1.5,
    "model_hash": "abc",
    "timing": {"queue": 9.0, "decode_audio": 0.1, "encode": 0.2, "decode": 0.3, "total": 9.9},
}
MODELS = {"models": [{"name": "base", "hash": "abc", "languages": ["en"]}]}
Answer = Callable[[httpx.Request], httpx.Response]


def make_server(answer: Answer, *, model: str | None = None):
    waits: list[float] = []
    target = ServerTarget("http://test/", model=model, transport=httpx.MockTransport(answer), sleep=waits.append)
    return target, waits


def form_of(request: httpx.Request) -> list[tuple[str, str]]:
    boundary = request.headers["content-type"].partition("boundary=")[2].encode()
    parts = [part.partition(b"\r\n\r\n") for part in request.content.split(b"--" + boundary)[1:-1]]
    fields = [(head.split(b'name="')[1].split(b'"')[0].decode(), body[:-2].decode()) for head, _, body in parts]
    return [(name, value) for name, value in fields if name != "file"]


@pytest.mark.parametrize(
    "options",
    [
        TranscribeOptions(seed=0),
        TranscribeOptions(task=Task.TRANSLATE, language="de", beam_size=2, temperatures=(0.0, 0.3), seed=7),
        TranscribeOptions(
            timestamps=False,
            prompt="Auricle, Whisper",
            patience=2.0,
            length_penalty=0.6,
            best_of=3,
            compression_ratio_threshold=None,
            logprob_threshold=None,
            no_speech_threshold=0.1 + 0.2,
            condition_on_previous_text=False,
            suppress_tokens=(),
        ),
        TranscribeOptions(
            languages=("de", "en"),
            language_threshold=0.3,
            word_timestamps=True,
            prompt="Ada",
            carry_prompt=True,
            hotwords=("Smith, Ada", "Größe"),
            clip_timestamps=((0.5, 2.25), (3.0, None)),
            channels=Channels.SPLIT,
            vad=False,
            vad_threshold=0.25,
            suppress_tokens=(-1, 50),
            max_initial_timestamp_s=2.0,
            plan=Plan.PARALLEL,
        ),
    ],
)
def test_the_service_reads_the_very_options_that_were_asked_for(clip: Path, options: TranscribeOptions) -> None:
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        request.read()
        seen.append(request)
        return httpx.Response(200, json=OK)

    target, _ = make_server(answer, model="base")
    reply = target.transcribe(clip, options)
    assert (reply.text, reply.language, reply.duration, reply.model_hash) == ("hello", "en", 1.5, "abc")
    assert reply.times == PhaseTimes(audio=0.1, encode=0.2, decode=0.3)
    assert str(seen[0].url) == "http://test/transcribe"
    assert b'name="file"; filename="clip.wav"' in seen[0].content
    form = parse_form(TranscriptionForm, form_of(seen[0]))
    assert form.options(Task(form.task)) == options
    assert (form.model, form.response_format) == ("base", "verbose_json")


def test_words_spans_and_what_was_left_out_come_back(clip: Path) -> None:
    word = {"word": " hello", "start": 0.1, "end": 0.5, "probability": 0.9}
    scores = {"avg_logprob": -0.1, "compression_ratio": 1.0, "no_speech_prob": 0.9}
    suppressed = {"start": 1.0, "end": 1.5, "text": " Thank you.", "reason": "silence", "channel": None, **scores}
    span = {"start": 0.0, "end": 1.5, "language": "en", "probability": 0.9}
    body = OK | {"segments": [{"words": [word]}], "suppressed": [suppressed], "languages": [span]}
    target, _ = make_server(lambda _: httpx.Response(200, json=body))
    reply = target.transcribe(clip, TranscribeOptions(word_timestamps=True))
    assert reply.words == (Word(**word),)
    assert (reply.languages, reply.suppressed) == ((LanguageSpan(**span),), (Suppressed(**suppressed),))
    assert target.transcribe(clip, TranscribeOptions()).words is None


def test_a_language_is_asked_for_on_its_own_route(clip: Path) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        assert request.url.path == "/detect-language"
        return httpx.Response(200, json={"language": "de", "language_probs": {"de": 1.0}})

    target, _ = make_server(answer)
    assert target.detect_language(clip).language == "de"


def test_the_service_is_described_once_it_has_loaded_its_model() -> None:
    loading = httpx.Response(503, headers={"Retry-After": "5"}, json={"error": {"code": "loading", "message": "Wait."}})
    answers = iter([loading, loading, httpx.Response(200, json=MODELS)])
    target, waits = make_server(lambda _: next(answers))
    described = target.describe()
    assert (described["target"], described["model"], described["model_hash"]) == ("http://test", "base", "abc")
    assert waits == [5.0, 5.0]
    other, _ = make_server(lambda _: httpx.Response(200, json=MODELS), model="large")
    with pytest.raises(TargetUnavailableError, match="got --model large, expected one of: base"):
        other.describe()


@pytest.mark.parametrize("response", [httpx.Response(404, text="nope"), httpx.Response(200, json={"data": []})])
def test_what_is_no_auricle_says_so(response: httpx.Response) -> None:
    target, _ = make_server(lambda _: response)
    with pytest.raises(TargetUnavailableError, match="expected the models of an Auricle"):
        target.describe()


def test_a_service_that_changes_its_model_ends_the_run(clip: Path) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json=MODELS if request.url.path == "/models" else OK | {"model_hash": "xyz"})

    target, _ = make_server(answer)
    target.describe()
    with pytest.raises(TargetUnavailableError, match="xyz, expected abc"):
        target.transcribe(clip, TranscribeOptions())


def test_a_busy_service_is_asked_again_after_the_time_it_names(clip: Path) -> None:
    answers = iter(
        [
            httpx.Response(429, headers={"Retry-After": "3"}),
            httpx.Response(503, headers={"Retry-After": "9999"}),
            httpx.Response(503, headers={"Retry-After": "0"}),
            httpx.Response(503),
            httpx.Response(200, json=OK),
        ]
    )
    target, waits = make_server(lambda _: next(answers))
    assert target.transcribe(clip, TranscribeOptions()).text == "hello"
    assert waits == [3.0, 60.0, 1.0, 60.0]


def test_patience_with_a_busy_service_is_bounded_and_blames_no_clip(clip: Path) -> None:
    body = {"error": {"message": "The queue is full.", "code": "queue_full"}}
    target, waits = make_server(lambda _: httpx.Response(429, json=body, headers={"Retry-After": "30"}))
    with pytest.raises(TargetUnavailableError, match=r"still busy after 600 s \(The queue is full\.\)"):
        target.transcribe(clip, TranscribeOptions())
    assert sum(waits) == PATIENCE_S


@pytest.mark.parametrize(
    ("response", "code"),
    [
        (
            httpx.Response(422, json={"error": {"message": "bad audio", "code": "undecodable_audio"}}),
            "undecodable_audio",
        ),
        (httpx.Response(502, text="<html>"), "http_502"),
        (httpx.Response(302, headers={"Location": "http://other"}), "http_302"),
        (httpx.Response(500, json={"error": "text"}), "http_500"),
        (httpx.Response(503, json={"error": {"message": "It died.", "code": "worker_died"}}), "worker_died"),
        (httpx.Response(200, text="<html>"), "unexpected_response"),
        (httpx.Response(200, json=[]), "unexpected_response"),
        (httpx.Response(200, json={"words": "hello"}), "unexpected_response"),
    ],
)
def test_a_refusal_is_the_clips_error(clip: Path, response: httpx.Response, code: str) -> None:
    target, waits = make_server(lambda _: response)
    for ask in (lambda: target.transcribe(clip, TranscribeOptions()), lambda: target.detect_language(clip)):
        with pytest.raises(ClipError) as caught:
            ask()
        assert caught.value.code == code
    assert not waits


def test_a_refusal_of_everybody_ends_the_run(clip: Path) -> None:
    body = {"error": {"message": "model: got 'large'", "code": "model_not_found"}}
    target, _ = make_server(lambda _: httpx.Response(404, json=body))
    with pytest.raises(TargetUnavailableError, match="model: got 'large'"):
        target.transcribe(clip, TranscribeOptions())


def test_nobody_listening_says_what_to_do(clip: Path) -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("Connection refused", request=request)

    target, _ = make_server(refuse)
    for ask in (target.describe, lambda: target.transcribe(clip, TranscribeOptions())):
        with pytest.raises(TargetUnavailableError, match=r"http://test.*auricle-serve.*continues"):
            ask()


@pytest.mark.parametrize("lost", [httpx.ReadError, httpx.DecodingError])
def test_a_lost_connection_is_the_clips_error_only_while_the_service_lives(
    clip: Path, lost: type[httpx.RequestError]
) -> None:
    alive = True

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/" and alive:
            return httpx.Response(404)
        raise lost("reset", request=request)

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


@pytest.mark.parametrize("url", ["localhost:8000", "http://", "http://[::1", "ftp://host"])
def test_what_is_no_address_says_so(url: str) -> None:
    with pytest.raises(TargetUnavailableError, match="--server"):
        ServerTarget(url)


def test_a_password_in_the_address_is_not_written_down() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        assert request.headers["Authorization"].startswith("Basic ")
        return httpx.Response(200, json=MODELS)

    target = ServerTarget("http://me:secret@test:8000", transport=httpx.MockTransport(answer))
    assert target.describe()["target"] == "http://test:8000"


@pytest.mark.parametrize("timing", [{}, {"decode_audio": None, "encode": 1, "decode": 1}, 3])
def test_times_that_cannot_be_read_are_the_clips_error(clip: Path, timing: object) -> None:
    target, _ = make_server(lambda _: httpx.Response(200, json={**OK, "timing": timing}))
    with pytest.raises(ClipError, match="expected text and timing"):
        target.transcribe(clip, TranscribeOptions())
