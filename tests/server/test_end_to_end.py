"""The real command with the real model and real recordings."""

import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import httpx
import openai
import pytest
from websockets.sync.client import connect

from asr.audio import load_audio
from asr.options import TranscribeOptions
from asr.transcriber import Transcriber

pytestmark = pytest.mark.weights

ROOT = Path(__file__).parents[2]
AUDIO = Path(os.environ.get("AURICLE_SHARED_DIR", ROOT.parent / "shared")) / "golden" / "audio"
CLIP = AUDIO / "cmu_arctic-cmu_arctic_us_aew_a0001.flac"
LONG = AUDIO / "LJ001_long_5min.flac"
LOAD_PATIENCE_S = 180.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    client: httpx.Client
    pid: int

    def post(self, path: Path, route: str = "/transcribe", **fields: str) -> httpx.Response:
        with path.open("rb") as file:
            return self.client.post(route, files={"file": (path.name, file)}, data=fields)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    if not AUDIO.is_dir():
        pytest.skip(f"the recordings are not there: {AUDIO}")
    spool_dir = tmp_path_factory.mktemp("spool")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "server.cli", "--port", str(port)],
        cwd=ROOT,
        env=os.environ | {"AURICLE_SPOOL_DIR": str(spool_dir)},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=900) as client:
            wait_until_ready(client, process)
            assert process.stdout is not None
            assert f"curl -F file=@clip.wav http://127.0.0.1:{port}/transcribe" in process.stdout.readline()
            yield Running(client=client, pid=process.pid)
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=20)
    assert list(spool_dir.iterdir()) == []


def wait_until_ready(client: httpx.Client, process: "subprocess.Popen[str]") -> None:
    deadline = time.monotonic() + LOAD_PATIENCE_S
    problem = "it does not listen"
    while time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.2)
        try:
            answer = client.get("/readyz")
        except httpx.ConnectError:
            continue
        if answer.status_code == 200:
            return
        problem = answer.json()["error"]["message"]
        if answer.json()["error"]["code"] == "load_failed":
            break
    pytest.fail(f"the service does not become ready: {problem}")


def test_a_clip_becomes_text(service: Running) -> None:
    answer = service.post(CLIP, response_format="verbose_json")
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert "author of the danger trail" in body["text"].lower()
    assert body["language"] == "en"
    assert body["language_probs"]["en"] > 0.5
    assert body["timing"]["rtfx"] > 0
    assert body["segments"][0]["tokens"]
    assert "-->" in service.post(CLIP, response_format="vtt").text


def test_the_openai_client_hears_the_model(service: Running) -> None:
    api = openai.OpenAI(api_key="any", base_url=f"{service.client.base_url}/v1")
    with CLIP.open("rb") as file:
        found = api.audio.transcriptions.create(
            model="whisper-1", file=file, response_format="verbose_json", timestamp_granularities=["word"]
        )
    assert "danger trail" in found.text.lower()
    assert found.language == "english"
    assert " ".join(word.word for word in found.words) == found.text
    with CLIP.open("rb") as file:
        events = list(api.audio.transcriptions.create(model="base", file=file, stream=True))
    assert events[-1].text == found.text
    assert "".join(event.delta for event in events[:-1]) == found.text


def test_callers_of_whisper_asr_webservice_hear_it_too(service: Running) -> None:
    samples = (load_audio(CLIP).samples * 32767).astype("<i2").tobytes()
    answers = [
        service.client.post("/asr?output=txt&language=en", files={"audio_file": ("a.flac", CLIP.read_bytes())}),
        service.client.post("/asr?output=txt&language=en&encode=false", files={"audio_file": ("a.pcm", samples)}),
    ]
    assert all("danger trail" in answer.text.lower() for answer in answers)


@pytest.mark.usefixtures("base")  # skips without weights; it computes in float32, the service as it can
def test_tokens_are_the_same_through_http(service: Running) -> None:
    base = Transcriber.load("base")
    for options in (TranscribeOptions(beam_size=1), TranscribeOptions()):
        answer = service.post(CLIP, response_format="verbose_json", beam_size=str(options.beam_size)).json()
        segments = base.transcribe(CLIP, options).segments
        assert [segment["tokens"] for segment in answer["segments"]] == [list(segment.tokens) for segment in segments]
        assert [segment["avg_logprob"] for segment in answer["segments"]] == pytest.approx(
            [segment.avg_logprob for segment in segments], abs=1e-4
        )


def test_the_language_is_named(service: Running) -> None:
    answer = service.post(AUDIO / "de-common_voice_de_18235402.flac", "/detect-language")
    assert answer.json()["detected_language"] == "german"
    assert answer.json()["confidence"] > 0.5


def test_a_stream_says_what_the_recording_says(service: Running) -> None:
    samples = (load_audio(CLIP).samples * 32767).astype("<i2").tobytes()
    address = str(service.client.base_url).replace("http", "ws")
    with connect(f"{address}/stream?timestamps=word") as socket:
        for place in range(0, len(samples), 3200):
            socket.send(samples[place : place + 3200])
        socket.send(json.dumps({"type": "stop"}))
        events = [json.loads(message) for message in socket]
    finals = [event for event in events if event["type"] == "final"]
    assert events[-1]["type"] == "done"
    assert events[-1]["text"] == "".join(event["text"] for event in finals).strip()
    assert "author of the danger trail" in events[-1]["text"].lower()
    assert events[-1]["language"] == "en"
    assert events[-1]["duration"] == pytest.approx(load_audio(CLIP).duration)
    words = [word for event in finals for word in event["words"]]
    assert all(word["start"] <= word["end"] <= events[-1]["duration"] for word in words)


def test_what_is_no_audio_is_refused(service: Running, tmp_path: Path) -> None:
    text = tmp_path / "letter.wav"
    text.write_text("Dear madam, " * 1000)
    answer = service.post(text)
    assert answer.status_code in {415, 422}
    assert "/" not in answer.json()["error"]["message"].replace("audio/", "").replace("video/", "")


def test_health_during_five_minutes_of_speech_and_no_torch_in_the_api_process(service: Running) -> None:
    with ThreadPoolExecutor(1) as threads:
        # Greedy keeps the test short; how the text is decoded does not matter to the event loop.
        answer = threads.submit(service.post, LONG, beam_size="1", response_format="verbose_json")
        took = []
        while not answer.done():
            began = time.perf_counter()
            assert service.client.get("/healthz").status_code == 200
            took.append(time.perf_counter() - began)
            time.sleep(0.1)
        body = answer.result().json()
    assert 280 < body["duration"] < 320
    assert len(body["text"].split()) > 500
    assert statistics.median(took) < 0.05
    assert max(took) < 2  # two threads of the model share two cores with the service
    maps = Path(f"/proc/{service.pid}/maps")
    if maps.exists():
        assert "libtorch" not in maps.read_text()


def test_segments_stream_window_by_window(service: Running) -> None:
    """Reads two windows of ten and leaves; the fixture then ends the service while its worker is busy."""
    seeks: set[int] = set()
    with (
        LONG.open("rb") as file,
        service.client.stream(
            "POST", "/transcribe", files={"file": file}, data={"stream": "true", "beam_size": "1"}
        ) as answer,
    ):
        for line in answer.iter_lines():
            assert line in {"", "event: segment"} or line.startswith("data: ")
            if line.startswith("data: "):
                seeks.add(json.loads(line.removeprefix("data: "))["seek"])
            if len(seeks) == 2:
                break
    assert len(seeks) == 2
