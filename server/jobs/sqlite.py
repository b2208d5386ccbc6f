"""``JobStore`` in one SQLite file. In: calls from the event loop. Out: answers, from a thread of their own.

A file that could not be used is opened anew at the next call, so that the store comes back by itself. Knows no table:
``server.jobs.rows`` does.
"""

import asyncio
import logging
import sqlite3
import time
from collections.abc import AsyncGenerator, Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import ParamSpec, TypeVar

from asr.transcript import Segment
from server.jobs.rows import JobRows
from server.jobs.storage import storage_error
from server.jobs.store import Delivery, Findings, Job, JobError, JobStatus, NewJob
from server.responses import Answered

__all__ = ["SqliteJobStore"]

logger = logging.getLogger("auricle.jobs")

P = ParamSpec("P")
T = TypeVar("T")


class SqliteJobStore:
    """See ``JobStore``. ``clock`` gives seconds since the epoch."""

    def __init__(self, path: Path, *, clock: Callable[[], float] = time.time) -> None:
        self._rows = JobRows(path, clock)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="job-store")

    async def add(self, new: NewJob) -> Job:
        """See JobStore."""
        return await self._call(self._rows.add, new)

    async def get(self, job_id: str) -> Job | None:
        """See JobStore."""
        return await self._call(self._rows.get, job_id)

    async def queue_position(self, job_id: str) -> int | None:
        """See JobStore."""
        return await self._call(self._rows.queue_position, job_id)

    async def text(self, job_id: str) -> str:
        """See JobStore."""
        return await self._call(self._rows.text, job_id)

    async def segments(self, job_id: str, after: int) -> list[Segment]:
        """See JobStore."""
        return await self._call(self._rows.segments, job_id, after)

    async def windows(self, job_id: str) -> Mapping[str, str]:
        """See JobStore."""
        return await self._call(self._rows.windows, job_id)

    async def result(self, job_id: str) -> Answered | None:
        """See JobStore."""
        return await self._call(self._rows.result, job_id)

    async def under_way(self) -> set[str]:
        """See JobStore."""
        return await self._call(self._rows.under_way)

    async def claim(self, owner: str, models: Collection[str], lease_s: float) -> Job | None:
        """See JobStore."""
        return await self._call(self._rows.claim, owner, models, lease_s)

    async def renew(self, owner: str, job_ids: Collection[str], lease_s: float) -> set[str]:
        """See JobStore."""
        return await self._call(self._rows.renew, owner, job_ids, lease_s)

    async def record(self, job: Job, findings: Findings) -> bool:
        """See JobStore."""
        return await self._call(self._rows.record, job, findings)

    async def finish(self, job: Job, answered: Answered, ttl_s: float) -> bool:
        """See JobStore."""
        return await self._call(self._rows.finish, job, answered, ttl_s)

    async def fail(self, job: Job, error: JobError, ttl_s: float) -> bool:
        """See JobStore."""
        return await self._call(self._rows.fail, job, error, ttl_s)

    async def give_back(self, job: Job, *, died: bool) -> bool:
        """See JobStore."""
        return await self._call(self._rows.give_back, job, int(died))

    async def cancel(self, job_id: str, ttl_s: float) -> None:
        """See JobStore."""
        await self._call(self._rows.cancel, job_id, ttl_s)

    async def expire(self, keep_known_s: float) -> None:
        """See JobStore."""
        await self._call(self._rows.expire, keep_known_s)

    async def claim_delivery(self, lease_s: float) -> Delivery | None:
        """See JobStore."""
        return await self._call(self._rows.claim_delivery, lease_s)

    async def settle_delivery(self, delivery: Delivery, retry_in_s: float | None) -> None:
        """See JobStore."""
        await self._call(self._rows.settle_delivery, delivery, retry_in_s)

    async def news(self) -> AsyncGenerator[tuple[str, JobStatus]]:
        """See JobStore. SQLite tells nobody."""
        return
        yield

    async def close(self) -> None:
        """See JobStore."""
        await self._call(self._rows.close)
        self._thread.shutdown()

    async def _call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, lambda: function(*args, **kwargs))
        except (sqlite3.Error, OSError) as error:
            logger.error("the job store cannot be used: %s", error)
            await asyncio.get_running_loop().run_in_executor(self._thread, self._rows.close)
            raise storage_error(error) from error
