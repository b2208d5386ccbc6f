"""A recording to its transcript, whatever dialect the route speaks. In: a request's upload. Out: what the model said.

Handlers only await. Knows nothing of forms, of answers' shapes, of processes, or of where files lie.
"""

import asyncio
import os
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import Annotated, Any, TypeVar, cast

from fastapi import Depends, Request
from starlette.requests import ClientDisconnect, HTTPConnection

from asr.errors import UnsupportedLanguageError
from asr.options import Channels, TranscribeOptions
from asr.ticket import Lane
from asr.transcript import LanguageDetection, Segment, Timing, Transcript
from asr.voice_activity import SpeechDetection
from server.audio_decoder import Decoder
from server.errors import ApiError, documented_error
from server.fetching import fetch
from server.messages import DecodedAudio, DetectWork, ModelInfo, TranscribeWork, VadWork, Work
from server.models import Workers
from server.pool_types import Result, Update
from server.raw_samples import raw_header
from server.request_record import Phase, record_of
from server.responses import Answered
from server.settings import Settings
from server.uploads import Spool, Upload

__all__ = [
    "ERRORS",
    "ReceivedSamplesOrUrl",
    "ReceivedSamplesToo",
    "ReceivedUpload",
    "ReceivedUploadOrUrl",
    "check_languages",
    "detected",
    "fetched",
    "recognized",
    "speech_found",
    "streamed",
    "workers_of",
]

ERRORS: dict[int | str, dict[str, Any]] = {
    status: documented_error(status, code, description, message)
    for status, code, description, message in (
        (
            400,
            "invalid_value",
            "A field or the file is not usable; `param` names it",
            "beam_size: got 0",
        ),
        (401, "invalid_api_key", "The service asks for keys, and this is none of them", "Incorrect API key provided."),
        (403, "url_not_allowed", "Fetching from this url is not allowed", "This service fetches no urls."),
        (404, "model_not_found", "This model is not served here", "model: got 'large-v9', this service has 'base'"),
        (408, "request_timeout", "The upload paused, or took, too long", "The upload took too long."),
        (409, "model_is_default", "Not possible in this state", "base is the default model, which stays in memory."),
        (413, "file_too_large", "Too large or too long", "The upload is too large: at most 536870912 bytes."),
        (415, "unsupported_media", "Not a media type or container that can be read", "The file is not audio."),
        (422, "undecodable_audio", "The audio is damaged", "No frame could be decoded."),
        (429, "queue_full", "Too many requests, in all or of this key; see Retry-After", "Too many are waiting."),
        (500, "internal_error", "Something went wrong on our side", "The log has it under this request id."),
        (503, "loading", "The model is being loaded, or died; see Retry-After", "The model is being loaded."),
        (504, "deadline_exceeded", "Not done in the time allowed", "The recording took too long."),
        (507, "insufficient_storage", "No disk space for the recording; see Retry-After", "No space is left."),
    )
}


T = TypeVar("T")


@asynccontextmanager
async def _received(request: Request, *, header: bytes = b"", or_url: bool = False) -> AsyncIterator[Upload]:
    # Refuse before 512 MiB are read, not after.
    workers_of(request).check_admission()
    record = record_of(request)
    async with cast("Spool", request.app.state.spool).receive(request, header=header, or_url=or_url) as upload:
        record.phases.append(Phase("upload", record.started_at, time.monotonic()))
        yield upload


async def _upload(request: Request) -> AsyncIterator[Upload]:
    async with _received(request) as upload:
        yield upload  # FastAPI comes back here when the answer is sent, streamed ones included


async def _upload_or_url(request: Request) -> AsyncIterator[Upload]:
    async with _received(request, or_url=True) as upload:
        yield upload


async def _samples_too(request: Request) -> AsyncIterator[Upload]:
    async with _received(request, header=raw_header(request)) as upload:
        yield upload


async def _samples_or_url(request: Request) -> AsyncIterator[Upload]:
    async with _received(request, header=raw_header(request), or_url=True) as upload:
        yield upload


ReceivedUpload = Annotated[Upload, Depends(_upload)]
ReceivedUploadOrUrl = Annotated[Upload, Depends(_upload_or_url)]
"""The form may name a url; ``fetched`` then brings its file."""
ReceivedSamplesToo = Annotated[Upload, Depends(_samples_too)]
"""Also raw samples, where the query says so (``server.raw_samples``)."""
ReceivedSamplesOrUrl = Annotated[Upload, Depends(_samples_or_url)]


def workers_of(request: HTTPConnection) -> Workers:
    """The application's."""
    return cast("Workers", request.app.state.workers)


async def fetched(request: Request, upload: Upload, url: str | None) -> None:
    """See that the upload has its file: fetch it where the form names a url. Raises as ``server.fetching.fetch``."""
    if upload.has_file:
        if url is not None:
            message = "url: given together with a file, expected one of them"
            raise ApiError(400, "conflicting_parameter", message, param="url")
        return
    settings = cast("Settings", request.app.state.settings)
    await _unless_disconnected(request, fetch(url or "", upload.path, settings))


async def recognized(
    request: Request,
    upload: Upload,
    model: ModelInfo,
    options: TranscribeOptions,
    *,
    lane: Lane = Lane.INTERACTIVE,
) -> Answered:
    """The whole transcript. Raises ApiError, AuricleError, and ClientDisconnect when nobody waits for it any more."""
    work = replace(await _transcription(request, upload, model, options), lane=lane)
    return _answered(await _only_result(request, work, model), request, model)


