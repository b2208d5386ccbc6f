"""The routes. In: requests. Out: answers, from whatever ``Workers`` the application was given.

Handlers only await. They know nothing of processes, of where files lie, or of how an error looks on the wire.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from typing import Annotated, Any, cast

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse
from starlette.requests import ClientDisconnect

from asr.errors import UnsupportedLanguageError
from asr.options import TranscribeOptions
from asr.tasks import Task
from asr.transcript import LanguageDetection, Segment, Transcript
from server.errors import ApiError, ErrorAnswer, error_answer
from server.forms import DetectionForm, RecognitionForm, TranscriptionForm, form_schema, parse_form
from server.messages import DetectWork, ModelInfo, TranscribeWork
from server.responses import (
    Answered,
    detection_body,
    segment_body,
    server_sent_event,
    transcript_event,
    transcript_response,
)
from server.settings import Settings
from server.uploads import Spool, Upload
from server.worker_pool import Result, Update, Workers, WorkerState

__all__ = ["router"]

DEFAULT_MODEL_ALIAS = "whisper-1"  # OpenAI's name, which its clients send unasked

STREAM_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}  # proxies: pass each event on at once

ERRORS: dict[int | str, dict[str, Any]] = {
    400: {"model": ErrorAnswer, "description": "A field or the file is not usable; `param` names it"},
    404: {"model": ErrorAnswer, "description": "This model is not served here"},
    413: {"model": ErrorAnswer, "description": "Too large or too long"},
    415: {"model": ErrorAnswer, "description": "Not a media type or container that can be read"},
    422: {"model": ErrorAnswer, "description": "The audio is damaged"},
    429: {"model": ErrorAnswer, "description": "Too many requests are waiting; see Retry-After"},
    503: {"model": ErrorAnswer, "description": "The model is being loaded; see Retry-After"},
}

router = APIRouter()


def _workers(request: Request) -> Workers:
    return cast("Workers", request.app.state.workers)


async def _upload(request: Request) -> AsyncIterator[Upload]:
    # Refuse before 512 MiB are read, not after.
    _workers(request).check_admission()
    async with cast("Spool", request.app.state.spool).receive(request) as upload:
        yield upload  # FastAPI comes back here when the answer is sent, streamed ones included


ReceivedUpload = Annotated[Upload, Depends(_upload)]


def _form_body(form: type[DetectionForm]) -> dict[str, Any]:
    raw = {"schema": {"type": "string", "format": "binary"}}
    content = {"multipart/form-data": {"schema": form_schema(form)}, "application/octet-stream": raw, "audio/*": raw}
    return {"requestBody": {"required": True, "content": content}}


@router.post("/transcribe", responses=ERRORS, openapi_extra=_form_body(TranscriptionForm))
async def transcribe(request: Request, upload: ReceivedUpload) -> Response:
    """Turn speech into text.

    Send a form with the recording in `file`, or the recording itself as the body with an `audio/*`, `video/*` or
    `application/octet-stream` media type and the other fields as query parameters.
    """
    form = parse_form(TranscriptionForm, upload.fields)
    return await _recognize(request, upload, form, Task(form.task))


@router.post("/translate", responses=ERRORS, openapi_extra=_form_body(RecognitionForm))
async def translate(request: Request, upload: ReceivedUpload) -> Response:
    """Turn speech in any language into English text; the same form as `/transcribe`, without `task`."""
    return await _recognize(request, upload, parse_form(RecognitionForm, upload.fields), Task.TRANSLATE)


@router.post("/detect-language", responses=ERRORS, openapi_extra=_form_body(DetectionForm))
async def detect_language(request: Request, upload: ReceivedUpload) -> Response:
    """Name the language of the speech, with the probability of every language the model knows or was allowed.

    Where none reaches `language_threshold`, `language` is null.
    """
    form = parse_form(DetectionForm, upload.fields)
    model = _served_model(request, form.model)
    options = form.detection_options()
    _check_languages(options, model)
    work = DetectWork(
        path=upload.path,
        max_duration_s=_settings(request).max_duration_s,
        languages=options.languages,
        language_threshold=options.language_threshold,
    )
    async with aclosing(_workers(request).run(work)) as updates:
        result = await _unless_disconnected(request, updates)
    if not isinstance(result, Result) or not isinstance(result.output, LanguageDetection):
        raise TypeError(f"got {type(result).__name__}, expected a language detection")
    return JSONResponse(detection_body(result.output))


@router.get("/healthz")
async def healthz() -> dict[str, str]:
    """Whether the service is alive; says nothing about the model."""
    return {"status": "ok"}


@router.get("/readyz", responses={503: ERRORS[503]})
async def readyz(request: Request) -> dict[str, str]:
    """Whether a request would be worked on; 503 while the model is being loaded."""
    workers = _workers(request)
    if workers.status.state is not WorkerState.READY:
        workers.check_admission()
    return {"status": "ready", "model": _model(request).name}


@router.get("/models", responses={503: ERRORS[503]})
async def models(request: Request) -> dict[str, list[dict[str, Any]]]:
    """The model that is served: its name, the digest of its weights, its languages."""
    model = _model(request)
    return {"models": [{"name": model.name, "hash": model.hash, "languages": list(model.languages)}]}


def _settings(request: Request) -> Settings:
    return cast("Settings", request.app.state.settings)


def _model(request: Request) -> ModelInfo:
    workers = _workers(request)
    if workers.status.model is None:
        workers.check_admission()
        raise RuntimeError("the workers are ready but name no model")
    return workers.status.model


def _served_model(request: Request, asked: str) -> ModelInfo:
    model = _model(request)
    if asked not in {model.name, DEFAULT_MODEL_ALIAS}:
        message = f"model: got {asked[:64]!r}, this service has {model.name!r}"
        raise ApiError(404, "model_not_found", message, param="model")
    return model


def _check_languages(options: TranscribeOptions, model: ModelInfo) -> None:
    asked = {"language": (options.language,) if options.language else (), "languages": options.languages}
    for param, languages in asked.items():
        for language in languages:
            if language not in model.languages:
                message = f"{param}: the model {model.name} does not know {language!r}"
                raise UnsupportedLanguageError(message, param=param)


async def _recognize(request: Request, upload: Upload, form: RecognitionForm, task: Task) -> Response:
    model = _served_model(request, form.model)
    options, presentation = form.options(task), form.presentation()
    _check_languages(options, model)
    work = TranscribeWork(
        path=upload.path,
        options=options,
        max_duration_s=_settings(request).max_duration_s,
        send_segments=form.stream,
    )
    request_id: str = request.state.request_id

    def answered(result: Result) -> Answered:
        if not isinstance(result.output, Transcript):
            raise TypeError(f"got {type(result.output).__name__}, expected a transcript")
        return Answered(transcript=result.output, model=model, request_id=request_id, queue_s=result.queue_s)

    updates = _workers(request).run(work)
    if form.stream:
        # The first update is awaited before the headers go out: a damaged file still gets its own status code.
        first = await _first_of(request, updates)

        def last_event(result: Result) -> bytes:
            return transcript_event(answered(result), presentation)

        def segment_event(segment: Segment) -> bytes:
            return server_sent_event("segment", segment_body(segment, presentation))

        events = _events(first, updates, segment_event, last_event, request_id)
        return StreamingResponse(events, media_type="text/event-stream", headers=STREAM_HEADERS)
    async with aclosing(updates):
        result = await _unless_disconnected(request, updates)
    if not isinstance(result, Result):
        raise TypeError(f"got {type(result).__name__}, expected a result")
    return transcript_response(answered(result), presentation)


async def _first_of(request: Request, updates: AsyncGenerator[Update]) -> Update:
    try:
        return await _unless_disconnected(request, updates)
    except BaseException:
        await updates.aclose()
        raise


async def _events(
    first: Update,
    updates: AsyncGenerator[Update],
    segment_event: Callable[[Segment], bytes],
    last_event: Callable[[Result], bytes],
    request_id: str,
) -> AsyncIterator[bytes]:
    async with aclosing(updates):
        update: Update | None = first
        try:
            while isinstance(update, Segment):
                yield segment_event(update)
                update = await anext(updates)
            yield last_event(cast("Result", update))
        except ApiError as error:
            yield server_sent_event("error", error_answer(error, request_id).model_dump())


async def _unless_disconnected(request: Request, updates: AsyncGenerator[Update]) -> Update:
    """The next update, or ClientDisconnect as soon as the client leaves, so that its place in the queue is freed."""
    update = asyncio.ensure_future(anext(updates))
    leaving = asyncio.ensure_future(_until_disconnected(request))
    try:
        await asyncio.wait({update, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not update.done():
            raise ClientDisconnect
        return update.result()
    finally:
        update.cancel()
        leaving.cancel()
        await asyncio.gather(update, leaving, return_exceptions=True)


async def _until_disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
