"""A running Auricle service. In: one audio file. Out: ``Reply``, from ``POST /transcribe`` and ``/detect-language``.

Knows no corpus and no reference; a busy service is asked again after the time it names.
"""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import httpx

from asr.options import DEFAULT_TEMPERATURES, TranscribeOptions
from eval.errors import ClipError, TargetUnavailableError
from eval.targets.types import Reply, package_version

__all__ = ["ServerTarget"]

MAX_ATTEMPTS = 8
MAX_WAIT_S = 60.0  # a service that asks for longer is asked again after this
TIMEOUT = httpx.Timeout(900.0, connect=10.0)  # a recording of minutes on one processor core takes minutes
BUSY_STATUSES = frozenset({httpx.codes.TOO_MANY_REQUESTS, httpx.codes.SERVICE_UNAVAILABLE})


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
        """The service's address and the model it serves, once it has loaded it."""
        body = self._answer(lambda: self._get("/models"))
        served = [model for model in body.get("models", ()) if self._model in {None, model.get("name")}]
        if not served:
            names = ", ".join(str(model.get("name")) for model in body.get("models", ()))
            raise TargetUnavailableError(f"--model {self._model}: {self._url} serves {names or 'no model'}")
        return {
            "target": self._url,
            "model": served[0].get("name"),
            "model_hash": served[0].get("hash"),
            "versions": {"auricle": package_version("auricle")},
        }

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
