"""What a load test is made of, as plain data. Knows no socket, no process and no statistics."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

__all__ = ["Dialect", "LoadClip", "LoadPlan", "Outcome", "Overload", "ServerSpec", "Turn"]


class Dialect(StrEnum):
    """How a server is asked."""

    AURICLE = "auricle"  # POST /transcribe, streamed: the first text is seen as it arrives
    OPENAI = "openai"  # POST /v1/audio/transcriptions, answered at once


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadClip:
    """A recording as it is sent, and what is said in it."""

    id: str
    name: str
    """Of the file."""
    data: bytes = field(repr=False)
    text: str
    language: str | None
    """None: the server finds out."""
    duration: float
    is_long: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSpec:
    """One server: where it runs, or how to start it."""

    name: str
    dialect: Dialect
    ready_route: str
    """Answers 200 when requests are served."""
    url: str | None = None
    """Where it runs already."""
    command: Callable[[int, Path], list[str]] | None = None
    """From a free port and a folder of its own to what starts it; None: it runs at ``url``."""
    fields: Mapping[str, str] = field(default_factory=dict)
    """Of the form, with each request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadPlan:
    """What is measured."""

    servers: tuple[ServerSpec, ...]
    """The first is ours."""
    clips: tuple[LoadClip, ...]
    long: LoadClip | None
    """Every fifth request sends it; None: short clips only."""
    clients: tuple[int, ...]
    rounds: int
    requests: int
    """A turn; at least two for each client."""
    background: Path | None
    """A recording that is worked on beside every second turn; None: there is none."""
    as_request: bool
    """Send it as a plain request even where the server has jobs."""
    settle_s: float
    """From its arrival to the first short clip."""
    overload_s: float | None
    """How long, each round, four times as much is asked of ours as it can answer; None: not at all."""
    timeout_s: float
    """After which a request has failed."""
    seed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one request."""

    clip: LoadClip
    seconds: float
    """From the request to the end of its answer."""
    first_text_s: float | None = None
    """From the request to the first text; None: there was no text."""
    text: str | None = None
    """None: there was no answer."""
    status: int | None = None
    """None: the connection broke, or the time was up."""
    code: str | None = None
    """Why there was no answer; None: there was one."""

    @property
    def is_refused(self) -> bool:
        """Whether the server had no room."""
        return self.text is None and self.status in {429, 503}


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """So many clients at one server, each asking again as soon as it is answered."""

    server: str
    clients: int
    with_background: bool
    outcomes: tuple[Outcome, ...]
    elapsed_s: float
    """From the first request to the last answer."""
    clients_cpu_s: float
    """What the clients themselves took of the processor meanwhile."""
    peak_mb: float | None
    """Most resident memory of the server's processes together; None: they are not ours to look at."""
    background_lasted: bool = True
    """Whether the background recording was still worked on when the turn ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Overload:
    """Requests that come at a fixed rate, whether the last ones are answered or not."""

    rate: float
    """Requests a second."""
    peak_rate: float
    """Answers a second, in the best turn of the same round."""
    outcomes: tuple[Outcome, ...]
    elapsed_s: float
    """From the first request to the last answer."""
