"""Around every request and WebSocket: an id, a record, a log line, metrics, spans, and the last net under exceptions.

Plain ASGI, so that streams pass through untouched. Knows nothing of routes; logs no text, file name, query or key.
"""

import logging
import re
import time
import uuid
from typing import TYPE_CHECKING

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from server.errors import ApiError, error_response, internal_error, out_of_memory
from server.logs import current_request_id
from server.metrics import Metrics
from server.request_record import RequestRecord

if TYPE_CHECKING:
    from server.tracing import RequestTracer

__all__ = ["OUT_OF_MEMORY", "RequestMiddleware"]

logger = logging.getLogger("auricle.requests")

_SANE_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")  # what may appear in a log line as it came
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "WEBSOCKET"})
NO_ROUTE = "-"
OUT_OF_MEMORY = "out_of_memory"  # in the request's state: its body is not there, for want of memory
SWITCHING_PROTOCOLS = 101
CLOSED_BEFORE_ACCEPT = 403  # what an ASGI server makes of it


class RequestMiddleware:
    """Puts the record and ``request_id`` into the request's state, and ``X-Request-Id`` onto every answer."""

    def __init__(self, app: ASGIApp, *, metrics: Metrics, tracer: "RequestTracer | None") -> None:
        self._app = app
        self._metrics = metrics
        self._tracer = tracer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        incoming = Headers(scope=scope).get("x-request-id", "")
        request_id = incoming if _SANE_ID.fullmatch(incoming) else uuid.uuid4().hex
        record = RequestRecord(request_id=request_id, started_at=time.monotonic())
        scope.setdefault("state", {}).update(record=record, request_id=request_id)
        exchange = _Exchange(record, receive, send)
        token = current_request_id.set(request_id)
        try:
            with self._metrics.in_flight():
                await self._guarded(scope, exchange)
        finally:
            self._tell(scope, exchange)
            current_request_id.reset(token)

    async def _guarded(self, scope: Scope, exchange: "_Exchange") -> None:
        if OUT_OF_MEMORY in scope["state"]:
            logger.error("no memory is left for another body")
            await self._refuse(out_of_memory(), scope, exchange)
            return
        try:
            await self._app(scope, exchange.receive, exchange.send)
        except Exception as exception:
            logger.exception("unforeseen exception")
            error = out_of_memory() if isinstance(exception, MemoryError) else internal_error()
            await self._refuse(error, scope, exchange)

    async def _refuse(self, error: ApiError, scope: Scope, exchange: "_Exchange") -> None:
        exchange.record.error_code = error.code
        if scope["type"] == "websocket":
            await exchange.close_websocket()
        elif not exchange.status:
            await error_response(error, exchange.record.request_id)(scope, exchange.receive, exchange.send)

    def _tell(self, scope: Scope, exchange: "_Exchange") -> None:
        # The route's pattern, not the path: what a client put into an unknown path stays out of the log and the labels.
        route = getattr(scope.get("route"), "path", NO_ROUTE)
        asked = scope.get("method", "WEBSOCKET")
        method = asked if asked in METHODS else "OTHER"
        record, duration_s = exchange.record, time.monotonic() - exchange.record.started_at
        self._metrics.observe(record, route=route, method=method, status=exchange.status, duration_s=duration_s)
        if self._tracer is not None:
            self._tracer.observe(record, scope, route=route, method=method, status=exchange.status)
        fields = {
            "route": route,
            "method": method,
            "status": exchange.status,
            "duration_ms": round(duration_s * 1000),
            "key": record.key_name,
            "model": record.model,
            "audio_s": record.audio_s,
            "queue_s": record.queue_s,
            "first_text_s": record.first_text_s,
            "code": record.error_code,
        }
        known = {
            name: round(value, 3) if isinstance(value, float) else value
            for name, value in fields.items()
            if value is not None
        }
        logger.info("request", extra={"fields": known})


class _Exchange:
    """What passes between server and application, counted and marked."""

    def __init__(self, record: RequestRecord, receive: Receive, send: Send) -> None:
        self.record = record
        self.status = 0
        """0 until the answer begins."""
        self._receive = receive
        self._send = send
        self._is_closed = False

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.request":
            self.record.n_body_bytes += len(message.get("body", b""))
        elif message["type"] == "websocket.disconnect":
            self._is_closed = True
        return message

    async def send(self, message: Message) -> None:
        kind = message["type"]
        if kind in {"http.response.start", "websocket.http.response.start", "websocket.accept"}:
            self.status = message.get("status", SWITCHING_PROTOCOLS)
            message.setdefault("headers", [])
            MutableHeaders(scope=message)["X-Request-Id"] = self.record.request_id
        elif kind == "websocket.close":
            self._is_closed = True
            self.status = self.status or CLOSED_BEFORE_ACCEPT
        await self._send(message)

    async def close_websocket(self) -> None:
        """Tell the client that something went wrong, unless the connection has ended."""
        if not self._is_closed:
            await self.send({"type": "websocket.close", "code": 1011})
