"""A recording played into ``WS /stream`` as if it were spoken now. In: samples. Out: every event with its arrival.

Sound is sent in small pieces, each when it would have been heard. Knows no reference and no statistics.
"""

import asyncio
import json
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import numpy as np
from numpy.typing import NDArray
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from asr.audio import SAMPLE_RATE
from eval.errors import ClipError, TargetUnavailableError

__all__ = ["LiveEvent", "Playback", "play", "stream_url"]

PIECE_S = 0.1  # as microphones hand sound over
PATIENCE_S = 120.0  # for the rest of the text, after the sound


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveEvent:
    """One event of the service."""

    at: float
    """Seconds from the first sound."""
    body: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Playback:
    """One recording, played and answered."""

    sent_at: tuple[float, ...]
    """When each piece was sent, in seconds from the first sound."""
    events: tuple[LiveEvent, ...]

    @property
    def done(self) -> Mapping[str, Any]:
        """The last event."""
        return self.events[-1].body

    def sent(self, position: float) -> float:
        """When the sound at a position of the recording had been sent."""
        return self.sent_at[min(max(int(np.ceil(position / PIECE_S - 1e-9)) - 1, 0), len(self.sent_at) - 1)]


def stream_url(url: str, fields: Mapping[str, str]) -> str:
    """The socket's address beside a service's. Raises TargetUnavailableError for what is none."""
    scheme, separator, rest = url.rstrip("/").partition("://")
    schemes = {"http": "ws", "https": "wss"}
    if not separator or scheme not in schemes:
        raise TargetUnavailableError(f"got {url!r}, expected http://host:port. Correct the address.")
    return f"{schemes[scheme]}://{rest}/stream?{urlencode(fields)}"


async def play(address: str, samples: NDArray[np.float32]) -> Playback:
    """Play samples at 16 kHz, in real time. Raises ClipError, and TargetUnavailableError where nobody answers."""
    try:
        async with connect(address, max_size=None) as socket:
            return await _talk(socket, samples)
    except (OSError, InvalidHandshake, TimeoutError) as error:
        message = f"{address.partition('?')[0]}: no stream ({type(error).__name__}: {error})"
        raise TargetUnavailableError(
            f"{message}. Start the service (`auricle-serve`), or correct the address."
        ) from error


async def _talk(socket: ClientConnection, samples: NDArray[np.float32]) -> Playback:
    began = time.perf_counter()
    listening = asyncio.ensure_future(_listen(socket, began))
    try:
        sent_at = await _speak(socket, samples, began, listening)
        events = await asyncio.wait_for(listening, PATIENCE_S)
    finally:
        listening.cancel()
    last = events[-1].body if events else {}
    if last.get("type") == "error":
        raise ClipError(str(last["error"]["code"]), str(last["error"]["message"]))
    if last.get("type") != "done":
        raise ClipError("connection_lost", f"the stream ended after {len(events)} events, expected done as the last")
    return Playback(sent_at=tuple(sent_at), events=tuple(events))


async def _speak(
    socket: ClientConnection, samples: NDArray[np.float32], began: float, listening: "asyncio.Future[Any]"
) -> list[float]:
    pcm = (np.clip(samples, -1, 1) * 32767).astype("<i2")
    n_piece = round(PIECE_S * SAMPLE_RATE)
    sent_at: list[float] = []
    try:
        for place in range(0, len(pcm), n_piece):
            spoken_at = began + (place + n_piece) / SAMPLE_RATE  # its last sound is heard then
            await asyncio.sleep(max(spoken_at - time.perf_counter(), 0))
            if listening.done():
                return sent_at  # the service has ended it, and said why
            await socket.send(pcm[place : place + n_piece].tobytes())
            sent_at.append(time.perf_counter() - began)
        await socket.send(json.dumps({"type": "stop"}))
    except ConnectionClosed:
        return sent_at
    return sent_at


async def _listen(socket: ClientConnection, began: float) -> list[LiveEvent]:
    events: list[LiveEvent] = []
    with suppress(ConnectionClosed):  # an error's close code; the error itself is the last event
        while True:
            message = await socket.recv()
            events.append(LiveEvent(at=time.perf_counter() - began, body=json.loads(message)))
    return events
