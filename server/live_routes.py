"""``WS /stream``: speech as it is spoken. In: a socket. Out: events on it, from whatever ``Workers`` there are.

Two tasks for each socket: one reads, and stops reading while the worker is behind; one writes. Every socket is
accepted, since browsers show nothing of one that is not; what is wrong with it is its error event, and its close code.
Knows no model and no process; what the messages look like is in ``server.live_protocol``.
"""

import asyncio
import logging
import time
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, cast

from fastapi import APIRouter, WebSocket
from starlette.types import Message
from starlette.websockets import WebSocketDisconnect

from asr.errors import AuricleError
from asr.pcm import BYTES_PER_SAMPLE
from asr.streaming import Final
from server.errors import ApiError, api_error_of, error_answer, internal_error
from server.live_protocol import (
    Audio,
    Cancel,
    ClientMessage,
    Start,
    StartForm,
    Stop,
    close_code,
    event_body,
    parse_message,
    start_form,
)
from server.live_streams import LiveStream
from server.messages import ModelInfo, StreamEnded
from server.recognition import workers_of
from server.request_record import record_of
from server.settings import Settings

__all__ = ["router"]

logger = logging.getLogger("auricle.requests")

NORMAL_CLOSURE = 1000

router = APIRouter()


@router.websocket("/stream")
async def stream(websocket: WebSocket) -> None:
    """Live audio in, partial and final text out; docs/streaming.md."""
    await _Conversation(websocket).run()


class _Left(Exception):  # noqa: N818  (not an error)
    """The client closed the socket, or cancelled."""


