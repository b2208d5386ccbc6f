"""Stand-ins for the model: workers without a process, and recognizers for real worker processes. Import no torch."""

import os
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import replace
from pathlib import Path

from asr.errors import AudioTooLongError, CheckpointError, CorruptAudioError
from asr.options import TranscribeOptions
from asr.tasks import Task
from asr.transcript import (
    Attempt,
    LanguageDetection,
    LanguageSpan,
    Quality,
    Segment,
    Suppressed,
    Timing,
    Transcript,
    Word,
)
from server.messages import ModelInfo, TranscribeWork, Work
from server.worker_pool import Result, Update, WorkerState, WorkerStatus

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


DETECTION = LanguageDetection(language="de", language_probs={"de": 0.9, "en": 0.1})


class FakeWorkers:
    """Answers at once, remembers what it was asked, and raises what it was told to."""

    def __init__(self) -> None:
        self.status = WorkerStatus(state=WorkerState.READY, model=MODEL)
        self.refusal: Exception | None = None
        self.failure: Exception | None = None
        self.fail_after_segments = 0
        self.transcript: Transcript | None = None
        self.detection = DETECTION
        self.works: list[Work] = []
        self.uploads: list[bytes] = []
        self.modes: list[int] = []
        self.stopped = False

    async def start(self) -> None:
        self.stopped = False

    async def stop(self) -> None:
        self.stopped = True

    def check_admission(self) -> None:
        if self.refusal:
            raise self.refusal

    async def run(self, work: Work) -> AsyncGenerator[Update]:
        self.works.append(work)
        self.uploads.append(work.path.read_bytes())
        self.modes.append(work.path.stat().st_mode & 0o777)
        if isinstance(work, TranscribeWork) and work.send_segments:
            for index, segment in enumerate(self.transcript.segments if self.transcript else SEGMENTS):
                if self.failure and index == self.fail_after_segments:
                    raise self.failure
                yield segment
        if self.failure:
            raise self.failure
        if isinstance(work, TranscribeWork):
            yield Result(output=self.transcript or make_transcript(work.options.task), queue_s=0.5)
        else:
            yield Result(output=self.detection, queue_s=0.5)


class StubRecognizer:
    """What a worker process runs in these tests; the upload's text says what to do (``sleep 3``, ``die`` ...)."""

    model_name = "stub"
    model_hash = "abc"
    languages = ("en", "de")

    def transcribe(
        self,
        audio: Path,
        options: TranscribeOptions,
        *,
        on_segment: Callable[[Segment], None] = lambda _: None,
        max_duration_s: float | None = None,
    ) -> Transcript:
        _check_duration(audio, max_duration_s)
        words = audio.read_text().split()
        if words[0] == "sleep":
            time.sleep(float(words[1]))
        elif words[0] == "die":
            os._exit(11)
        elif words[0] == "corrupt":
            raise CorruptAudioError(f"{audio}: no frame could be decoded")
        elif words[0] == "bug":
            raise ZeroDivisionError("secret")
        for segment in SEGMENTS:
            on_segment(segment)
            if words[0] == "slowly":
                time.sleep(1)
        return make_transcript(options.task)

    def detect_language(
        self,
        audio: Path,
        *,
        languages: Sequence[str] = (),
        language_threshold: float = 0.0,
        max_duration_s: float | None = None,
    ) -> LanguageDetection:
        _check_duration(audio, max_duration_s)
        allowed = {code: p for code, p in DETECTION.language_probs.items() if code in (languages or self.languages)}
        best = max(allowed, key=allowed.__getitem__)
        return LanguageDetection(language=best if allowed[best] >= language_threshold else None, language_probs=allowed)


def _check_duration(audio: Path, max_duration_s: float | None) -> None:
    if max_duration_s is not None and audio.stat().st_size > max_duration_s:  # the stub's audio: a second a byte
        raise AudioTooLongError(f"{audio}: got {audio.stat().st_size} s, expected at most {max_duration_s:g} s")


def load_stub() -> StubRecognizer:
    return StubRecognizer()


def load_slowly() -> StubRecognizer:
    time.sleep(600)
    return StubRecognizer()


def fail_to_load() -> StubRecognizer:
    raise CheckpointError("/var/models/base/model.bin: no such file")


def die_while_loading() -> StubRecognizer:
    os._exit(9)
