"""The worker process. In: jobs from a pipe. Out: segments, transcripts and failures on the same pipe.

Recordings share the engine: each job has a thread, and their windows are decoded side by side. Knows nothing of HTTP,
queues or restarts: ``server.worker_pool`` does. Leaves at once when told to, or when the pipe closes because the API
process is gone.
"""

import os
import signal
import threading
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from pathlib import Path
from queue import SimpleQueue
from typing import Literal, Protocol, cast

from asr.errors import AuricleError, InvalidOptionError
from asr.options import Quantization, TranscribeOptions
from asr.transcript import LanguageDetection, Segment, Transcript
from server.messages import (
    Crashed,
    Detected,
    Failed,
    FromWorker,
    Job,
    LoadFailed,
    ModelInfo,
    Ready,
    SegmentDecoded,
    Shutdown,
    ToWorker,
    Transcribed,
    TranscribeWork,
)

__all__ = ["MAX_RUNNING", "Device", "Recognizer", "RecognizerFactory", "load_recognizer", "run_worker"]

MAX_RUNNING = 8  # recordings under way at once: as many as the engine has places for windows
Device = Literal["auto", "cpu", "cuda"]  # as asr.transcriber has it, which cannot be imported here
SegmentCallback = Callable[[Segment], None]


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

    def transcribe(
        self,
        audio: Path,
        options: TranscribeOptions,
        *,
        on_segment: SegmentCallback = ...,
        max_duration_s: float | None = None,
    ) -> Transcript:
        """The transcript of a file; ``on_segment`` sees each segment as it is decoded."""

    def detect_language(
        self,
        audio: Path,
        *,
        languages: Sequence[str] = ...,
        language_threshold: float = ...,
        max_duration_s: float | None = None,
    ) -> LanguageDetection:
        """The language of a file, of those allowed; none below the threshold."""


RecognizerFactory = Callable[[], Recognizer]


def load_recognizer(model: str, device: Device, quantization: Quantization) -> Recognizer:
    """Load the real model; called in the worker process only."""
    # Imported here because this brings torch, and the API process imports this module to start the worker.
    from asr.transcriber import Transcriber

    return Transcriber.load(model, device=device, quantization=quantization)


def run_worker(connection: Connection, factory: RecognizerFactory) -> None:
    """Load the model, then do jobs until told to leave. The entry point of the process."""
    # Ctrl-C reaches the whole process group; the API process decides when the worker ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    jobs: SimpleQueue[Job] = SimpleQueue()
    threading.Thread(target=_receive, args=(connection, jobs), daemon=True).start()
    try:
        recognizer = factory()
    except Exception as error:  # whatever it is, the operator must read it at /readyz
        message = str(error) if isinstance(error, AuricleError) else "".join(traceback.format_exception_only(error))
        connection.send(LoadFailed(message=message.strip()))
        return
    name = _public_name(recognizer.model_name)
    model = ModelInfo(name=name, hash=recognizer.model_hash, languages=tuple(recognizer.languages))
    outbox = _Outbox(connection)
    outbox.send(Ready(model=model))
    with ThreadPoolExecutor(MAX_RUNNING, thread_name_prefix="job") as threads:
        while True:
            threads.submit(_do, jobs.get(), recognizer, outbox)


class _Outbox:
    """The pipe to the API process, for several threads."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._lock = threading.Lock()

    def send(self, message: FromWorker) -> None:
        with self._lock:
            self._connection.send(message)


def _receive(connection: Connection, jobs: "SimpleQueue[Job]") -> None:
    # A thread of its own, so that the end of the API process is noticed during a long transcription too.
    while True:
        try:
            message = cast("ToWorker", connection.recv())
        except (EOFError, OSError):
            message = Shutdown()
        if isinstance(message, Shutdown):
            os._exit(0)  # the main thread may be deep in a matrix product, and there is nothing to save
        jobs.put(message)


def _public_name(model: str) -> str:
    # A model served from a path is known to clients by the last part only; a hub name (owner/model) stays whole.
    path = Path(model)
    return path.name if path.is_absolute() or path.exists() else model


def _ignore(_: Segment) -> None:
    return


def _do(job: Job, recognizer: Recognizer, outbox: _Outbox) -> None:
    outbox.send(_outcome(job, recognizer, outbox))


def _outcome(job: Job, recognizer: Recognizer, outbox: _Outbox) -> FromWorker:
    work = job.work

    def send_segment(segment: Segment) -> None:
        outbox.send(SegmentDecoded(number=job.number, segment=segment))

    try:
        if isinstance(work, TranscribeWork):
            transcript = recognizer.transcribe(
                work.path,
                work.options,
                on_segment=send_segment if work.send_segments else _ignore,
                max_duration_s=work.max_duration_s,
            )
            return Transcribed(number=job.number, transcript=transcript)
        detection = recognizer.detect_language(
            work.path,
            languages=work.languages,
            language_threshold=work.language_threshold,
            max_duration_s=work.max_duration_s,
        )
        return Detected(number=job.number, detection=detection)
    except AuricleError as error:
        param = error.param if isinstance(error, InvalidOptionError) else None
        message = str(error).replace(str(work.path), "the file").replace(work.path.name, "the file")
        return Failed(number=job.number, kind=type(error), message=message, param=param)
    except Exception:  # one bad request must not take the model down with it
        return Crashed(number=job.number, traceback=traceback.format_exc())
