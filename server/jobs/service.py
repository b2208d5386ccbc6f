"""All that the routes need of jobs, and all that runs beside them. In: uploads and ids. Out: jobs.

Owns store, recordings, runner and webhooks; starts and ends with the application. Knows no requests and no answers.
"""

import asyncio
import hashlib
import json
import logging
import uuid
from contextlib import suppress
from dataclasses import dataclass

from server.audio_decoder import Decoder
from server.errors import ApiError
from server.jobs.events import Bells
from server.jobs.runner import JobLimits, JobRunner, JobTools
from server.jobs.sqlite import SqliteJobStore
from server.jobs.storage import MediaFolder, default_state_dir
from server.jobs.store import Job, JobStore, NewJob
from server.jobs.webhooks import WebhookSender, webhook_destination
from server.models import Workers
from server.settings import Settings
from server.uploads import Upload

__all__ = ["JobService", "JobTicket"]

logger = logging.getLogger("auricle.jobs")

TIDY_EVERY_S = 30.0
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

    def __init__(self, settings: Settings, workers: Workers, decoder: Decoder) -> None:
        folder = settings.state_dir or default_state_dir()
        secret = settings.webhook_secret.get_secret_value() if settings.webhook_secret else None
        self.store: JobStore = SqliteJobStore(folder / "jobs.sqlite3")
        self.media = MediaFolder(folder / "media")
        self.bells = Bells()
        self._settings = settings
        self._allowed_hosts = settings.webhook_hosts
        self._webhooks = WebhookSender(self.store, secret, self._allowed_hosts)
        tools = JobTools(media=self.media, decoder=decoder, workers=workers)
        limits = JobLimits(
            max_running=settings.max_running_jobs, max_duration_s=settings.max_duration_s, ttl_s=settings.job_ttl
        )
        self._runner = JobRunner(self.store, tools, self.bells, limits, self._webhooks.wake)
        self._tidying: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Go on with what waits."""
        self._tidying = asyncio.create_task(self._tidy_for_ever())
        self._runner.start()
        self._webhooks.start()

    async def stop(self) -> None:
        """Give back what is under way."""
        if self._tidying is not None:
            self._tidying.cancel()
            await asyncio.gather(self._tidying, return_exceptions=True)
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
        await asyncio.to_thread(self.media.keep, upload.path, job_id)
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
        except ApiError:
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

    async def _sweep(self) -> None:
        wanted = await self.store.under_way()
        try:
            await asyncio.to_thread(self.media.sweep, wanted)
        except OSError as error:
            logger.error("what is left over cannot be deleted: %s", error)


def _fingerprint(upload: Upload) -> str:
    with upload.path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256")
    digest.update(json.dumps(sorted(upload.fields)).encode())
    return digest.hexdigest()
