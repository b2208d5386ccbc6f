"""The real application on a loopback port, over workers without a model; and services that break their promises."""

import io
import json
import shutil
import threading
import time
import wave
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import httpx
import pytest
import uvicorn
from typer.testing import CliRunner

from asr.errors import CorruptAudioError, UnsupportedMediaError
from asr.options import Channels, TranscribeOptions
from asr.tasks import Task
from asr.transcript import LanguageDetection, Segment, Timing, Transcript
from eval.cli import app as cli
from eval.corpora import Corpus, read_manifest
from eval.errors import TargetUnavailableError
from eval.hypotheses import read_run
from eval.jobs import Job
from eval.runner import RunPlan, run_corpus
from eval.scoring import score_run
from eval.serve_check import check_corpus, check_protocol, made_recording, recording_of
from eval.targets import PhaseTimes, ServerTarget
from server.app import create_app
from server.errors import ApiError, api_error_from
from server.messages import DecodedAudio, ModelInfo, TranscribeWork, Work
from server.models import DEFAULT_MODEL_ALIAS, ModelStatus
from server.pool_types import Result, WorkerStatus
from server.settings import Settings
from server.worker_seat import WorkerState

MODEL = ModelInfo(name="base", hash="d01c", languages=("en", "de", "zh"))
LOADING = WorkerStatus(state=WorkerState.LOADING)
READY = WorkerStatus(state=WorkerState.READY, model=MODEL)
CHECKS = [
    *("alive", "ready", "model", "empty file", "not audio", "unknown option", "wrong value", "unknown model"),
    *("verbose_json", "json", "text", "srt", "vtt", "stream", "detect-language"),
]
runner = CliRunner()


class FakeDecoder:
    """Hands uploads on as they are; what is no WAV file is refused."""

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def decode(self, path: str, *, channels: Channels, max_duration_s: float) -> DecodedAudio:
        if not Path(path).read_bytes().startswith(b"RIFF"):
            raise api_error_from(UnsupportedMediaError, "got text, expected audio")
        return DecodedAudio(path=shutil.copy(path, f"{path}.samples"), n_channels=1, n_samples=32_000)


class FakeWorkers:
    """Answers with the text for the file's bytes."""

    def __init__(self) -> None:
        self.status = READY
        self.texts: dict[bytes, str] = {}
        self.works: list[Work] = []
        self.segments_of: Callable[[str], list[str]] = str.splitlines

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    @property
    def models(self) -> list[ModelStatus]:
        return [ModelStatus(name="base", is_default=True, state=self.status.state, model=self.status.model, stats=None)]

    def status_of(self, name: str) -> ModelStatus:
        return self.models[0]

    async def model(self, name: str) -> ModelInfo:
        self.check_admission()
        if name not in {"base", DEFAULT_MODEL_ALIAS}:
            raise ApiError(404, "model_not_found", f"model: got {name!r}, expected 'base'", param="model")
        return MODEL

    def check_admission(self) -> None:
        if self.status.state is not WorkerState.READY:
            raise ApiError(503, "loading", "The model is being loaded.", retry_after_s=1)

    def arriving(self) -> AbstractContextManager[None]:
        self.check_admission()
        return nullcontext()

    async def run(self, work: Work, *, model: str = DEFAULT_MODEL_ALIAS) -> AsyncGenerator[Segment | Result]:
        self.works.append(work)
        data = Path(work.audio.path).read_bytes()
        text = self.texts.get(data, "Fish & chips <now>\n--> and 3 more:\n7")
        if not text.isprintable() and "\0" in text:
            raise api_error_from(CorruptAudioError, "no frame could be decoded")
        if not isinstance(work, TranscribeWork):
            yield Result(output=LanguageDetection(language="de", language_probs={"de": 0.9}), queue_s=0)
            return
        segments = tuple(_segment(number, line) for number, line in enumerate(self.segments_of(text)))
        for segment in segments if work.send_segments else ():
            yield segment
        timing = Timing(decode_audio=0.1, encode=0.2, decode=0.3, total=0.7)
        task, language = work.options.task, work.options.language or "de"
        transcript = Transcript(task=task, language=language, duration=2.0, segments=segments, timing=timing)
        yield Result(output=transcript, queue_s=0.0)


