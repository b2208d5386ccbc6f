"""Our own routes. In: requests. Out: answers, from whatever ``Workers`` the application was given."""

from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from asr.tasks import Task
from asr.transcript import Segment
from server.forms import DetectLanguageForm, RecognitionForm, TranscriptionForm, form_body, parse_form
from server.raw_samples import check_encode
from server.recognition import (
    ERRORS,
    ReceivedSamplesToo,
    ReceivedUpload,
    detected,
    model_of,
    recognized,
    served_model,
    streamed,
    workers_of,
)
from server.responses import (
    Answered,
    detection_body,
    segment_body,
    server_sent_event,
    transcript_event,
    transcript_response,
)
from server.streams import event_stream
from server.uploads import Upload
from server.worker_pool import WorkerState

__all__ = ["router"]

router = APIRouter()


@router.post("/transcribe", responses=ERRORS, openapi_extra=form_body(TranscriptionForm))
async def transcribe(request: Request, upload: ReceivedUpload) -> Response:
    """Turn speech into text.

    Send a form with the recording in `file`, or the recording itself as the body with an `audio/*`, `video/*` or
    `application/octet-stream` media type and the other fields as query parameters.
    """
    form = parse_form(TranscriptionForm, upload.fields)
    return await _recognize(request, upload, form, Task(form.task))


@router.post("/translate", responses=ERRORS, openapi_extra=form_body(RecognitionForm))
async def translate(request: Request, upload: ReceivedUpload) -> Response:
    """Turn speech in any language into English text; the same form as `/transcribe`, without `task`."""
    return await _recognize(request, upload, parse_form(RecognitionForm, upload.fields), Task.TRANSLATE)


@router.post("/detect-language", responses=ERRORS, openapi_extra=form_body(DetectLanguageForm))
async def detect_language(request: Request, upload: ReceivedSamplesToo) -> Response:
    """Name the language of the speech, with the probability of every language the model knows or was allowed.

    Where none reaches `language_threshold`, `language` is null.
    """
    form = parse_form(DetectLanguageForm, upload.fields)
    check_encode(request, form.encode)
    model = served_model(request, form.model)
    return JSONResponse(detection_body(await detected(request, upload, model, form.detection_options())))


@router.get("/healthz")
async def healthz() -> dict[str, str]:
    """Whether the service is alive; says nothing about the model."""
    return {"status": "ok"}


@router.get("/readyz", responses={503: ERRORS[503]})
async def readyz(request: Request) -> dict[str, str]:
    """Whether a request would be worked on; 503 while the model is being loaded."""
    workers = workers_of(request)
    if workers.status.state is not WorkerState.READY:
        workers.check_admission()
    return {"status": "ready", "model": model_of(request).name}


@router.get("/models", responses={503: ERRORS[503]})
async def models(request: Request) -> dict[str, list[dict[str, Any]]]:
    """The model that is served: its name, the digest of its weights, its languages."""
    model = model_of(request)
    return {"models": [{"name": model.name, "hash": model.hash, "languages": list(model.languages)}]}


async def _recognize(request: Request, upload: Upload, form: RecognitionForm, task: Task) -> Response:
    model = served_model(request, form.model)
    options, presentation = form.options(task), form.presentation()
    if not form.stream:
        return transcript_response(await recognized(request, upload, model, options), presentation)

    def event_of(update: Segment | Answered) -> bytes:
        if isinstance(update, Segment):
            return server_sent_event("segment", segment_body(update, presentation))
        return transcript_event(update, presentation)

    updates = await streamed(request, upload, model, options)
    return event_stream(request, updates, event_of, lambda body: server_sent_event("error", body))
