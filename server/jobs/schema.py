"""The tables of the job store, version by version. In: a connection. Out: the same, up to date.

``PRAGMA user_version`` says how many of the migrations a file has seen. Migrations are only ever added.
"""

import sqlite3

__all__ = ["migrate"]

_FIRST = (
    """
    CREATE TABLE jobs (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE,
        status TEXT NOT NULL,
        model TEXT NOT NULL,
        fields TEXT NOT NULL,
        request_id TEXT NOT NULL,
        webhook_url TEXT,
        idempotency_key TEXT UNIQUE,
        fingerprint TEXT NOT NULL,
        attempt INTEGER NOT NULL DEFAULT 0,
        n_deaths INTEGER NOT NULL DEFAULT 0,
        owner TEXT,
        lease_until REAL,
        created_at REAL NOT NULL,
        started_at REAL,
        attempted_at REAL,
        ended_at REAL,
        expires_at REAL,
        is_expired INTEGER NOT NULL DEFAULT 0,
        done_s REAL NOT NULL DEFAULT 0,
        resumed_s REAL NOT NULL DEFAULT 0,
        duration_s REAL,
        error TEXT,
        result TEXT
    )
    """,
    "CREATE INDEX jobs_by_status ON jobs (status, seq)",
    """
    CREATE TABLE windows (
        job_id TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
        key TEXT NOT NULL,
        payload TEXT NOT NULL,
        PRIMARY KEY (job_id, key)
    ) WITHOUT ROWID
    """,
    """
    CREATE TABLE segments (
        job_id TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
        number INTEGER NOT NULL,
        text TEXT NOT NULL,
        payload TEXT NOT NULL,
        PRIMARY KEY (job_id, number)
    ) WITHOUT ROWID
    """,
    """
    CREATE TABLE deliveries (
        id TEXT PRIMARY KEY,
        job_id TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
        url TEXT NOT NULL,
        n_attempts INTEGER NOT NULL DEFAULT 0,
        due_at REAL
    ) WITHOUT ROWID
    """,
    "CREATE INDEX deliveries_by_time ON deliveries (due_at) WHERE due_at IS NOT NULL",
)
MIGRATIONS: tuple[tuple[str, ...], ...] = (_FIRST,)


def migrate(connection: sqlite3.Connection) -> None:
    """Bring the tables up to date, each step whole or not at all.

    Raises sqlite3.DatabaseError for a file that a newer version has written.
    """
    connection.execute("BEGIN IMMEDIATE")  # two processes may start at once
    try:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version > len(MIGRATIONS):
            raise sqlite3.DatabaseError(f"schema version: got {version}, expected at most {len(MIGRATIONS)}")
        for statements in MIGRATIONS[version:]:
            for statement in statements:
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