async def streamed(
    request: Request,
    upload: Upload,
    model: ModelInfo,
    options: TranscribeOptions,
    *,
    lane: Lane = Lane.INTERACTIVE,
) -> AsyncGenerator[Segment | Answered]:
    """Each segment as soon as it is decoded, then the whole.

    The first is awaited before this returns: a damaged file gets its own status code. Raises as ``recognized`` does.
    """
    work = replace(await _transcription(request, upload, model, options), send_segments=True, lane=lane)
    updates = workers_of(request).run(work, model=model.name)
    first = await _first_of(request, updates)
    if isinstance(first, Segment):
        record = record_of(request)
        record.first_text_s = time.monotonic() - record.started_at
    return _told(first, updates, lambda result: _answered(result, request, model))


async def detected(request: Request, upload: Upload, model: ModelInfo, options: TranscribeOptions) -> LanguageDetection:
    """The language, among those that the options allow. Raises as ``recognized`` does."""
    check_languages(options, model)
    work = DetectWork(
        audio=await _decoded(request, upload, Channels.MIX),
        languages=options.languages,
        language_threshold=options.language_threshold,
    )
    result = await _only_result(request, work, model)
    if not isinstance(result.output, LanguageDetection):
        raise TypeError(f"got {type(result.output).__name__}, expected a language detection")
    return result.output


async def speech_found(request: Request, upload: Upload, model: ModelInfo, threshold: float) -> SpeechDetection:
    """Where somebody speaks. Raises as ``recognized`` does."""
    work = VadWork(audio=await _decoded(request, upload, Channels.MIX), threshold=threshold)
    result = await _only_result(request, work, model)
    if not isinstance(result.output, SpeechDetection):
        raise TypeError(f"got {type(result.output).__name__}, expected a speech detection")
    return result.output


async def _transcription(
    request: Request, upload: Upload, model: ModelInfo, options: TranscribeOptions
) -> TranscribeWork:
    check_languages(options, model)
    audio = await _decoded(request, upload, options.channels)
    return TranscribeWork(audio=audio, options=options, send_segments=False)


async def _decoded(request: Request, upload: Upload, channels: Channels) -> DecodedAudio:
    """The upload's samples, which take its place on disk. Raises ApiError (429) where no place is left to wait in."""
    decoder = cast("Decoder", request.app.state.decoder)
    max_duration_s = cast("Settings", request.app.state.settings).max_duration_s
    decoding = partial(decoder.decode, upload.path, channels=channels, max_duration_s=max_duration_s)
    started_at = time.monotonic()
    with workers_of(request).arriving():
        audio = await _unless_disconnected(request, decoding())
        record_of(request).phases.append(Phase("decode_audio", started_at, time.monotonic()))
        await asyncio.to_thread(os.unlink, upload.path)
    return audio


def check_languages(options: TranscribeOptions, model: ModelInfo) -> None:
    """Raise UnsupportedLanguageError for a language that the model does not know."""
    asked = {"language": (options.language,) if options.language else (), "languages": options.languages}
    for param, languages in asked.items():
        for language in languages:
            if language not in model.languages:
                message = f"{param}: the model {model.name} does not know {language!r}"
                raise UnsupportedLanguageError(message, param=param)


def _answered(result: Result, request: Request, model: ModelInfo) -> Answered:
    if not isinstance(result.output, Transcript):
        raise TypeError(f"got {type(result.output).__name__}, expected a transcript")
    transcript, record = result.output, record_of(request)
    record.model, record.queue_s, record.audio_s = model.name, result.queue_s, transcript.duration
    record.speed = transcript.duration / transcript.timing.total if transcript.timing.total else None
    record.phases += _phases_of(transcript.timing, result.queue_s, ended_at=time.monotonic())
    return Answered(transcript=transcript, model=model, request_id=record.request_id, queue_s=result.queue_s)


def _phases_of(timing: Timing, queue_s: float, *, ended_at: float) -> list[Phase]:
    """What of the time the model had; windows are encoded in between, here they come before all decoding."""
    begun_at = ended_at - timing.total
    encoded_at = begun_at + timing.encode
    return [
        Phase("queue", begun_at - queue_s, begun_at),
        Phase("encode", begun_at, encoded_at),
        Phase("decode", encoded_at, encoded_at + timing.decode),
    ]


async def _only_result(request: Request, work: Work, model: ModelInfo) -> Result:
    async with aclosing(workers_of(request).run(work, model=model.name)) as updates:
        result = await _unless_disconnected(request, anext(updates))
    if not isinstance(result, Result):
        raise TypeError(f"got {type(result).__name__}, expected a result")
    record = record_of(request)
    record.model, record.queue_s, record.audio_s = model.name, result.queue_s, work.audio_s
    return result


async def _first_of(request: Request, updates: AsyncGenerator[Update]) -> Update:
    try:
        return await _unless_disconnected(request, anext(updates))
    except BaseException:
        await updates.aclose()
        raise


async def _told(
    first: Update, updates: AsyncGenerator[Update], answered: Callable[[Result], Answered]
) -> AsyncGenerator[Segment | Answered]:
    async with aclosing(updates):
        update = first
        while not isinstance(update, Result):
            if isinstance(update, Segment):
                yield update
            update = await anext(updates)
        yield answered(update)


async def _unless_disconnected(request: Request, awaited: Awaitable[T]) -> T:
    """What is awaited, or ClientDisconnect as soon as the client leaves, so that whatever it occupied is freed."""
    update = asyncio.ensure_future(awaited)
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
