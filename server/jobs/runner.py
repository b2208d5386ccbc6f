"""Works on jobs. In: the store's queue. Out: windows, segments and results, written down as they come.

A claim is renewed while its job is worked on; whoever loses it stops. What a worker has found is in the store within a
fraction of a second, so that after any crash only the windows under way are decoded again. Knows no HTTP.
"""

import asyncio
import json
import logging
import time
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from asr.errors import AuricleError
from asr.options import TranscribeOptions
from asr.tasks import Task
from asr.ticket import Lane
from asr.transcript import Progress, Segment, Transcript
from server.audio_decoder import Decoder
from server.errors import ApiError, api_error_of, internal_error
from server.jobs.events import Bells
from server.jobs.forms import form_of
from server.jobs.storage import Media, storage_error
from server.jobs.store import Findings, Job, JobError, JobStore
from server.messages import TranscribeWork
from server.models import UNLOADED, Workers
from server.pool_types import DecodedWindow, Result, Update
from server.responses import Answered
from server.waiting import is_set_within
from server.worker_seat import WorkerState

__all__ = ["JobLimits", "JobRunner", "JobTools"]

logger = logging.getLogger("auricle.jobs")

LEASE_S = 10.0  # after which the jobs of a service that has crashed are somebody else's
POLL_S = 1.0  # between looks at the queue: another process may have added to it
LONGEST_PAUSE_S = 5.0  # after a job was given back for want of a disk, a decoder or a model
WRITE_AFTER_S = 0.2  # what was found is written at most so much later
MAX_DEATHS = 3  # of workers in a row, without a window finished in between


@dataclass(frozen=True, slots=True, kw_only=True)
class JobLimits:
    """What an operator allows."""

    max_running: int
    max_duration_s: float
    ttl_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class JobTools:
    """Whatever works on a job."""

    media: Media
    decoder: Decoder
    workers: Workers


