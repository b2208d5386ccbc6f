"""``JobStore`` in PostgreSQL, for hosts that share the work. In: calls from the event loop. Out: answers.

procrastinate keeps the queue (``server.jobs.postgres_queue``), these tables what clients read; both change in one
transaction. Time is the database's, so that hosts need not agree on it.
"""

import json
import time
from collections.abc import AsyncGenerator, Callable, Collection, Mapping
from contextlib import aclosing
from dataclasses import asdict
from typing import Any

from psycopg.rows import DictRow

from asr.transcript import Segment
from server.errors import ApiError, storage_unavailable
from server.jobs.columns import answered_of, job_of, key_reused, packed_answered, packed_segment, segment_of
from server.jobs.postgres_connection import Connection, Database
from server.jobs.postgres_queue import Queue
from server.jobs.store import Delivery, Findings, Job, JobError, JobStatus, NewJob
from server.responses import Answered

__all__ = ["PostgresJobStore"]

SILENT_S = 3_600.0  # after which a worker is forgotten
LOOKS_PER_LEASE = 10  # for leases that have run out: at every claim it would be half of a claim's time

_MINE = "id = %(id)s AND attempt = %(attempt)s AND status = 'running'"


class PostgresJobStore:
    """See ``JobStore``. ``url``: ``postgresql://user:password@host/database`` (libpq); ``clock`` gives seconds."""

    def __init__(self, url: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._database = Database(url)
        self._now = clock
        self._claimers: dict[str, tuple[int, float]] = {}  # by owner: procrastinate's id, and when it looks again

    async def add(self, new: NewJob) -> Job:
        """See JobStore."""
        values = asdict(new) | {"fields": json.dumps(new.fields)}
        insert = (
            "INSERT INTO auricle_jobs (id, model, fields, request_id, webhook_url, idempotency_key, fingerprint,"
            " created_at) VALUES (%(id)s, %(model)s, %(fields)s, %(request_id)s, %(webhook_url)s, %(idempotency_key)s,"
            " %(fingerprint)s, auricle_now()) ON CONFLICT (idempotency_key) DO NOTHING RETURNING id"
        )
        async with self._database.transaction() as db:
            if await _one(db, insert, values):
                place = await (await Queue.over(db)).defer(new.id, new.model)
                row = await _one(db, "UPDATE auricle_jobs SET queue_id = %s WHERE id = %s RETURNING *", (place, new.id))
            else:
                query = "SELECT * FROM auricle_jobs WHERE idempotency_key = %s"
                row = await _one(db, query, (new.idempotency_key,))
                if row is None:  # forgotten in between; sent again it is a new job
                    raise storage_unavailable("Jobs")
                if row["fingerprint"] != new.fingerprint:
                    raise key_reused()
            return job_of(row or {})

    async def get(self, job_id: str) -> Job | None:
        """See JobStore."""
        row = await self._first("SELECT * FROM auricle_jobs WHERE id = %s", (job_id,))
        return job_of(row) if row else None

    async def queue_position(self, job_id: str) -> int | None:
        """See JobStore."""
        row = await self._first(
            "SELECT count(*) AS position FROM auricle_jobs WHERE status = 'queued' AND queue_id <="
            " (SELECT queue_id FROM auricle_jobs WHERE id = %s AND status = 'queued')",
            (job_id,),
        )
        return row["position"] or None if row else None

    async def text(self, job_id: str) -> str:
        """See JobStore."""
        return "".join(segment.text for segment in await self.segments(job_id, -1)).strip()

    async def segments(self, job_id: str, after: int) -> list[Segment]:
        """See JobStore."""
        query = "SELECT payload FROM auricle_segments WHERE job_id = %s AND number > %s ORDER BY number"
        return [segment_of(row["payload"]) for row in await self._all(query, (job_id, after))]

    async def windows(self, job_id: str) -> Mapping[str, str]:
        """See JobStore."""
        rows = await self._all("SELECT key, payload FROM auricle_windows WHERE job_id = %s", (job_id,))
        return {row["key"]: row["payload"] for row in rows}

    async def result(self, job_id: str) -> Answered | None:
        """See JobStore."""
        row = await self._first("SELECT result FROM auricle_jobs WHERE id = %s", (job_id,))
        return answered_of(row["result"]) if row and row["result"] else None

    async def under_way(self) -> set[str]:
        """See JobStore."""
        return {
            row["id"] for row in await self._all("SELECT id FROM auricle_jobs WHERE status IN ('queued', 'running')")
        }

    async def claim(self, owner: str, models: Collection[str], lease_s: float) -> Job | None:
        """See JobStore."""
        now = self._now()
        try:
            async with self._database.transaction() as db:
                queue = await Queue.over(db)
                worker_id, looks_at = self._claimers.get(owner) or (await queue.register(), now)
                if looks_at <= now:
                    await _let_go(db, await queue.retry_stalled(lease_s))
                    await queue.beat(worker_id)
                    looks_at = now + lease_s / LOOKS_PER_LEASE
                place = await queue.fetch(worker_id, models)
                row = None if place is None else await _taken(db, place, owner)
        except ApiError:
            self._claimers.pop(owner, None)  # it may be one that is no longer known
            raise
        self._claimers[owner] = worker_id, looks_at
        return job_of(row) if row else None

    async def renew(self, owner: str, job_ids: Collection[str], lease_s: float) -> set[str]:
        """See JobStore."""
        query = (
            "SELECT jobs.*, worker_id, attempted_at < auricle_now() - %s::float8 AS is_old FROM auricle_jobs AS jobs"
            " JOIN procrastinate_jobs AS queue ON queue.id = queue_id WHERE owner = %s AND jobs.status = 'running'"
        )
        async with self._database.transaction() as db:
            queue = await Queue.over(db)
            rows = await (await db.execute(query, (lease_s, owner))).fetchall()
            for worker_id in {row["worker_id"] for row in rows if row["worker_id"] is not None}:
                await queue.beat(worker_id)
            unknown = [job_of(row) for row in rows if row["is_old"] and row["id"] not in job_ids]
            for job in unknown:
                await _give_back(db, job, n_deaths=0)
            return {row["id"] for row in rows} - {job.id for job in unknown}

    async def record(self, job: Job, findings: Findings) -> bool:
        """See JobStore."""
        changes = (
            "done_s = greatest(done_s, %(done_s)s), duration_s = coalesce(%(duration_s)s::float8, duration_s),"
            " n_deaths = CASE WHEN %(has_windows)s THEN 0 ELSE n_deaths END"
        )
        values = {
            "done_s": findings.progress.done if findings.progress else 0.0,
            "duration_s": findings.progress.duration if findings.progress else None,
            "has_windows": bool(findings.windows),
        }
        async with self._database.transaction() as db:
            if not await _change(db, job, changes, values):
                return False
            if findings.windows:
                await db.cursor().executemany(
                    "INSERT INTO auricle_windows VALUES (%s, %s, %s)"
                    " ON CONFLICT (job_id, key) DO UPDATE SET payload = excluded.payload",
                    [(job.id, key, payload) for key, payload in findings.windows.items()],
                )
            await _write_segments(db, job.id, findings.segments)
            return True

    async def finish(self, job: Job, answered: Answered, ttl_s: float) -> bool:
        """See JobStore."""
        changes = "done_s = %(duration)s, duration_s = %(duration)s, result = %(result)s"
        values = {"duration": answered.transcript.duration, "result": packed_answered(answered)}
        async with self._database.transaction() as db:
            if not await _end(db, job, JobStatus.FINISHED, changes, values | {"ttl": ttl_s}):
                return False
            await db.execute("DELETE FROM auricle_segments WHERE job_id = %s", (job.id,))
            await _write_segments(db, job.id, answered.transcript.segments)
            return True

    async def fail(self, job: Job, error: JobError, ttl_s: float) -> bool:
        """See JobStore."""
        values = {"error": json.dumps(asdict(error)), "ttl": ttl_s}
        async with self._database.transaction() as db:
            return await _end(db, job, JobStatus.FAILED, "error = %(error)s", values)

    async def give_back(self, job: Job, *, died: bool) -> bool:
        """See JobStore."""
        async with self._database.transaction() as db:
            return await _give_back(db, job, n_deaths=int(died))

    async def cancel(self, job_id: str, ttl_s: float) -> None:
        """See JobStore."""
        async with self._database.transaction() as db:
            queue = await Queue.over(db)
            place = await queue.lock(await _place_of(db, job_id))
            row = await _one(
                db,
                "UPDATE auricle_jobs SET status = 'cancelled', ended_at = auricle_now(),"
                " expires_at = auricle_now() + %s WHERE id = %s AND status IN ('queued', 'running') RETURNING id",
                (ttl_s, job_id),
            )
            if row is None:
                await db.execute(
                    "UPDATE auricle_jobs SET expires_at = auricle_now() WHERE id = %s AND NOT is_expired",
                    (job_id,),
                )
                await _forget(db, [job_id])
                return
            if place is not None:
                await queue.finish(place)
            await db.execute("DELETE FROM auricle_windows WHERE job_id = %s", (job_id,))
            await db.execute("DELETE FROM auricle_segments WHERE job_id = %s", (job_id,))
            await _announce(db, job_id)

    async def expire(self, keep_known_s: float) -> None:
        """See JobStore."""
        async with self._database.transaction() as db:
            past = await db.execute(
                "SELECT id FROM auricle_jobs WHERE NOT is_expired AND expires_at <= auricle_now()"
                " FOR UPDATE SKIP LOCKED"
            )
            await _forget(db, [row["id"] for row in await past.fetchall()])
            await db.execute(
                "DELETE FROM auricle_jobs WHERE is_expired AND expires_at <= auricle_now() - %s::float8",
                (keep_known_s,),
            )
            await (await Queue.over(db)).forget_silent(SILENT_S)

    async def claim_delivery(self, lease_s: float) -> Delivery | None:
        """See JobStore."""
        claim = (
            "UPDATE auricle_deliveries SET due_at = auricle_now() + %s WHERE id ="
            " (SELECT id FROM auricle_deliveries WHERE due_at <= auricle_now() ORDER BY due_at LIMIT 1"
            " FOR UPDATE SKIP LOCKED) RETURNING *"
        )
        async with self._database.transaction() as db:
            due = await _one(db, claim, (lease_s,))
            row = due and await _one(db, "SELECT * FROM auricle_jobs WHERE id = %s", (due["job_id"],))
            if not due or not row:
                return None
            return Delivery(id=due["id"], job=job_of(row), url=due["url"], n_attempts=due["n_attempts"])

    async def settle_delivery(self, delivery: Delivery, retry_in_s: float | None) -> None:
        """See JobStore."""
        async with self._database.transaction() as db:
            await db.execute(
                "UPDATE auricle_deliveries SET n_attempts = n_attempts + 1, due_at = auricle_now() + %s::float8"
                " WHERE id = %s",
                (retry_in_s, delivery.id),
            )

    async def news(self) -> AsyncGenerator[tuple[str, JobStatus]]:
        """See JobStore. Raises ApiError when its connection breaks."""
        async with aclosing(self._database.notices("auricle_jobs")) as notices:
            async for notice in notices:
                job_id, status = notice.split(" ")
                yield job_id, JobStatus(status)

    async def close(self) -> None:
        """See JobStore."""
        await self._database.close()

    async def _first(self, query: str, values: tuple[Any, ...]) -> DictRow | None:
        async with self._database.transaction() as db:
            return await _one(db, query, values)

    async def _all(self, query: str, values: tuple[Any, ...] = ()) -> list[DictRow]:
        async with self._database.transaction() as db:
            return await (await db.execute(query.encode(), values)).fetchall()


async def _one(db: Connection, query: str, values: Any) -> DictRow | None:
    return await (await db.execute(query.encode(), values)).fetchone()


async def _place_of(db: Connection, job_id: str) -> int | None:
    row = await _one(db, "SELECT queue_id FROM auricle_jobs WHERE id = %s", (job_id,))
    return row["queue_id"] if row else None


async def _let_go(db: Connection, places: list[int]) -> None:
    """The jobs of workers that have gone silent wait again."""
    if places:
        await db.execute("UPDATE auricle_jobs SET status = 'queued', owner = NULL WHERE queue_id = ANY(%s)", (places,))


async def _taken(db: Connection, place: int, owner: str) -> DictRow | None:
    return await _one(
        db,
        "UPDATE auricle_jobs SET status = 'running', attempt = attempt + 1, owner = %s, resumed_s = done_s,"
        " started_at = coalesce(started_at, auricle_now()), attempted_at = auricle_now()"
        " WHERE queue_id = %s RETURNING *",
        (owner, place),
    )


async def _change(db: Connection, job: Job, changes: str, values: Mapping[str, Any]) -> bool:
    """Change a job whose claim is valid; False when it is not."""
    statement = f"UPDATE auricle_jobs SET {changes} WHERE {_MINE}"  # noqa: S608  (both written in this module)
    cursor = await db.execute(statement.encode(), {**values, "id": job.id, "attempt": job.attempt})
    return cursor.rowcount == 1


async def _give_back(db: Connection, job: Job, *, n_deaths: int) -> bool:
    queue = await Queue.over(db)
    place = await queue.lock(await _place_of(db, job.id))
    changes = "status = 'queued', owner = NULL, n_deaths = n_deaths + %(n_deaths)s"
    if place is None or not await _change(db, job, changes, {"n_deaths": n_deaths}):
        return False
    await queue.retry(place)
    return True


async def _end(db: Connection, job: Job, status: JobStatus, changes: str, values: Mapping[str, Any]) -> bool:
    queue = await Queue.over(db)
    place = await queue.lock(await _place_of(db, job.id))
    ended = "status = %(status)s, ended_at = auricle_now(), expires_at = auricle_now() + %(ttl)s"
    if place is None or not await _change(db, job, f"{ended}, {changes}", {**values, "status": status.value}):
        return False
    await queue.finish(place)
    await db.execute("DELETE FROM auricle_windows WHERE job_id = %s", (job.id,))
    await _announce(db, job.id)
    return True


async def _announce(db: Connection, job_id: str) -> None:
    """One webhook a job, in the transaction that ends it."""
    await db.execute(
        "INSERT INTO auricle_deliveries (id, job_id, url, due_at)"
        " SELECT 'msg_' || id, id, webhook_url, auricle_now() FROM auricle_jobs"
        " WHERE id = %s AND webhook_url IS NOT NULL",
        (job_id,),
    )


async def _write_segments(db: Connection, job_id: str, segments: Collection[Segment]) -> None:
    if segments:
        await db.cursor().executemany(
            "INSERT INTO auricle_segments VALUES (%s, %s, %s)"
            " ON CONFLICT (job_id, number) DO UPDATE SET payload = excluded.payload",
            [(job_id, each.id, packed_segment(each)) for each in segments],
        )


async def _forget(db: Connection, job_ids: list[str]) -> None:
    """Delete all text of jobs, that in their forms too; what became of them stays known."""
    await db.execute("DELETE FROM auricle_segments WHERE job_id = ANY(%s)", (job_ids,))
    await db.execute(
        "UPDATE auricle_jobs SET is_expired = TRUE, result = NULL, fields = '[]', idempotency_key = NULL"
        " WHERE id = ANY(%s)",
        (job_ids,),
    )
