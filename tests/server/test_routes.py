"""Requests over fake workers: what each route accepts, and what it answers."""

import json
from collections.abc import Callable
from dataclasses import replace

import pytest
from fastapi.testclient import TestClient
from httpx import Response
from service_fakes import MODEL, SEGMENTS, FakeDecoder, FakeWorkers, make_evidence

from asr.formats import Layout
from asr.options import DEFAULT_TEMPERATURES, AudioContext, Channels, Plan, TranscribeOptions
from asr.tasks import Task
from asr.ticket import Lane
from asr.transcript import LanguageDetection
from server.errors import ApiError
from server.forms import TranscriptionForm
from server.messages import DetectWork, TranscribeWork, VadWork
from server.pool_types import WorkerStatus
from server.worker_seat import WorkerState

OPTION_FIELDS = TranscribeOptions.__dataclass_fields__
AUDIO = b"RIFF not really"


def post(client: TestClient, route: str = "/transcribe", **fields: object) -> Response:
    return client.post(route, files={"file": ("clip.wav", AUDIO, "audio/wav")}, data=fields)


def only_work(workers: FakeWorkers) -> TranscribeWork:
    (work,) = workers.works
    assert isinstance(work, TranscribeWork)
    return work


def events(answer: Response) -> list[tuple[str, str]]:
    assert answer.headers["content-type"].startswith("text/event-stream")
    found = []
    for block in answer.text.split("\n\n")[:-1]:
        name, *data = block.split("\n")
        found.append((name.removeprefix("event: "), "\n".join(line.removeprefix("data: ") for line in data)))
    return found


def test_the_least_one_can_send_is_a_file(client: TestClient, workers: FakeWorkers, decoder: FakeDecoder) -> None:
    answer = post(client)
    assert answer.status_code == 200
    assert answer.json() == {"text": "Hello there. How are you?"}
    assert decoder.uploads == [AUDIO]
    work = only_work(workers)
    assert work.options.temperatures == DEFAULT_TEMPERATURES
    assert work.options.language is None
    assert not work.send_segments


@pytest.mark.parametrize("media_type", ["audio/wav", "video/mp4", "application/octet-stream"])
def test_the_body_may_be_the_file_itself(
    client: TestClient, workers: FakeWorkers, decoder: FakeDecoder, media_type: str
) -> None:
    answer = client.post("/transcribe?language=German&beam_size=2", content=AUDIO, headers={"Content-Type": media_type})
    assert answer.status_code == 200
    assert decoder.uploads == [AUDIO]
    assert only_work(workers).options.language == "de"
    assert only_work(workers).options.beam_size == 2


def test_the_other_service_s_field_name_is_known(client: TestClient, decoder: FakeDecoder) -> None:
    assert client.post("/transcribe", files={"audio_file": AUDIO}).status_code == 200
    assert decoder.uploads == [AUDIO]


@pytest.mark.parametrize(
    ("priority", "lane"), [(None, Lane.INTERACTIVE), ("normal", Lane.INTERACTIVE), ("low", Lane.BULK)]
)
def test_who_may_wait_says_so(client: TestClient, workers: FakeWorkers, priority: str | None, lane: Lane) -> None:
    for more in ({}, {"stream": "true"}):
        assert post(client, **({"priority": priority} if priority else {}), **more).status_code == 200
    assert [work.lane for work in workers.works] == [lane, lane]


