"""whisper-asr-webservice's callers against the service: its query parameters, its form, its answers."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
from fastapi.testclient import TestClient
from httpx import Response
from service_fakes import FakeDecoder, FakeWorkers, make_evidence

from asr.audio import load_audio
from asr.tasks import Task
from server.messages import TranscribeWork

PCM = (1000 * np.sin(np.arange(16_000) / 20)).astype("<i2")


def ask(client: TestClient, query: str = "", content: bytes = b"RIFF not really", **fields: str) -> Response:
    files = {"audio_file": ("talk.mp3", io.BytesIO(content), "audio/mpeg")}
    return client.post(f"/asr{query}", files=files, data=fields)


def asked(workers: FakeWorkers) -> TranscribeWork:
    (work,) = workers.works
    assert isinstance(work, TranscribeWork)
    return work


def test_what_its_page_sends(client: TestClient, workers: FakeWorkers, decoder: FakeDecoder) -> None:
    answer = ask(client, "?encode=true&task=transcribe&vad_filter=false&word_timestamps=false&output=txt")
    assert answer.status_code == 200
    assert answer.text == "Hello there.\nHow are you?\n"
    assert answer.headers["content-type"].startswith("text/plain")
    assert answer.headers["asr-engine"] == "auricle"
    assert answer.headers["content-disposition"] == 'attachment; filename="transcript.txt"'
    assert decoder.uploads == [b"RIFF not really"]
    assert not asked(workers).options.vad


def test_every_field_arrives(client: TestClient, workers: FakeWorkers) -> None:
    query = "?task=translate&language=de&initial_prompt=Names&vad_filter=true&word_timestamps=true&diarize=false"
    assert ask(client, query).status_code == 200
    options = asked(workers).options
    assert (options.task, options.language, options.prompt) == (Task.TRANSLATE, "de", "Names")
    assert (options.vad, options.word_timestamps) == (True, True)


def test_silence_is_left_out_unless_asked_otherwise(client: TestClient, workers: FakeWorkers) -> None:
    ask(client)
    assert asked(workers).options.vad


@pytest.mark.parametrize(
    ("output", "begins"),
    [("srt", "1\n00:00:00,000 -->"), ("vtt", "WEBVTT\n"), ("tsv", "start\tend\ttext\n0\t"), ("txt", "Hello there.\n")],
)
def test_outputs(client: TestClient, output: str, begins: str) -> None:
    assert ask(client, f"?output={output}").text.startswith(begins)


def test_json_is_the_models_result(client: TestClient, workers: FakeWorkers) -> None:
    workers.transcript = make_evidence()
    body = json.loads(ask(client, "?output=json&word_timestamps=true").text)
    assert (body["text"], body["language"]) == ("Hello there. How are you?", "de")
    assert body["segments"][0]["words"][0] == {"word": " Hello", "start": 0.0, "end": 0.5, "probability": 0.9}


def test_raw_samples_become_a_recording(client: TestClient, decoder: FakeDecoder, tmp_path: Path) -> None:
    assert ask(client, "?encode=false", PCM.tobytes()).status_code == 200
    (upload,) = decoder.uploads
    assert upload.endswith(PCM.tobytes())
    (tmp_path / "raw.wav").write_bytes(upload)
    heard = load_audio(tmp_path / "raw.wav")
    assert heard.duration == 1.0
    np.testing.assert_allclose(heard.samples, PCM / 32768, atol=1e-6)


@pytest.mark.parametrize(
    ("query", "fields", "param"),
    [
        ("?output=docx", {}, "output"),
        ("?diarize=true", {}, "diarize"),
        ("?min_speakers=2", {}, "min_speakers"),
        ("?language=klingon", {}, "language"),
        ("", {"encode": "false"}, "encode"),
    ],
)
def test_what_cannot_be_served_is_refused_by_name(
    client: TestClient, query: str, fields: dict[str, str], param: str
) -> None:
    answer = ask(client, query, **fields)
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == param


def test_no_samples_are_an_empty_file(client: TestClient) -> None:
    assert ask(client, "?encode=false", b"").json()["error"]["code"] == "empty_file"


def test_its_language_detection(client: TestClient) -> None:
    answer = client.post("/detect-language?encode=true", files={"audio_file": ("a.mp3", b"RIFF not really")}).json()
    assert (answer["detected_language"], answer["language_code"], answer["confidence"]) == ("german", "de", 0.9)


def test_its_language_detection_of_raw_samples(client: TestClient, decoder: FakeDecoder) -> None:
    answer = client.post("/detect-language?encode=false", files={"audio_file": ("a.pcm", PCM.tobytes())})
    assert answer.status_code == 200
    assert decoder.uploads[0].startswith(b"RIFF")
    refused = client.post("/detect-language", files={"audio_file": ("a.pcm", PCM.tobytes())}, data={"encode": "false"})
    assert refused.json()["error"]["param"] == "encode"