class JobRunner:
    """Claims jobs while workers are ready and hands them in; ``on_end`` hears when one has ended."""

    def __init__(
        self, store: JobStore, tools: JobTools, bells: Bells, limits: JobLimits, on_end: Callable[[], None]
    ) -> None:
        self._store = store
        self._media = tools.media
        self._decoder = tools.decoder
        self._workers = tools.workers
        self._bells = bells
        self._limits = limits
        self._on_end = on_end
        self._owner = uuid.uuid4().hex
        self._woken = asyncio.Event()
        self._claims_from = 0.0  # of time.monotonic: what cannot be done now is not to be tried in a circle
        self._running: dict[asyncio.Task[None], Job] = {}
        self._loops: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to work on what waits."""
        self._loops = [asyncio.create_task(self._claim_for_ever()), asyncio.create_task(self._renew_for_ever())]

    async def stop(self) -> None:
        """Give back what is under way."""
        for task in (*self._loops, *self._running):
            task.cancel()
        await asyncio.gather(*self._loops, *self._running, return_exceptions=True)

    def wake(self) -> None:
        """There may be something to do."""
        self._woken.set()

    def abandon(self, job_id: str) -> None:
        """Stop working on a job that was cancelled."""
        for task, job in self._running.items():
            if job.id == job_id:
                task.cancel()

    async def _claim_for_ever(self) -> None:
        while True:
            self._woken.clear()
            try:
                while await self._claim():
                    pass
            except ApiError:
                logger.debug("no job can be claimed; trying again")  # the store has logged why
            await is_set_within(self._woken, POLL_S)

    async def _claim(self) -> bool:
        # A model that is being loaded, or cannot be, keeps no place from the others.
        models = [model.name for model in self._workers.models if model.state in {WorkerState.READY, UNLOADED}]
        if not models or len(self._running) >= self._limits.max_running or time.monotonic() < self._claims_from:
            return False
        job = await self._store.claim(self._owner, models, LEASE_S)
        if job is None:
            return False
        task = asyncio.create_task(self._do(job))
        self._running[task] = job
        task.add_done_callback(self._running.pop)
        self._bells.ring(job.id)
        return True

    async def _renew_for_ever(self) -> None:
        while True:
            await asyncio.sleep(LEASE_S / 3)
            mine = dict(self._running)
            try:
                held = await self._store.renew(self._owner, [job.id for job in mine.values()], LEASE_S)
            except ApiError:
                continue  # what cannot be renewed cannot be finished by anybody else either
            for task, job in mine.items():
                if job.id not in held:
                    task.cancel()

    async def _do(self, job: Job) -> None:
        logger.info("job %s: attempt %d", job.id, job.attempt)
        try:
            answered = await self._transcribe(job)
            has_ended = await self._store.finish(job, answered, self._limits.ttl_s)
        except asyncio.CancelledError:
            await self._give_back(job, died=False)
            raise
        except _ClaimLostError:
            logger.warning("job %s: somebody else has it, or it was cancelled", job.id)
            return
        except FileNotFoundError:
            lost = ApiError(500, "recording_lost", "The recording is no longer in the service's state folder.")
            has_ended = await self._settle(job, lost)
        except OSError as error:
            has_ended = await self._settle(job, storage_error(error))
        except (ApiError, AuricleError) as error:
            has_ended = await self._settle(job, api_error_of(error))
        except Exception:
            logger.exception("job %s: unforeseen exception", job.id)
            has_ended = await self._settle(job, internal_error())
        if has_ended:
            await asyncio.to_thread(self._media.drop, job.id)
            self._on_end()
            self.wake()
        self._bells.ring(job.id)

    async def _settle(self, job: Job, error: ApiError) -> bool:
        """What an error means for its job: another attempt where that can help, else the end. True if it has ended."""
        if error.retry_after_s is not None:
            logger.info("job %s: given back (%s)", job.id, error.code)
            has_died = error.code == "worker_died"
            if not has_died:
                self._claims_from = time.monotonic() + min(error.retry_after_s, LONGEST_PAUSE_S)
            await self._give_back(job, died=has_died)
            return False
        failure = JobError(status=error.status, code=error.code, message=error.message, param=error.param)
        logger.info("job %s: failed (%s)", job.id, error.code)
        try:
            return await self._store.fail(job, failure, self._limits.ttl_s)
        except ApiError:
            return False  # the lease runs out, and the next attempt fails in the same way

    async def _give_back(self, job: Job, *, died: bool) -> None:
        try:
            await self._store.give_back(job, died=died)
        except ApiError:
            logger.warning("job %s: cannot be given back; its lease runs out", job.id)

    async def _transcribe(self, job: Job) -> Answered:
        if job.n_deaths >= MAX_DEATHS:
            message = f"The worker process died {job.n_deaths} times in a row at this recording; it is not tried again."
            raise ApiError(422, "recording_kills_worker", message)
        form = form_of(job)
        options = form.options(Task(form.task))
        model = await self._workers.model(job.model)
        async with (
            self._prepared(job, options) as work,
            aclosing(self._workers.run(work, model=job.model)) as updates,
        ):
            result = await self._follow(job, updates)
        if not isinstance(result.output, Transcript):
            raise TypeError(f"got {type(result.output).__name__}, expected a transcript")
        waited_s = (job.started_at or job.created_at) - job.created_at
        return Answered(
            transcript=result.output, model=model, request_id=job.request_id, queue_s=waited_s + result.queue_s
        )

    @asynccontextmanager
    async def _prepared(self, job: Job, options: TranscribeOptions) -> AsyncIterator[TranscribeWork]:
        """The work of one attempt, with files that lie beside the recording for as long as it takes."""
        recording = await asyncio.to_thread(self._media.fetch, job.id)
        await asyncio.to_thread(self._media.tidy, job.id)
        windows = self._media.windows_of(job.id, job.attempt)
        audio = await self._decoder.decode(
            str(recording), channels=options.channels, max_duration_s=self._limits.max_duration_s
        )
        try:
            known = json.dumps(dict(await self._store.windows(job.id)))
            await asyncio.to_thread(windows.write_text, known)
            yield TranscribeWork(
                audio=audio,
                options=options,
                send_segments=True,
                lane=Lane.BULK,
                is_job=True,
                windows=windows,
                n_deaths=job.n_deaths,
                done_s=job.resumed_s,
            )
        finally:
            # No others: whoever has claimed the job since has files of its own.
            for path in (Path(audio.path), windows):
                await asyncio.to_thread(path.unlink, missing_ok=True)

    async def _follow(self, job: Job, updates: AsyncGenerator[Update]) -> Result:
        """Write down what comes, several at a time, until the result comes; what was found before an error too."""
        findings, due_at = Findings(), 0.0
        coming = asyncio.ensure_future(anext(updates))
        try:
            while True:
                patience_s = max(0.0, due_at - time.monotonic()) if findings else None
                await asyncio.wait({coming}, timeout=patience_s)
                is_last = coming.done() and coming.exception() is not None
                if findings and (is_last or time.monotonic() >= due_at):
                    await self._record(job, findings)
                    findings = Findings()
                if not coming.done():
                    continue
                update = coming.result()
                if isinstance(update, Result):
                    return update
                if not findings:
                    due_at = time.monotonic() + WRITE_AFTER_S
                _add(findings, update)
                coming = asyncio.ensure_future(anext(updates))
        finally:
            coming.cancel()
            await asyncio.gather(coming, return_exceptions=True)

    async def _record(self, job: Job, findings: Findings) -> None:
        if not await self._store.record(job, findings):
            raise _ClaimLostError
        self._bells.ring(job.id)


class _ClaimLostError(Exception):
    """The job is somebody else's now, or nobody's."""


def _add(findings: Findings, update: Segment | Progress | DecodedWindow) -> None:
    if isinstance(update, DecodedWindow):
        findings.windows[update.key] = update.payload
    elif isinstance(update, Segment):
        findings.segments.append(update)
    else:
        findings.progress = update
