"""What ``/stream`` and its clients say to each other. In: messages, and events of a stream. Out: fields, and JSON.

The one table from errors to WebSocket close codes is here. Knows no socket and no worker; docs/streaming.md is the
protocol for people.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, ValidationInfo

from asr.pcm import BYTES_PER_SAMPLE
from asr.streaming import (
    Final,
    Partial,
    SpeechStarted,
    SpeechStopped,
    StreamingEvent,
    StreamingOptions,
    UtteranceEnded,
)
from asr.tasks import Task
from asr.transcript import Word
from server.errors import ApiError
from server.forms import Form, split_field, validated
from server.messages import StreamWork

__all__ = [
    "MAX_FRAME_BYTES",
    "Audio",
    "Cancel",
    "ClientMessage",
    "Start",
    "StartForm",
    "Stop",
    "close_code",
    "event_body",
    "parse_message",
    "start_form",
]

MAX_FRAME_BYTES = 2**17  # 4 s at 16 kHz: a few of them fit into the buffer on the way to the worker
MAX_HOTWORDS = 64
DEFAULTS = StreamingOptions()

CLOSE_CODES_OF_ERROR = {"worker_died": 1011, "audio_too_long": 1008}
CLOSE_CODES_OF_STATUS = {413: 1009, 415: 1003, 422: 1007, 429: 1013, 503: 1013}  # RFC 6455, section 7.4.1
POLICY_VIOLATION, INTERNAL_ERROR = 1008, 1011


def _hotwords(value: object, info: ValidationInfo) -> object:
    """Texts in the query's spellings; a list in JSON has its items apart already."""
    texts = [value] if isinstance(value, str) else value
    if isinstance(texts, list) and len(texts) == 1 and isinstance(texts[0], str):
        return split_field(texts, info)
    return texts


def _integer(value: object) -> object:
    return int(value) if isinstance(value, str) and value.isdecimal() else value


class StartForm(Form):
    """Fields of the query, or of the first message."""

    lists: ClassVar[frozenset[str]] = frozenset({"hotwords"})

    model: str = Field(default="whisper-1", description="The served model's name; whisper-1 means it too.")
    sample_rate: Annotated[Literal[16_000, 24_000], BeforeValidator(_integer)] = Field(
        default=16_000, description="Of the audio that follows, in Hz."
    )
    task: Literal["transcribe", "translate"] = Field(default="transcribe", description="translate: into English.")
    language: str | None = Field(
        default=None,
        description="Language of the speech, as a code or an English name; else detected from the first speech, and "
        "kept.",
    )
    prompt: str = Field(default="", description="Text taken to come before the stream: names, spelling, style.")
    hotwords: Annotated[tuple[str, ...], BeforeValidator(_hotwords)] = Field(
        default=(), max_length=MAX_HOTWORDS, description="Names and terms that every window is told."
    )
    timestamps: Literal["segment", "word"] = Field(
        default="segment", description="word: partial and final events have each word with its time and probability."
    )
    step_s: float = Field(
        default=DEFAULTS.step_s, description="New audio that a decoding waits for; less is faster and costs more."
    )
    settle_s: float = Field(
        default=DEFAULTS.settle_s,
        description="A sentence becomes final when so much sound after it was heard; more is surer and later.",
    )
    max_pause_s: float = Field(
        default=DEFAULTS.max_pause_s, description="A pause this long ends an utterance, and makes its text final."
    )
    vad: bool = Field(default=DEFAULTS.vad, description="Decode only where somebody speaks.")
    vad_threshold: float = Field(
        default=DEFAULTS.vad_threshold, description="A 32 ms frame above this probability is speech."
    )

    def work(self) -> StreamWork:
        """For the worker. Raises InvalidOptionError, naming the field."""
        options = StreamingOptions(
            task=Task(self.task),
            language=self.language,
            prompt=self.prompt,
            hotwords=self.hotwords,
            step_s=self.step_s,
            settle_s=self.settle_s,
            max_pause_s=self.max_pause_s,
            vad=self.vad,
            vad_threshold=self.vad_threshold,
        )
        return StreamWork(options=options, sample_rate=self.sample_rate)


