"""A service behind a URL. In: routes, form fields, audio files. Out: its answers, or the error that they amount to.

A busy service is asked again after the time it names. What ails one clip is that clip's error; what would ail every
clip ends the run, so that no clip is blamed for it. Knows no dialect: the targets do.
"""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import httpx

from eval.errors import ClipError, TargetUnavailableError

__all__ = ["PATIENCE_S", "HttpService", "clip_error", "json_object"]

PATIENCE_S = 600.0  # a service that is busy, or loads its model, for longer ends the run
MIN_WAIT_S, MAX_WAIT_S = 1.0, 60.0  # between two questions to a busy service, whatever it names
TIMEOUT = httpx.Timeout(900.0, connect=10.0)  # a recording of minutes on one processor core takes minutes
LIMITS = httpx.Limits(keepalive_expiry=2.0)  # seconds; uvicorn drops idle connections after 5, and a clip with them
BUSY_STATUSES = frozenset({httpx.codes.TOO_MANY_REQUESTS, httpx.codes.SERVICE_UNAVAILABLE})
FATAL_STATUSES = frozenset({httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN, httpx.codes.NOT_FOUND})
OUT_OF_CREDIT = "insufficient_quota"  # OpenAI's, with status 429
WORKER_DIED = "worker_died"  # Auricle's, with status 503: this clip was being worked on
MAX_EXCERPT_CHARACTERS = 200


class HttpService:
    """An address that is asked with patience."""

    def __init__(
        self,
        url: str,
        *,
        next_step: str,
        headers: Mapping[str, str] | None = None,
        patience_s: float = PATIENCE_S,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """``next_step`` ends the errors that end a run. Raises TargetUnavailableError when ``url`` is none."""
        self._address = _http_url(url, next_step)
        self._next_step = next_step
        self._patience_s = patience_s
        self._client = httpx.Client(timeout=TIMEOUT, limits=LIMITS, transport=transport, headers=headers)
        self._sleep = sleep

    @property
    def url(self) -> str:
        """The address without user name and password, for configurations and messages."""
        return _without_password(self._address)

    def get(self, route: str) -> httpx.Response:
        """Any answer but a busy one. Raises TargetUnavailableError."""
        return self._ask(lambda: self._client.get(self._at(route)))

    def tell(self, route: str) -> httpx.Response:
        """As ``get``, for a route that does something and takes no body."""
        return self._ask(lambda: self._client.post(self._at(route)))

    def _ask(self, ask: Callable[[], httpx.Response]) -> httpx.Response:
        try:
            return self._patiently(ask)
        except httpx.RequestError as error:
            raise self.unavailable(f"no answer ({_named(error)})") from error

    def upload(self, route: str, fields: Mapping[str, str], name: str, file: BinaryIO) -> httpx.Response:
        """Any answer but a busy one. Raises httpx.RequestError, and TargetUnavailableError when it stays busy."""

        def ask() -> httpx.Response:
            file.seek(0)
            return self._client.post(self._at(route), data=fields, files={"file": (name, file)})

        return self._patiently(ask)

    def post(self, route: str, fields: Mapping[str, str], audio: Path) -> httpx.Response:
        """A success, or an error that is about this clip or this form.

        Raises ClipError when the file cannot be read or the connection is lost over it, TargetUnavailableError when
        the service is gone, stays busy or refuses whatever it is sent.
        """
        try:
            with audio.open("rb") as file:
                response = self.upload(route, fields, audio.name, file)
        except OSError as error:
            raise ClipError("unreadable_file", f"{audio.name}: {error.strerror or error}") from error
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise self.unavailable(f"no answer ({_named(error)})") from error
        except httpx.RequestError as error:
            self._check_alive()
            raise ClipError("connection_lost", _named(error)) from error
        if response.status_code in FATAL_STATUSES or error_code(response) == OUT_OF_CREDIT:
            refusal = f"{response.status_code} for {route}: {clip_error(response).message}"
            raise self.unavailable(refusal.rstrip("."))
        return response

    def unavailable(self, problem: str) -> TargetUnavailableError:
        """The error that ends the run, with the next step."""
        return TargetUnavailableError(f"{self.url}: {problem}. {self._next_step}")

    def _at(self, route: str) -> httpx.URL:
        return self._address.copy_with(path=self._address.path.rstrip("/") + route)

    def _patiently(self, ask: Callable[[], httpx.Response]) -> httpx.Response:
        waited_s = 0.0
        while _is_busy(response := ask()):
            wait_s = _wait_s(response, waited_s)
            if waited_s + wait_s > self._patience_s:
                raise self.unavailable(f"still busy after {waited_s:.0f} s ({clip_error(response).message})")
            self._sleep(wait_s)
            waited_s += wait_s
        return response

    def _check_alive(self) -> None:
        # A service that is gone ends the run; one that still answers, whatever it says, has failed this clip only.
        try:
            self._client.get(self._at("/"))
        except httpx.RequestError as error:
            raise self.unavailable(f"no answer ({_named(error)})") from error


def error_code(response: httpx.Response) -> str | None:
    """The ``code`` of an error in OpenAI's shape, which is Auricle's too; None where there is none."""
    error = _error_object(response)
    code = error.get("code") or error.get("type")
    return str(code) if code else None


def clip_error(response: httpx.Response) -> ClipError:
    """A refusal in whatever shape it comes: OpenAI's, FastAPI's ``detail``, plain text, a proxy's page."""
    code = error_code(response) or f"http_{response.status_code}"
    message = _error_object(response).get("message")
    return ClipError(code, str(message or response.text[:MAX_EXCERPT_CHARACTERS] or response.reason_phrase))


def json_object(response: httpx.Response) -> dict[str, Any]:
    """The body of a success. Raises ClipError for a refusal and for anything that is no JSON object."""
    if not response.is_success:
        raise clip_error(response)
    body = _json(response)
    if not isinstance(body, dict):
        message = f"got {response.text[:MAX_EXCERPT_CHARACTERS]!r}, expected a JSON object"
        raise ClipError("unexpected_response", message)
    return body


def _error_object(response: httpx.Response) -> dict[str, Any]:
    body = _json(response)
    error = body.get("error") if isinstance(body, dict) else None
    return error if isinstance(error, dict) else {}


def _json(response: httpx.Response) -> Any:
    try:
        return response.json()
    except ValueError:
        return None


def _http_url(url: str, next_step: str) -> httpx.URL:
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise TargetUnavailableError(f"got {url!r} ({error}), expected http://host:port. {next_step}") from error
    if parsed.scheme not in {"http", "https"} or not parsed.host:
        raise TargetUnavailableError(f"got {url!r}, expected http://host:port. {next_step}")
    return parsed


def _without_password(address: httpx.URL) -> str:
    return str(address.copy_with(userinfo=b"")).rstrip("/")


def _is_busy(response: httpx.Response) -> bool:
    # Some answers have a busy status and will not be another by asking again.
    return response.status_code in BUSY_STATUSES and error_code(response) not in {OUT_OF_CREDIT, WORKER_DIED}


def _wait_s(response: httpx.Response, waited_s: float) -> float:
    try:
        wait_s = float(response.headers["Retry-After"])
    except (KeyError, ValueError):  # absent, or the date form of RFC 9110
        wait_s = waited_s  # doubles what was waited so far
    return min(max(wait_s, MIN_WAIT_S), MAX_WAIT_S)


def _named(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
