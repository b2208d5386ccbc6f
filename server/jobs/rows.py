"""Jobs as rows of SQLite. In: plain values. Out: plain values, read and changed in transactions.

Write-ahead log, every commit synced to disk before it returns, deleted text overwritten. Knows no event loop, HTTP,
recording or worker.
"""

import json
import os
import sqlite3
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from asr.transcript import Segment
from server.jobs.columns import answered_of, job_of, key_reused, packed_answered, packed_segment, segment_of
from server.jobs.schema import migrate
from server.jobs.storage import make_folder
from server.jobs.store import Delivery, Findings, Job, JobError, JobStatus, NewJob
from server.responses import Answered

__all__ = ["JobRows"]

BUSY_S = 10.0  # to wait for another process that writes

_MINE = "id = :id AND attempt = :attempt AND status = 'running'"
_LET_GO = "UPDATE jobs SET status = 'queued', owner = NULL, lease_until = NULL"


class JobRows:
    """What ``JobStore`` promises, by the same names; for one thread. ``clock`` gives seconds since the epoch.

    Raises sqlite3.Error and OSError; after one of them call ``close``.
    """

    def __init__(self, path: Path, clock: Callable[[], float]) -> None:
        self._path = path
        self._now = clock
        self._connection: sqlite3.Connection | None = None

    def close(self) -> None:
        """Close the file; the next call opens it again."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def add(self, new: NewJob) -> Job:
        """See JobStore."""
        with self._transaction() as db:
            if new.idempotency_key is not None:
                query = "SELECT id, fingerprint FROM jobs WHERE idempotency_key = ?"
                if known := db.execute(query, (new.idempotency_key,)).fetchone():
                    if known["fingerprint"] != new.fingerprint:
                        raise key_reused()
                    return job_of(self._row(db, known["id"]))
            values = asdict(new) | {"fields": json.dumps(new.fields), "created_at": self._now()}
            db.execute(
                "INSERT INTO jobs (id, status, model, fields, request_id, webhook_url, idempotency_key, fingerprint,"
                " created_at) VALUES (:id, 'queued', :model, :fields, :request_id, :webhook_url, :idempotency_key,"
                " :fingerprint, :created_at)",
                values,
            )
            return job_of(self._row(db, new.id))

    def get(self, job_id: str) -> Job | None:
        """See JobStore."""
        row = self._open().execute("SELECT * FROM jobs WHERE id = ?", (job_id,)).fetchone()
        return job_of(row) if row else None

    def queue_position(self, job_id: str) -> int | None:
        """See JobStore."""
        query = (
            "SELECT count(*) FROM jobs JOIN (SELECT seq AS mine FROM jobs WHERE id = ? AND status = 'queued')"
            " WHERE status = 'queued' AND seq <= mine"
        )
        (position,) = self._open().execute(query, (job_id,)).fetchone()
        return position or None

    def text(self, job_id: str) -> str:
        """See JobStore."""
        rows = self._open().execute("SELECT text FROM segments WHERE job_id = ? ORDER BY number", (job_id,))
        return "".join(text for (text,) in rows).strip()

    def segments(self, job_id: str, after: int) -> list[Segment]:
        """See JobStore."""
        query = "SELECT payload FROM segments WHERE job_id = ? AND number > ? ORDER BY number"
        return [segment_of(payload) for (payload,) in self._open().execute(query, (job_id, after))]

    def windows(self, job_id: str) -> dict[str, str]:
        """See JobStore."""
        rows = self._open().execute("SELECT key, payload FROM windows WHERE job_id = ?", (job_id,))
        return {key: payload for key, payload in rows}  # noqa: C416  (rows are no pairs to `dict`'s types)

    def result(self, job_id: str) -> Answered | None:
        """See JobStore."""
        row = self._open().execute("SELECT result FROM jobs WHERE id = ?", (job_id,)).fetchone()
        return answered_of(row["result"]) if row and row["result"] else None

    def under_way(self) -> set[str]:
        """See JobStore."""
        return {
            job_id for (job_id,) in self._open().execute("SELECT id FROM jobs WHERE status IN ('queued', 'running')")
        }

    def claim(self, owner: str, models: Collection[str], lease_s: float) -> Job | None:
        """See JobStore."""
        now = self._now()
        places = ", ".join("?" * len(models))
        known = f"model IN ({places})"  # question marks only
        query = f"SELECT id FROM jobs WHERE {known} AND status = 'queued' ORDER BY seq LIMIT 1"  # noqa: S608
        with self._transaction() as db:
            db.execute(f"{_LET_GO} WHERE status = 'running' AND lease_until < ?", (now,))
            self._prolong(db, owner, now + lease_s)
            row = db.execute(query, tuple(models)).fetchone()
            if row is None:
                return None
            db.execute(
                "UPDATE jobs SET status = 'running', attempt = attempt + 1, owner = ?, lease_until = ?,"
                " started_at = coalesce(started_at, ?), attempted_at = ?, resumed_s = done_s WHERE id = ?",
                (owner, now + lease_s, now, now, row["id"]),
            )
            return job_of(self._row(db, row["id"]))

    def renew(self, owner: str, job_ids: Collection[str], lease_s: float) -> set[str]:
        """See JobStore."""
        now = self._now()
        with self._transaction() as db:
            self._prolong(db, owner, now + lease_s)
            query = "SELECT id, attempted_at FROM jobs WHERE owner = ? AND status = 'running'"
            rows = db.execute(query, (owner,)).fetchall()
            old = {row["id"] for row in rows if row["attempted_at"] < now - lease_s}
            unknown = old.difference(job_ids)
            db.executemany(f"{_LET_GO} WHERE id = ?", [(job_id,) for job_id in unknown])
            return {row["id"] for row in rows} - unknown

    def record(self, job: Job, findings: Findings) -> bool:
        """See JobStore."""
        with self._transaction() as db:
            done_s = findings.progress.done if findings.progress else 0.0
            duration_s = findings.progress.duration if findings.progress else None
            changes = (
                "done_s = max(done_s, :done_s), duration_s = coalesce(:duration_s, duration_s),"
                " n_deaths = CASE WHEN :has_windows THEN 0 ELSE n_deaths END"
            )
            values = {"done_s": done_s, "duration_s": duration_s, "has_windows": bool(findings.windows)}
            if not _change(db, job, changes, values):
                return False
            rows = [(job.id, key, payload) for key, payload in findings.windows.items()]
            db.executemany("INSERT OR REPLACE INTO windows VALUES (?, ?, ?)", rows)
            _write_segments(db, job.id, findings.segments)
            return True

    def finish(self, job: Job, answered: Answered, ttl_s: float) -> bool:
        """See JobStore."""
        with self._transaction() as db:
            duration = answered.transcript.duration
            result = packed_answered(answered)
            changes = "done_s = :duration, duration_s = :duration, result = :result"
            if not self._end(db, job, JobStatus.FINISHED, ttl_s, changes, {"duration": duration, "result": result}):
                return False
            db.execute("DELETE FROM segments WHERE job_id = ?", (job.id,))
            _write_segments(db, job.id, answered.transcript.segments)
            return True

    def fail(self, job: Job, error: JobError, ttl_s: float) -> bool:
        """See JobStore."""
        with self._transaction() as db:
            return self._end(db, job, JobStatus.FAILED, ttl_s, "error = :error", {"error": json.dumps(asdict(error))})

    def give_back(self, job: Job, n_deaths: int) -> bool:
        """See JobStore."""
        with self._transaction() as db:
            changes = "status = 'queued', owner = NULL, lease_until = NULL, n_deaths = n_deaths + :n_deaths"
            return _change(db, job, changes, {"n_deaths": n_deaths})

    def cancel(self, job_id: str, ttl_s: float) -> None:
        """See JobStore."""
        with self._transaction() as db:
            row = self._row(db, job_id)
            if JobStatus(row["status"]).is_final:
                db.execute("UPDATE jobs SET expires_at = ? WHERE id = ? AND NOT is_expired", (self._now(), job_id))
                _forget(db, [job_id])
                return
            db.execute(
                "UPDATE jobs SET status = 'cancelled', ended_at = :now, expires_at = :now + :ttl WHERE id = :id",
                {"now": self._now(), "ttl": ttl_s, "id": job_id},
            )
            for table in ("windows", "segments"):
                db.execute(f"DELETE FROM {table} WHERE job_id = ?", (job_id,))  # noqa: S608
            self._announce(db, job_id)

    def expire(self, keep_known_s: float) -> None:
        """See JobStore."""
        with self._transaction() as db:
            now = self._now()
            past = db.execute("SELECT id FROM jobs WHERE NOT is_expired AND expires_at <= ?", (now,))
            _forget(db, [job_id for (job_id,) in past])
            db.execute("DELETE FROM jobs WHERE is_expired AND expires_at <= ?", (now - keep_known_s,))

    def claim_delivery(self, lease_s: float) -> Delivery | None:
        """See JobStore."""
        with self._transaction() as db:
            now = self._now()
            query = "SELECT * FROM deliveries WHERE due_at <= ? ORDER BY due_at LIMIT 1"
            row = db.execute(query, (now,)).fetchone()
            if row is None:
                return None
            db.execute("UPDATE deliveries SET due_at = ? WHERE id = ?", (now + lease_s, row["id"]))
            job = job_of(self._row(db, row["job_id"]))
            return Delivery(id=row["id"], job=job, url=row["url"], n_attempts=row["n_attempts"])

    def settle_delivery(self, delivery: Delivery, retry_in_s: float | None) -> None:
        """See JobStore."""
        due_at = None if retry_in_s is None else self._now() + retry_in_s
        with self._transaction() as db:
            db.execute(
                "UPDATE deliveries SET n_attempts = n_attempts + 1, due_at = ? WHERE id = ?", (due_at, delivery.id)
            )

    def _end(
        self, db: sqlite3.Connection, job: Job, status: JobStatus, ttl_s: float, changes: str, values: dict[str, Any]
    ) -> bool:
        values |= {"status": status, "now": self._now(), "ttl": ttl_s}
        ended = "status = :status, ended_at = :now, expires_at = :now + :ttl"
        if not _change(db, job, f"{ended}, {changes}", values):
            return False
        db.execute("DELETE FROM windows WHERE job_id = ?", (job.id,))
        self._announce(db, job.id)
        return True

    def _announce(self, db: sqlite3.Connection, job_id: str) -> None:
        """One webhook a job, in the transaction that ends it."""
        db.execute(
            "INSERT INTO deliveries (id, job_id, url, due_at)"
            " SELECT 'msg_' || id, id, webhook_url, ? FROM jobs WHERE id = ? AND webhook_url IS NOT NULL",
            (self._now(), job_id),
        )

    def _prolong(self, db: sqlite3.Connection, owner: str, until: float) -> None:
        db.execute("UPDATE jobs SET lease_until = ? WHERE owner = ? AND status = 'running'", (until, owner))

    def _row(self, db: sqlite3.Connection, job_id: str) -> sqlite3.Row:
        row: sqlite3.Row = db.execute("SELECT * FROM jobs WHERE id = ?", (job_id,)).fetchone()
        return row

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        db = self._open()
        db.execute("BEGIN IMMEDIATE")
        try:
            yield db
            db.execute("COMMIT")
        except BaseException:
            if db.in_transaction:  # a full disk has rolled it back already
                db.execute("ROLLBACK")
            raise

    def _open(self) -> sqlite3.Connection:
        if self._connection is not None:
            return self._connection
        make_folder(self._path.parent)
        os.close(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600))  # SQLite's other files follow its mode
        db = sqlite3.connect(self._path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
        try:
            db.row_factory = sqlite3.Row
            for setting in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON", "secure_delete = ON"):
                db.execute(f"PRAGMA {setting}")
            migrate(db)
        except BaseException:
            db.close()
            raise
        self._connection = db
        return db


def _change(db: sqlite3.Connection, job: Job, changes: str, values: Mapping[str, Any]) -> bool:
    """Change a job whose claim is valid; False when it is not."""
    statement = f"UPDATE jobs SET {changes} WHERE {_MINE}"  # noqa: S608  (both written in this module)
    return db.execute(statement, {**values, "id": job.id, "attempt": job.attempt}).rowcount == 1


def _write_segments(db: sqlite3.Connection, job_id: str, segments: Collection[Segment]) -> None:
    rows = [(job_id, each.id, each.text, packed_segment(each)) for each in segments]
    db.executemany("INSERT OR REPLACE INTO segments VALUES (?, ?, ?, ?)", rows)


def _forget(db: sqlite3.Connection, job_ids: Collection[str]) -> None:
    """Delete all text of jobs, that in their forms too; what became of them stays known."""
    for job_id in job_ids:
        db.execute("DELETE FROM segments WHERE job_id = ?", (job_id,))
        db.execute(
            "UPDATE jobs SET is_expired = 1, result = NULL, fields = '[]', idempotency_key = NULL WHERE id = ?",
            (job_id,),
        )
