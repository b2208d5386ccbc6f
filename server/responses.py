"""Results as bodies. In: transcripts and detections. Out: JSON shapes, subtitles and server-sent events.

The shapes are OpenAI's where OpenAI has one, with more beside. Knows nothing of requests, uploads or workers.
"""

import json
from dataclasses import dataclass
from typing import Any

from starlette.responses import JSONResponse, Response

from asr.formats import render
from asr.languages import LANGUAGES
from asr.transcript import LanguageDetection, Segment, Transcript
from server.messages import ModelInfo

__all__ = ["Answered", "detection_body", "segment_body", "server_sent_event", "transcript_event", "transcript_response"]

MEDIA_TYPES = {"text": "text/plain", "srt": "text/plain", "vtt": "text/vtt"}
RENDERED_AS = {"text": "txt", "srt": "srt", "vtt": "vtt"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """A transcript with what the service knows about its making."""

    transcript: Transcript
    model: ModelInfo
    request_id: str
    queue_s: float


def transcript_response(answered: Answered, response_format: str) -> Response:
    """The whole answer in the format asked for."""
    if response_format in RENDERED_AS:
        text = render(answered.transcript, RENDERED_AS[response_format])
        return Response(text, media_type=MEDIA_TYPES[response_format])
    return JSONResponse(_json_body(answered, response_format))


def transcript_event(answered: Answered, response_format: str) -> bytes:
    """The last event of a stream: what ``transcript_response`` has as its body."""
    if response_format in RENDERED_AS:
        return server_sent_event("done", render(answered.transcript, RENDERED_AS[response_format]))
    return server_sent_event("done", _json_body(answered, response_format))


def segment_body(segment: Segment) -> dict[str, Any]:
    """One segment, in the fields of OpenAI's verbose_json."""
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


def server_sent_event(event: str, data: dict[str, Any] | str) -> bytes:
    """One event; text of several lines becomes several data lines, which the reader joins again."""
    text = data if isinstance(data, str) else json.dumps(data, ensure_ascii=False)
    lines = "".join(f"data: {line}\n" for line in text.split("\n"))
    return f"event: {event}\n{lines}\n".encode()


def _json_body(answered: Answered, response_format: str) -> dict[str, Any]:
    text = answered.transcript.text
    return _verbose_body(answered) if response_format == "verbose_json" else {"text": text}


def _verbose_body(answered: Answered) -> dict[str, Any]:
    transcript = answered.transcript
    timing = transcript.timing
    return {
        "task": transcript.task.value,
        "language": transcript.language,
        "language_name": _name_of(transcript.language),
        "duration": transcript.duration,
        "text": transcript.text,
        "segments": [segment_body(segment) for segment in transcript.segments],
        "language_probs": dict(transcript.language_probs),
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
