"""A job as server-sent events. In: the store, and a bell for what is new. Out: events, from wherever a listener was.

Whatever a listener is told is in the store already, so that it stays true after a crash. Knows nothing of requests.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager

from server.errors import ApiError, error_answer
from server.jobs.answers import ProgressAnswer, job_answer, progress_answer
from server.jobs.store import Job, JobStatus, JobStore
from server.responses import Presentation, segment_body, server_sent_event
from server.waiting import is_set_within

__all__ = ["Bells", "job_events"]

KEEP_ALIVE_S = 5.0  # also how late a listener may hear of what another process has done


class Bells:
    """Wakes whoever waits for news of a job in this process."""

    def __init__(self) -> None:
        self._listeners: defaultdict[str, set[asyncio.Event]] = defaultdict(set)
        self.are_closed = False
        """Whether listeners are to go: the service stops."""

    def ring(self, job_id: str) -> None:
        """Something in the store has changed."""
        for listener in self._listeners.get(job_id, ()):
            listener.set()

    def close(self) -> None:
        """Send every listener away, now and later."""
        self.are_closed = True
        for job_id in list(self._listeners):
            self.ring(job_id)

    @contextmanager
    def listening(self, job_id: str) -> Iterator[asyncio.Event]:
        """Set at every change from now on; the listener clears it."""
        news = asyncio.Event()
        self._listeners[job_id].add(news)
        try:
            yield news
        finally:
            self._listeners[job_id].discard(news)
            if not self._listeners[job_id]:
                del self._listeners[job_id]


async def job_events(
    store: JobStore, bells: Bells, job: Job, *, after: int, presentation: Presentation
) -> AsyncGenerator[bytes]:
    """``progress`` and ``segment`` as they come, those so far at once, then ``done`` or ``error``.

    A segment's event has its ``id``; a listener that comes back names the last one it has seen as ``after``. Where the
    service stops before the job does, the events end without a last one.
    """
    told: ProgressAnswer | None = None
    with bells.listening(job.id) as news:
        try:
            while True:
                news.clear()
                job = await _still_known(store, job)
                for segment in await store.segments(job.id, after):
                    after = segment.id
                    yield f"id: {after}\n".encode() + server_sent_event("segment", segment_body(segment, presentation))
                if (progress := progress_answer(job)) != told:
                    told = progress
                    yield server_sent_event("progress", progress.model_dump())
                if job.status.is_final:
                    yield await _last_event(store, job)
                    return
                if bells.are_closed:
                    return
                if not await is_set_within(news, KEEP_ALIVE_S):
                    yield b": keep-alive\n\n"
        except ApiError as error:
            yield _error_event(error, job)


async def _still_known(store: JobStore, job: Job) -> Job:
    known = await store.get(job.id)
    if known is None or known.is_expired:
        raise ApiError(410, "job_expired", "The job's result has been deleted.")
    return known


async def _last_event(store: JobStore, job: Job) -> bytes:
    if job.status is JobStatus.FINISHED:
        answer = job_answer(job, text=await store.text(job.id), queue_position=None)
        return server_sent_event("done", answer.model_dump(mode="json"))
    error = job.error.as_api_error() if job.error else ApiError(410, "job_cancelled", "The job was cancelled.")
    return _error_event(error, job)


def _error_event(error: ApiError, job: Job) -> bytes:
    return server_sent_event("error", error_answer(error, job.request_id).model_dump())