def test_every_field_reaches_the_options(client: TestClient, workers: FakeWorkers) -> None:
    answer = post(
        client,
        task="translate",
        language="de",
        model="base",
        timestamps="none",
        prompt="Grüße",
        temperature="0.3",
        beam_size="3",
        best_of="4",
        patience="2",
        length_penalty="0.5",
        seed="7",
        compression_ratio_threshold="2",
        logprob_threshold="none",
        no_speech_threshold="0.5",
        condition_on_previous_text="false",
        plan="parallel",
        context="exact",
        language_threshold="0.3",
        languages="German, en",
        carry_prompt="true",
        hotwords='["Smith, Ada", "Auricle"]',
        clip_timestamps="10-20.5,60-",
        channels="split",
        vad="false",
        vad_threshold="0.4",
        suppress_tokens="-1,50",
        max_initial_timestamp_s="2",
    )
    assert answer.status_code == 200
    options = only_work(workers).options
    assert options.task is Task.TRANSLATE
    assert (options.language, options.timestamps, options.prompt) == ("de", False, "Grüße")
    assert (options.temperatures, options.beam_size, options.best_of) == ((0.3,), 3, 4)
    assert (options.patience, options.length_penalty, options.seed) == (2.0, 0.5, 7)
    assert (options.compression_ratio_threshold, options.logprob_threshold) == (2.0, None)
    assert (options.no_speech_threshold, options.condition_on_previous_text) == (0.5, False)
    assert (options.languages, options.language_threshold, options.plan) == (("de", "en"), 0.3, Plan.PARALLEL)
    assert options.context is AudioContext.EXACT
    assert (options.carry_prompt, options.hotwords) == (True, ("Smith, Ada", "Auricle"))
    assert options.clip_timestamps == ((10.0, 20.5), (60.0, None))
    assert (options.channels, options.vad, options.vad_threshold) == (Channels.SPLIT, False, 0.4)
    assert (options.suppress_tokens, options.max_initial_timestamp_s) == ((-1, 50), 2.0)
    default = TranscribeOptions()
    same = [name for name in OPTION_FIELDS if getattr(options, name) == getattr(default, name)]
    assert same == ["word_timestamps"]  # does not go with timestamps=none; has its own test


def test_absent_fields_are_the_library_s_defaults(client: TestClient, workers: FakeWorkers) -> None:
    assert post(client).status_code == 200
    assert only_work(workers).options == TranscribeOptions()


def test_words_are_asked_for_as_timestamps(client: TestClient, workers: FakeWorkers) -> None:
    assert post(client, timestamps="word").status_code == 200
    assert only_work(workers).options == TranscribeOptions(word_timestamps=True)


def test_every_option_of_the_library_is_a_field() -> None:
    said_otherwise = {"temperatures": "temperature", "word_timestamps": "timestamps"}
    assert {said_otherwise.get(name, name) for name in OPTION_FIELDS} <= set(TranscriptionForm.model_fields)
    assert set(Layout.__dataclass_fields__) <= set(TranscriptionForm.model_fields)


@pytest.mark.parametrize("spelling", [["-1,50"], ["-1", "50"], ["[-1, 50]"]])
def test_lists_of_tokens(client: TestClient, workers: FakeWorkers, spelling: list[str]) -> None:
    assert post(client, **{"suppress_tokens[]": spelling}).status_code == 200
    assert only_work(workers).options.suppress_tokens == (-1, 50)


@pytest.mark.parametrize("spelling", ["none", "[]"])
def test_no_token_is_suppressed_on_request(client: TestClient, workers: FakeWorkers, spelling: str) -> None:
    assert post(client, suppress_tokens=spelling).status_code == 200
    assert only_work(workers).options.suppress_tokens == ()


@pytest.mark.parametrize("name", ["temperature", "temperature[]"])
@pytest.mark.parametrize("spelling", [["0", "0.5"], ["0,0.5"], ["[0, 0.5]"]])
def test_a_ladder_of_temperatures(client: TestClient, workers: FakeWorkers, name: str, spelling: list[str]) -> None:
    assert post(client, **{name: spelling}).status_code == 200
    assert only_work(workers).options.temperatures == (0.0, 0.5)


def test_empty_fields_are_absent_as_html_forms_send_them(client: TestClient, workers: FakeWorkers) -> None:
    assert post(client, language="", temperature="", beam_size="").status_code == 200
    assert only_work(workers).options.language is None


def test_verbose_json_has_openai_s_shape_and_more(client: TestClient) -> None:
    answer = post(client, response_format="verbose_json", include="tokens")
    body = answer.json()
    assert body["task"] == "transcribe"
    assert (body["language"], body["language_name"], body["duration"]) == ("de", "german", 4.0)
    assert body["text"] == "Hello there. How are you?"
    assert set(body["segments"][0]) == {
        "id", "seek", "start", "end", "text", "tokens", "temperature", "avg_logprob", "compression_ratio",
        "no_speech_prob", "language", "channel", "words", "quality",
    }  # fmt: skip
    assert (body["words"], body["suppressed"], body["languages"]) == ([], [], [])
    assert body["segments"][1]["start"] == 2.0
    assert body["segments"][1]["tokens"] == [50364, 7, 50464]
    assert body["language_probs"] == {"de": 0.9, "en": 0.1}
    assert body["warnings"] == ["the header promised more audio"]
    assert body["timing"] == {
        "queue": 0.5, "decode_audio": 0.1, "encode": 0.2, "decode": 0.6, "total": 1.0, "rtfx": 4.0,
    }  # fmt: skip
    assert (body["model"], body["model_hash"]) == (MODEL.name, MODEL.hash)
    assert body["request_id"] == answer.headers["x-request-id"]


