"""Results as bodies. In: transcripts and detections. Out: JSON shapes, subtitles and server-sent events.

The shapes are OpenAI's where OpenAI has one, with more beside. Knows nothing of requests, uploads or workers.
"""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import JSONResponse, Response

from asr.formats import Layout, render
from asr.languages import LANGUAGES
from asr.transcript import LanguageDetection, Segment, Transcript, Word
from asr.voice_activity import SpeechDetection
from server.messages import ModelInfo

__all__ = [
    "Answered",
    "Include",
    "Presentation",
    "ResponseFormat",
    "SpeechAnswer",
    "detection_body",
    "segment_body",
    "server_sent_event",
    "speech_answer",
    "transcript_event",
    "transcript_response",
    "verbose_body",
]

ResponseFormat = Literal["json", "verbose_json", "text", "srt", "vtt", "tsv", "lrc"]
Include = Literal["logprobs", "tokens", "attempts", "suppressed"]

MEDIA_TYPES = {
    "text": "text/plain", "srt": "text/plain", "vtt": "text/vtt", "tsv": "text/tab-separated-values",
    "lrc": "text/plain",
}  # fmt: skip
RENDERED_AS = {"text": "txt", "srt": "srt", "vtt": "vtt", "tsv": "tsv", "lrc": "lrc"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Presentation:
    """How an answer is to look. Raises InvalidOptionError for a layout that the format has no use for."""

    response_format: ResponseFormat = "json"
    include: frozenset[Include] = frozenset()
    """What json shows beside the text, and ``attempts``, which nothing shows unasked."""
    layout: Layout = field(default_factory=Layout)

    def __post_init__(self) -> None:
        """Validate."""
        self.layout.check_format(RENDERED_AS.get(self.response_format, "json"))

    @property
    def is_json(self) -> bool:
        """Whether the answer is an object rather than a text."""
        return self.response_format not in RENDERED_AS


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """A transcript with what the service knows about its making."""

    transcript: Transcript
    model: ModelInfo
    request_id: str
    queue_s: float


def transcript_response(answered: Answered, presentation: Presentation) -> Response:
    """The whole answer in the format asked for."""
    if presentation.is_json:
        return JSONResponse(_json_body(answered, presentation))
    return Response(_rendered(answered, presentation), media_type=MEDIA_TYPES[presentation.response_format])


def transcript_event(answered: Answered, presentation: Presentation) -> bytes:
    """The last event of a stream: what ``transcript_response`` has as its body."""
    if presentation.is_json:
        return server_sent_event("done", _json_body(answered, presentation))
    return server_sent_event("done", _rendered(answered, presentation))


def segment_body(segment: Segment, presentation: Presentation) -> dict[str, Any]:
    """One segment, in the fields of OpenAI's verbose_json and more; ``words`` is empty unless they were asked for."""
    return {
        "id": segment.id,
        "seek": segment.seek,
        "start": segment.start,
        "end": segment.end,
        "text": segment.text,
        "tokens": list(segment.tokens),
        "temperature": segment.temperature,
        "avg_logprob": segment.avg_logprob,
        "compression_ratio": segment.compression_ratio,
        "no_speech_prob": segment.no_speech_prob,
        "language": segment.language,
        "channel": segment.channel,
        "words": _word_bodies(segment.words),
        "quality": _quality_body(segment, with_attempts="attempts" in presentation.include),
    }


def detection_body(detection: LanguageDetection) -> dict[str, Any]:
    """A language detection in both dialects: ours, and whisper-asr-webservice's.

    Where no language reaches the threshold its fields are null; ``confidence`` is the best language's in any case.
    """
    language = detection.language
    return {
        "language": language,
        "language_probs": dict(detection.language_probs),
        "detected_language": None if language is None else _name_of(language),
        "language_code": language,
        "confidence": max(detection.language_probs.values(), default=0.0),
    }


class Stretch(BaseModel):
    """Uninterrupted speech."""

    start: float = Field(description="Seconds from the recording's start.", examples=[0.48])
    end: float = Field(description="Seconds from the recording's start.", examples=[3.1])


class SpeechAnswer(BaseModel):
    """Where in a recording somebody speaks."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"duration": 8.2, "speech": [{"start": 0.48, "end": 3.1}, {"start": 4.0, "end": 7.9}], "speech_s": 6.52}
            ]
        }
    )

    duration: float = Field(description="Length of the recording, in seconds.")
    speech: list[Stretch] = Field(description="Stretches of speech, in order and disjoint.")
    speech_s: float = Field(description="Seconds of speech, all stretches together.")


def speech_answer(detection: SpeechDetection) -> SpeechAnswer:
    """Stretches of speech as ``/vad`` answers them, to the millisecond."""
    stretches = [Stretch(start=round(each.start, 3), end=round(each.end, 3)) for each in detection.speech]
    duration, speech_s = round(detection.duration, 3), round(detection.speech_s, 3)
    return SpeechAnswer(duration=duration, speech=stretches, speech_s=speech_s)


def server_sent_event(event: str, data: dict[str, Any] | str) -> bytes:
    """One event; text of several lines becomes several data lines, which the reader joins again."""
    text = data if isinstance(data, str) else json.dumps(data, ensure_ascii=False)
    lines = "".join(f"data: {line}\n" for line in text.split("\n"))
    return f"event: {event}\n{lines}\n".encode()


def _rendered(answered: Answered, presentation: Presentation) -> str:
    return render(answered.transcript, RENDERED_AS[presentation.response_format], presentation.layout)


def _json_body(answered: Answered, presentation: Presentation) -> dict[str, Any]:
    if presentation.response_format == "verbose_json":
        return verbose_body(answered, presentation)
    transcript, include = answered.transcript, presentation.include
    body: dict[str, Any] = {"text": transcript.text}
    if include - {"suppressed"}:
        body["segments"] = [_brief_segment(segment, include) for segment in transcript.segments]
    if "suppressed" in include:
        body["suppressed"] = [asdict(suppressed) for suppressed in transcript.suppressed]
    return body


def _brief_segment(segment: Segment, include: frozenset[Include]) -> dict[str, Any]:
    body: dict[str, Any] = {"id": segment.id, "start": segment.start, "end": segment.end, "text": segment.text}
    if "logprobs" in include:
        body |= {"avg_logprob": segment.avg_logprob, "words": _word_bodies(segment.words)}
    if "tokens" in include:
        body["tokens"] = list(segment.tokens)
    if "attempts" in include:
        body["quality"] = _quality_body(segment, with_attempts=True)
    return body


def _word_bodies(words: Iterable[Word]) -> list[dict[str, Any]]:
    return [asdict(word) for word in words]


def _quality_body(segment: Segment, *, with_attempts: bool) -> dict[str, Any]:
    body: dict[str, Any] = {"flags": list(segment.quality.flags)}
    if with_attempts:
        attempts = segment.quality.attempts
        body["attempts"] = [asdict(attempt) | {"rejected": list(attempt.rejected)} for attempt in attempts]
    return body


def verbose_body(answered: Answered, presentation: Presentation) -> dict[str, Any]:
    """Everything: OpenAI's verbose_json and more."""
    transcript = answered.transcript
    timing = transcript.timing
    return {
        "task": transcript.task.value,
        "language": transcript.language,
        "language_name": _name_of(transcript.language),
        "duration": transcript.duration,
        "text": transcript.text,
        "segments": [segment_body(segment, presentation) for segment in transcript.segments],
        # As OpenAI has them here: without the space before.
        "words": [
            body | {"word": body["word"].strip()}
            for segment in transcript.segments
            for body in _word_bodies(segment.words)
        ],
        "suppressed": [asdict(suppressed) for suppressed in transcript.suppressed],
        "language_probs": dict(transcript.language_probs),
        "languages": [asdict(span) for span in transcript.languages],
        "warnings": list(transcript.warnings),
        "timing": {
            "queue": answered.queue_s,
            "decode_audio": timing.decode_audio,
            "encode": timing.encode,
            "decode": timing.decode,
            "total": timing.total,
            "rtfx": transcript.duration / timing.total if timing.total else None,
        },
        "request_id": answered.request_id,
        "model": answered.model.name,
        "model_hash": answered.model.hash,
    }


def _name_of(code: str) -> str:
    return LANGUAGES.get(code, code).lower()
