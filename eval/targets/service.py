"""A running Auricle service. In: one audio file. Out: ``Reply``, from ``POST /transcribe`` and ``/detect-language``.

Knows no corpus and no reference, and no more of HTTP than Auricle's own fields.
"""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import httpx

from asr.options import TranscribeOptions
from asr.transcript import LanguageSpan, Suppressed, Word
from eval.errors import ClipError
from eval.targets.http import HttpService, json_object
from eval.targets.types import PhaseTimes, Reply, package_version

__all__ = ["ServerTarget"]

NEXT_STEP = (
    "Start the service (`auricle-serve`) or correct --server and --model; the same command then continues where it "
    "stopped."
)
NONE_WORD = (
    "compression_ratio_threshold", "logprob_threshold", "no_speech_threshold", "suppress_tokens",
)  # fmt: skip  # None or nothing: no such test


class ServerTarget:
    """A running Auricle service as a ``Target``."""

    n_parallel = 1  # each answer's time is told as that of one client

    def __init__(
        self,
        url: str,
        *,
        model: str | None = None,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """``model``: asked for by name with every clip; None: the service's own choice."""
        self._service = HttpService(url, next_step=NEXT_STEP, transport=transport, sleep=sleep)
        self._model = model
        self._model_hash: str | None = None

    def describe(self) -> Mapping[str, Any]:
        """The service's address and the model it serves, once it has loaded it."""
        try:
            models = [dict(model) for model in json_object(self._service.get("/models"))["models"]]
        except (ClipError, KeyError, TypeError, ValueError) as error:
            raise self._service.unavailable(f"/models gave {error}, expected the models of an Auricle") from error
        served = [model for model in models if self._model in {None, model.get("name")}]
        if not served:
            names = ", ".join(str(model.get("name")) for model in models)
            raise self._service.unavailable(f"got --model {self._model}, expected one of: {names}")
        name = served[0].get("name")
        if served[0].get("hash") is None:  # not in memory yet
            served = [dict(json_object(self._service.tell(f"/models/{name}/load")))]
        self._model_hash = served[0].get("hash")
        return {
            "target": self._service.url,
            "model": name,
            "model_hash": self._model_hash,
            "versions": {"auricle": package_version("auricle")},
        }

    def settings(self, options: TranscribeOptions) -> Mapping[str, Any]:
        """Every option: each is sent, even at its default, so that the service's own defaults decide nothing."""
        _form(options)
        return asdict(options)

    def transcribe(self, path: Path, options: TranscribeOptions) -> Reply:
        """Post one file to ``/transcribe``."""
        body = self._ask("/transcribe", {"response_format": "verbose_json", **_form(options)}, path)
        try:
            reply = _reply(body, with_words=options.word_timestamps)
        except (KeyError, TypeError, ValueError) as error:
            message = f"got {sorted(body)} ({error}), expected text and timing as /transcribe has them"
            raise ClipError("unexpected_response", message) from error
        self._check_same_model(reply.model_hash)
        return reply

    def detect_language(self, path: Path) -> Reply:
        """Post one file to ``/detect-language``."""
        body = self._ask("/detect-language", {}, path)
        if not isinstance(body.get("language"), str):
            raise ClipError("unexpected_response", f"got {sorted(body)}, expected language")
        return Reply(text="", language=body["language"])

    def _ask(self, route: str, form: Mapping[str, str], path: Path) -> dict[str, Any]:
        model = {} if self._model is None else {"model": self._model}
        return json_object(self._service.post(route, {**form, **model}, path))

    def _check_same_model(self, model_hash: str | None) -> None:
        if None not in {model_hash, self._model_hash} and model_hash != self._model_hash:
            raise self._service.unavailable(
                f"it answers with model {model_hash}, expected {self._model_hash}: the service changed its model"
            )


def _reply(body: Mapping[str, Any], *, with_words: bool) -> Reply:
    words = tuple(Word(**word) for segment in body.get("segments", ()) for word in segment.get("words", ()))
    return Reply(
        text=str(body["text"]),
        language=body.get("language"),
        duration=body.get("duration"),
        model_hash=body.get("model_hash"),
        times=_times(body.get("timing")),
        words=words if with_words else None,
        languages=tuple(LanguageSpan(**span) for span in body.get("languages", ())),
        suppressed=tuple(Suppressed(**each) for each in body.get("suppressed", ())),
    )


def _times(timing: Mapping[str, Any] | None) -> PhaseTimes | None:
    if timing is None:
        return None
    audio, encode, decode = (float(timing[phase]) for phase in ("decode_audio", "encode", "decode"))
    return PhaseTimes(audio=audio, encode=encode, decode=decode)


def _form(options: TranscribeOptions) -> dict[str, str]:
    """Every option as the form's field."""
    values = asdict(options)
    values["timestamps"] = _timestamps(options)
    del values["word_timestamps"]
    values["temperature"] = ",".join(map(str, values.pop("temperatures")))
    for name in NONE_WORD:
        values[name] = "none" if values[name] in {None, ()} else values[name]
    return {name: _as_text(value) for name, value in values.items() if value not in {None, "", ()}}


def _timestamps(options: TranscribeOptions) -> str:
    if options.word_timestamps:
        return "word"
    return "segment" if options.timestamps else "none"


def _as_text(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return json.dumps(value) if isinstance(value, tuple) else str(value)
