"""The official ``openai`` client against the service, as its users have it: nothing of it is changed."""

import io
from collections.abc import Callable

import openai
import pytest
from fastapi.testclient import TestClient
from service_fakes import SEGMENTS, FakeWorkers, make_evidence

from asr.errors import CorruptAudioError
from asr.options import DEFAULT_TEMPERATURES
from asr.tasks import Task
from server.errors import ApiError, api_error_from
from server.messages import TranscribeWork

TEXT = "Hello there. How are you?"


@pytest.fixture
def api(client: TestClient) -> openai.OpenAI:
    """The client over the application; it is an ordinary HTTP client of its own kind that carries the requests."""
    return openai.OpenAI(api_key="any", base_url="http://testserver/v1", http_client=client, max_retries=0)


def clip() -> tuple[str, io.BytesIO, str]:
    return ("clip.wav", io.BytesIO(b"RIFF not really"), "audio/wav")


def asked(workers: FakeWorkers) -> TranscribeWork:
    (work,) = workers.works
    assert isinstance(work, TranscribeWork)
    return work


def test_a_transcription(api: openai.OpenAI, workers: FakeWorkers) -> None:
    found = api.audio.transcriptions.create(model="whisper-1", file=clip())
    assert found.text == TEXT
    assert (found.usage.type, found.usage.seconds) == ("duration", 4)
    assert asked(workers).options.task is Task.TRANSCRIBE
    assert asked(workers).options.temperatures == DEFAULT_TEMPERATURES


@pytest.mark.parametrize(
    ("given", "ladder"), [(0, DEFAULT_TEMPERATURES), (0.4, (0.4,))], ids=["zero is the ladder", "that one only"]
)
def test_fields_arrive(api: openai.OpenAI, workers: FakeWorkers, given: float, ladder: tuple[float, ...]) -> None:
    api.audio.transcriptions.create(
        model="base", file=clip(), language="de", prompt="Grüße", temperature=given, chunking_strategy="auto"
    )
    options = asked(workers).options
    assert (options.language, options.prompt, options.temperatures) == ("de", "Grüße", ladder)
    assert not options.word_timestamps


def test_a_translation(api: openai.OpenAI, workers: FakeWorkers) -> None:
    assert api.audio.translations.create(model="whisper-1", file=clip(), prompt="Names", temperature=0).text == TEXT
    assert asked(workers).options.task is Task.TRANSLATE


@pytest.mark.parametrize(
    ("response_format", "begins"),
    [("text", f"{TEXT}\n"), ("srt", "1\n00:00:00,000 --> "), ("vtt", "WEBVTT\n")],
)
def test_texts_and_subtitles(api: openai.OpenAI, response_format: str, begins: str) -> None:
    for create in (api.audio.transcriptions.create, api.audio.translations.create):
        assert create(model="whisper-1", file=clip(), response_format=response_format).startswith(begins)


def test_everything_with_words(api: openai.OpenAI, workers: FakeWorkers) -> None:
    workers.transcript = make_evidence()
    found = api.audio.transcriptions.create(
        model="whisper-1",
        file=clip(),
        response_format="verbose_json",
        timestamp_granularities=["word", "segment"],
    )
    assert asked(workers).options.word_timestamps
    assert (found.language, found.duration, found.text) == ("german", 4.0, TEXT)
    assert [(word.word, word.start, word.end) for word in found.words] == [("Hello", 0.0, 0.5), ("there.", 0.75, 1.5)]
    first = found.segments[0]
    assert (first.id, first.start, first.end, first.text) == (0, 0.0, 1.5, " Hello there.")
    assert (first.avg_logprob, first.compression_ratio, first.no_speech_prob) == (-0.25, 1.1, 0.01)
    assert found.usage.seconds == 4
    assert found.suppressed[0]["reason"] == "no_voice"  # ours, beside it


@pytest.mark.parametrize(
    ("asked_for", "has"), [(None, (False, True)), (["segment"], (False, True)), (["word"], (True, False))]
)
def test_only_what_was_asked_for_is_placed_in_time(
    api: openai.OpenAI, workers: FakeWorkers, asked_for: list[str] | None, has: tuple[bool, bool]
) -> None:
    workers.transcript = make_evidence()
    given = {} if asked_for is None else {"timestamp_granularities": asked_for}
    found = api.audio.transcriptions.create(model="whisper-1", file=clip(), response_format="verbose_json", **given)
    assert (found.words is not None, found.segments is not None) == has


