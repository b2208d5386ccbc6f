"""How many uploads are decoded at once. In: decodings that begin and end. Out: a place for each, in turn.

What takes long moves to places of its own, so that short recordings do not wait behind a few files of many hours.
Knows nothing of files and processes.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

__all__ = ["DecoderPlaces"]

LASTING_PLACES = 4  # of those that take long, for each of the others; they get what time the others leave


class DecoderPlaces:
    """So many decodings begin together; one that lasts makes room for the next as long as there is a lasting place."""

    def __init__(self, n_places: int, *, lasting_after_s: float) -> None:
        self._first = asyncio.Semaphore(n_places)
        self._lasting = asyncio.Semaphore(n_places * LASTING_PLACES)
        self._lasting_after_s = lasting_after_s

    @asynccontextmanager
    async def taken(self) -> AsyncIterator[None]:
        """Wait for a place, and hold one until the end."""
        await self._first.acquire()
        held = [self._first]
        moving = asyncio.create_task(self._move(held))
        try:
            yield
        finally:
            moving.cancel()
            await asyncio.gather(moving, return_exceptions=True)
            held[0].release()

    async def _move(self, held: list[asyncio.Semaphore]) -> None:
        await asyncio.sleep(self._lasting_after_s)
        await self._lasting.acquire()
        held[0] = self._lasting
        self._first.release()
