"""Connections to PostgreSQL that come back. In: a URL. Out: transactions and notices; ApiErrors when there are none.

A host that is cut off notices within seconds, and the database lets go of the locks of one that is. Knows no table:
``server.jobs.postgres_schema`` does.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager
from typing import Any

import psycopg
from procrastinate.exceptions import ConnectorException
from psycopg import AsyncConnection
from psycopg.errors import DiskFull
from psycopg.rows import DictRow, dict_row
from psycopg_pool import AsyncConnectionPool

from server.errors import insufficient_storage, storage_unavailable
from server.jobs.postgres_schema import migrate

__all__ = ["Connection", "Database"]

logger = logging.getLogger("auricle.jobs")

Connection = AsyncConnection[DictRow]

MAX_CONNECTIONS = 4  # of one process, and one that listens; PostgreSQL takes 100 by default
PATIENCE_S = 4.0  # for a connection; one that fails is tried again for as long before it is asked for anew
_NETWORK: dict[str, Any] = {
    "application_name": "auricle",
    "connect_timeout": 3,
    "keepalives_idle": 2,
    "keepalives_interval": 1,
    "keepalives_count": 3,
    "tcp_user_timeout": 5_000,
}
_SESSION = """
    SET statement_timeout = '10s'; SET idle_in_transaction_session_timeout = '10s';
    SET tcp_keepalives_idle = 2; SET tcp_keepalives_interval = 1; SET tcp_keepalives_count = 3;
    SET tcp_user_timeout = 5000
"""


class Database:
    """A few connections to one database, made when they are needed; its tables are brought up to date by the first.

    Raises ApiError: 507 when the database's disk is full, 503 when it cannot be used.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._pool = AsyncConnectionPool(
            url,
            connection_class=AsyncConnection[DictRow],
            kwargs={"row_factory": dict_row} | _NETWORK,
            min_size=1,
            max_size=MAX_CONNECTIONS,
            open=False,
            configure=_configure,
            check=AsyncConnectionPool.check_connection,
            timeout=PATIENCE_S,
            reconnect_timeout=PATIENCE_S,
        )
        self._opening = asyncio.Lock()
        self._is_migrated = False

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """A connection in a transaction, committed at the end."""
        with _told_as_api_errors():
            await self._open()
            async with self._pool.connection() as connection:
                yield connection

    async def notices(self, channel: str) -> AsyncGenerator[str]:
        """What is told on a channel from now on, over a connection of its own."""
        with _told_as_api_errors():
            connection = await AsyncConnection.connect(self._url, autocommit=True, **_NETWORK)
            async with connection:
                await connection.execute(_SESSION)
                await connection.execute(f"LISTEN {channel}".encode())
                async with aclosing(connection.notifies()) as notices:
                    async for notice in notices:
                        yield notice.payload

    async def close(self) -> None:
        """Close all connections but those that listen, which end with their generators."""
        await self._pool.close()

    async def _open(self) -> None:
        if self._is_migrated:
            return
        async with self._opening:
            if not self._is_migrated:
                await self._pool.open()
                async with self._pool.connection() as connection:
                    await migrate(connection)
                self._is_migrated = True


async def _configure(connection: Connection) -> None:
    await connection.execute(_SESSION)
    await connection.commit()


@contextmanager
def _told_as_api_errors() -> Iterator[None]:
    try:
        yield
    except (psycopg.Error, ConnectorException) as error:
        cause = error.__cause__ if isinstance(error, ConnectorException) and error.__cause__ else error
        logger.error("the job store cannot be used: %s", cause)
        raise (insufficient_storage() if isinstance(cause, DiskFull) else storage_unavailable("Jobs")) from error
