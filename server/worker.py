"""The worker process. In: jobs and streams from a pipe. Out: what is said in them, and failures, on the same pipe.

Recordings share the engine: each job has a thread, and their windows are decoded side by side; ``server.live_worker``
does the same for streams. Knows nothing of HTTP, queues or restarts: ``server.worker_pool`` does. Leaves at once when
told to, or when the pipe closes because the API process is gone.
"""

import json
import os
import signal
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Literal, Protocol, cast

from asr.engine_counts import EngineCounts
from asr.errors import AuricleError, CancelledError
from asr.options import Quantization, TranscribeOptions
from asr.streaming import StreamingOptions
from asr.ticket import Ticket
from asr.transcript import LanguageDetection, Progress, Segment, Transcript
from asr.voice_activity import SpeechDetection
from server.live_worker import Live, WorkerStreams
from server.messages import (
    Beat,
    Cancel,
    Crashed,
    DecodedAudio,
    Detected,
    Failed,
    FromWorker,
    Job,
    LoadFailed,
    ModelInfo,
    Progressed,
    Ready,
    SegmentDecoded,
    Shutdown,
    StreamMessage,
    ToWorker,
    Transcribed,
    TranscribeWork,
    VadDone,
    VadWork,
    WindowDecoded,
    lane_of,
)

if TYPE_CHECKING:
    from asr.audio import Waveform  # loads PyAV, which the API process has no use for
    from asr.memo import WindowMemo  # brings torch

__all__ = [
    "BEAT_S",
    "MAX_RUNNING",
    "Device",
    "Place",
    "Recognizer",
    "RecognizerFactory",
    "load_recognizer",
    "public_name",
    "run_worker",
]

MAX_RUNNING = 8  # recordings under way at once: as many as the engine has places for windows
BEAT_S = 1.0  # between two signs of life
NO_MEMORY = ("OutOfMemoryError", "DefaultCPUAllocator")  # torch's own, which it raises on GPUs and on CPUs
Device = Literal["auto", "cpu", "cuda"]  # as asr.transcriber has it, which cannot be imported here
SegmentCallback = Callable[[Segment], None]
ProgressCallback = Callable[[Progress], None]


class Recognizer(Protocol):
    """What the worker needs of ``asr.transcriber.Transcriber``."""

    @property
    def model_name(self) -> str:
        """The name that requests may ask for."""

    @property
    def model_hash(self) -> str:
        """Digest of the weights."""

    @property
    def languages(self) -> tuple[str, ...]:
        """Codes of the languages the model knows."""

    @property
    def stalled_s(self) -> float:
        """How long the engine has been at one step, in seconds."""

    @property
    def counts(self) -> EngineCounts:
        """What the engine has done so far."""

    def transcribe(
        self,
        audio: Sequence["Waveform"],
        options: TranscribeOptions,
        *,
        on_segment: SegmentCallback = ...,
        on_progress: ProgressCallback = ...,
        ticket: Ticket | None = None,
        memo: "WindowMemo | None" = None,
    ) -> Transcript:
        """The transcript of a recording's channels; ``on_segment`` sees each segment as it is decoded, ``memo`` each
        window."""

    def detect_language(
        self,
        audio: "Waveform",
        *,
        languages: Sequence[str] = ...,
        language_threshold: float = ...,
        ticket: Ticket | None = None,
    ) -> LanguageDetection:
        """The language of a recording, of those allowed; none below the threshold."""

    def detect_speech(
        self, audio: "Waveform", *, threshold: float = ..., ticket: Ticket | None = ...
    ) -> SpeechDetection:
        """Where in a recording somebody speaks."""

    def live(self, options: StreamingOptions) -> Live:
        """A stream, transcribed as it comes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Which of several workers of a model this is: they share the processor's cores, and spread over GPUs."""

    index: int = 0
    n_workers: int = 1


RecognizerFactory = Callable[[Place], Recognizer]