def test_a_stream_of_text(api: openai.OpenAI) -> None:
    events = list(api.audio.transcriptions.create(model="whisper-1", file=clip(), stream=True))
    assert [event.type for event in events] == ["transcript.text.delta"] * len(SEGMENTS) + ["transcript.text.done"]
    assert "".join(event.delta for event in events[:-1]) == events[-1].text == TEXT


def test_a_stream_that_breaks_off_is_an_error(api: openai.OpenAI, workers: FakeWorkers) -> None:
    workers.failure, workers.fail_after_segments = ApiError(500, "worker_died", "The worker died."), 1
    with pytest.raises(openai.APIError, match=r"The worker died\."):
        list(api.audio.transcriptions.create(model="whisper-1", file=clip(), stream=True))


def test_models(api: openai.OpenAI) -> None:
    (found,) = api.models.list()
    assert (found.id, found.object, found.owned_by) == ("base", "model", "auricle")
    assert found.created > 1_700_000_000
    assert [api.models.retrieve(name).id for name in ("base", "whisper-1")] == ["base", "whisper-1"]
    with pytest.raises(openai.NotFoundError) as caught:
        api.models.retrieve("large-v9")
    assert (caught.value.code, caught.value.param) == ("model_not_found", "model")


# --- errors, as the client's own classes ---


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"language": "klingon"}, "language"),
        ({"temperature": 3}, "temperature"),
        ({"timestamp_granularities": ["word"]}, "timestamp_granularities"),
        ({"response_format": "verbose_json", "timestamp_granularities": ["letter"]}, "timestamp_granularities"),
        ({"response_format": "diarized_json"}, "response_format"),
        ({"response_format": "srt", "stream": True}, "stream"),
        ({"include": ["logprobs"]}, "include[]"),
        ({"chunking_strategy": {"type": "server_vad"}}, "chunking_strategy[type]"),
    ],
)
def test_what_cannot_be_served_is_refused_by_name(
    api: openai.OpenAI, workers: FakeWorkers, fields: dict, param: str
) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        api.audio.transcriptions.create(model="whisper-1", file=clip(), **fields)
    assert caught.value.param == param
    assert caught.value.type == "invalid_request_error"
    assert caught.value.request_id
    assert workers.works == []


@pytest.mark.parametrize(
    ("failure", "kind", "code"),
    [
        (api_error_from(CorruptAudioError, "no frame can be decoded"), openai.UnprocessableEntityError, "undecodable"),
        (ApiError(429, "queue_full", "busy", retry_after_s=3), openai.RateLimitError, "queue_full"),
        (ApiError(503, "loading", "loading", retry_after_s=3), openai.InternalServerError, "loading"),
        (ApiError(413, "audio_too_long", "too long"), openai.APIStatusError, "audio_too_long"),
    ],
)
def test_failures_are_the_clients_own_errors(
    api: openai.OpenAI, workers: FakeWorkers, failure: ApiError, kind: type[openai.APIStatusError], code: str
) -> None:
    workers.failure = failure
    with pytest.raises(kind) as caught:
        api.audio.transcriptions.create(model="whisper-1", file=clip())
    assert (caught.value.code or "").startswith(code)
    assert caught.value.response.headers.get("retry-after", "3") == "3"


def test_an_unknown_model_is_not_found(api: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        api.audio.transcriptions.create(model="gpt-4o-transcribe", file=clip())
    assert caught.value.code == "model_not_found"


@pytest.mark.parametrize("status", [429, 503])
def test_the_client_retries_what_a_retry_can_mend(
    client: TestClient, workers: FakeWorkers, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    monkeypatch.setattr("openai._base_client.time.sleep", waits.append)
    workers.failure = ApiError(status, "busy", "busy", retry_after_s=2)
    api = openai.OpenAI(api_key="any", base_url="http://testserver/v1", http_client=client, max_retries=2)
    with pytest.raises(openai.APIStatusError):
        api.audio.transcriptions.create(model="whisper-1", file=clip())
    assert len(workers.works) == 3
    assert waits == [2, 2]


@pytest.mark.parametrize("failure", [ApiError(500, "worker_died", "died"), RuntimeError("a defect")])
def test_the_client_does_not_retry_in_vain(
    serve: Callable[..., TestClient], workers: FakeWorkers, failure: Exception
) -> None:
    client = serve()
    workers.failure = failure
    api = openai.OpenAI(api_key="any", base_url="http://testserver/v1", http_client=client, max_retries=2)
    with pytest.raises(openai.InternalServerError):
        api.audio.transcriptions.create(model="whisper-1", file=clip())
    assert len(workers.works) == 1
