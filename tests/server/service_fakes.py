"""Stand-ins: a decoder that decodes nothing, workers without a process, recognizers for real ones. Import no torch."""

import asyncio
import json
import os
import threading
import time
import uuid
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import numpy as np

from asr.audio import Waveform
from asr.engine_counts import EngineCounts
from asr.errors import CancelledError, CheckpointError, CorruptAudioError, InvalidOptionError
from asr.options import Channels, TranscribeOptions
from asr.streaming import (
    Final,
    Partial,
    SpeechStarted,
    SpeechStopped,
    StreamingEvent,
    StreamingOptions,
    UtteranceEnded,
)
from asr.tasks import Task
from asr.ticket import Ticket
from asr.transcript import (
    Attempt,
    LanguageDetection,
    LanguageSpan,
    Progress,
    Quality,
    Segment,
    Suppressed,
    Timing,
    Transcript,
    Word,
)
from asr.voice_activity import SpeechDetection, SpeechStretch
from server.errors import ApiError
from server.live_streams import StreamUpdate
from server.messages import DecodedAudio, ModelInfo, StreamEnded, StreamWork, TranscribeWork, VadWork, Work
from server.models import DEFAULT_MODEL_ALIAS, ModelStatus
from server.pool_types import PoolStats, Result, Update, WorkerStatus
from server.worker import Place
from server.worker_seat import WorkerState

STATS = PoolStats(
    workers=1,
    workers_ready=1,
    places=8,
    queued_requests=2,
    queued_audio_s=120.0,
    running_requests=1,
    running_audio_s=11.0,
    streams=1,
    speed=60.0,
    deaths=0,
    retried=0,
    engine=EngineCounts(steps=10, window_steps=30),
)
MODEL = ModelInfo(name="base", hash="d01c", languages=("en", "de"))


def make_segment(number: int, text: str) -> Segment:
    return Segment(
        id=number,
        seek=0,
        start=2.0 * number,
        end=2.0 * number + 1.5,
        text=text,
        tokens=(50364, 7, 50464),
        temperature=0.0,
        avg_logprob=-0.25,
        compression_ratio=1.1,
        no_speech_prob=0.01,
    )


SEGMENTS = (make_segment(0, " Hello there."), make_segment(1, " How are you?"))


def make_transcript(task: Task = Task.TRANSCRIBE) -> Transcript:
    return Transcript(
        task=task,
        language="de",
        language_probs={"de": 0.9, "en": 0.1},
        duration=4.0,
        segments=SEGMENTS,
        warnings=("the header promised more audio",),
        timing=Timing(decode_audio=0.1, encode=0.2, decode=0.6, total=1.0),
    )


def make_evidence() -> Transcript:
    """A transcript with words, doubts, something left out, two languages and two channels."""
    attempt = Attempt(
        temperature=0.0,
        with_context=True,
        heard_s=30.0,
        avg_logprob=-1.5,
        compression_ratio=3.0,
        no_speech_prob=0.1,
        rejected=("loop",),
    )
    words = (
        Word(word=" Hello", start=0.0, end=0.5, probability=0.9),
        Word(word=" there.", start=0.75, end=1.5, probability=0.5),
    )
    first = replace(
        SEGMENTS[0], words=words, quality=Quality(flags=("low_probability",), attempts=(attempt,)), channel=0
    )
    second = replace(SEGMENTS[1], language="de", channel=1)
    removed = Suppressed(
        start=1.5,
        end=2.0,
        text=" Thanks!",
        reason="no_voice",
        avg_logprob=-1.0,
        compression_ratio=1.0,
        no_speech_prob=0.9,
        channel=0,
    )
    spans = (
        LanguageSpan(start=0.0, end=2.0, language="en", probability=0.9),
        LanguageSpan(start=2.0, end=4.0, language="de", probability=0.8),
    )
    return replace(make_transcript(), segments=(first, second), suppressed=(removed,), languages=spans)


STREAM_WORDS = (
    Word(word=" Hello", start=0.1, end=0.5, probability=0.9),
    Word(word=" there.", start=0.6, end=1.0, probability=0.5),
)


