"""Waiting for an event, but not for ever. In: an event, seconds. Out: whether it came."""

import asyncio

__all__ = ["is_set_within"]


async def is_set_within(event: asyncio.Event, timeout_s: float) -> bool:
    """Whether the event is set by then.

    A cancellation that comes together with the event is kept: ``asyncio.wait_for`` of Python 3.11 loses it, and who was
    to stop waits on.
    """
    try:
        async with asyncio.timeout(timeout_s):
            await event.wait()
    except TimeoutError:
        return False
    return True