def _segment(number: int, text: str) -> Segment:
    return Segment(
        id=number,
        seek=0,
        start=2.0 * number,
        end=2.0 * number + 1.5,
        text=f" {text}",
        tokens=(),
        temperature=0.0,
        avg_logprob=-0.2,
        compression_ratio=1.0,
        no_speech_prob=0.0,
    )


@pytest.fixture
def workers() -> FakeWorkers:
    return FakeWorkers()


@pytest.fixture
def url(workers: FakeWorkers, tmp_path: Path) -> Iterator[str]:
    spool = tmp_path / "spool"
    spool.mkdir()
    config = uvicorn.Config(create_app(Settings(spool_dir=spool), workers, FakeDecoder()), port=0, log_config=None)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.01)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(10)


@pytest.fixture
def corpus(write_manifest, workers: FakeWorkers) -> Corpus:
    """The clips of ``write_manifest`` as files that the fake workers know, all answered without a mistake."""
    corpus = read_manifest(write_manifest())
    for number, clip in enumerate(corpus.utterances):
        data = b"RIFF" + bytes([number])
        clip.path.write_bytes(data)
        workers.texts[data] = clip.text or ""
    return corpus


def test_a_corpus_goes_through_the_real_service(url, corpus, workers, tmp_path, progress) -> None:
    plan = RunPlan(corpus=corpus, options=TranscribeOptions(beam_size=2, seed=7))
    summary = run_corpus(plan, ServerTarget(url, model="base"), tmp_path / "out", progress)
    assert {clip_id: hypothesis.text for clip_id, hypothesis in summary.hypotheses.items()} == {
        clip.id: clip.text for clip in corpus.utterances if clip.text is not None
    }
    heard = [work.options for work in workers.works]
    assert [options.language for options in heard] == ["en", "de", None, "zh"]
    assert {(options.beam_size, options.seed, options.task) for options in heard} == {(2, 7, Task.TRANSCRIBE)}
    hypothesis = summary.hypotheses["en-1"]
    assert (hypothesis.model_hash, hypothesis.times) == ("d01c", PhaseTimes(audio=0.1, encode=0.2, decode=0.3))
    assert read_run(tmp_path / "out").config["model_hash"] == "d01c"
    detection = RunPlan(corpus=corpus, options=plan.options, job=Job.DETECT_LANGUAGE)
    named = run_corpus(detection, ServerTarget(url), tmp_path / "languages", progress)
    assert {hypothesis.language for hypothesis in named.hypotheses.values()} == {"de"}


def test_a_target_waits_for_a_service_that_is_loading(url, workers) -> None:
    workers.status = LOADING
    waits: list[float] = []

    def sleep(wait_s: float) -> None:
        waits.append(wait_s)
        workers.status = READY

    assert ServerTarget(url, sleep=sleep).describe()["model"] == "base"
    assert waits == [1.0]


def test_the_service_keeps_its_promises(url, workers) -> None:
    checks = list(check_protocol(url, made_recording(), model="base", wait_s=1))
    assert [check.name for check in checks] == CHECKS
    assert [(check.name, check.got) for check in checks if not check.passed] == []
    assert {work.options.temperatures for work in workers.works if isinstance(work, TranscribeWork)} >= {(0.0,)}


def test_silence_is_the_same_text_too(url, workers) -> None:
    workers.segments_of = lambda _: []
    assert all(check.passed for check in check_protocol(url, made_recording(), wait_s=1))


