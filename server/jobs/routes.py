"""The routes of jobs. In: requests. Out: jobs, their results and their events."""

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated, Any, cast, get_args

from fastapi import APIRouter, Depends, Header, Path, Query, Request, Response
from fastapi.responses import StreamingResponse

from asr.tasks import Task
from server.answers import JOB_EVENTS_ANSWER, JOB_RESULT_ANSWER
from server.errors import ApiError, documented_error
from server.forms import form_body, parse_form
from server.jobs.answers import JobAnswer, job_answer
from server.jobs.events import job_events
from server.jobs.forms import JobForm, form_of, presentation_of
from server.jobs.service import JobService, JobTicket
from server.jobs.storage import storage_error
from server.jobs.store import Job, JobStatus
from server.recognition import ERRORS, check_languages, fetched, workers_of
from server.request_record import record_of
from server.responses import ResponseFormat, transcript_response
from server.streams import HEADERS
from server.uploads import Spool, Upload

__all__ = ["router"]

MAX_KEY_CHARACTERS = 255

NO_JOB: dict[int | str, dict[str, Any]] = {
    401: ERRORS[401],
    404: documented_error(404, "job_not_found", "There is no such job", "There is no job 'job_6f2c'."),
    503: documented_error(
        503, "storage_unavailable", "The store cannot be used; see Retry-After", "Jobs cannot be stored at the moment."
    ),
}
NO_RESULT: dict[int | str, dict[str, Any]] = {
    **NO_JOB,
    410: documented_error(410, "job_expired", "Its result was deleted", "The job's result has been deleted."),
}
ACCEPTING: dict[int | str, dict[str, Any]] = {
    **{status: ERRORS[status] for status in (400, 401, 403, 404, 408, 413, 415, 429, 500, 503, 507)},
    422: documented_error(
        422,
        "idempotency_key_reused",
        "The Idempotency-Key was used for another recording or other fields",
        "Idempotency-Key: used before with another recording or other fields.",
    ),
}
RESULT: dict[int | str, dict[str, Any]] = {
    **JOB_RESULT_ANSWER,
    **NO_RESULT,
    400: ERRORS[400],
    409: documented_error(409, "job_not_finished", "The job has not ended yet", "The job is running."),
    # A failed job's own error, whose status may be any that `/transcribe` has.
    **{status: ERRORS[status] for status in (413, 415, 422, 500)},
}
EVENTS: dict[int | str, dict[str, Any]] = {
    **JOB_EVENTS_ANSWER,
    **NO_RESULT,
    400: ERRORS[400],
}

router = APIRouter(prefix="/jobs", tags=["Jobs"])


def _jobs(request: Request) -> JobService:
    return cast("JobService", request.app.state.jobs)


async def _upload(request: Request) -> AsyncIterator[Upload]:
    workers = workers_of(request)
    if workers.status.model is None:
        workers.check_admission()  # 503 before anything is read, while it is not known what can be asked
    limits = cast("Spool", request.app.state.spool).limits
    try:
        folder = await asyncio.to_thread(_jobs(request).media.receiving)
        with Spool(parent=folder, limits=limits) as spool:
            async with spool.receive(request, or_url=True) as upload:
                yield upload
    except OSError as error:
        raise storage_error(error) from error


async def _known_job(request: Request, job_id: Annotated[str, Path(alias="id", description="The job's id.")]) -> Job:
    job = await _jobs(request).store.get(job_id)
    if job is None:
        raise ApiError(404, "job_not_found", f"There is no job {job_id[:64]!r}.")
    return job


async def _kept_job(job: Annotated[Job, Depends(_known_job)]) -> Job:
    if job.is_expired:
        raise ApiError(410, "job_expired", "The job's result has been deleted.")
    return job


KnownJob = Annotated[Job, Depends(_known_job)]
KeptJob = Annotated[Job, Depends(_kept_job)]
"""One whose result has not been deleted."""


