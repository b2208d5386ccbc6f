"""OpenAI's audio routes, for its own client as it is. In: its forms. Out: its shapes, and more in verbose_json.

Source: https://platform.openai.com/docs/api-reference/audio, and the ``openai`` package, which the tests use.
"""

import json
import math
from dataclasses import replace
from typing import Annotated, Any, ClassVar, Literal

from fastapi import APIRouter, Path, Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse
from pydantic import BeforeValidator, Field

from asr.errors import InvalidOptionError
from asr.options import DEFAULT_TEMPERATURES, TranscribeOptions
from asr.tasks import Task
from asr.transcript import Segment
from server.answers import OPENAI_TRANSCRIPT_ANSWER, OPENAI_TRANSLATION_ANSWER, OpenAIModel, OpenAIModels
from server.forms import Form, form_body, parse_form, split_field
from server.models import DEFAULT_MODEL_ALIAS, ModelStatus
from server.recognition import ERRORS, ReceivedUpload, recognized, streamed, workers_of
from server.responses import Answered, Presentation, transcript_response, verbose_body
from server.streams import event_stream

__all__ = ["router"]

OWNER = "auricle"

Granularity = Literal["word", "segment"]
ModelName = Annotated[str, Path(description="The served model's name; whisper-1 means it too.", examples=["base"])]

router = APIRouter(prefix="/v1", tags=["OpenAI"])


class OpenAITranslationForm(Form):
    """Fields of ``/v1/audio/translations``."""

    model: str = Field(default=DEFAULT_MODEL_ALIAS, description="The served model's name; whisper-1 means it too.")
    prompt: str | None = Field(default=None, description="Text taken to come before the recording.")
    response_format: Literal["json", "text", "srt", "verbose_json", "vtt"] = Field(
        default="json", description="json has the text; verbose_json everything; srt and vtt are subtitles."
    )
    temperature: float | None = Field(
        default=None,
        description="0, or absent: a ladder of rising temperatures while the text looks wrong. Above 0: that one only.",
    )

    def options(self, task: Task) -> TranscribeOptions:
        """As asr's options. Raises InvalidOptionError, naming the field."""
        ladder = (self.temperature,) if self.temperature else DEFAULT_TEMPERATURES
        return TranscribeOptions(task=task, prompt=self.prompt or "", temperatures=ladder)


class OpenAITranscriptionForm(OpenAITranslationForm):
    """Fields of ``/v1/audio/transcriptions``."""

    lists: ClassVar[frozenset[str]] = frozenset({"timestamp_granularities"})

    language: str | None = Field(default=None, description="Language of the speech, as a code (de); else detected.")
    timestamp_granularities: Annotated[tuple[Granularity, ...], BeforeValidator(split_field)] | None = Field(
        default=None, description="What verbose_json places in time: segment (the default), word, or both."
    )
    stream: bool = Field(
        default=False, description="Answer with the events transcript.text.delta, and transcript.text.done at the end."
    )
    chunking_strategy: Literal["auto"] | None = Field(
        default=None, description="auto: cut by voice activity, which is what happens in any case."
    )

    def options(self, task: Task) -> TranscribeOptions:
        """As asr's options. Raises InvalidOptionError, naming the field."""
        asked = self.timestamp_granularities or ()
        if asked and self.response_format != "verbose_json":
            message = f"timestamp_granularities: needs response_format verbose_json, got {self.response_format}"
            raise InvalidOptionError(message, param="timestamp_granularities")
        if self.stream and self.response_format not in {"json", "text"}:
            message = f"stream: sends text, which response_format {self.response_format} is not; leave one of them out"
            raise InvalidOptionError(message, param="stream")
        return replace(super().options(task), language=self.language, word_timestamps="word" in asked)


@router.post(
    "/audio/transcriptions",
    summary="Speech to text",
    responses=OPENAI_TRANSCRIPT_ANSWER | ERRORS,
    openapi_extra=form_body(OpenAITranscriptionForm),
)
async def transcriptions(request: Request, upload: ReceivedUpload) -> Response:
    """OpenAI's `audio.transcriptions.create`."""
    form = parse_form(OpenAITranscriptionForm, upload.fields)
    model, options = await workers_of(request).model(form.model), form.options(Task.TRANSCRIBE)
    if form.stream:
        updates = await streamed(request, upload, model, options)
        return event_stream(request, updates, _Deltas().event, _event)
    answered = await recognized(request, upload, model, options)
    return _response(answered, form.response_format, form.timestamp_granularities or ("segment",))


@router.post(
    "/audio/translations",
    summary="Speech to English text",
    responses=OPENAI_TRANSLATION_ANSWER | ERRORS,
    openapi_extra=form_body(OpenAITranslationForm),
)
async def translations(request: Request, upload: ReceivedUpload) -> Response:
    """OpenAI's `audio.translations.create`: speech in any language into English text."""
    form = parse_form(OpenAITranslationForm, upload.fields)
    model, options = await workers_of(request).model(form.model), form.options(Task.TRANSLATE)
    return _response(await recognized(request, upload, model, options), form.response_format, ("segment",))


@router.get("/models", summary="The models served", responses={401: ERRORS[401]})
async def models(request: Request) -> OpenAIModels:
    """OpenAI's `models.list`."""
    statuses = workers_of(request).models
    return OpenAIModels(data=[_described(request, status, status.name) for status in statuses])


@router.get("/models/{name:path}", summary="One model", responses={status: ERRORS[status] for status in (401, 404)})
async def model(request: Request, name: ModelName) -> OpenAIModel:
    """OpenAI's `models.retrieve`; `whisper-1` is the default model."""
    return _described(request, workers_of(request).status_of(name), name)


def _described(request: Request, status: ModelStatus, name: str) -> OpenAIModel:
    digest = status.model.hash if status.model else None
    return OpenAIModel(id=name, created=request.app.state.started_at, owned_by=OWNER, hash=digest)


def _response(
    answered: Answered,
    response_format: Literal["json", "text", "srt", "verbose_json", "vtt"],
    granularities: tuple[Granularity, ...],
) -> Response:
    presentation = Presentation(response_format=response_format)
    if response_format == "json":
        return JSONResponse({"text": answered.transcript.text, "usage": _usage(answered)})
    if response_format == "text":
        return PlainTextResponse(answered.transcript.text + "\n")
    if response_format != "verbose_json":
        return transcript_response(answered, presentation)
    body = verbose_body(answered, presentation)
    # Here the language is a word ("german"), and only what was asked for is placed in time.
    body |= {"language": body.pop("language_name"), "language_code": body["language"], "usage": _usage(answered)}
    for granularity, field in (("word", "words"), ("segment", "segments")):
        if granularity not in granularities:
            del body[field]
    return JSONResponse(body)


def _usage(answered: Answered) -> dict[str, Any]:
    return {"type": "duration", "seconds": math.ceil(answered.transcript.duration)}


class _Deltas:
    """Segments as pieces of text that add up to the whole."""

    def __init__(self) -> None:
        self._is_first = True

    def event(self, update: Segment | Answered) -> bytes:
        if isinstance(update, Segment):
            text = update.text.lstrip() if self._is_first else update.text
            self._is_first = False
            return _event({"type": "transcript.text.delta", "delta": text})
        return _event({"type": "transcript.text.done", "text": update.transcript.text, "usage": _usage(update)})


def _event(body: dict[str, Any]) -> bytes:
    return f"data: {json.dumps(body, ensure_ascii=False)}\n\n".encode()
