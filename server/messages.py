"""What the API process and its worker process say to each other: frozen dataclasses, pickled over one pipe.

Knows nothing of HTTP and imports no torch: both sides import it.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from asr.assembling import SAMPLE_RATE
from asr.engine_counts import EngineCounts
from asr.errors import AuricleError, InvalidOptionError
from asr.options import TranscribeOptions
from asr.streaming import StreamingEvent, StreamingOptions
from asr.ticket import Lane
from asr.transcript import LanguageDetection, Progress, Segment, Transcript
from asr.voice_activity import SpeechDetection

__all__ = [
    "Beat",
    "Cancel",
    "Crashed",
    "DecodedAudio",
    "DetectWork",
    "Detected",
    "Failed",
    "FromWorker",
    "Job",
    "LoadFailed",
    "ModelInfo",
    "OfJob",
    "Progressed",
    "Ready",
    "SegmentDecoded",
    "Shutdown",
    "StreamAudio",
    "StreamEnd",
    "StreamEnded",
    "StreamEvents",
    "StreamFailed",
    "StreamMessage",
    "StreamReport",
    "StreamStart",
    "StreamWork",
    "ToWorker",
    "TranscribeWork",
    "Transcribed",
    "VadDone",
    "VadWork",
    "WindowDecoded",
    "Work",
    "lane_of",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodedAudio:
    """A recording as samples in a private file; whoever asked for it deletes the file."""

    path: str
    """Float32 at 16 kHz, full scale 1, (n_samples, n_channels) row by row, and nothing else."""
    n_channels: int
    """1 for the mean of the channels."""
    n_samples: int
    """Of each channel."""
    warnings: tuple[str, ...] = ()
    """What was wrong with the upload but did not prevent decoding it."""
    decode_s: float = 0.0
    """Wall clock that decoding took."""

    @property
    def duration(self) -> float:
        """Length in seconds."""
        return self.n_samples / SAMPLE_RATE


@dataclass(frozen=True, slots=True, kw_only=True)
class TranscribeWork:
    """Transcribe or translate one recording."""

    audio: DecodedAudio
    options: TranscribeOptions
    send_segments: bool
    """Report each segment as soon as it is decoded."""
    lane: Lane = Lane.INTERACTIVE
    """Bulk work waits for everybody else's; a long recording is bulk in any case."""
    is_job: bool = False
    """Handed in by a store of jobs, which asks again where it is needed: it may wait for as long as it takes, and the
    queue's limits are not for it."""
    windows: Path | None = None
    """A file with what is known of the recording's windows, a JSON object of ``asr.memo``'s keys and payloads: a file,
    since it may be larger than the pipe's buffer. Each new window is then reported, and the progress."""
    n_deaths: int = 0
    """Of workers at this recording, before it was handed in."""
    done_s: float = 0.0
    """Before this time of the recording ``windows`` has all of it."""

    @property
    def audio_s(self) -> float:
        """Seconds of audio to work on: channels that were split count each."""
        return max(0.0, self.audio.duration - self.done_s) * self.audio.n_channels


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectWork:
    """Name the language of one recording."""

    audio: DecodedAudio
    languages: tuple[str, ...] = ()
    """Codes to choose among; empty: all."""
    language_threshold: float = 0.0
    """Below it no language is named."""
    lane: Lane = Lane.INTERACTIVE

    @property
    def audio_s(self) -> float:
        """Seconds of audio to work on."""
        return self.audio.duration


@dataclass(frozen=True, slots=True, kw_only=True)
class VadWork:
    """Find where in one recording somebody speaks."""

    audio: DecodedAudio
    threshold: float
    """A frame above this probability is speech."""
    lane: Lane = Lane.INTERACTIVE

    @property
    def audio_s(self) -> float:
        """Seconds of audio to work on."""
        return self.audio.duration


Work = TranscribeWork | DetectWork | VadWork


def lane_of(work: Work) -> Lane:
    """How urgent it is to the pool and to the engine: as it says, and bulk where it is long."""
    return Lane.BULK if work.lane is Lane.BULK else Lane.of(work.audio_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A piece of work with the number that its reports carry."""

    number: int
    work: Work


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamWork:
    """Recognize one stream as it comes."""

    options: StreamingOptions
    sample_rate: int
    """Of the audio that will come; 16 kHz is heard as it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamStart:
    """A stream begins; its audio follows under the same number."""

    number: int
    work: StreamWork


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamAudio:
    """The next audio of a stream."""

    number: int
    pcm: bytes
    """Whole 16-bit samples, little-endian, one channel."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamEnd:
    """No more audio comes: say the rest, or nothing more where nobody listens any longer."""

    number: int
    is_cancelled: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Shutdown:
    """Leave at once, whatever you are doing."""


StreamMessage = StreamStart | StreamAudio | StreamEnd


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancel:
    """Nobody waits for this job any more; answer it with Failed, or with what is done already."""

    number: int


ToWorker = Job | StreamMessage | Cancel | Shutdown


@dataclass(frozen=True, slots=True, kw_only=True)
class Beat:
    """Sent every second: the worker is alive."""

    stalled_s: float
    """How long the engine has been at one step; 0 when it is between two."""
    counts: EngineCounts


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelInfo:
    """The model that a worker serves."""

    name: str
    hash: str
    languages: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """The model is loaded."""

    model: ModelInfo


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadFailed:
    """The model cannot be loaded; the worker exits after saying so."""

    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentDecoded:
    """One segment of a job that asked for them."""

    number: int
    segment: Segment


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowDecoded:
    """One window's answer, of a transcription that asked for them; before the segments that it makes final."""

    number: int
    key: str
    payload: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Progressed:
    """How far a transcription that reports its windows is."""

    number: int
    progress: Progress


@dataclass(frozen=True, slots=True, kw_only=True)
class Transcribed:
    """A transcription is done."""

    number: int
    transcript: Transcript


@dataclass(frozen=True, slots=True, kw_only=True)
class Detected:
    """A language detection is done."""

    number: int
    detection: LanguageDetection


@dataclass(frozen=True, slots=True, kw_only=True)
class VadDone:
    """A search for speech is done."""

    number: int
    detection: SpeechDetection


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamEvents:
    """What a stream has shown since the last report, and how much of its audio was taken up since."""

    number: int
    events: tuple[StreamingEvent, ...]
    n_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamEnded:
    """A stream is over, and all that it said is told."""

    number: int
    language: str | None
    """None: nobody spoke, and none was named."""
    duration: float
    """Seconds of audio heard."""
    encode_s: float
    decode_s: float
    n_windows: int
    """Decoded on the way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """A job or stream was refused for a reason the caller can act on.

    Carries the class, not the exception: exceptions with keyword-only arguments do not survive pickling.
    """

    number: int
    kind: type[AuricleError]
    message: str
    param: str | None

    @classmethod
    def of(cls, number: int, error: AuricleError) -> Self:
        """What is told of an error."""
        param = error.param if isinstance(error, InvalidOptionError) else None
        return cls(number=number, kind=type(error), message=str(error), param=param)


@dataclass(frozen=True, slots=True, kw_only=True)
class Crashed:
    """A job or stream met an exception nobody foresaw; the worker lives on."""

    number: int
    traceback: str
    """For the log only."""
    is_out_of_memory: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamFailed:
    """A stream is over before its end."""

    cause: Failed | Crashed
    """With the stream's number."""


OfJob = SegmentDecoded | WindowDecoded | Progressed | Transcribed | Detected | VadDone | Failed | Crashed
StreamReport = StreamEvents | StreamEnded | StreamFailed
FromWorker = Beat | Ready | LoadFailed | OfJob | StreamReport
