"""Jobs as bodies. In: what the store knows. Out: one JSON shape for routes, events and webhooks. Knows no requests."""

import time
from datetime import UTC, datetime

from pydantic import BaseModel, ConfigDict, Field

from server.jobs.store import Job, JobStatus

__all__ = ["JobAnswer", "JobErrorAnswer", "JobState", "ProgressAnswer", "job_answer", "job_state", "progress_answer"]


class ProgressAnswer(BaseModel):
    """How far a job is, in seconds of the recording."""

    done_s: float = Field(description="Before this everything is final.", examples=[1265.5])
    duration_s: float | None = Field(description="Length of the recording; null until it is known.", examples=[5400.0])
    rtfx: float | None = Field(
        description="Seconds of the recording done in a second, since the job was last begun.", examples=[42.0]
    )
    eta_s: float | None = Field(description="Seconds until it is done, at this speed.", examples=[98.4])


class JobErrorAnswer(BaseModel):
    """Why a job has failed, in the words of an error's body."""

    message: str = Field(
        description="What was got and what was expected, for people.", examples=["No frame could be decoded."]
    )
    type: str = Field(
        description="invalid_request_error, rate_limit_error or server_error.", examples=["invalid_request_error"]
    )
    param: str | None = Field(description="The field at fault, where there is one.", examples=["file"])
    code: str = Field(description="Stable name of the error, for programs.", examples=["undecodable_audio"])


class JobState(BaseModel):
    """What is known of a job, without its text: what a webhook tells."""

    id: str = Field(description="Names the job in its routes.", examples=["job_6f2c1f0d2b8e4c0fa1a7c5b1f7a6d9e3"])
    status: JobStatus = Field(description="queued, running, finished, failed or cancelled.", examples=["running"])
    model: str = Field(description="The model that does it.", examples=["base"])
    created_at: datetime = Field(description="When it was accepted.", examples=["2026-01-02T10:00:00Z"])
    started_at: datetime | None = Field(description="When it was first worked on.", examples=["2026-01-02T10:00:01Z"])
    ended_at: datetime | None = Field(
        description="When it was finished, had failed or was cancelled.", examples=["2026-01-02T10:02:09Z"]
    )
    expires_at: datetime | None = Field(
        description="When its result is deleted; null before it has ended.", examples=["2026-01-03T10:02:09Z"]
    )
    progress: ProgressAnswer
    error: JobErrorAnswer | None = Field(description="Why it has failed; null otherwise.")


class JobAnswer(JobState):
    """A job with what is final of its text."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": "job_6f2c1f0d2b8e4c0fa1a7c5b1f7a6d9e3",
                    "status": "running",
                    "model": "base",
                    "created_at": "2026-01-02T10:00:00Z",
                    "started_at": "2026-01-02T10:00:01Z",
                    "ended_at": None,
                    "expires_at": None,
                    "progress": {"done_s": 1265.5, "duration_s": 5400.0, "rtfx": 42.0, "eta_s": 98.4},
                    "error": None,
                    "queue_position": None,
                    "text": "Good morning, and welcome to",
                }
            ]
        }
    )

    queue_position: int | None = Field(description="1: next to be worked on; null unless it waits.", examples=[3])
    text: str = Field(description="What is final of the text.", examples=["Good morning, and welcome to"])


def job_answer(job: Job, *, text: str, queue_position: int | None) -> JobAnswer:
    """The job with its text."""
    return JobAnswer(**job_state(job).model_dump(), text=text, queue_position=queue_position)


def job_state(job: Job) -> JobState:
    """The job without its text."""
    error = None
    if job.error is not None:
        shown = job.error.as_api_error()
        error = JobErrorAnswer(message=shown.message, type=shown.type, param=shown.param, code=shown.code)
    return JobState(
        id=job.id,
        status=job.status,
        model=job.model,
        created_at=_time(job.created_at),
        started_at=None if job.started_at is None else _time(job.started_at),
        ended_at=None if job.ended_at is None else _time(job.ended_at),
        expires_at=None if job.expires_at is None else _time(job.expires_at),
        progress=progress_answer(job),
        error=error,
    )


def progress_answer(job: Job) -> ProgressAnswer:
    """How far it is; the speed is that of the last attempt, which begins where the one before ended."""
    rtfx = eta_s = None
    if job.attempted_at is not None and job.done_s > job.resumed_s:
        elapsed_s = (job.ended_at or time.time()) - job.attempted_at
        rtfx = round((job.done_s - job.resumed_s) / max(elapsed_s, 1e-3), 2)
        if rtfx and job.duration_s is not None and not job.status.is_final:
            eta_s = round((job.duration_s - job.done_s) / rtfx, 1)
    return ProgressAnswer(done_s=job.done_s, duration_s=job.duration_s, rtfx=rtfx, eta_s=eta_s)


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
