"""Streams at a worker, seen from the API process. In: audio from a client. Out: what the worker says of it.

A worker has as many streams as it can keep up with; there is no queue for more. A client that is ahead of the worker
waits in ``feed``. A stream ends with its worker: nobody could say again what was spoken. Everything here runs on the
event loop. Knows no socket and no process.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable
from typing import Protocol

from asr.pcm import BYTES_PER_SAMPLE
from asr.streaming import StreamingEvent
from server.errors import ApiError, api_error_from, internal_error
from server.messages import (
    Failed,
    StreamAudio,
    StreamEnd,
    StreamEnded,
    StreamEvents,
    StreamFailed,
    StreamMessage,
    StreamReport,
    StreamStart,
    StreamWork,
)

__all__ = ["LiveStream", "LiveStreams", "StreamUpdate"]

logger = logging.getLogger("auricle.workers")

MAX_AHEAD_S = 5.0  # audio that the worker has been sent and has not taken up; decoding a window takes less
FULL_RETRY_S = 30.0

StreamUpdate = StreamingEvent | StreamEnded


class LiveStream(Protocol):
    """One stream; whoever opens it closes it."""

    async def feed(self, pcm: bytes) -> None:
        """Hand over whole samples; returns when the worker is less than MAX_AHEAD_S behind."""

    def finish(self) -> None:
        """No more audio comes."""

    def updates(self) -> AsyncGenerator[StreamUpdate]:
        """Events as they come, and StreamEnded after ``finish``. Raises ApiError."""

    def close(self) -> None:
        """Give up, or make sure that it is over."""


class LiveStreams:
    """The streams of one worker."""

    def __init__(self, *, max_streams: int) -> None:
        self._max_streams = max_streams
        self._streams: dict[int, _WorkerStream] = {}

    @property
    def n_open(self) -> int:
        """How many there are."""
        return len(self._streams)

    def open(self, number: int, work: StreamWork, tell: Callable[[StreamMessage], None]) -> LiveStream:
        """Begin a stream; ``tell`` is how its worker is spoken to. Raises ApiError (429) where there is no place."""
        if len(self._streams) >= self._max_streams:
            message = f"Got {len(self._streams)} streams under way, expected fewer than {self._max_streams}."
            raise ApiError(429, "too_many_streams", message, retry_after_s=FULL_RETRY_S)
        stream = _WorkerStream(number, work, tell, on_close=lambda: self._streams.pop(number, None))
        self._streams[number] = stream
        return stream

    def deliver(self, report: StreamReport) -> None:
        """Hand on what the worker says; of a stream that is closed nobody wants to hear it."""
        number = report.cause.number if isinstance(report, StreamFailed) else report.number
        stream = self._streams.get(number)
        if stream is not None:
            stream.hear(report)

    def end_all(self, error: ApiError) -> None:
        """The worker is gone."""
        for stream in self._streams.values():
            stream.fail(error)


class _WorkerStream:
    """``LiveStream`` over a worker process."""

    def __init__(
        self, number: int, work: StreamWork, tell: Callable[[StreamMessage], None], *, on_close: Callable[[], object]
    ) -> None:
        self._number = number
        self._tell = tell
        self._on_close = on_close
        self._max_ahead_bytes = round(MAX_AHEAD_S * work.sample_rate) * BYTES_PER_SAMPLE
        self._n_ahead = 0  # bytes
        self._caught_up = asyncio.Event()
        self._updates: asyncio.Queue[StreamUpdate | ApiError] = asyncio.Queue()
        self._is_over = False  # at the worker
        tell(StreamStart(number=number, work=work))

    async def feed(self, pcm: bytes) -> None:
        """See LiveStream."""
        if self._is_over:
            return  # its error is on the way to the client
        self._tell(StreamAudio(number=self._number, pcm=pcm))
        self._n_ahead += len(pcm)
        while self._n_ahead > self._max_ahead_bytes and not self._is_over:
            self._caught_up.clear()
            await self._caught_up.wait()

    def finish(self) -> None:
        """See LiveStream."""
        self._tell(StreamEnd(number=self._number, is_cancelled=False))

    async def updates(self) -> AsyncGenerator[StreamUpdate]:
        """See LiveStream."""
        while True:
            update = await self._updates.get()
            if isinstance(update, ApiError):
                raise update
            yield update
            if isinstance(update, StreamEnded):
                return

    def close(self) -> None:
        """See LiveStream."""
        if not self._is_over:
            self._is_over = True
            self._tell(StreamEnd(number=self._number, is_cancelled=True))
        self._on_close()

    def hear(self, report: StreamReport) -> None:
        """What the worker says."""
        if isinstance(report, StreamEvents):
            self._n_ahead -= report.n_bytes
            self._caught_up.set()
            for event in report.events:
                self._updates.put_nowait(event)
        elif isinstance(report, StreamEnded):
            self._is_over = True
            self._updates.put_nowait(report)
        elif isinstance(report.cause, Failed):
            self.fail(api_error_from(report.cause.kind, report.cause.message, report.cause.param))
        else:
            logger.error("a stream failed in the worker\n%s", report.cause.traceback)
            self.fail(internal_error())

    def fail(self, error: ApiError) -> None:
        """It is over, and this is why."""
        self._is_over = True
        self._caught_up.set()
        self._updates.put_nowait(error)
