"""Transcripts as server-sent events. In: segments as they come, and how each looks. Out: a streamed answer."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from typing import Any

from fastapi import Request
from fastapi.responses import StreamingResponse

from asr.transcript import Segment
from server.errors import ApiError, error_answer
from server.request_record import record_of
from server.responses import Answered

__all__ = ["HEADERS", "event_stream"]

HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}  # proxies: pass each event on at once


def event_stream(
    request: Request,
    updates: AsyncGenerator[Segment | Answered],
    event_of: Callable[[Segment | Answered], bytes],
    error_event: Callable[[dict[str, Any]], bytes],
) -> StreamingResponse:
    """Each update as its event; an error on the way is the last of them."""
    request_id: str = request.state.request_id

    async def events() -> AsyncIterator[bytes]:
        async with aclosing(updates):
            try:
                async for update in updates:
                    yield event_of(update)
            except ApiError as error:
                record_of(request).error_code = error.code
                yield error_event(error_answer(error, request_id).model_dump())

    return StreamingResponse(events(), media_type="text/event-stream", headers=HEADERS)
