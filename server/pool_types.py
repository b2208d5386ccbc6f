"""What goes in and out of a pool of workers. In: work and limits. Out: updates of a piece of work, and numbers.

Plain values, and the record of one request on its way. Knows no process and no event.
"""

import asyncio
from dataclasses import dataclass, field

from asr.engine_counts import EngineCounts
from asr.ticket import Lane
from asr.transcript import LanguageDetection, Progress, Segment, Transcript
from asr.voice_activity import SpeechDetection
from server.errors import ApiError
from server.messages import ModelInfo, Progressed, SegmentDecoded, TranscribeWork, WindowDecoded, Work, lane_of
from server.worker_seat import LOADING_RETRY_S, WorkerState

__all__ = [
    "DecodedWindow",
    "PoolRequest",
    "PoolStats",
    "QueueLimits",
    "Result",
    "Update",
    "WorkerStatus",
    "update_of",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueLimits:
    """How much may wait, and for how long."""

    max_queued_requests: int = 64
    max_queued_audio_s: float = 14_400.0
    """Seconds of audio; a single recording is admitted to an empty queue whatever its length."""
    request_timeout_s: float = 1_800.0
    """From the request to its answer."""
    max_streams: int = 8
    """Live streams that a worker follows at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerStatus:
    """What /readyz and /models tell."""

    state: WorkerState
    model: ModelInfo | None = None
    """The model last loaded; stays known while a dead worker is replaced."""
    problem: str = ""
    """Why the model does not load."""
    retry_after_s: float = LOADING_RETRY_S


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolStats:
    """What a pool is at, and what it has been through since it was started."""

    workers: int
    workers_ready: int
    places: int
    """Recordings that may be under way at once."""
    queued_requests: int
    queued_audio_s: float
    running_requests: int
    running_audio_s: float
    streams: int
    """Live streams under way."""
    speed: float
    """Seconds of audio done per second with work, of late."""
    deaths: int
    """Workers that died or were ended because they hung."""
    retried: int
    """Recordings begun again after a death."""
    engine: EngineCounts
    """What the engines of all its workers have done."""

    @property
    def wait_s(self) -> float:
        """How long a new recording would wait, at most: not at all while a place is free."""
        if self.running_requests < self.places and not self.queued_requests:
            return 0.0
        return (self.queued_audio_s + self.running_audio_s) / self.speed


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """The last update of a piece of work: what came out, and how long it had waited."""

    output: Transcript | LanguageDetection | SpeechDetection
    queue_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodedWindow:
    """What the decoder said about one window, to be handed in again (``TranscribeWork.windows``)."""

    key: str
    payload: str


Update = Segment | Progress | DecodedWindow | Result


@dataclass(eq=False, slots=True, kw_only=True)
class PoolRequest:
    """A piece of work between its coming and its result."""

    work: Work
    number: int
    submitted_at: float
    started_at: float = 0.0
    is_left: bool = False
    """Whether nobody waits for it any more."""
    n_deaths: int = 0
    """Of workers, at this recording or beside it."""
    has_told: bool = False
    """Whether the client has seen a part of the answer already."""
    updates: asyncio.Queue[Update | ApiError] = field(default_factory=asyncio.Queue)

    def __post_init__(self) -> None:
        """Whoever hands in a job counts its deaths, and hands it in again with what it has."""
        if isinstance(self.work, TranscribeWork) and self.work.is_job:
            self.n_deaths, self.has_told = self.work.n_deaths, True

    @property
    def is_job(self) -> bool:
        """Whether a store of jobs waits for it, and no client."""
        return isinstance(self.work, TranscribeWork) and self.work.is_job

    @property
    def is_bulk(self) -> bool:
        """Whether it leaves places to others."""
        return lane_of(self.work) is Lane.BULK


def update_of(message: SegmentDecoded | WindowDecoded | Progressed) -> Update:
    """What whoever waits for the work is told of it on the way."""
    if isinstance(message, SegmentDecoded):
        return message.segment
    if isinstance(message, Progressed):
        return message.progress
    return DecodedWindow(key=message.key, payload=message.payload)