class _Conversation:
    """One socket, from its acceptance to its close."""

    def __init__(self, websocket: WebSocket) -> None:
        self._socket = websocket
        self._settings = cast("Settings", websocket.app.state.settings)
        self._record = record_of(websocket)
        self._request_id = self._record.request_id
        self._started_at = time.monotonic()
        self._n_sent = 0
        self._n_bytes = 0
        self._sample_rate = 0
        self._limit: ApiError | None = None  # why the stream ended before its client ended it

    async def run(self) -> None:
        """Talk, and close: nothing that happens on the way leaves the socket open."""
        code, reason = NORMAL_CLOSURE, ""
        try:
            await self._socket.accept()
            code, reason = await self._outcome()
            await self._socket.close(code, reason)
        except (_Left, WebSocketDisconnect):
            with suppress(RuntimeError, WebSocketDisconnect):  # where the client closed it first
                await self._socket.close(code)
        finally:
            self._record.audio_s = self._audio_s

    @property
    def _audio_s(self) -> float:
        return self._n_bytes / BYTES_PER_SAMPLE / self._sample_rate if self._sample_rate else 0.0

    async def _outcome(self) -> tuple[int, str]:
        """Close code and reason."""
        try:
            await self._talk()
        except (ApiError, AuricleError) as error:
            return await self._refuse(api_error_of(error))
        except (_Left, WebSocketDisconnect):
            raise
        except Exception:
            logger.exception("unforeseen exception")
            return await self._refuse(internal_error())
        return NORMAL_CLOSURE, ""

    async def _refuse(self, error: ApiError) -> tuple[int, str]:
        self._record.error_code = error.code
        detail = error_answer(error, self._request_id).model_dump()["error"]
        await self._send({"type": "error", "error": detail})
        return close_code(error), error.code

    async def _talk(self) -> None:
        query = self._socket.query_params.multi_items()
        first = None if query else await self._receive()
        form = start_form(query, first if isinstance(first, Start) else None)
        self._sample_rate = form.sample_rate
        workers = workers_of(self._socket)
        model = await workers.model(form.model)
        self._record.model = model.name
        live = workers.open_stream(form.work(), model=model.name)
        try:
            if first is not None and not isinstance(first, Start):
                await self._take(live, first)
            await _first_of(self._listen(live), self._tell(live, form, model))
        finally:
            live.close()

    async def _listen(self, live: LiveStream) -> None:
        """Client to worker, until the client stops, and then until it leaves."""
        is_open = True
        while is_open and self._limit is None:
            is_open = await self._take(live, await self._receive())
        while True:
            self._after_the_end(await self._socket.receive())

    def _after_the_end(self, message: Message) -> None:
        told = _parsed(message)
        if isinstance(told, Cancel):
            raise _Left
        if self._limit is None:
            raise ApiError(400, "after_stop", "got a message after stop, expected cancel or none")

    async def _take(self, live: LiveStream, message: ClientMessage) -> bool:
        """Whether more may come."""
        match message:
            case Audio(pcm):
                await self._feed(live, pcm)
                return True
            case Stop():
                live.finish()
                return False
            case Cancel():
                raise _Left
            case Start():
                error = "got start in the middle of a stream, expected it as the first message, without a query"
                raise ApiError(400, "unexpected_start", error, param="type")

    async def _feed(self, live: LiveStream, pcm: bytes) -> None:
        self._n_bytes += len(pcm)
        try:
            async with asyncio.timeout(self._settings.stream_idle_s):
                await live.feed(pcm)
        except TimeoutError:
            message = f"The worker took up no audio for {self._settings.stream_idle_s:g} s."
            raise ApiError(503, "overloaded", message) from None
        if self._audio_s >= self._settings.max_stream_s:
            limit = f"got {self._audio_s:g} s of audio, expected less than {self._settings.max_stream_s:g} s"
            self._limit = ApiError(413, "audio_too_long", limit)
            live.finish()

    async def _receive(self) -> ClientMessage:
        """The next message. Raises ApiError for one that is none, and where none comes."""
        left_s = self._settings.max_stream_s + self._settings.stream_idle_s - (time.monotonic() - self._started_at)
        patience_s = min(self._settings.stream_idle_s, left_s)
        try:
            async with asyncio.timeout(patience_s):
                message = await self._socket.receive()
        except TimeoutError:
            raise self._late(left_s) from None
        return _parsed(message)

    def _late(self, left_s: float) -> ApiError:
        if left_s < self._settings.stream_idle_s:
            limit = self._settings.max_stream_s
            return ApiError(413, "audio_too_long", f"The stream is older than {limit:g} s, the most that it may last.")
        message = f"got nothing for {self._settings.stream_idle_s:g} s, expected audio (silence too), stop or cancel"
        return ApiError(408, "stream_idle", message)

    async def _tell(self, live: LiveStream, form: StartForm, model: ModelInfo) -> None:
        """Worker to client, until all is said."""
        texts: list[str] = []
        async for update in live.updates():
            if isinstance(update, StreamEnded):
                if self._limit is not None:
                    raise self._limit
                await self._send(self._done("".join(texts).strip(), update, model))
                return
            if isinstance(update, Final):
                texts.append(update.text)
            await self._send(event_body(update, with_words=form.timestamps == "word"))

    def _done(self, text: str, ended: StreamEnded, model: ModelInfo) -> dict[str, Any]:
        total_s = time.monotonic() - self._started_at
        return {
            "type": "done",
            "text": text,
            "start": 0.0,
            "end": ended.duration,
            "language": ended.language,
            "duration": ended.duration,
            "timing": {"encode": ended.encode_s, "decode": ended.decode_s, "total": total_s},
            "windows": ended.n_windows,
            "model": model.name,
            "model_hash": model.hash,
        }

    async def _send(self, body: dict[str, Any]) -> None:
        """One event. A client that does not read is gone for us."""
        numbered = body | {"seq": self._n_sent, "request_id": self._request_id}
        self._n_sent += 1
        try:
            async with asyncio.timeout(self._settings.stream_idle_s):
                await self._socket.send_json(numbered)
        except TimeoutError:
            raise _Left from None


def _parsed(message: Message) -> ClientMessage:
    if message["type"] == "websocket.disconnect":
        raise _Left
    pcm: bytes | None = message.get("bytes")
    return parse_message(message["text"] if pcm is None else pcm)


async def _first_of(*doing: Coroutine[Any, Any, None]) -> None:
    """Until one is done or fails; the others end with it."""
    tasks = [asyncio.ensure_future(each) for each in doing]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        for task in tasks:
            if not task.cancelled():
                task.exception()  # looked at, else asyncio complains that nobody did
