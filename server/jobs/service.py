"""All that the routes need of jobs, and all that runs beside them. In: uploads and ids. Out: jobs.

Owns store, recordings, runner and webhooks; starts and ends with the application. Knows no requests and no answers.
"""

import asyncio
import hashlib
import json
import logging
import uuid
from contextlib import aclosing, suppress
from dataclasses import dataclass
from pathlib import Path

from server.audio_decoder import Decoder
from server.errors import ApiError
from server.jobs.events import Bells
from server.jobs.runner import JobLimits, JobRunner, JobTools
from server.jobs.sqlite import SqliteJobStore
from server.jobs.storage import Media, MediaFolder, default_state_dir
from server.jobs.store import Job, JobStatus, JobStore, NewJob
from server.jobs.webhooks import WebhookSender, webhook_destination
from server.models import Workers
from server.roles import Role
from server.settings import Settings
from server.uploads import Upload

__all__ = ["JobService", "JobTicket"]

logger = logging.getLogger("auricle.jobs")

TIDY_EVERY_S = 30.0
LISTEN_AGAIN_S = 1.0
KEEP_KNOWN_S = 86_400.0  # an expired job is known to have been there; longer than webhooks tell its state


@dataclass(frozen=True, slots=True, kw_only=True)
class JobTicket:
    """What a new job is, beside its recording and its form."""

    model: str
    request_id: str
    webhook_url: str | None
    idempotency_key: str | None


class JobService:
    """The jobs of one application."""

    def __init__(self, settings: Settings, workers: Workers, decoder: Decoder, role: Role) -> None:
        secret = settings.webhook_secret.get_secret_value() if settings.webhook_secret else None
        self.store = _store_of(settings)
        self.media = _media_of(settings)
        self.bells = Bells()
        self._settings = settings
        self._allowed_hosts = settings.webhook_hosts
        self._webhooks = WebhookSender(self.store, secret, self._allowed_hosts)
        tools = JobTools(media=self.media, decoder=decoder, workers=workers)
        limits = JobLimits(
            max_running=settings.max_running_jobs, max_duration_s=settings.max_duration_s, ttl_s=settings.job_ttl
        )
        self._runner = JobRunner(self.store, tools, self.bells, limits, self._webhooks.wake)
        self._role = role
        self._loops: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Go on with what waits."""
        self._loops = [asyncio.create_task(self._tidy_for_ever()), asyncio.create_task(self._listen_for_ever())]
        if self._role.works_on_jobs:
            self._runner.start()
        self._webhooks.start()

    async def stop(self) -> None:
        """Give back what is under way."""
        for loop in self._loops:
            loop.cancel()
        await asyncio.gather(*self._loops, return_exceptions=True)
        await self._runner.stop()
        await self._webhooks.stop()
        await asyncio.to_thread(self.media.close)
        await self.store.close()

    async def check_webhook(self, url: str | None) -> None:
        """Raise ApiError (400, 403) for an address that no webhook can be sent to."""
        if url is None:
            return
        if self._settings.webhook_secret is None:
            message = "webhook_url: this service sends no webhooks; its operator has set no AURICLE_WEBHOOK_SECRET"
            raise ApiError(400, "webhooks_disabled", message, param="webhook_url")
        await webhook_destination(url, self._allowed_hosts)

    async def accept(self, upload: Upload, ticket: JobTicket) -> Job:
        """Take over a recording; when this returns the job survives anything. Raises ApiError, and OSError."""
        job_id = f"job_{uuid.uuid4().hex}"
        fingerprint = await asyncio.to_thread(_fingerprint, upload) if ticket.idempotency_key else ""
        await asyncio.to_thread(self.media.keep, Path(upload.path), job_id)
        new = NewJob(
            id=job_id,
            model=ticket.model,
            fields=upload.fields,
            request_id=ticket.request_id,
            webhook_url=ticket.webhook_url,
            idempotency_key=ticket.idempotency_key,
            fingerprint=fingerprint,
        )
        try:
            job = await self.store.add(new)
        except ApiError as error:
            # Where the store broke off, the job may have been accepted all the same; what nobody needs is swept.
            if error.code != "storage_unavailable":
                await asyncio.to_thread(self.media.drop, job_id)
            raise
        if job.id != job_id:
            await asyncio.to_thread(self.media.drop, job_id)
        self._runner.wake()
        return job

    async def cancel(self, job: Job) -> None:
        """End a job that has not ended; forget the result of one that has."""
        await self.store.cancel(job.id, self._settings.job_ttl)
        self._runner.abandon(job.id)
        await asyncio.to_thread(self.media.drop, job.id)
        self._webhooks.wake()
        self.bells.ring(job.id)

    async def _tidy_for_ever(self) -> None:
        while True:
            with suppress(ApiError):  # the store has logged it
                await self.store.expire(KEEP_KNOWN_S)
                await self._sweep()
            await asyncio.sleep(TIDY_EVERY_S)

    async def _listen_for_ever(self) -> None:
        """Wake whom it concerns that another process has changed a job."""
        while True:
            with suppress(ApiError):  # the store has logged it
                async with aclosing(self.store.news()) as news:
                    async for job_id, status in news:
                        self._hear(job_id, status)
                return
            await asyncio.sleep(LISTEN_AGAIN_S)

    def _hear(self, job_id: str, status: JobStatus) -> None:
        self.bells.ring(job_id)
        if status is JobStatus.QUEUED:
            self._runner.wake()
        elif status is JobStatus.CANCELLED:
            self._runner.abandon(job_id)

    async def _sweep(self) -> None:
        wanted = await self.store.under_way()
        try:
            await asyncio.to_thread(self.media.sweep, wanted)
        except OSError as error:
            logger.error("what is left over cannot be deleted: %s", error)


def _store_of(settings: Settings) -> JobStore:
    if settings.database_url is None:
        return SqliteJobStore((settings.state_dir or default_state_dir()) / "jobs.sqlite3")
    from server.jobs.postgres import PostgresJobStore  # an extra

    return PostgresJobStore(settings.database_url.get_secret_value())


def _media_of(settings: Settings) -> Media:
    folder = MediaFolder((settings.state_dir or default_state_dir()) / "media")
    if settings.media_url is None:
        return folder
    from server.jobs.shared_media import SharedMedia  # an extra

    return SharedMedia(settings.media_url, folder)


def _fingerprint(upload: Upload) -> str:
    with open(upload.path, "rb") as file:
        digest = hashlib.file_digest(file, "sha256")
    digest.update(json.dumps(sorted(upload.fields)).encode())
    return digest.hexdigest()