class FakeStream:
    """Hears speech in the first audio, and says what was said when it is told that no more comes."""

    def __init__(self) -> None:
        self.pcm: list[bytes] = []
        self.finished = False
        self.closed = False
        self.takes_audio = asyncio.Event()
        self.takes_audio.set()
        self._updates: asyncio.Queue[StreamUpdate | Exception] = asyncio.Queue()

    async def feed(self, pcm: bytes) -> None:
        self.pcm.append(pcm)
        if len(self.pcm) == 1:
            self.show(SpeechStarted(time=0.1), Partial(words=STREAM_WORDS[:1]))
        await self.takes_audio.wait()

    def show(self, *updates: StreamUpdate | Exception) -> None:
        for update in updates:
            self._updates.put_nowait(update)

    def finish(self) -> None:
        self.finished = True
        if self.pcm:
            said = (Final(words=STREAM_WORDS), SpeechStopped(time=1.0), UtteranceEnded(start=0.1, end=1.0))
            self.show(*said)
        duration = sum(map(len, self.pcm)) / 32_000
        self.show(StreamEnded(number=1, language="en", duration=duration, encode_s=0.1, decode_s=0.2, n_windows=2))

    async def updates(self) -> AsyncGenerator[StreamUpdate]:
        while True:
            update = await self._updates.get()
            if isinstance(update, Exception):
                raise update
            yield update
            if isinstance(update, StreamEnded):
                return

    def close(self) -> None:
        self.closed = True


DETECTION = LanguageDetection(language="de", language_probs={"de": 0.9, "en": 0.1})
SPEECH = SpeechDetection(duration=4.0, speech=(SpeechStretch(0.5, 1.5), SpeechStretch(2.0, 3.25)))