def load_recognizer(model: str, device: Device, quantization: Quantization, place: Place) -> Recognizer:
    """Load the real model; called in the worker process only."""
    # Imported here because this brings torch, and the API process imports this module to start the worker.
    import torch

    from asr.transcriber import Transcriber

    if place.n_workers > 1:
        torch.set_num_threads(max(len(os.sched_getaffinity(0)) // place.n_workers, 1))
    if device != "cpu" and torch.cuda.is_available():
        torch.cuda.set_device(place.index % torch.cuda.device_count())
    return Transcriber.load(model, device=device, quantization=quantization)


def run_worker(connection: Connection, factory: RecognizerFactory, place: Place) -> None:
    """Load the model, then do jobs until told to leave. The entry point of the process."""
    # Ctrl-C reaches the whole process group; the API process decides when the worker ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    desk, outbox = _Desk(), _Outbox(connection)
    threading.Thread(target=_receive, args=(connection, desk), daemon=True).start()
    threading.Thread(target=_beat, args=(desk, outbox), daemon=True).start()
    try:
        recognizer = factory(place)
    except Exception as error:  # whatever it is, the operator must read it at /readyz
        message = str(error) if isinstance(error, AuricleError) else "".join(traceback.format_exception_only(error))
        outbox.send(LoadFailed(message=message.strip()))
        return
    desk.recognizer = recognizer
    model = ModelInfo(
        name=public_name(recognizer.model_name), hash=recognizer.model_hash, languages=tuple(recognizer.languages)
    )
    outbox.send(Ready(model=model))
    streams = WorkerStreams(recognizer, outbox.send)
    with ThreadPoolExecutor(MAX_RUNNING, thread_name_prefix="job") as threads:
        while True:
            told = desk.told.get()
            if isinstance(told, Job):
                threads.submit(_do, told, recognizer, desk.tickets[told.number], outbox, desk)
            else:
                streams.take(told)


class _Desk:
    """What lies before the worker; the receiving thread puts it there."""

    def __init__(self) -> None:
        self.told: SimpleQueue[Job | StreamMessage] = SimpleQueue()
        self.tickets: dict[int, Ticket] = {}
        self.recognizer: Recognizer | None = None  # None while it is being loaded

    def put(self, message: Job | StreamMessage) -> None:
        if isinstance(message, Job):
            self.tickets[message.number] = Ticket(lane=lane_of(message.work))
        self.told.put(message)

    def cancel(self, number: int) -> None:
        ticket = self.tickets.get(number)
        if ticket is not None:  # else it was done just now
            ticket.cancelled = True


class _Outbox:
    """The pipe to the API process, for several threads."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._lock = threading.Lock()

    def send(self, message: FromWorker) -> None:
        with self._lock:
            self._connection.send(message)


def _beat(desk: _Desk, outbox: _Outbox) -> None:
    with suppress(OSError):  # the API process is gone; the receiving thread ends this one
        while True:
            recognizer = desk.recognizer
            stalled_s = recognizer.stalled_s if recognizer else 0.0
            outbox.send(Beat(stalled_s=stalled_s, counts=recognizer.counts if recognizer else EngineCounts()))
            time.sleep(BEAT_S)


def _receive(connection: Connection, desk: _Desk) -> None:
    # A thread of its own, so that the end of the API process is noticed during a long transcription too.
    while True:
        try:
            message = cast("ToWorker", connection.recv())
        except (EOFError, OSError):
            message = Shutdown()
        if isinstance(message, Shutdown):
            os._exit(0)  # the main thread may be deep in a matrix product, and there is nothing to save
        if isinstance(message, Cancel):
            desk.cancel(message.number)
        else:
            desk.put(message)


def public_name(model: str) -> str:
    """What clients call a model: of a path the last part only; a hub name (owner/model) stays whole."""
    path = Path(model)
    return path.name if path.is_absolute() or path.exists() else model


class _Reporter:
    """Tells the API process how a transcription goes, as far as it has asked; a ``WindowMemo`` for the recognizer."""

    def __init__(self, number: int, work: TranscribeWork, outbox: _Outbox) -> None:
        self._number = number
        self._work = work
        self._outbox = outbox
        self._windows: dict[str, str] = json.loads(work.windows.read_bytes()) if work.windows else {}

    def on_segment(self, segment: Segment) -> None:
        if self._work.send_segments:
            self._outbox.send(SegmentDecoded(number=self._number, segment=segment))

    def on_progress(self, progress: Progress) -> None:
        if self._work.windows:
            self._outbox.send(Progressed(number=self._number, progress=progress))

    def get(self, key: str) -> str | None:
        return self._windows.get(key)

    def put(self, key: str, payload: str) -> None:
        self._windows[key] = payload
        self._outbox.send(WindowDecoded(number=self._number, key=key, payload=payload))


def _do(job: Job, recognizer: Recognizer, ticket: Ticket, outbox: _Outbox, desk: _Desk) -> None:
    outcome = _outcome(job, recognizer, ticket, outbox)
    del desk.tickets[job.number]
    outbox.send(outcome)


def _outcome(job: Job, recognizer: Recognizer, ticket: Ticket, outbox: _Outbox) -> FromWorker:
    try:
        if ticket.cancelled:
            raise CancelledError("the request was cancelled before it was begun")
        return _result(job, recognizer, ticket, outbox)
    except AuricleError as error:
        return Failed.of(job.number, error)
    except Exception as error:  # one bad request must not take the model down with it
        is_out_of_memory = isinstance(error, MemoryError) or any(sign in repr(error) for sign in NO_MEMORY)
        return Crashed(number=job.number, traceback=traceback.format_exc(), is_out_of_memory=is_out_of_memory)


def _result(job: Job, recognizer: Recognizer, ticket: Ticket, outbox: _Outbox) -> FromWorker:
    work = job.work
    channels = _channels(work.audio)
    if isinstance(work, TranscribeWork):
        reporter = _Reporter(job.number, work, outbox)
        transcript = recognizer.transcribe(
            channels,
            work.options,
            on_segment=reporter.on_segment,
            on_progress=reporter.on_progress,
            ticket=ticket,
            memo=reporter if work.windows else None,
        )
        return Transcribed(number=job.number, transcript=_with_decoding(transcript, work.audio.decode_s))
    (waveform,) = channels
    if isinstance(work, VadWork):
        speech = recognizer.detect_speech(waveform, threshold=work.threshold, ticket=ticket)
        return VadDone(number=job.number, detection=speech)
    detection = recognizer.detect_language(
        waveform, languages=work.languages, language_threshold=work.language_threshold, ticket=ticket
    )
    return Detected(number=job.number, detection=detection)


def _channels(audio: DecodedAudio) -> Sequence["Waveform"]:
    from asr.audio import map_stored

    return map_stored(audio.path, n_channels=audio.n_channels, warnings=audio.warnings)


def _with_decoding(transcript: Transcript, decode_s: float) -> Transcript:
    timing = transcript.timing
    return replace(
        transcript, timing=replace(timing, decode_audio=decode_s, total=timing.total - timing.decode_audio + decode_s)
    )
