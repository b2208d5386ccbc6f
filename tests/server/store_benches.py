"""Job stores on a bench: each with a clock that the test moves, closed and opened again as after a crash."""

import asyncio
import itertools
import sqlite3
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, Protocol, TypeVar

import psycopg
from postgres_server import PostgresServer

from server.jobs.postgres import PostgresJobStore
from server.jobs.sqlite import SqliteJobStore
from server.jobs.store import JobStore

T = TypeVar("T")

BEGINNING = 1_000.0  # seconds since the epoch


class Bench(Protocol):
    """A store, and what a test does to it from outside."""

    store: JobStore

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T: ...

    def wait(self, seconds: float) -> None: ...

    def reopen(self) -> None: ...

    def another(self) -> JobStore:
        """The same store as another process has it; ``close`` closes it."""

    def deliveries(self) -> list[str]:
        """The jobs that a webhook tells of."""

    def close(self) -> None: ...


class SqliteBench:
    """A file."""

    def __init__(self, path: Path) -> None:
        self.path, self.now = path, BEGINNING
        self._runner = asyncio.Runner()
        self._others: list[JobStore] = []
        self.store: JobStore = self._opened()

    def _opened(self) -> SqliteJobStore:
        return SqliteJobStore(self.path, clock=lambda: self.now)

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(coroutine)

    def wait(self, seconds: float) -> None:
        self.now += seconds

    def reopen(self) -> None:
        self.run(self.store.close())
        self.store = self._opened()

    def another(self) -> JobStore:
        self._others.append(self._opened())
        return self._others[-1]

    def deliveries(self) -> list[str]:
        with sqlite3.connect(self.path) as db:
            return [name for (name,) in db.execute("SELECT job_id FROM deliveries ORDER BY job_id")]

    def close(self) -> None:
        for store in (self.store, *self._others):
            self.run(store.close())
        self._runner.close()


class PostgresBench:
    """A schema, in which ``now()`` is the test's: what procrastinate and our tables ask for the time is found here."""

    _names = itertools.count()

    def __init__(self, server: PostgresServer) -> None:
        schema = f"bench_{next(self._names)}"
        self.url = server.url(schema)
        self._db = psycopg.connect(self.url, autocommit=True)
        self._db.execute(f"CREATE SCHEMA {schema}")
        self._db.execute("CREATE TABLE clock AS SELECT %s::float8 AS seconds", (BEGINNING,))
        time = f"SELECT to_timestamp(seconds) FROM {schema}.clock"  # noqa: S608  (a name made here)
        self._db.execute(f"CREATE FUNCTION {schema}.now() RETURNS timestamptz STABLE LANGUAGE SQL AS '{time}'")
        self._now = BEGINNING
        self._runner = asyncio.Runner()
        self._others: list[JobStore] = []
        self.store: JobStore = self._opened()

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(coroutine)

    def _opened(self) -> PostgresJobStore:
        return PostgresJobStore(self.url, clock=lambda: self._now)

    def wait(self, seconds: float) -> None:
        self._now += seconds
        self._db.execute("UPDATE clock SET seconds = seconds + %s", (seconds,))

    def reopen(self) -> None:
        self.run(self.store.close())
        self.store = self._opened()

    def another(self) -> JobStore:
        self._others.append(self._opened())
        return self._others[-1]

    def deliveries(self) -> list[str]:
        return [name for (name,) in self._db.execute("SELECT job_id FROM auricle_deliveries ORDER BY job_id")]

    def waiting(self) -> int:
        """How many jobs procrastinate knows."""
        [(count,)] = self._db.execute("SELECT count(*) FROM procrastinate_jobs").fetchall()
        return int(count)

    def close(self) -> None:
        for store in (self.store, *self._others):
            self.run(store.close())
        self._runner.close()
        self._db.close()