def test_verbose_json_has_words_evidence_and_languages(client: TestClient, workers: FakeWorkers) -> None:
    workers.transcript = make_evidence()
    body = post(client, response_format="verbose_json", timestamps="word").json()
    first, second = body["segments"]
    assert first["words"] == [
        {"word": " Hello", "start": 0.0, "end": 0.5, "probability": 0.9},
        {"word": " there.", "start": 0.75, "end": 1.5, "probability": 0.5},
    ]
    assert [word["word"] for word in body["words"]] == ["Hello", "there."]
    assert set(body["words"][0]) == {"word", "start", "end", "probability"}
    assert first["quality"] == {"flags": ["low_probability"]}
    assert (first["language"], second["language"]) == ("en", "de")
    assert (first["channel"], second["channel"]) == (0, 1)
    assert body["suppressed"] == [
        {
            "start": 1.5, "end": 2.0, "text": " Thanks!", "reason": "no_voice", "avg_logprob": -1.0,
            "compression_ratio": 1.0, "no_speech_prob": 0.9, "channel": 0,
        }
    ]  # fmt: skip
    assert [(span["start"], span["language"]) for span in body["languages"]] == [(0.0, "en"), (2.0, "de")]


def test_attempts_are_shown_on_request(client: TestClient, workers: FakeWorkers) -> None:
    workers.transcript = make_evidence()
    body = post(client, response_format="verbose_json", **{"include[]": "attempts"}).json()
    assert body["segments"][0]["quality"]["attempts"] == [
        {
            "temperature": 0.0, "with_context": True, "heard_s": 30.0, "avg_logprob": -1.5, "compression_ratio": 3.0,
            "no_speech_prob": 0.1, "rejected": ["loop"],
        }
    ]  # fmt: skip
    assert body["segments"][1]["quality"]["attempts"] == []


@pytest.mark.parametrize(
    ("include", "in_body", "in_segments"),
    [
        ("logprobs", {"segments"}, {"avg_logprob", "words"}),
        ("tokens", {"segments"}, {"tokens"}),
        ("attempts", {"segments"}, {"quality"}),
        ("suppressed", {"suppressed"}, set()),
        ("suppressed,tokens", {"segments", "suppressed"}, {"tokens"}),
    ],
)
def test_json_shows_what_is_included(
    client: TestClient, workers: FakeWorkers, include: str, in_body: set[str], in_segments: set[str]
) -> None:
    workers.transcript = make_evidence()
    body = post(client, include=include).json()
    assert set(body) == {"text"} | in_body
    for segment in body.get("segments", []):
        assert set(segment) == {"id", "start", "end", "text"} | in_segments
    if "logprobs" in include:
        assert (body["segments"][0]["avg_logprob"], body["segments"][0]["words"][1]["probability"]) == (-0.25, 0.5)


def test_channels_and_words_are_in_the_subtitles(client: TestClient, workers: FakeWorkers) -> None:
    workers.transcript = make_evidence()
    assert "<v Channel 1>Hello<00:00:00.750><c> there.</c>" in post(client, response_format="vtt").text
    assert "[channel 2] How are you?" in post(client, response_format="srt").text


def test_subtitles_are_laid_out(client: TestClient) -> None:
    limits = {"max_line_width": "6", "max_line_count": "1", "max_words_per_line": "5"}
    answer = post(client, response_format="srt", **limits)
    assert [line for line in answer.text.split("\n") if line[:1].isalpha()] == ["Hello", "there.", "How", "are", "you?"]
    assert events(post(client, response_format="srt", stream="true", **limits))[-1] == ("done", answer.text)
    assert post(client, response_format="text", max_words_per_line="1").text == "Hello\nthere.\nHow\nare\nyou?\n"


@pytest.mark.parametrize(
    ("response_format", "media_type", "start"),
    [
        ("text", "text/plain", "Hello there.\nHow are you?"),
        ("srt", "text/plain", "1\n00:00:00,000 --> 00:00:01,500\nHello there.\n\n2\n"),
        ("vtt", "text/vtt", "WEBVTT\n\n"),
        ("tsv", "text/tab-separated-values", "start\tend\ttext\n0\t1500\tHello there.\n"),
        ("lrc", "text/plain", "[00:00.00]Hello there.\n[00:02.00]How are you?\n"),
    ],
)
def test_text_formats(client: TestClient, response_format: str, media_type: str, start: str) -> None:
    answer = post(client, response_format=response_format)
    assert answer.headers["content-type"].startswith(media_type)
    assert answer.text.startswith(start)