def keep_text(path: Path, text: bytes) -> DecodedAudio:
    """Whatever a test has to say in place of samples, filled up to whole ones."""
    padded = text + b" " * (-len(text) % 4)
    path.write_bytes(padded)
    return DecodedAudio(path=str(path), n_channels=1, n_samples=len(padded) // 4)


class FakeDecoder:
    """Hands uploads on as they are, and remembers them."""

    def __init__(self) -> None:
        self.uploads: list[bytes] = []
        self.modes: list[int] = []
        self.asked: list[tuple[Channels, float]] = []
        self.failure: Exception | None = None
        self.stopped = False

    async def start(self) -> None:
        self.stopped = False

    async def stop(self) -> None:
        self.stopped = True

    async def decode(self, path: str, *, channels: Channels, max_duration_s: float) -> DecodedAudio:
        upload = Path(path)
        self.uploads.append(upload.read_bytes())
        self.modes.append(upload.stat().st_mode & 0o777)
        self.asked.append((channels, max_duration_s))
        if self.failure:
            raise self.failure
        return keep_text(upload.with_name(uuid.uuid4().hex), self.uploads[-1])


class FakeWorkers:
    """Answers at once, remembers what it was asked, and raises what it was told to."""

    def __init__(self) -> None:
        self.status = WorkerStatus(state=WorkerState.READY, model=MODEL)
        self.stats = STATS
        self.others: list[ModelStatus] = []
        self.refusal: Exception | None = None
        self.failure: Exception | None = None
        self.fail_after_segments = 0
        self.transcript: Transcript | None = None
        self.detection = DETECTION
        self.works: list[Work] = []
        self.files: list[list[str]] = []
        """Beside each work's audio, itself among them."""
        self.stream_works: list[StreamWork] = []
        self.streams: list[FakeStream] = []
        self.takes_audio = True
        self.stopped = False

    @property
    def models(self) -> list[ModelStatus]:
        return [self.status_of(MODEL.name), *self.others]

    def status_of(self, name: str) -> ModelStatus:
        if name not in {MODEL.name, DEFAULT_MODEL_ALIAS}:
            raise ApiError(404, "model_not_found", f"model: got {name!r}, expected 'base'", param="model")
        return ModelStatus(
            name=MODEL.name, is_default=True, state=self.status.state, model=self.status.model, stats=self.stats
        )

    async def model(self, name: str) -> ModelInfo:
        model = self.status_of(name).model
        if model is None:
            self.check_admission()
        assert model is not None
        return model

    async def unload(self, name: str) -> None:
        self.status_of(name)
        raise ApiError(409, "model_is_default", "base is the default model, which stays in memory.", param="name")

    async def start(self) -> None:
        self.stopped = False

    async def stop(self) -> None:
        self.stopped = True

    def check_admission(self) -> None:
        if self.refusal:
            raise self.refusal

    @contextmanager
    def arriving(self) -> Iterator[None]:
        self.check_admission()
        yield

    async def run(self, work: Work, *, model: str = DEFAULT_MODEL_ALIAS) -> AsyncGenerator[Update]:
        self.works.append(work)
        self.files.append([path.name for path in Path(work.audio.path).parent.iterdir()])
        if isinstance(work, TranscribeWork) and work.send_segments:
            for index, segment in enumerate(self.transcript.segments if self.transcript else SEGMENTS):
                if self.failure and index == self.fail_after_segments:
                    raise self.failure
                yield segment
        if self.failure:
            raise self.failure
        if isinstance(work, TranscribeWork):
            yield Result(output=self.transcript or make_transcript(work.options.task), queue_s=0.5)
        elif isinstance(work, VadWork):
            yield Result(output=SPEECH, queue_s=0.5)
        else:
            yield Result(output=self.detection, queue_s=0.5)

    def open_stream(self, work: StreamWork, *, model: str = DEFAULT_MODEL_ALIAS) -> FakeStream:
        if self.refusal:
            raise self.refusal
        stream = FakeStream()
        if not self.takes_audio:
            stream.takes_audio.clear()
        if self.failure:
            stream.show(self.failure)
        self.stream_works.append(work)
        self.streams.append(stream)
        return stream


class StubLive:
    """A stream that says how often it was given audio and how much; its prompt says what else to do."""

    def __init__(self, prompt: str) -> None:
        self.language: str | None = None
        self.encode_s, self.decode_s = 0.1, 0.2
        self.n_decoded = 0
        self.duration = 0.0
        self._prompt = prompt
        self._is_due = self._is_over = False
        self._cancelled = threading.Event()

    def push(self, samples: np.ndarray) -> list[StreamingEvent]:
        if self._prompt == "die":
            os._exit(11)
        if self._prompt == "bug":
            raise ZeroDivisionError("secret")
        is_first = not self.duration
        self.duration += len(samples) / 16_000
        self._is_due = True
        return [SpeechStarted(time=0.0)] if is_first else []

    def end(self) -> list[StreamingEvent]:
        self._is_due = self._is_over = True
        return [SpeechStopped(time=self.duration)]

    def decode(self) -> list[StreamingEvent] | None:
        if not self._is_due:
            return None
        self._is_due = False
        if self._prompt == "slow" and self._cancelled.wait(0.3):
            raise CancelledError("the stream was cancelled")
        self.n_decoded += 1
        self.language = "en"
        words = (Word(word=f" {self.duration:.2f}", start=0.0, end=self.duration, probability=1.0),)
        return [Final(words=words)] if self._is_over else [Partial(words=words)]

    def cancel(self) -> None:
        self._cancelled.set()


class Memo(Protocol):
    """As asr.memo has it, which brings torch."""

    def get(self, key: str) -> str | None: ...

    def put(self, key: str, payload: str) -> None: ...


class StubRecognizer:
    """What a worker process runs in these tests; the upload's text says what to do (``sleep 3``, ``die`` ...)."""

    model_hash = "abc"
    languages = ("en", "de")
    stalled_s = 0.0
    counts = EngineCounts(steps=7)

    def __init__(self, name: str = "stub") -> None:
        self.model_name = name

    def transcribe(
        self,
        audio: Sequence[Waveform],
        options: TranscribeOptions,
        *,
        on_segment: Callable[[Segment], None] = lambda _: None,
        ticket: Ticket | None = None,
        on_progress: Callable[[Progress], None] = lambda _: None,
        memo: Memo | None = None,
    ) -> Transcript:
        words = audio[0].samples.tobytes().decode().split()
        if words[0] == "sleep":
            _sleep(float(words[1]), ticket or Ticket())
        elif words[0] == "deaf":
            time.sleep(float(words[1]))
        elif words[0] == "stall":
            self.stalled_s = float(words[1])
            time.sleep(60)
        elif words[0] == "hoard":
            return replace(make_transcript(), warnings=(f"{len(bytes(int(words[1])))}",))
        elif words[0] == "where":
            return replace(make_transcript(), warnings=(f"{os.getpid()}",))
        elif words[0] == "windows" and memo is not None:
            return _window_by_window(int(words[1]), float(words[2]), on_segment, on_progress, memo)
        _fail(words[0])
        for segment in SEGMENTS:
            on_segment(segment)
            if words[0] == "slowly":
                time.sleep(1)
        return make_transcript(options.task)

    def detect_language(
        self,
        audio: Waveform,
        *,
        languages: Sequence[str] = (),
        language_threshold: float = 0.0,
        ticket: Ticket | None = None,
    ) -> LanguageDetection:
        assert audio.duration > 0
        allowed = {code: p for code, p in DETECTION.language_probs.items() if code in (languages or self.languages)}
        best = max(allowed, key=allowed.__getitem__)
        return LanguageDetection(language=best if allowed[best] >= language_threshold else None, language_probs=allowed)

    def detect_speech(
        self, audio: Waveform, *, threshold: float = 0.5, ticket: Ticket | None = None
    ) -> SpeechDetection:
        assert audio.duration > 0
        return SPEECH if threshold <= 0.5 else replace(SPEECH, speech=())

    def live(self, options: StreamingOptions) -> StubLive:
        if options.language not in {None, *self.languages}:
            raise InvalidOptionError(f"language: got {options.language!r}", param="language")
        return StubLive(options.prompt)


def _window_by_window(
    n_windows: int,
    window_s: float,
    on_segment: Callable[[Segment], None],
    on_progress: Callable[[Progress], None],
    memo: Memo,
) -> Transcript:
    """A recording of so many windows, each decoded in so many seconds; what it decodes it writes into STUB_LOG."""
    segments = []
    for number in range(n_windows):
        payload = memo.get(f"window {number}")
        if payload is None:
            time.sleep(window_s)
            payload = json.dumps(f" Window {number} by {os.getpid()} at {time.monotonic_ns()}.")
            memo.put(f"window {number}", payload)
            if "STUB_LOG" in os.environ:
                with Path(os.environ["STUB_LOG"]).open("a") as log:
                    log.write(f"{number}\n")
        segments.append(make_segment(number, json.loads(payload)))
        on_segment(segments[-1])
        on_progress(Progress(done=number + 1.0, duration=float(n_windows)))
    return replace(make_transcript(), duration=float(n_windows), segments=tuple(segments))


def _fail(how: str) -> None:
    if how == "die":
        os._exit(11)
    if how == "corrupt":
        raise CorruptAudioError("no frame could be decoded")
    if how == "bug":
        raise ZeroDivisionError("secret")


def _sleep(duration_s: float, ticket: Ticket) -> None:
    """As the engine does: whoever is cancelled is let go of between two steps."""
    end = time.monotonic() + duration_s
    while time.monotonic() < end:
        if ticket.cancelled:
            raise CancelledError("the transcription was cancelled")
        time.sleep(0.01)


def load_stub(_: Place) -> StubRecognizer:
    return StubRecognizer()


def load_named(name: str, _: Place) -> StubRecognizer:
    return StubRecognizer(name)


def load_stub_for(model: str, device: str, quantization: str, _: Place) -> StubRecognizer:
    """In the place of ``server.worker.load_recognizer``."""
    return StubRecognizer(model)


class WaitingRecognizer(StubRecognizer):
    """Takes any recording, and as long for it as its first sample says: thousandths of a second."""

    def transcribe(
        self,
        audio: Sequence[Waveform],
        options: TranscribeOptions,
        *,
        on_segment: Callable[[Segment], None] = lambda _: None,
        ticket: Ticket | None = None,
        on_progress: Callable[[Progress], None] = lambda _: None,
        memo: Memo | None = None,
    ) -> Transcript:
        _sleep(float(audio[0].samples[0]) * 32.768, ticket or Ticket())  # 16-bit samples are 32,768 to full scale
        return make_transcript(options.task)


def load_waiting_for(model: str, device: str, quantization: str, _: Place) -> WaitingRecognizer:
    """In the place of ``server.worker.load_recognizer``."""
    return WaitingRecognizer(model)


def load_slowly(_: Place) -> StubRecognizer:
    time.sleep(600)
    return StubRecognizer()


def fail_to_load(_: Place) -> StubRecognizer:
    raise CheckpointError("/var/models/base/model.bin: no such file")


def die_while_loading(_: Place) -> StubRecognizer:
    os._exit(9)
