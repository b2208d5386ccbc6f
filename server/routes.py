"""Our own routes. In: requests. Out: answers, from whatever ``Workers`` the application was given."""

from enum import Enum
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request, Response
from fastapi.responses import JSONResponse

from asr.tasks import Task
from asr.transcript import Segment
from server.answers import (
    DETECTION_ANSWER,
    TRANSCRIPT_ANSWER,
    ModelsAnswer,
    ServedModel,
)
from server.forms import DetectLanguageForm, RecognitionForm, TranscriptionForm, VadForm, form_body, parse_form
from server.models import ModelStatus
from server.raw_samples import check_encode
from server.recognition import (
    ERRORS,
    ReceivedSamplesOrUrl,
    ReceivedUploadOrUrl,
    detected,
    fetched,
    recognized,
    speech_found,
    streamed,
    workers_of,
)
from server.responses import (
    Answered,
    SpeechAnswer,
    detection_body,
    segment_body,
    server_sent_event,
    speech_answer,
    transcript_event,
    transcript_response,
)
from server.streams import event_stream
from server.uploads import Upload

__all__ = ["router"]

router = APIRouter()

SPEECH: list[str | Enum] = ["Speech"]
OPERATION: list[str | Enum] = ["Operation"]
ModelName = Annotated[str, Path(description="The model's name; whisper-1 means the default.", examples=["base"])]


def _errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    return {status: ERRORS[status] for status in statuses}


@router.post(
    "/transcribe",
    tags=SPEECH,
    summary="Speech to text",
    responses=TRANSCRIPT_ANSWER | ERRORS,
    openapi_extra=form_body(TranscriptionForm),
)
async def transcribe(request: Request, upload: ReceivedUploadOrUrl) -> Response:
    """Turn speech into text.

    Send a form with the recording in `file`, or the recording itself as the body with an `audio/*`, `video/*` or
    `application/octet-stream` media type and the other fields as query parameters.
    """
    form = parse_form(TranscriptionForm, upload.fields)
    return await _recognize(request, upload, form, Task(form.task))


@router.post(
    "/translate",
    tags=SPEECH,
    summary="Speech to English text",
    responses=TRANSCRIPT_ANSWER | ERRORS,
    openapi_extra=form_body(RecognitionForm),
)
async def translate(request: Request, upload: ReceivedUploadOrUrl) -> Response:
    """Turn speech in any language into English text; the same form as `/transcribe`, without `task`."""
    return await _recognize(request, upload, parse_form(RecognitionForm, upload.fields), Task.TRANSLATE)


@router.post(
    "/detect-language",
    tags=SPEECH,
    summary="Which language is spoken",
    responses=DETECTION_ANSWER | ERRORS,
    openapi_extra=form_body(DetectLanguageForm),
)
async def detect_language(request: Request, upload: ReceivedSamplesOrUrl) -> Response:
    """Name the language of the speech, with the probability of every language the model knows or was allowed.

    Where none reaches `language_threshold`, `language` is null.
    """
    form = parse_form(DetectLanguageForm, upload.fields)
    check_encode(request, form.encode)
    model, options = await workers_of(request).model(form.model), form.detection_options()
    await fetched(request, upload, form.url)
    return JSONResponse(detection_body(await detected(request, upload, model, options)))


@router.post("/vad", tags=SPEECH, summary="Where somebody speaks", responses=ERRORS, openapi_extra=form_body(VadForm))
async def vad(request: Request, upload: ReceivedUploadOrUrl) -> SpeechAnswer:
    """Find where somebody speaks: start and end of every stretch of speech, in seconds."""
    form = parse_form(VadForm, upload.fields)
    model, threshold = await workers_of(request).model(form.model), form.threshold()
    await fetched(request, upload, form.url)
    return speech_answer(await speech_found(request, upload, model, threshold))


@router.get("/models", tags=OPERATION, summary="The models served", responses=_errors(401))
async def models(request: Request) -> ModelsAnswer:
    """The models that may be asked for, the default first: name, state, digest of the weights, languages.

    A state is `ready`, `loading`, `load_failed` or `unloaded`; digest and languages are known once it was loaded.
    """
    return ModelsAnswer(models=[_described(status) for status in workers_of(request).models])


@router.post("/models/{name:path}/load", tags=OPERATION, summary="Load a model", responses=_errors(401, 404, 429, 503))
async def load(request: Request, name: ModelName) -> ServedModel:
    """Load a model before somebody has to wait for it; answers when it is ready."""
    workers = workers_of(request)
    await workers.model(name)
    return _described(workers.status_of(name))


@router.post(
    "/models/{name:path}/unload",
    tags=OPERATION,
    summary="Unload a model",
    status_code=204,
    responses=_errors(401, 404, 409, 429),
)
async def unload(request: Request, name: ModelName) -> None:
    """Take a model out of memory; the next request that names it loads it again. The default model stays."""
    await workers_of(request).unload(name)


def _described(status: ModelStatus) -> ServedModel:
    model = status.model
    return ServedModel(
        name=status.name,
        default=status.is_default,
        state=status.state,
        hash=model.hash if model else None,
        languages=list(model.languages) if model else None,
    )


async def _recognize(request: Request, upload: Upload, form: RecognitionForm, task: Task) -> Response:
    model = await workers_of(request).model(form.model)
    options, presentation = form.options(task), form.presentation()
    await fetched(request, upload, form.url)
    if not form.stream:
        return transcript_response(await recognized(request, upload, model, options, lane=form.lane), presentation)

    def event_of(update: Segment | Answered) -> bytes:
        if isinstance(update, Segment):
            return server_sent_event("segment", segment_body(update, presentation))
        return transcript_event(update, presentation)

    updates = await streamed(request, upload, model, options, lane=form.lane)
    return event_stream(request, updates, event_of, lambda body: server_sent_event("error", body))
