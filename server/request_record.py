"""What is known of one request, for the log and the metrics. In: facts, from whoever learns them. Out: one record.

The middleware makes it and reads it at the end; routes and what they call fill it in. Holds no text, file name or key.
"""

from dataclasses import dataclass, field
from typing import cast

from starlette.requests import HTTPConnection

__all__ = ["Phase", "RequestRecord", "record_of"]


@dataclass(frozen=True, slots=True)
class Phase:
    """A part of a request's time, in seconds of ``time.monotonic``."""

    name: str
    started_at: float
    ended_at: float


@dataclass(slots=True, kw_only=True)
class RequestRecord:
    """Facts about one request; None where nobody learned them."""

    request_id: str
    started_at: float
    """Of ``time.monotonic``."""
    key_name: str | None = None
    model: str | None = None
    audio_s: float | None = None
    """Length of the recording."""
    queue_s: float | None = None
    """How long it waited for the model."""
    speed: float | None = None
    """Seconds of audio per second of work."""
    first_text_s: float | None = None
    """From the request's start to the first text of a stream."""
    n_body_bytes: int = 0
    error_code: str | None = None
    phases: list[Phase] = field(default_factory=list)
    """upload, decode_audio, queue, encode, decode: those that it came to."""


def record_of(connection: HTTPConnection) -> RequestRecord:
    """The record of a request or a WebSocket."""
    return cast("RequestRecord", connection.state.record)