def test_translate_fixes_the_task(client: TestClient, workers: FakeWorkers) -> None:
    assert post(client, "/translate", response_format="verbose_json").json()["task"] == "translate"
    assert only_work(workers).options.task is Task.TRANSLATE
    refused = post(client, "/translate", task="transcribe")
    assert refused.status_code == 400
    assert refused.json()["error"]["param"] == "task"


def test_detect_language_speaks_two_dialects(client: TestClient, workers: FakeWorkers) -> None:
    answer = post(client, "/detect-language")
    assert answer.json() == {
        "language": "de",
        "language_probs": {"de": 0.9, "en": 0.1},
        "detected_language": "german",
        "language_code": "de",
        "confidence": 0.9,
    }
    assert isinstance(workers.works[0], DetectWork)


def test_detection_among_some_languages(client: TestClient, workers: FakeWorkers) -> None:
    assert post(client, "/detect-language", languages="German,en", language_threshold="0.7").status_code == 200
    work = workers.works[0]
    assert isinstance(work, DetectWork)
    assert (work.languages, work.language_threshold) == (("de", "en"), 0.7)
    post(client, "/detect-language")
    assert workers.works[1] == replace(work, audio=workers.works[1].audio, languages=(), language_threshold=0.0)


def test_where_somebody_speaks(client: TestClient, workers: FakeWorkers) -> None:
    answer = post(client, "/vad", vad_threshold="0.3")
    assert answer.status_code == 200
    assert answer.json() == {
        "duration": 4.0,
        "speech": [{"start": 0.5, "end": 1.5}, {"start": 2.0, "end": 3.25}],
        "speech_s": 2.25,
    }
    post(client, "/vad")
    assert [work.threshold for work in workers.works if isinstance(work, VadWork)] == [0.3, 0.5]
    for fields, code, param in (
        ({"vad_threshold": "0"}, "invalid_value", "vad_threshold"),
        ({"vad_threshold": "loud"}, "invalid_value", "vad_threshold"),
        ({"language": "de"}, "unsupported_parameter", "language"),
        ({"model": "large-v9"}, "model_not_found", "model"),
    ):
        error = post(client, "/vad", **fields).json()["error"]
        assert (error["code"], error["param"]) == (code, param)
    assert len(workers.works) == 2


def test_no_language_is_an_answer(client: TestClient, workers: FakeWorkers) -> None:
    workers.detection = LanguageDetection(language=None, language_probs={"de": 0.4, "en": 0.3})
    answer = post(client, "/detect-language", language_threshold="0.5")
    assert answer.status_code == 200
    assert answer.json() == {
        "language": None,
        "language_probs": {"de": 0.4, "en": 0.3},
        "detected_language": None,
        "language_code": None,
        "confidence": 0.4,
    }


def test_streamed_segments_carry_words_and_quality(client: TestClient, workers: FakeWorkers) -> None:
    workers.transcript = make_evidence()
    found = events(post(client, stream="true", timestamps="word", include="attempts"))
    first = json.loads(found[0][1])
    assert [word["word"] for word in first["words"]] == [" Hello", " there."]
    assert first["quality"]["flags"] == ["low_probability"]
    assert first["quality"]["attempts"][0]["rejected"] == ["loop"]
    plain = json.loads(events(post(client, stream="true"))[0][1])
    assert plain["quality"] == {"flags": ["low_probability"]}


def test_a_stream_has_each_segment_and_then_the_whole(client: TestClient, workers: FakeWorkers) -> None:
    found = events(post(client, stream="true", response_format="verbose_json"))
    assert [name for name, _ in found] == ["segment", "segment", "done"]
    assert json.loads(found[1][1])["text"] == SEGMENTS[1].text
    assert json.loads(found[2][1])["duration"] == 4.0
    assert only_work(workers).send_segments


def test_a_stream_may_end_in_subtitles(client: TestClient) -> None:
    streamed = events(post(client, stream="true", response_format="srt"))[-1]
    assert streamed == ("done", post(client, response_format="srt").text)


