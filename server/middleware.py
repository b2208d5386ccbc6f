"""Around every request: an id, one log line, and the last net under unforeseen exceptions.

Plain ASGI, so that streams pass through untouched. Knows nothing of routes; logs no text, file name or query.
"""

import logging
import re
import time
import uuid

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from server.errors import error_response, internal_error

__all__ = ["RequestMiddleware"]

logger = logging.getLogger("auricle.requests")

_SANE_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")  # what may appear in a log line as it came


class RequestMiddleware:
    """Puts ``request_id`` into the request's state and ``X-Request-Id`` onto every answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started_at = time.monotonic()
        incoming = Headers(scope=scope).get("x-request-id", "")
        request_id = incoming if _SANE_ID.fullmatch(incoming) else uuid.uuid4().hex
        scope.setdefault("state", {})["request_id"] = request_id
        status = 0

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)["X-Request-Id"] = request_id
            await send(message)

        try:
            await self._app(scope, receive, send_with_id)
        except Exception:
            logger.exception("id=%s unforeseen exception", request_id)
            if not status:
                await error_response(internal_error(), request_id)(scope, receive, send_with_id)
        finally:
            # The route's pattern, not the path: what a client put into an unknown path stays out of the log.
            route = getattr(scope.get("route"), "path", "-")
            elapsed_ms = (time.monotonic() - started_at) * 1000
            logger.info("id=%s route=%s status=%d ms=%.0f", request_id, route, status, elapsed_ms)
