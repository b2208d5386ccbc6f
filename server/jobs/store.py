"""What is known of jobs, and who may change it. In: plain values. Out: plain values. Knows no files and no processes.

``JobStore`` is the seam: SQLite behind it on one host (``server.jobs.sqlite``), PostgreSQL where hosts share the work
(``server.jobs.postgres``). Whoever claims a job holds a lease and an attempt number; what comes with an older number
changes nothing, so that a job ends exactly once however many processes believe that they work on it.
"""

from collections.abc import AsyncGenerator, Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from asr.transcript import Progress, Segment
from server.errors import ApiError
from server.responses import Answered

__all__ = ["Delivery", "Findings", "Job", "JobError", "JobStatus", "JobStore", "NewJob"]


class JobStatus(StrEnum):
    """Where a job is in its life."""

    QUEUED = "queued"
    RUNNING = "running"
    FINISHED = "finished"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_final(self) -> bool:
        """Whether nothing changes it any more."""
        return self not in {JobStatus.QUEUED, JobStatus.RUNNING}


@dataclass(frozen=True, slots=True, kw_only=True)
class JobError:
    """Why a job failed: what an ``ApiError`` is made of."""

    status: int
    code: str
    message: str
    param: str | None = None

    def as_api_error(self) -> ApiError:
        """What whoever asks for the result is told."""
        return ApiError(self.status, self.code, self.message, param=self.param)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewJob:
    """A job that is about to be accepted; its recording lies in the media folder under ``id``."""

    id: str
    model: str
    fields: tuple[tuple[str, str], ...]
    """The form as it was sent: names and values."""
    request_id: str
    webhook_url: str | None = None
    idempotency_key: str | None = None
    fingerprint: str = ""
    """Digest of recording and form; one key stands for one of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """All of a job but its text; times in seconds since the epoch."""

    id: str
    status: JobStatus
    model: str
    fields: tuple[tuple[str, str], ...]
    request_id: str
    attempt: int
    """How often it was claimed; the latest claim alone may change it."""
    n_deaths: int
    """Of workers at it, one after the other, without a window finished in between."""
    created_at: float
    started_at: float | None
    attempted_at: float | None
    """When it was last claimed."""
    ended_at: float | None
    expires_at: float | None
    """When its result is deleted; known as soon as it has ended."""
    is_expired: bool
    """Whether its text is gone."""
    done_s: float
    resumed_s: float
    """How much was done at the last claim."""
    duration_s: float | None
    error: JobError | None


@dataclass(slots=True, kw_only=True)
class Findings:
    """What a worker has found out about a recording since they were last recorded."""

    windows: dict[str, str] = field(default_factory=dict)
    """Answers of the decoder by their key (``asr.memo``)."""
    segments: list[Segment] = field(default_factory=list)
    progress: Progress | None = None

    def __bool__(self) -> bool:
        """Whether there is anything."""
        return bool(self.windows or self.segments or self.progress)


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """A webhook that is due: one for each job that has an address, until it arrives or is given up."""

    id: str
    job: Job
    url: str
    n_attempts: int
    """Those made before."""


class JobStore(Protocol):
    """Every change is on disk when it returns. Raises ApiError: 507 when the disk is full, 503 when it is unusable."""

    async def add(self, new: NewJob) -> Job:
        """Accept a job; or the one that was accepted under the same key. Raises ApiError (422) if that was another."""

    async def get(self, job_id: str) -> Job | None:
        """The job, for as long as anything is known of it."""

    async def queue_position(self, job_id: str) -> int | None:
        """1 for the job that is next; None for one that does not wait."""

    async def text(self, job_id: str) -> str:
        """What is final of the text."""

    async def segments(self, job_id: str, after: int) -> list[Segment]:
        """The final segments whose ``id`` is greater than ``after``, in order."""

    async def windows(self, job_id: str) -> Mapping[str, str]:
        """The answers recorded so far."""

    async def result(self, job_id: str) -> Answered | None:
        """What a finished job has come to; None before, and once it is expired."""

    async def under_way(self) -> set[str]:
        """Ids of the jobs whose recording is needed."""

    async def claim(self, owner: str, models: Collection[str], lease_s: float) -> Job | None:
        """The job that has waited longest for one of the models.

        Jobs whose owner has let its lease run out wait again, in their old place, a tenth of a lease later at most; the
        claimer's own leases are prolonged, since it lives.
        """

    async def renew(self, owner: str, job_ids: Collection[str], lease_s: float) -> set[str]:
        """Prolong the owner's leases; returns the ids of the jobs that it still holds.

        ``job_ids``: of those that it works on. What else it has held for longer than a lease waits again: the answer to
        its claim got lost, or it could not give the job back, and it does not know that it holds it.
        """

    async def record(self, job: Job, findings: Findings) -> bool:
        """Add what was found; False when the claim is no longer valid."""

    async def finish(self, job: Job, answered: Answered, ttl_s: float) -> bool:
        """End a claimed job with its result; False when the claim is no longer valid."""

    async def fail(self, job: Job, error: JobError, ttl_s: float) -> bool:
        """End a claimed job without one; False when the claim is no longer valid."""

    async def give_back(self, job: Job, *, died: bool) -> bool:
        """Let a claimed job wait again; ``died``: because a worker did, at it or beside it."""

    async def cancel(self, job_id: str, ttl_s: float) -> None:
        """End a job that has not ended; forget the text of one that has."""

    async def expire(self, keep_known_s: float) -> None:
        """Forget the text of jobs past their time, and all of those that were past it ``keep_known_s`` ago."""

    async def claim_delivery(self, lease_s: float) -> Delivery | None:
        """The webhook that is due longest; nobody else is given it while the lease lasts."""

    async def settle_delivery(self, delivery: Delivery, retry_in_s: float | None) -> None:
        """Count an attempt; None: there will be no other."""

    def news(self) -> AsyncGenerator[tuple[str, JobStatus]]:
        """Jobs that anybody has changed, and what they are now, as it happens; ends where the store cannot tell.

        Nothing depends on it: who waits for news looks now and then too.
        """

    async def close(self) -> None:
        """Nothing is asked after it."""