def test_an_error_before_the_first_segment_has_its_own_status(client: TestClient, workers: FakeWorkers) -> None:
    workers.failure = ApiError(422, "undecodable_audio", "damaged")
    assert post(client, stream="true").status_code == 422


def test_an_error_in_the_middle_of_a_stream_is_an_event(
    client: TestClient, workers: FakeWorkers, spooled: Callable[[], list[object]]
) -> None:
    workers.failure = ApiError(503, "worker_died", "gone", retry_after_s=5)
    workers.fail_after_segments = 1
    answer = post(client, stream="true")
    found = events(answer)
    assert [name for name, _ in found] == ["segment", "error"]
    error = json.loads(found[1][1])["error"]
    assert (error["code"], error["request_id"]) == ("worker_died", answer.headers["x-request-id"])
    assert spooled() == []


def test_health_readiness_and_models(client: TestClient, workers: FakeWorkers) -> None:
    assert client.get("/healthz").json() == {"status": "ok"}
    assert client.get("/readyz").json() == {"status": "ready", "model": "base"}
    base = {"name": "base", "default": True, "state": "ready", "hash": "d01c", "languages": ["en", "de"]}
    assert client.get("/models").json() == {"models": [base]}
    assert client.post("/models/whisper-1/load").json() == base
    assert client.post("/models/large-v9/load").json()["error"]["code"] == "model_not_found"
    kept = client.post("/models/base/unload")
    assert (kept.status_code, kept.json()["error"]["code"]) == (409, "model_is_default")
    workers.status = WorkerStatus(state=WorkerState.LOADING)
    workers.refusal = ApiError(503, "loading", "The model is being loaded.", retry_after_s=5)
    assert client.get("/healthz").status_code == 200
    (loading,) = client.get("/models").json()["models"]
    assert (loading["state"], loading["hash"]) == ("loading", None)
    for answer in (client.get("/readyz"), post(client)):
        assert answer.status_code == 503
        assert answer.headers["retry-after"] == "5"
        assert answer.json()["error"]["code"] == "loading"


@pytest.mark.parametrize("name", ["whisper-1", "base"])
def test_known_model_names(client: TestClient, name: str) -> None:
    assert post(client, model=name).status_code == 200


def test_a_request_id_is_given_or_kept(client: TestClient) -> None:
    given = client.get("/healthz").headers["x-request-id"]
    assert len(given) == 32
    assert client.get("/healthz", headers={"X-Request-Id": "mine-1.2_3"}).headers["x-request-id"] == "mine-1.2_3"
    for strange in ("a b", "x" * 65, "new%0aline;"):
        assert client.get("/healthz", headers={"X-Request-Id": strange}).headers["x-request-id"] != strange


def test_the_documentation_lets_a_person_try_it(client: TestClient) -> None:
    assert "swagger" in client.get("/docs").text.lower()
    paths = client.get("/openapi.json").json()["paths"]
    assert set(paths) == {
        "/transcribe", "/translate", "/detect-language", "/vad", "/healthz", "/readyz", "/models",
        "/v1/audio/transcriptions", "/v1/audio/translations", "/v1/models", "/v1/models/{name}", "/asr",
        "/models/{name}/load", "/models/{name}/unload", "/capacity", "/metrics",
        "/jobs", "/jobs/{id}", "/jobs/{id}/result", "/jobs/{id}/events",
    }  # fmt: skip
    form = paths["/transcribe"]["post"]["requestBody"]["content"]["multipart/form-data"]["schema"]
    assert form["properties"]["file"]["format"] == "binary"
    assert "required" not in form  # a url may stand in for the file
    assert "$ref" not in json.dumps(form)
    assert all(field["description"] for field in form["properties"].values())
    assert form["properties"]["response_format"]["enum"] == [
        "json", "verbose_json", "text", "srt", "vtt", "tsv", "lrc",
    ]  # fmt: skip
    assert form["properties"]["plan"]["enum"] == ["sequential", "parallel", "hybrid"]
    assert form["properties"]["context"]["enum"] == ["auto", "exact", "fit"]
    assert form["properties"]["clip_timestamps"]["type"] == "string"
    assert form["properties"]["hotwords"]["type"] == "array"
    detection = paths["/detect-language"]["post"]["requestBody"]["content"]["multipart/form-data"]["schema"]
    assert set(detection["properties"]) == {"file", "model", "url", "languages", "language_threshold", "encode"}
    assert all(field["description"] for field in detection["properties"].values())
