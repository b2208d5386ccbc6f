"""procrastinate's queue, inside our own transactions. In: a connection. Out: what waits, who is alive, who is not.

procrastinate keeps order, claims, heartbeats and stalled jobs; what clients read of a job is in our tables. Both change
in one transaction, so that neither knows a job that the other does not. Whoever changes both locks the queue's row
first. Knows nothing of what a job is.
"""

import hashlib
from collections.abc import Collection
from contextlib import AbstractAsyncContextManager, nullcontext
from datetime import UTC, datetime
from typing import cast

from procrastinate import PsycopgConnector
from procrastinate.jobs import Job, Status
from procrastinate.manager import JobManager
from psycopg_pool import AsyncConnectionPool

from server.jobs.postgres_connection import Connection

__all__ = ["Queue"]

RETRY_LOCK = 0x4155_5253  # of whoever retries stalled jobs
TASK = "auricle.transcribe"
NOW = datetime.fromtimestamp(0, UTC)  # to be tried again at once, whatever this host's clock says
MAX_NAME_BYTES = 40  # procrastinate notifies on a channel of this name and 23 characters; PostgreSQL takes 63


class Queue:
    """The queue as one transaction sees it."""

    def __init__(self, connection: Connection, manager: JobManager) -> None:
        self._connection = connection
        self._manager = manager

    @classmethod
    async def over(cls, connection: Connection) -> "Queue":
        """Over a connection whose transaction is the caller's."""
        connector = PsycopgConnector()
        await connector.open_async(cast("AsyncConnectionPool", _OneConnection(connection)))
        return cls(connection, JobManager(connector))

    async def defer(self, job_id: str, model: str) -> int:
        """Let a job wait; returns its place in the order of all jobs."""
        job = Job(queue=_queue_of(model), lock=None, queueing_lock=job_id, task_name=TASK, task_kwargs={"id": job_id})
        return _id_of(await self._manager.defer_job_async(job))

    async def register(self) -> int:
        """A new worker, which lives from now on."""
        return await self._manager.register_worker()

    async def fetch(self, worker_id: int, models: Collection[str]) -> int | None:
        """The place of the job that has waited longest, now the worker's."""
        job = await self._manager.fetch_job([_queue_of(model) for model in models], worker_id)
        return None if job is None else _id_of(job)

    async def beat(self, worker_id: int) -> None:
        """The worker lives."""
        await self._manager.update_heartbeat(worker_id)

    async def retry_stalled(self, lease_s: float) -> list[int]:
        """Let the jobs of workers wait again that have not been heard of for so long; returns their places.

        One transaction at a time does it: with two, the second would take a job from whoever got it of the first.
        """
        is_mine = await self._connection.execute("SELECT pg_try_advisory_xact_lock(%s) AS yes", (RETRY_LOCK,))
        if (row := await is_mine.fetchone()) is None or not row["yes"]:
            return []
        stalled = {_id_of(job): job for job in await self._manager.get_stalled_jobs(seconds_since_heartbeat=lease_s)}
        if not stalled:
            return []
        # Whoever held one may end it or give it back in this moment, and others take it.
        held = await self._connection.execute(
            "SELECT id, worker_id FROM procrastinate_jobs WHERE id = ANY(%s) AND status = 'doing'"
            " FOR UPDATE SKIP LOCKED",
            (list(stalled),),
        )
        places = [row["id"] for row in await held.fetchall() if row["worker_id"] == stalled[row["id"]].worker_id]
        for place in places:
            await self.retry(place)
        return places

    async def lock(self, place: int | None) -> int | None:
        """Nobody else takes, ends or gives back the job before this transaction has ended; None for one that has."""
        cursor = await self._connection.execute("SELECT id FROM procrastinate_jobs WHERE id = %s FOR UPDATE", (place,))
        return place if await cursor.fetchone() else None

    async def retry(self, place: int) -> None:
        """Let a job wait again, in its old place."""
        await self._manager.retry_job_by_id_async(place, retry_at=NOW)

    async def finish(self, place: int) -> None:
        """Nobody waits for the job any more: how it ended is in our tables."""
        await self._manager.finish_job_by_id_async(place, Status.SUCCEEDED, delete_job=True)

    async def forget_silent(self, seconds: float) -> None:
        """Delete workers that have long not been heard of."""
        await self._manager.prune_stalled_workers(seconds)


class _OneConnection:
    """X, which always has the same connection: its statements join our transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def connection(self) -> AbstractAsyncContextManager[Connection]:
        return nullcontext(self._connection)


def _queue_of(model: str) -> str:
    """The name of a model's queue; of a long name a digest."""
    name = model.encode()
    return model if len(name) <= MAX_NAME_BYTES else hashlib.sha256(name).hexdigest()[:MAX_NAME_BYTES]


def _id_of(job: Job) -> int:
    if job.id is None:
        raise RuntimeError("procrastinate gave a job without an id")
    return job.id
