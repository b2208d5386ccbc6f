"""What is evaluated. In: one audio file and its options. Out: ``Reply``, or ``ClipError`` for that clip.

Two targets behind one protocol: the engine in this process, and an Auricle service over HTTP. Knows no corpus, no
reference and no file but the one it is given.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self

import httpx

from asr.errors import AuricleError
from asr.options import DEFAULT_TEMPERATURES, TranscribeOptions
from eval.errors import ClipError, TargetUnavailableError

if TYPE_CHECKING:
    from asr.transcriber import Transcriber

__all__ = ["LocalTarget", "Reply", "ServerTarget", "Target"]

MAX_ATTEMPTS = 8
MAX_WAIT_S = 60.0  # a service that asks for longer is asked again after this
TIMEOUT = httpx.Timeout(900.0, connect=10.0)  # a recording of minutes on one processor core takes minutes
BUSY_STATUSES = frozenset({httpx.codes.TOO_MANY_REQUESTS, httpx.codes.SERVICE_UNAVAILABLE})


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What came back for one clip."""

    text: str
    language: str | None = None
    """As the target names it."""
    duration: float | None = None
    """Seconds of audio."""
    model_hash: str | None = None
    """Of the model that answered, where the target says it with each answer."""


class Target(Protocol):
    """Something that transcribes a file."""

    def describe(self) -> Mapping[str, Any]:
        """What identifies the target, for the run's configuration. Raises TargetUnavailableError."""

    def transcribe(self, path: Path, options: TranscribeOptions) -> Reply:
        """Transcribe or translate one file. Raises ClipError for this clip, TargetUnavailableError for all of them."""


class LocalTarget:
    """The engine in this process."""

    def __init__(self, transcriber: "Transcriber") -> None:
        self._transcriber = transcriber

    @classmethod
    def load(cls, model: str) -> Self:
        """Load a model by name or path. Raises TargetUnavailableError."""
        from asr.transcriber import Transcriber

        try:
            return cls(Transcriber.load(model))
        except AuricleError as error:
            raise TargetUnavailableError(f"--model {model}: {error}") from error

    def describe(self) -> Mapping[str, Any]:
        """Model, its digest, and the versions that can change a result."""
        return {
            "target": "local",
            "model": self._transcriber.model_name,
            "model_hash": self._transcriber.model_hash,
            "versions": {"auricle": _version("auricle"), "torch": _version("torch")},
        }

    def transcribe(self, path: Path, options: TranscribeOptions) -> Reply:
        """Transcribe in this process; whatever fails, fails this clip alone."""
        try:
            transcript = self._transcriber.transcribe(path, options)
        except AuricleError as error:
            raise ClipError(error.code, str(error)) from error
        except OSError as error:
            raise ClipError("unreadable_file", f"{path.name}: {error.strerror or error}") from error
        except Exception as error:  # a defect that one clip brings out must not cost the hours of a whole corpus
            raise ClipError("internal_error", f"{type(error).__name__}: {error}") from error
        return Reply(text=transcript.text, language=transcript.language, duration=transcript.duration)


class ServerTarget:
    """A running Auricle service, spoken to through ``POST /transcribe``."""

    def __init__(
        self,
        url: str,
        *,
        model: str | None = None,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """``model``: asked for by name with every clip; None: the service's own choice."""
        self._url = url.rstrip("/")
        self._model = model
        self._client = httpx.Client(timeout=TIMEOUT, transport=transport)
        self._sleep = sleep

    def describe(self) -> Mapping[str, Any]:
        """The service's address, after seeing that something answers there."""
        try:
            self._client.get(f"{self._url}/healthz")
        except (httpx.TransportError, httpx.InvalidURL) as error:
            raise self._unavailable(error) from error
        return {"target": self._url, "model": self._model, "versions": {"auricle": _version("auricle")}}

    def transcribe(self, path: Path, options: TranscribeOptions) -> Reply:
        """Post one file; a busy service is asked again after the time it names, ``MAX_ATTEMPTS`` times at most."""
        for attempt in range(MAX_ATTEMPTS - 1):
            response = self._post(path, options)
            if response.status_code not in BUSY_STATUSES:
                break
            self._sleep(_wait_s(response, attempt))
        else:
            response = self._post(path, options)
        if response.is_error:
            raise _clip_error(response)
        return _reply(response)

    def _post(self, path: Path, options: TranscribeOptions) -> httpx.Response:
        try:
            with path.open("rb") as audio:
                files = {"file": (path.name, audio)}
                return self._client.post(f"{self._url}/transcribe", data=self._form(options), files=files)
        except OSError as error:
            raise ClipError("unreadable_file", f"{path.name}: {error.strerror or error}") from error
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise self._unavailable(error) from error
        except httpx.TransportError as error:
            self.describe()  # a service that is gone ends the run; one that still answers has failed this clip
            raise ClipError("connection_lost", f"{type(error).__name__}: {error}") from error

    def _form(self, options: TranscribeOptions) -> dict[str, str]:
        form = {"response_format": "verbose_json", "task": options.task.value, "beam_size": str(options.beam_size)}
        if options.temperatures != DEFAULT_TEMPERATURES:  # the service's rule: no temperature means the whole ladder
            form["temperature"] = ",".join(f"{temperature:g}" for temperature in options.temperatures)
        if options.language is not None:
            form["language"] = options.language
        if self._model is not None:
            form["model"] = self._model
        return form

    def _unavailable(self, error: Exception) -> TargetUnavailableError:
        return TargetUnavailableError(
            f"no answer from {self._url} ({error}). Start the service (`auricle-serve`) or correct --server; "
            "the same command then continues where it stopped."
        )


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:  # run from a checkout that is not installed
        return None


def _wait_s(response: httpx.Response, attempt: int) -> float:
    try:
        wait_s = float(response.headers["Retry-After"])
    except (KeyError, ValueError):  # absent, or the date form of RFC 9110
        wait_s = 2.0**attempt
    return min(max(wait_s, 0.0), MAX_WAIT_S)


def _clip_error(response: httpx.Response) -> ClipError:
    try:
        error = response.json()["error"]
        return ClipError(str(error["code"]), str(error["message"]))
    except (ValueError, KeyError, TypeError):  # a proxy's page, or another service
        return ClipError(f"http_{response.status_code}", response.text[:200] or response.reason_phrase)


def _reply(response: httpx.Response) -> Reply:
    try:
        body = response.json()
        return Reply(
            text=str(body["text"]),
            language=body.get("language"),
            duration=body.get("duration"),
            model_hash=body.get("model_hash"),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        message = f"expected a JSON object with text, got {response.text[:200]!r}"
        raise ClipError("unexpected_response", message) from error
