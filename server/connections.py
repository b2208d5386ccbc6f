"""A client's connection, from its first byte to its last. In: bytes from a client. Out: uvicorn's requests.

uvicorn itself bounds neither how long a head may take to arrive nor how large it may grow: a client could hold a
descriptor with one byte a minute, and fill the memory with one header. And it closes a connection whose body it has
not read, at which the kernel takes back what the client has not read either: of a refusal it sees a reset, and a proxy
tells it 502. Here the rest of the body is read first, for a while. And what runs out of memory in the middle of a body
breaks the connection off: a body that there is no memory for is not begun (``OUT_OF_MEMORY`` in the request's state).
Knows nothing of routes, and of bodies that somebody wants: ``server.uploads`` counts those.
"""

import asyncio
import logging
import mmap
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from server.middleware import OUT_OF_MEMORY

__all__ = ["HEAD_PATIENCE_S", "LINGER_S", "MAX_HEAD_BYTES", "ROOM_BYTES", "HttpConnection"]

logger = logging.getLogger("auricle.connections")

HEAD_PATIENCE_S = 20.0  # from the first byte, or from the connection, to the end of the head
MAX_HEAD_BYTES = 2**16  # as uvicorn's other protocol has it
LINGER_S = 30.0  # for the rest of a body whose request is answered
ROOM_BYTES = 2**26  # what a process that takes dozens of bodies at once may still ask for: up to 2 MiB each
CLOSING = b"connection: close\r\ncontent-length: 0\r\n\r\n"


class HttpConnection(HttpToolsProtocol):
    """One client's connection; answers 408 to a head that comes too slowly and 431 to one that is too large."""

    def __init__(self, *arguments: Any, **options: Any) -> None:  # uvicorn's own affair
        super().__init__(*arguments, **options)
        self._head_due: asyncio.TimerHandle | None = None
        self._n_head_bytes = 0
        self._is_body_read = True
        self._body_due: asyncio.TimerHandle | None = None
        """Set when the answer is sent and the body is not read."""
        self._closes_after_body = False
        self._is_body_dropped = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # uvicorn narrows it too
        """A client is there; its first head is due."""
        super().connection_made(transport)
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """The client is gone."""
        self._head_due = _stopped(self._head_due)
        self._body_due = _stopped(self._body_due)
        super().connection_lost(exc)
        if self.cycle is not None:
            self.cycle.transport = self.transport  # ends the ring, so that the request's memory goes now, not by and by

    def on_message_begin(self) -> None:
        """The first byte of a request, perhaps not of the connection's first one."""
        super().on_message_begin()
        self._expect_head()

    def on_headers_complete(self) -> None:
        """The head is whole."""
        self._head_due = _stopped(self._head_due)
        self._is_body_read = False
        self._is_body_dropped = self.parser.get_method() == b"POST" and not _has_room()
        if self._is_body_dropped:
            self.scope["state"][OUT_OF_MEMORY] = True
        known = self.cycle
        super().on_headers_complete()
        if self.cycle is not known:
            self.cycle.transport = _Answering(self)  # type: ignore[assignment]  # all that a cycle asks of one

    def on_body(self, body: bytes) -> None:
        """A piece of a body."""
        if not self._is_body_dropped:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """The body is whole."""
        super().on_message_complete()
        self._is_body_read = True
        self._body_due = _stopped(self._body_due)
        if self._closes_after_body:
            self.transport.close()

    def on_response_complete(self) -> None:
        """The answer is sent."""
        super().on_response_complete()
        if self.cycle.response_complete:  # else a client that did not wait has sent another request, which has its turn
            self._expect_body()

    def data_received(self, data: bytes) -> None:
        """Bytes of a head or a body."""
        head_due = self._head_due
        super().data_received(data)
        if head_due is not None and self._head_due is head_due:  # all of it was of one head
            self._n_head_bytes += len(data)
            if self._n_head_bytes > MAX_HEAD_BYTES:
                self._refuse(b"431 Request Header Fields Too Large")

    def close_after_body(self) -> None:
        """Close the connection as soon as the client has nothing more to say."""
        self._closes_after_body = True
        if self._is_body_read:
            self.transport.close()
        else:
            self._expect_body()

    def _expect_head(self) -> None:
        if self._head_due is None:
            self._n_head_bytes = 0
            self._head_due = self.loop.call_later(HEAD_PATIENCE_S, self._refuse, b"408 Request Timeout")

    def _expect_body(self) -> None:
        if not self._is_body_read and self._body_due is None and not self.transport.is_closing():
            self._body_due = self.loop.call_later(LINGER_S, self.transport.close)

    def _refuse(self, status: bytes) -> None:
        self._head_due = _stopped(self._head_due)
        if not self.transport.is_closing():
            logger.info("connection closed: %s", status.decode())
            self.transport.write(b"HTTP/1.1 " + status + b"\r\n" + CLOSING)
            self.transport.close()


class _Answering:
    """The transport as an answer sees it."""

    def __init__(self, connection: HttpConnection) -> None:
        self._connection = connection

    def write(self, data: bytes) -> None:
        self._connection.transport.write(data)

    def is_closing(self) -> bool:
        return self._connection.transport.is_closing()

    def close(self) -> None:
        self._connection.close_after_body()


def _has_room() -> bool:
    """Whether the system would give memory, which is asked for and given back untouched: microseconds."""
    try:
        mmap.mmap(-1, ROOM_BYTES, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS).close()
    except (OSError, MemoryError):
        return False
    return True


def _stopped(timer: asyncio.TimerHandle | None) -> asyncio.TimerHandle | None:
    """What takes the timer's place: nothing."""
    if timer is not None:
        timer.cancel()
    return None