def test_a_service_that_says_other_things_in_other_formats_fails(url, workers) -> None:
    workers.segments_of = lambda _: [f"version {len(workers.works)}"]
    failed = [check.name for check in check_protocol(url, made_recording(), wait_s=1) if not check.passed]
    assert failed == ["json", "text", "srt", "vtt", "stream"]


def test_the_wait_for_the_model_is_bounded(url, workers) -> None:
    workers.status = LOADING
    waits: list[float] = []
    checks = list(check_protocol(url, made_recording(), wait_s=3, sleep=waits.append))
    assert [(check.name, check.passed) for check in checks] == [("alive", True), ("ready", False)]
    assert "still busy after 3 s (The model is being loaded.)" in checks[-1].got
    assert sum(waits) == 3


def test_nobody_there_is_asked_nothing_more() -> None:
    waits: list[float] = []
    (alive,) = check_protocol("http://127.0.0.1:9", made_recording(), wait_s=2, sleep=waits.append)
    assert not alive.passed
    assert "ConnectError" in alive.got
    assert sum(waits) == pytest.approx(2, abs=0.1)
    with pytest.raises(TargetUnavailableError, match="expected http"):
        list(check_protocol("localhost:8000", made_recording(), wait_s=2))


def test_a_proxy_without_a_service_is_not_waited_for_again_and_again() -> None:
    waits: list[float] = []
    transport = httpx.MockTransport(lambda _: httpx.Response(503, text="no upstream"))
    (alive,) = check_protocol("http://test", made_recording(), wait_s=3, transport=transport, sleep=waits.append)
    assert not alive.passed
    assert "no upstream" in alive.got
    assert sum(waits) <= 3


@pytest.mark.parametrize("models", [{"models": 3}, {"models": [{"hash": "d0", "languages": True}]}, {}])
def test_a_service_that_answers_nonsense_fails_and_does_not_end_the_check(models) -> None:
    answers = {"/healthz": {"status": "ok"}, "/readyz": {"status": "ready"}, "/models": models}
    transport = httpx.MockTransport(lambda request: httpx.Response(200, json=answers[request.url.path]))
    checks = list(check_protocol("http://test", made_recording(), wait_s=0, transport=transport))
    assert [check.passed for check in checks] == [True, True, False]


def test_a_service_that_takes_anything_fails_every_refusal() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        match request.url.path:
            case "/healthz":
                return httpx.Response(200, json={"status": "ok"})
            case "/readyz":
                return httpx.Response(200, json={"status": "ready"})
            case "/models":
                return httpx.Response(200, json={"models": [{"name": "base", "hash": "d0", "languages": ["en"]}]})
        return httpx.Response(200, json={"text": "anything"})

    transport = httpx.MockTransport(answer)
    checks = list(check_protocol("http://test", made_recording(), wait_s=0, transport=transport))
    assert [check.name for check in checks if check.passed] == ["alive", "ready", "model"]
    other = list(check_protocol("http://test", made_recording(), model="large", wait_s=0, transport=transport))
    assert [check.passed for check in other] == [True, True, False]


@pytest.mark.parametrize(
    "error",
    [
        {"message": "No.", "type": "invalid_request_error", "param": "file", "code": "no", "request_id": "1"},
        {"message": "No such option."},
        "no",
    ],
)
def test_a_refusal_that_names_nothing_fails(url, error) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.method == "POST" and b"no_such_option" in request.read():
            return httpx.Response(400, json={"error": error})
        return httpx.Client().send(
            httpx.Request(
                request.method,
                url + request.url.path,
                content=request.read(),
                headers={"Content-Type": request.headers.get("Content-Type", "")},
            )
        )

    transport = httpx.MockTransport(answer)
    checks = check_protocol("http://test", made_recording(), wait_s=0, transport=transport)
    assert [check.name for check in checks if not check.passed] == ["unknown option"]


def test_the_made_recording_is_a_wav_file() -> None:
    with wave.open(io.BytesIO(made_recording().data)) as reader:
        assert (reader.getframerate(), reader.getnchannels(), reader.getnframes()) == (16_000, 1, 32_000)
    assert made_recording() == made_recording()


