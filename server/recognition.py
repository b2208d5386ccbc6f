"""A recording to its transcript, whatever dialect the route speaks. In: a request's upload. Out: what the model said.

Handlers only await. Knows nothing of forms, of answers' shapes, of processes, or of where files lie.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from typing import Annotated, Any, cast

from fastapi import Depends, Request
from starlette.requests import ClientDisconnect

from asr.errors import UnsupportedLanguageError
from asr.options import TranscribeOptions
from asr.transcript import LanguageDetection, Segment, Transcript
from server.errors import ApiError, ErrorAnswer
from server.messages import DetectWork, ModelInfo, TranscribeWork, Work
from server.raw_samples import raw_header
from server.responses import Answered
from server.settings import Settings
from server.uploads import Spool, Upload
from server.worker_pool import Result, Update, Workers

__all__ = [
    "DEFAULT_MODEL_ALIAS",
    "ERRORS",
    "ReceivedSamplesToo",
    "ReceivedUpload",
    "detected",
    "model_of",
    "recognized",
    "served_model",
    "streamed",
    "workers_of",
]

DEFAULT_MODEL_ALIAS = "whisper-1"  # OpenAI's name, which its clients send unasked

ERRORS: dict[int | str, dict[str, Any]] = {
    400: {"model": ErrorAnswer, "description": "A field or the file is not usable; `param` names it"},
    404: {"model": ErrorAnswer, "description": "This model is not served here"},
    413: {"model": ErrorAnswer, "description": "Too large or too long"},
    415: {"model": ErrorAnswer, "description": "Not a media type or container that can be read"},
    422: {"model": ErrorAnswer, "description": "The audio is damaged"},
    429: {"model": ErrorAnswer, "description": "Too many requests are waiting; see Retry-After"},
    503: {"model": ErrorAnswer, "description": "The model is being loaded; see Retry-After"},
}


@asynccontextmanager
async def _received(request: Request, *, header: bytes = b"") -> AsyncIterator[Upload]:
    # Refuse before 512 MiB are read, not after.
    workers_of(request).check_admission()
    async with cast("Spool", request.app.state.spool).receive(request, header=header) as upload:
        yield upload


async def _upload(request: Request) -> AsyncIterator[Upload]:
    async with _received(request) as upload:
        yield upload  # FastAPI comes back here when the answer is sent, streamed ones included


async def _samples_too(request: Request) -> AsyncIterator[Upload]:
    async with _received(request, header=raw_header(request)) as upload:
        yield upload


ReceivedUpload = Annotated[Upload, Depends(_upload)]
ReceivedSamplesToo = Annotated[Upload, Depends(_samples_too)]
"""Also raw samples, where the query says so (``server.raw_samples``)."""


def workers_of(request: Request) -> Workers:
    """The application's."""
    return cast("Workers", request.app.state.workers)


def model_of(request: Request) -> ModelInfo:
    """The model that is served. Raises ApiError while it is being loaded."""
    workers = workers_of(request)
    if workers.status.model is None:
        workers.check_admission()
        raise RuntimeError("the workers are ready but name no model")
    return workers.status.model


def served_model(request: Request, asked: str) -> ModelInfo:
    """The model by its name or by OpenAI's. Raises ApiError (404) for another."""
    model = model_of(request)
    if asked not in {model.name, DEFAULT_MODEL_ALIAS}:
        message = f"model: got {asked[:64]!r}, this service has {model.name!r}"
        raise ApiError(404, "model_not_found", message, param="model")
    return model


async def recognized(request: Request, upload: Upload, model: ModelInfo, options: TranscribeOptions) -> Answered:
    """The whole transcript. Raises ApiError, AuricleError, and ClientDisconnect when nobody waits for it any more."""
    work = _transcription(request, upload, model, options, send_segments=False)
    return _answered(await _only_result(request, work), request, model)


async def streamed(
    request: Request, upload: Upload, model: ModelInfo, options: TranscribeOptions
) -> AsyncGenerator[Segment | Answered]:
    """Each segment as soon as it is decoded, then the whole.

    The first is awaited before this returns: a damaged file gets its own status code. Raises as ``recognized`` does.
    """
    updates = workers_of(request).run(_transcription(request, upload, model, options, send_segments=True))
    first = await _first_of(request, updates)
    return _told(first, updates, lambda result: _answered(result, request, model))


async def detected(request: Request, upload: Upload, model: ModelInfo, options: TranscribeOptions) -> LanguageDetection:
    """The language, among those that the options allow. Raises as ``recognized`` does."""
    _check_languages(options, model)
    work = DetectWork(
        path=upload.path,
        max_duration_s=_max_duration_s(request),
        languages=options.languages,
        language_threshold=options.language_threshold,
    )
    result = await _only_result(request, work)
    if not isinstance(result.output, LanguageDetection):
        raise TypeError(f"got {type(result.output).__name__}, expected a language detection")
    return result.output


def _transcription(
    request: Request, upload: Upload, model: ModelInfo, options: TranscribeOptions, *, send_segments: bool
) -> TranscribeWork:
    _check_languages(options, model)
    return TranscribeWork(
        path=upload.path, options=options, max_duration_s=_max_duration_s(request), send_segments=send_segments
    )


def _max_duration_s(request: Request) -> float:
    return cast("Settings", request.app.state.settings).max_duration_s


def _check_languages(options: TranscribeOptions, model: ModelInfo) -> None:
    asked = {"language": (options.language,) if options.language else (), "languages": options.languages}
    for param, languages in asked.items():
        for language in languages:
            if language not in model.languages:
                message = f"{param}: the model {model.name} does not know {language!r}"
                raise UnsupportedLanguageError(message, param=param)


def _answered(result: Result, request: Request, model: ModelInfo) -> Answered:
    if not isinstance(result.output, Transcript):
        raise TypeError(f"got {type(result.output).__name__}, expected a transcript")
    request_id: str = request.state.request_id
    return Answered(transcript=result.output, model=model, request_id=request_id, queue_s=result.queue_s)


async def _only_result(request: Request, work: Work) -> Result:
    async with aclosing(workers_of(request).run(work)) as updates:
        result = await _unless_disconnected(request, updates)
    if not isinstance(result, Result):
        raise TypeError(f"got {type(result).__name__}, expected a result")
    return result


async def _first_of(request: Request, updates: AsyncGenerator[Update]) -> Update:
    try:
        return await _unless_disconnected(request, updates)
    except BaseException:
        await updates.aclose()
        raise


async def _told(
    first: Update, updates: AsyncGenerator[Update], answered: Callable[[Result], Answered]
) -> AsyncGenerator[Segment | Answered]:
    async with aclosing(updates):
        update = first
        while isinstance(update, Segment):
            yield update
            update = await anext(updates)
        yield answered(update)


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