@dataclass(frozen=True, slots=True)
class Start:
    """The first message, where the query does not say it all."""

    fields: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Audio:
    """Whole samples."""

    pcm: bytes


@dataclass(frozen=True, slots=True)
class Stop:
    """All audio was sent; the rest of the text is wanted."""


@dataclass(frozen=True, slots=True)
class Cancel:
    """Nothing more is wanted."""


ClientMessage = Start | Audio | Stop | Cancel


def parse_message(data: bytes | str) -> ClientMessage:
    """One message of the socket. Raises ApiError for what is none."""
    if isinstance(data, bytes):
        return _audio(data)
    if len(data) > MAX_FRAME_BYTES:
        raise _too_large(len(data))
    try:
        body = json.loads(data)
    except ValueError:
        raise ApiError(422, "invalid_json", f"got {data[:64]!r}, expected a JSON object") from None
    if not isinstance(body, dict):
        raise ApiError(422, "invalid_json", f"got {data[:64]!r}, expected a JSON object")
    kind = body.pop("type", None)
    if kind == "start":
        return Start(body)
    if kind not in {"stop", "cancel"}:
        message = f"type: got {str(kind)[:64]!r}, expected start, stop or cancel"
        raise ApiError(415, "unknown_message", message, param="type")
    for name in body:
        raise ApiError(400, "unsupported_parameter", f"{name[:64]}: not a field of {kind}", param=name[:64])
    return Stop() if kind == "stop" else Cancel()


def start_form(query: Iterable[tuple[str, str]], start: Start | None) -> StartForm:
    """The fields of query and first message together. Raises ApiError (400), naming the field that is wrong."""
    values: dict[str, Any] = {}
    for raw_name, value in query:
        name = raw_name.removesuffix("[]")
        if name in StartForm.lists:
            values.setdefault(name, []).append(value)
        elif name in values:
            raise _twice(name)
        else:
            values[name] = value
    for name, value in (start.fields if start else {}).items():
        if name in values:
            raise _twice(name)
        values[name] = value
    return validated(StartForm, values)


def event_body(event: StreamingEvent, *, with_words: bool) -> dict[str, Any]:
    """An event as JSON."""
    match event:
        case SpeechStarted():
            return {"type": "speech_started", "start": round(event.time, 3)}
        case SpeechStopped():
            return {"type": "speech_stopped", "end": round(event.time, 3)}
        case UtteranceEnded():
            return {"type": "utterance_ended", "start": round(event.start, 3), "end": round(event.end, 3)}
        case Partial() | Final():
            kind = "partial" if isinstance(event, Partial) else "final"
            return {"type": kind, "text": event.text, **_times(event.words), **_words(event.words, with_words)}


def close_code(error: ApiError) -> int:
    """What the socket is closed with after an error."""
    if error.code in CLOSE_CODES_OF_ERROR:
        return CLOSE_CODES_OF_ERROR[error.code]
    return CLOSE_CODES_OF_STATUS.get(error.status, INTERNAL_ERROR if error.status >= 500 else POLICY_VIOLATION)


def _audio(pcm: bytes) -> Audio:
    if len(pcm) > MAX_FRAME_BYTES:
        raise _too_large(len(pcm))
    if len(pcm) % BYTES_PER_SAMPLE:
        message = f"got a message of {len(pcm)} bytes, expected whole samples of {BYTES_PER_SAMPLE} bytes"
        raise ApiError(422, "odd_audio", message)
    return Audio(pcm)


def _too_large(n: int) -> ApiError:
    return ApiError(413, "message_too_large", f"got a message of {n} bytes, expected at most {MAX_FRAME_BYTES}")


def _twice(name: str) -> ApiError:
    return ApiError(400, "invalid_value", f"{name[:64]}: given more than once, expected one value", param=name[:64])


def _times(words: tuple[Word, ...]) -> dict[str, float | None]:
    return {"start": words[0].start if words else None, "end": words[-1].end if words else None}


def _words(words: tuple[Word, ...], with_words: bool) -> dict[str, Any]:
    return {"words": [asdict(word) for word in words]} if with_words else {}