def test_the_shortest_clip_with_speech_is_asked_for(corpus) -> None:
    assert recording_of(corpus).name == "de-1.wav"
    assert recording_of(Corpus(name="none", sha256="", utterances=())) == made_recording()


def test_a_corpus_is_judged_by_its_failures_and_its_rate(corpus, tmp_path, fake_target, progress, clip_error) -> None:
    right = {clip.id: clip.text for clip in corpus.utterances}
    run_corpus(RunPlan(corpus=corpus, options=TranscribeOptions()), fake_target(right), tmp_path / "right", progress)
    run = read_run(tmp_path / "right")
    verdict = check_corpus(run, score_run(run), fail_above=0.0)
    assert [(check.name, check.passed) for check in verdict.checks] == [("corpus answered", True), ("error rate", True)]
    assert verdict.latency.n == 4
    assert verdict.latency.p50 <= verdict.latency.p95 <= verdict.latency.p99
    wrong = fake_target(dict.fromkeys(right, clip_error))
    run_corpus(RunPlan(corpus=corpus, options=TranscribeOptions()), wrong, tmp_path / "wrong", progress)
    run = read_run(tmp_path / "wrong")
    verdict = check_corpus(run, score_run(run), fail_above=0.5)
    assert [check.passed for check in verdict.checks] == [False, False]
    assert "4 × undecodable_audio (en-1)" in verdict.checks[0].got
    assert verdict.checks[1].got == "100.00 %"
    assert (verdict.latency, verdict.failures) == (None, {"undecodable_audio": ["en-1", "de-1", "silence", "zh-1"]})


def test_the_command_passes_a_good_service(url, corpus, write_manifest, tmp_path) -> None:
    file = tmp_path / "check.json"
    manifest = str(tmp_path / "corpus" / "manifest.jsonl")
    out = tmp_path / "out"
    options = ["--corpus", manifest, "--fail-above", "1%", "--json", str(file), "--out", str(out), "--model", "base"]
    result = runner.invoke(cli, ["serve-check", url, *options])
    assert result.exit_code == 0, result.output
    assert "detect-language" in result.stdout
    assert "Error rate: 0.0" in result.stdout
    assert "passed: 17 checks" in result.stderr
    report = json.loads(file.read_text("utf-8"))
    assert report["passed"]
    assert report["corpus"]["latency_s"]["n"] == 4
    assert report["corpus"]["scores"]["overall"]["wer"] == 0.0
    assert len(read_run(out).hypotheses) == 4


def test_the_command_fails_a_bad_one(url, corpus, workers, tmp_path) -> None:
    manifest = str(tmp_path / "corpus" / "manifest.jsonl")
    workers.texts[b"RIFF\0"] = "The dog sat."
    result = runner.invoke(cli, ["serve-check", url, "--corpus", manifest, "--fail-above", "1%"])
    assert result.exit_code == 1
    assert "FAILED: 1 of 17 checks" in result.stderr
    assert runner.invoke(cli, ["serve-check", url, "--corpus", manifest]).exit_code == 0  # any rate will do
    workers.texts[b"RIFF\0"] = "\0"
    result = runner.invoke(cli, ["serve-check", url, "--corpus", manifest])
    assert result.exit_code == 1
    assert "1 × undecodable_audio (en-1)" in result.stdout


def test_the_command_needs_no_corpus(url) -> None:
    result = runner.invoke(cli, ["serve-check", url])
    assert result.exit_code == 0, result.output
    assert "passed: 15 checks" in result.stderr
    assert runner.invoke(cli, ["serve-check", url, "--fail-above", "1%"]).exit_code == 2
    gone = runner.invoke(cli, ["serve-check", "http://127.0.0.1:9", "--wait", "0"])
    assert gone.exit_code == 1
    assert "FAILED: 1 of 1 checks" in gone.stderr
