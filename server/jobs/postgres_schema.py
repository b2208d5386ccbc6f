"""The tables of the job store on PostgreSQL, version by version. In: a connection. Out: the same, up to date.

Beside our tables lie those of procrastinate, which has migrations of its own: both are counted in ``auricle_schema``.
"""

from pathlib import Path

from procrastinate.schema import SchemaManager
from psycopg import AsyncConnection, DatabaseError
from psycopg.rows import DictRow

__all__ = ["migrate"]

_LOCK = 0x4155_5249  # of whoever migrates: several hosts may start at once

_FIRST = (
    "CREATE FUNCTION auricle_now() RETURNS DOUBLE PRECISION STABLE LANGUAGE SQL"
    " AS $$ SELECT extract(epoch FROM now())::float8 $$",
    """
    CREATE TABLE auricle_jobs (
        id TEXT PRIMARY KEY,
        queue_id BIGINT UNIQUE,
        status TEXT NOT NULL DEFAULT 'queued',
        model TEXT NOT NULL,
        fields TEXT NOT NULL,
        request_id TEXT NOT NULL,
        webhook_url TEXT,
        idempotency_key TEXT UNIQUE,
        fingerprint TEXT NOT NULL,
        attempt INTEGER NOT NULL DEFAULT 0,
        n_deaths INTEGER NOT NULL DEFAULT 0,
        owner TEXT,
        created_at DOUBLE PRECISION NOT NULL,
        started_at DOUBLE PRECISION,
        attempted_at DOUBLE PRECISION,
        ended_at DOUBLE PRECISION,
        expires_at DOUBLE PRECISION,
        is_expired BOOLEAN NOT NULL DEFAULT FALSE,
        done_s DOUBLE PRECISION NOT NULL DEFAULT 0,
        resumed_s DOUBLE PRECISION NOT NULL DEFAULT 0,
        duration_s DOUBLE PRECISION,
        error TEXT,
        result TEXT
    )
    """,
    "CREATE INDEX auricle_jobs_under_way ON auricle_jobs (queue_id) WHERE status IN ('queued', 'running')",
    "CREATE INDEX auricle_jobs_by_end ON auricle_jobs (expires_at) WHERE expires_at IS NOT NULL",
    """
    CREATE TABLE auricle_windows (
        job_id TEXT NOT NULL REFERENCES auricle_jobs (id) ON DELETE CASCADE,
        key TEXT NOT NULL,
        payload TEXT NOT NULL,
        PRIMARY KEY (job_id, key)
    )
    """,
    """
    CREATE TABLE auricle_segments (
        job_id TEXT NOT NULL REFERENCES auricle_jobs (id) ON DELETE CASCADE,
        number INTEGER NOT NULL,
        payload TEXT NOT NULL,
        PRIMARY KEY (job_id, number)
    )
    """,
    """
    CREATE TABLE auricle_deliveries (
        id TEXT PRIMARY KEY,
        job_id TEXT NOT NULL UNIQUE REFERENCES auricle_jobs (id) ON DELETE CASCADE,
        url TEXT NOT NULL,
        n_attempts INTEGER NOT NULL DEFAULT 0,
        due_at DOUBLE PRECISION
    )
    """,
    "CREATE INDEX auricle_deliveries_by_time ON auricle_deliveries (due_at) WHERE due_at IS NOT NULL",
    # Whoever follows a job on another host than it is worked on hears of it at once.
    "CREATE FUNCTION auricle_tell() RETURNS trigger LANGUAGE plpgsql AS"
    " $$ BEGIN PERFORM pg_notify('auricle_jobs', NEW.id || ' ' || NEW.status); RETURN NULL; END $$",
    "CREATE TRIGGER auricle_jobs_tell AFTER INSERT OR UPDATE ON auricle_jobs"
    " FOR EACH ROW EXECUTE FUNCTION auricle_tell()",
)
MIGRATIONS: tuple[tuple[str, ...], ...] = (_FIRST,)


async def migrate(connection: AsyncConnection[DictRow]) -> None:
    """Bring the tables up to date, in the caller's transaction: wholly or not at all.

    Raises psycopg.DatabaseError for tables that a newer version has written.
    """
    steps = sorted(path.name for path in Path(SchemaManager.get_migrations_path()).glob("*.sql"))
    await connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
    await connection.execute(
        "CREATE TABLE IF NOT EXISTS auricle_schema (version INTEGER NOT NULL, queue TEXT NOT NULL)"
    )
    known = await (await connection.execute("SELECT version, queue FROM auricle_schema")).fetchone()
    version = known["version"] if known else 0
    if version > len(MIGRATIONS):
        raise DatabaseError(f"schema version: got {version}, expected at most {len(MIGRATIONS)}")
    if known is None:
        await connection.execute(SchemaManager.get_schema())
        await connection.execute("INSERT INTO auricle_schema VALUES (0, '')")
    else:
        for step in steps:
            if step > known["queue"]:
                text = (Path(SchemaManager.get_migrations_path()) / step).read_text(encoding="utf-8")
                await connection.execute(text.encode())
    for statements in MIGRATIONS[version:]:
        for statement in statements:
            await connection.execute(statement.encode())
    await connection.execute("UPDATE auricle_schema SET version = %s, queue = %s", (len(MIGRATIONS), steps[-1]))
