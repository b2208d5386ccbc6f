"""Who may ask, and how much, before anything of a request is read. In: requests and WebSockets. Out: those allowed.

Plain ASGI. Limits count what makes work, POST and WebSockets; reading (GET, HEAD, DELETE) needs a key only. Knows
nothing of routes, of how keys are kept or of how requests are counted.
"""

from collections.abc import Collection

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from server.errors import ApiError, error_response
from server.keys import ApiKey, KeyRing
from server.limits import Decision, Limiter, RateState
from server.request_record import RequestRecord

__all__ = ["OPEN_PATHS", "AccessMiddleware"]

# Probes carry no key. The description of the routes holds no secret, and a browser that opens it can send none.
OPEN_PATHS = frozenset({"/healthz", "/readyz", "/docs", "/openapi.json"})

# Browsers can set no header on a WebSocket; OpenAI's realtime API takes the key as a sub-protocol beside a real one.
KEY_PROTOCOL = "openai-insecure-api-key."

ANSWER_STARTS = frozenset({"http.response.start", "websocket.http.response.start", "websocket.accept"})


class AccessMiddleware:
    """Answers 401 without a valid key and 429 over its limits; ``open_paths``, and what is below them, need no key."""

    def __init__(self, app: ASGIApp, *, keys: KeyRing, limiter: Limiter, open_paths: Collection[str]) -> None:
        self._app = app
        self._keys = keys
        self._limiter = limiter
        self._open_paths = open_paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] not in {"http", "websocket"} or self._is_open(scope["path"]):
            await self._app(scope, receive, send)
            return
        secret = _secret_in(scope)
        key = self._keys.find(secret) if secret else None
        if key is None:
            await _refuse(_unauthorized(secret), scope, receive, send)
            return
        _record_in(scope).key_name = key.name
        if scope["type"] == "websocket":
            scope["subprotocols"] = [each for each in scope["subprotocols"] if not each.startswith(KEY_PROTOCOL)]
            await self._limited(key, scope, receive, send)
        elif scope["method"] == "POST":
            await self._limited(key, scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _is_open(self, path: str) -> bool:
        folders = (known for known in self._open_paths if known != "/")
        return path in self._open_paths or any(path.startswith(f"{folder}/") for folder in folders)

    async def _limited(self, key: ApiKey, scope: Scope, receive: Receive, send: Send) -> None:
        decision = self._limiter.acquire(key.name, key.limits)
        send = _telling(scope, decision.rate, send)
        if decision.refused:
            await _refuse(_over_limit(key, decision), scope, receive, send)
            return
        try:
            await self._app(scope, receive, send)
        finally:
            self._limiter.release(key.name)


def _record_in(scope: Scope) -> RequestRecord:
    record: RequestRecord = scope["state"]["record"]
    return record


def _secret_in(scope: Scope) -> str | None:
    """The key that came with the request, in whichever of the two places."""
    scheme, _, secret = Headers(scope=scope).get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and secret.strip():
        return secret.strip()
    protocols: list[str] = scope.get("subprotocols", [])
    return next((each.removeprefix(KEY_PROTOCOL) for each in protocols if each.startswith(KEY_PROTOCOL)), None)


async def _refuse(error: ApiError, scope: Scope, receive: Receive, send: Send) -> None:
    record = _record_in(scope)
    record.error_code = error.code
    if scope["type"] == "websocket" and "websocket.http.response" not in scope.get("extensions", {}):
        await send(
            {"type": "websocket.close", "code": 1008, "reason": error.code}
        )  # before accept: the client sees 403
        return
    await error_response(error, record.request_id)(scope, receive, send)


def _telling(scope: Scope, rate: RateState | None, send: Send) -> Send:
    """Adds the rate's state in OpenAI's headers, and a sub-protocol where the client offered some and none was chosen.

    A browser that offered sub-protocols hangs up if the answer names none of them.
    """

    async def send_more(message: Message) -> None:
        if message["type"] in ANSWER_STARTS and rate:
            message.setdefault("headers", [])
            headers = MutableHeaders(scope=message)
            headers["x-ratelimit-limit-requests"] = str(rate.limit)
            headers["x-ratelimit-remaining-requests"] = str(rate.remaining)
            headers["x-ratelimit-reset-requests"] = _as_duration(rate.reset_s)
        if message["type"] == "websocket.accept" and not message.get("subprotocol"):
            message["subprotocol"] = next(iter(scope["subprotocols"]), None)
        await send(message)

    return send_more


def _unauthorized(secret: str | None) -> ApiError:
    message = (
        "Incorrect API key provided." if secret else "No API key: expected the header `Authorization: Bearer <key>`."
    )
    return ApiError(401, "invalid_api_key", message)


def _over_limit(key: ApiKey, decision: Decision) -> ApiError:
    limit = (
        f"{key.requests_per_minute} requests per minute"
        if decision.refused == "rate"
        else f"{key.concurrent} requests at once"
    )
    message = f"Rate limit reached: this key may make {limit}."
    return ApiError(429, "rate_limit_exceeded", message, retry_after_s=decision.retry_after_s)


def _as_duration(seconds: float) -> str:
    """As OpenAI writes it, which is Go's: 120ms, 7s, 1m30s."""
    if 0 < seconds < 1:
        return f"{max(1, round(seconds * 1000))}ms"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"
