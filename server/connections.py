"""A connection that waits for a request's head, but not for ever. In: bytes from a client. Out: uvicorn's requests.

uvicorn itself bounds neither how long a head may take to arrive nor how large it may grow: a client could hold a
descriptor with one byte a minute, and fill the memory with one header. Knows nothing of routes, and of bodies, which
``server.uploads`` counts.
"""

import asyncio
import logging
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

__all__ = ["HEAD_PATIENCE_S", "MAX_HEAD_BYTES", "HttpConnection"]

logger = logging.getLogger("auricle.connections")

HEAD_PATIENCE_S = 20.0  # from the first byte, or from the connection, to the end of the head
MAX_HEAD_BYTES = 2**16  # as uvicorn's other protocol has it
CLOSING = b"connection: close\r\ncontent-length: 0\r\n\r\n"


class HttpConnection(HttpToolsProtocol):
    """One client's connection; answers 408 to a head that comes too slowly and 431 to one that is too large."""

    def __init__(self, *arguments: Any, **options: Any) -> None:  # uvicorn's own affair
        super().__init__(*arguments, **options)
        self._deadline: asyncio.TimerHandle | None = None
        self._n_head_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # uvicorn narrows it too
        """A client is there; its first head is due."""
        super().connection_made(transport)
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """The client is gone."""
        self._stop_expecting()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        """The first byte of a request, perhaps not of the connection's first one."""
        super().on_message_begin()
        self._expect_head()

    def on_headers_complete(self) -> None:
        """The head is whole."""
        self._stop_expecting()
        super().on_headers_complete()

    def data_received(self, data: bytes) -> None:
        """Bytes of a head or a body."""
        super().data_received(data)
        if self._deadline is not None:
            self._n_head_bytes += len(data)
            if self._n_head_bytes > MAX_HEAD_BYTES:
                self._refuse(b"431 Request Header Fields Too Large")

    def _expect_head(self) -> None:
        if self._deadline is None:
            self._n_head_bytes = 0
            self._deadline = self.loop.call_later(HEAD_PATIENCE_S, self._refuse, b"408 Request Timeout")

    def _stop_expecting(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _refuse(self, status: bytes) -> None:
        self._stop_expecting()
        if not self.transport.is_closing():
            logger.info("connection closed: %s", status.decode())
            self.transport.write(b"HTTP/1.1 " + status + b"\r\n" + CLOSING)
            self.transport.close()
