"""Any URL that speaks OpenAI's audio API. In: one audio file. Out: ``Reply``, from ``POST /v1/audio/transcriptions``.

The dialect knows prompt and temperature, and neither beams nor fallback: the endpoint decodes as it likes, and options
that cannot be said are refused. Knows no corpus and no reference.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import httpx

from asr.errors import UnsupportedLanguageError
from asr.languages import to_language_code
from asr.options import TranscribeOptions
from asr.tasks import Task
from eval.errors import ClipError, TargetUnavailableError
from eval.targets.http import HttpService, json_object
from eval.targets.types import Reply, package_version

__all__ = ["OpenAITarget"]

NEXT_STEP = (
    "Correct --openai and --model, or put the key into the environment variable that --api-key-env names (a service of "
    "Auricle's own is asked with --server); the same command then continues where it stopped."
)
ROUTES = {Task.TRANSCRIBE: "/v1/audio/transcriptions", Task.TRANSLATE: "/v1/audio/translations"}
SAID_OTHERWISE = frozenset({"task", "language", "prompt", "temperatures"})  # the rest must be at its default


class OpenAITarget:
    """One model at an OpenAI-compatible URL as a ``Target``."""

    n_parallel = 1  # what it can bear and bills is not known

    def __init__(
        self,
        url: str,
        *,
        model: str,
        api_key: str | None = None,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """``url`` with or without ``/v1``; ``api_key`` None: the server wants none."""
        headers = None if api_key is None else {"Authorization": f"Bearer {api_key}"}
        base = url.rstrip("/").removesuffix("/v1")
        self._service = HttpService(base, next_step=NEXT_STEP, headers=headers, transport=transport, sleep=sleep)
        self._model = model
        self._formats = ["json", "verbose_json"]  # the last is asked for, until it is refused

    def describe(self) -> Mapping[str, Any]:
        """The address and the model's name; nobody tells which weights are behind it."""
        response = self._service.get("/v1/models")  # some servers lack it: any answer but a refusal of the key will do
        if response.status_code in {httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN}:
            raise self._service.unavailable(f"the API key is missing or refused (status {response.status_code})")
        return {
            "target": self._service.url,
            "model": self._model,
            "model_hash": None,
            "versions": {"auricle": package_version("auricle")},
        }

    def settings(self, options: TranscribeOptions) -> Mapping[str, Any]:
        """What is sent; at our defaults nothing is, and the endpoint's own apply."""
        defaults = asdict(TranscribeOptions())
        refused = [
            name for name, value in asdict(options).items() if name not in SAID_OTHERWISE and value != defaults[name]
        ]
        if len(options.temperatures) > 1 and options.temperatures != defaults["temperatures"]:
            refused.append("temperature (more than one)")
        if refused:
            message = f"{self._service.url}: OpenAI's API has no field for {', '.join(refused)}; leave the options out"
            raise TargetUnavailableError(message)
        return _shared_fields(options)

    def transcribe(self, path: Path, options: TranscribeOptions) -> Reply:
        """Post one file; a translation is a route of its own."""
        self.settings(options)
        fields = _shared_fields(options)
        if options.task is Task.TRANSLATE and options.language is not None:
            raise self._service.unavailable("its translations take no language; expected --language auto")
        if options.language is not None:
            fields["language"] = options.language
        reply = _reply(self._post(ROUTES[options.task], fields, path))
        # The language of a translation is that of its text.
        return replace(reply, language=None) if options.task is Task.TRANSLATE else reply

    def detect_language(self, path: Path) -> Reply:
        """The language that comes with a transcription."""
        reply = self.transcribe(path, TranscribeOptions())
        if reply.language is None:
            message = f"{self._service.url} names no language with its transcripts, expected it in verbose_json"
            raise ClipError("language_not_named", message)
        return replace(reply, text="")

    def _post(self, route: str, fields: Mapping[str, str], path: Path) -> dict[str, Any]:
        while True:
            form = {"model": self._model, "response_format": self._formats[-1], **fields}
            response = self._service.post(route, form, path)
            if len(self._formats) == 1 or not _refuses_format(response):
                return json_object(response)
            self._formats.pop()


def _shared_fields(options: TranscribeOptions) -> dict[str, str]:
    fields = {"prompt": options.prompt} if options.prompt else {}
    if len(options.temperatures) == 1:
        fields["temperature"] = str(options.temperatures[0])
    return fields


def _refuses_format(response: httpx.Response) -> bool:
    # gpt-4o-transcribe, and servers that only know json; each words it differently, but names the field or the value.
    is_refusal = response.status_code in {400, 415, 422}
    return is_refusal and any(name in response.text for name in ("response_format", "verbose_json"))


def _reply(body: Mapping[str, Any]) -> Reply:
    try:
        return Reply(text=str(body["text"]), language=_code(body.get("language")), duration=_seconds(body))
    except (KeyError, TypeError, ValueError) as error:
        message = f"got {sorted(body)} ({type(error).__name__}: {error}), expected text, and duration in seconds"
        raise ClipError("unexpected_response", message) from error


def _code(language: object) -> str | None:
    """OpenAI names languages in English, others by code."""
    if not isinstance(language, str) or not language:
        return None
    try:
        return to_language_code(language)
    except UnsupportedLanguageError:
        return language.lower()


def _seconds(body: Mapping[str, Any]) -> float | None:
    duration = body.get("duration")
    return None if duration is None else float(duration)  # vLLM writes it as a text
