"""Streams in the worker process. In: their audio, piece by piece. Out: what they say, on the pipe to the API process.

Each stream has a thread, and its windows share the engine with everything else. A thread takes up all audio that waits
before it looks for a window to decode: where decoding falls behind, intermediate windows are skipped, audio never is.
Knows nothing of sockets.
"""

import threading
import traceback
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from asr.errors import AuricleError, CancelledError
from asr.pcm import BYTES_PER_SAMPLE, PcmReader
from asr.streaming import StreamingEvent, StreamingOptions
from server.messages import (
    Crashed,
    Failed,
    FromWorker,
    StreamAudio,
    StreamEnd,
    StreamEnded,
    StreamEvents,
    StreamFailed,
    StreamMessage,
    StreamStart,
    StreamWork,
)

__all__ = ["Live", "LiveRecognizer", "WorkerStreams"]

MIN_PIECE_S = 0.1  # taken up at once: the voice activity listens to its last seconds anew each time


class Live(Protocol):
    """What a stream needs of ``asr.live.LiveTranscriber``."""

    @property
    def language(self) -> str | None:
        """Named or detected; None while nobody has spoken."""

    @property
    def duration(self) -> float:
        """Seconds so far."""

    @property
    def encode_s(self) -> float:
        """Spent in the encoder."""

    @property
    def decode_s(self) -> float:
        """Spent in the decoder."""

    @property
    def n_decoded(self) -> int:
        """Windows so far."""

    def push(self, samples: NDArray[np.float32]) -> list[StreamingEvent]:
        """Take the next samples, mono at 16 kHz; decodes nothing."""

    def end(self) -> list[StreamingEvent]:
        """No more samples come; decodes nothing."""

    def decode(self) -> list[StreamingEvent] | None:
        """Decode the window that is due, which takes its time; None: none is."""

    def cancel(self) -> None:
        """Give up, from another thread: a window under way ends in CancelledError."""


class LiveRecognizer(Protocol):
    """What opens streams: ``asr.transcriber.Transcriber``."""

    def live(self, options: StreamingOptions) -> Live:
        """A new stream. Raises InvalidOptionError for what the model cannot serve."""


class WorkerStreams:
    """The streams of one worker process, by their numbers."""

    def __init__(self, recognizer: LiveRecognizer, send: Callable[[FromWorker], None]) -> None:
        self._recognizer = recognizer
        self._send = send
        self._streams: dict[int, _Stream] = {}

    def take(self, message: StreamMessage) -> None:
        """Begin a stream, or hand on what is for it; one that is over needs nothing more. Does not block."""
        if isinstance(message, StreamStart):
            stream = _Stream(message.number, self._recognizer, self._send)
            self._streams[message.number] = stream
            threading.Thread(target=self._run, args=(stream, message), name="stream", daemon=True).start()
            return
        known = self._streams.get(message.number)
        if known is not None:
            known.take(message)

    def _run(self, stream: "_Stream", start: StreamStart) -> None:
        try:
            stream.run(start.work)
        finally:
            del self._streams[start.number]


class _Stream:
    """One stream: ``run`` in a thread of its own, ``take`` from the one that reads the pipe."""

    def __init__(self, number: int, recognizer: LiveRecognizer, send: Callable[[FromWorker], None]) -> None:
        self._number = number
        self._recognizer = recognizer
        self._send = send
        self._inbox: SimpleQueue[StreamAudio | StreamEnd] = SimpleQueue()
        self._is_cancelled = threading.Event()
        self._live: Live | None = None

    def take(self, message: StreamAudio | StreamEnd) -> None:
        """Hand on what is for it."""
        if isinstance(message, StreamEnd) and message.is_cancelled:
            self._is_cancelled.set()
            if self._live is not None:
                self._live.cancel()
        self._inbox.put(message)

    def run(self, work: StreamWork) -> None:
        """Until it is over, and said so."""
        try:
            ended = self._follow(work)
        except CancelledError:
            return  # nobody listens
        except AuricleError as error:
            self._send(StreamFailed(cause=Failed.of(self._number, error)))
        except Exception:  # one bad stream must not take the model down with it
            self._send(StreamFailed(cause=Crashed(number=self._number, traceback=traceback.format_exc())))
        else:
            self._send(ended)

    def _follow(self, work: StreamWork) -> StreamEnded:
        live = self._live = self._recognizer.live(work.options)
        reader = PcmReader(work.sample_rate)
        is_last = False
        while not is_last:
            pcm, is_last = self._waiting(work.sample_rate)
            events = live.push(reader.read(pcm, is_last=is_last))
            self._tell([*events, *(live.end() if is_last else ())], len(pcm))
            while (decoded := self._decoded(live)) is not None:
                self._tell(decoded, 0)
        return StreamEnded(
            number=self._number,
            language=live.language,
            duration=live.duration,
            encode_s=live.encode_s,
            decode_s=live.decode_s,
            n_windows=live.n_decoded,
        )

    def _decoded(self, live: Live) -> list[StreamingEvent] | None:
        if self._is_cancelled.is_set():
            raise CancelledError("the stream was cancelled")
        return live.decode()

    def _waiting(self, sample_rate: int) -> tuple[bytes, bool]:
        """All audio that waits, at least a piece of it; and whether it is the last."""
        pieces: list[bytes] = []
        n_wanted = round(MIN_PIECE_S * sample_rate) * BYTES_PER_SAMPLE
        while n_wanted > 0 or not self._inbox.empty():
            message = self._inbox.get()
            if isinstance(message, StreamEnd):
                return b"".join(pieces), True
            pieces.append(message.pcm)
            n_wanted -= len(message.pcm)
        return b"".join(pieces), False

    def _tell(self, events: Sequence[StreamingEvent], n_bytes: int) -> None:
        if events or n_bytes:
            self._send(StreamEvents(number=self._number, events=tuple(events), n_bytes=n_bytes))