@router.post(
    "",
    status_code=202,
    summary="Take a recording as a job",
    responses=ACCEPTING,
    openapi_extra=form_body(JobForm),
)
async def create(
    request: Request,
    response: Response,
    upload: Annotated[Upload, Depends(_upload)],
    idempotency_key: Annotated[
        str | None,
        Header(
            description="A name of your own for this job, at most 255 characters. The same request under the same key "
            "gives the same job, however often it is sent, until the job's result expires.",
            examples=["talk-2026-01-02"],
        ),
    ] = None,
) -> JobAnswer:
    """Take a recording to transcribe when there is time: the same form as `/transcribe`, and `webhook_url`.

    Once this has answered with 202 the job survives crashes and restarts. `Location` is where its state is.
    """
    if idempotency_key is not None and not 0 < len(idempotency_key) <= MAX_KEY_CHARACTERS:
        message = f"Idempotency-Key: got {len(idempotency_key)} characters, expected 1 to {MAX_KEY_CHARACTERS}"
        raise ApiError(400, "invalid_value", message, param="Idempotency-Key")
    form = parse_form(JobForm, upload.fields)
    model = await workers_of(request).model(form.model)
    check_languages(form.options(Task(form.task)), model)
    form.presentation()
    jobs, record = _jobs(request), record_of(request)
    await jobs.check_webhook(form.webhook_url)
    await fetched(request, upload, form.url)
    record.model = model.name
    ticket = JobTicket(
        model=model.name,
        request_id=record.request_id,
        webhook_url=form.webhook_url,
        idempotency_key=idempotency_key,
    )
    job = await jobs.accept(upload, ticket)
    response.headers["Location"] = f"/jobs/{job.id}"
    return await _answer(jobs, job)


@router.get("/{id}", summary="How a job is going", responses=NO_RESULT)
async def state(request: Request, job: KeptJob) -> JobAnswer:
    """How a job is going, with what is final of its text."""
    return await _answer(_jobs(request), job)


@router.get("/{id}/result", summary="A job's transcript", response_class=Response, responses=RESULT)
async def result(
    request: Request,
    job: KeptJob,
    response_format: Annotated[
        str | None,
        Query(
            alias="format",
            description="Another format than the form's response_format.",
            examples=["srt"],
            json_schema_extra={"enum": list(get_args(ResponseFormat))},
        ),
    ] = None,
) -> Response:
    """The transcript of a finished job, in any format; of a failed one, its error."""
    if job.error is not None:
        raise job.error.as_api_error()
    if job.status is JobStatus.CANCELLED:
        raise ApiError(410, "job_cancelled", "The job was cancelled; there is no result.")
    if job.status is not JobStatus.FINISHED:
        raise ApiError(409, "job_not_finished", f"The job is {job.status}; its state is at /jobs/{job.id}.")
    presentation = presentation_of(form_of(job), response_format)
    answered = await _jobs(request).store.result(job.id)
    if answered is None:
        raise ApiError(410, "job_expired", "The job's result has been deleted.")
    return transcript_response(answered, presentation)


@router.get("/{id}/events", summary="A job as server-sent events", response_class=StreamingResponse, responses=EVENTS)
async def events(
    request: Request,
    job: KeptJob,
    last_event_id: Annotated[
        str | None, Header(description="The last event's `id` that was seen; the stream goes on after it.")
    ] = None,
) -> StreamingResponse:
    """`progress` and `segment` as they come, those so far at once; then `done` with the state, or `error`."""
    after = last_event_id or "-1"
    if not after.removeprefix("-").isdecimal():
        message = f"Last-Event-ID: got {after[:64]!r}, expected the id of a segment's event"
        raise ApiError(400, "invalid_value", message, param="Last-Event-ID")
    jobs, presentation = _jobs(request), presentation_of(form_of(job), "verbose_json")
    told = job_events(jobs.store, jobs.bells, job, after=int(after), presentation=presentation)
    return StreamingResponse(told, media_type="text/event-stream", headers=HEADERS)


@router.delete("/{id}", summary="Cancel or delete a job", status_code=204, responses=NO_JOB)
async def delete(request: Request, job: KnownJob) -> None:
    """Cancel a job that has not ended, delete the result of one that has. Again, it changes nothing."""
    await _jobs(request).cancel(job)


async def _answer(jobs: JobService, job: Job) -> JobAnswer:
    position = await jobs.store.queue_position(job.id) if job.status is JobStatus.QUEUED else None
    return job_answer(job, text=await jobs.store.text(job.id), queue_position=position)
