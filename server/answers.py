"""What successful answers look like, for OpenAPI and for the routes that answer with JSON alone. Knows no requests.

``server.responses`` makes the transcripts' bodies; a test holds them to these shapes, which allow no other field.
"""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

__all__ = [
    "ASR_ANSWER",
    "DETECTION_ANSWER",
    "JOB_EVENTS_ANSWER",
    "JOB_RESULT_ANSWER",
    "OPENAI_TRANSCRIPT_ANSWER",
    "OPENAI_TRANSLATION_ANSWER",
    "TRANSCRIPT_ANSWER",
    "AsrAnswer",
    "DetectionAnswer",
    "HealthAnswer",
    "ModelsAnswer",
    "OpenAIModel",
    "OpenAIModels",
    "OpenAITranscript",
    "OpenAIVerboseTranscript",
    "ReadyAnswer",
    "ServedModel",
    "TranscriptAnswer",
    "VerboseTranscript",
]


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class WordAnswer(_Answer):
    """One word, placed in time."""

    word: str = Field(description="With its punctuation; in segments with the space before it.", examples=[" Hello"])
    start: float = Field(description="Seconds from the recording's start.", examples=[0.32])
    end: float = Field(description="Seconds from the recording's start.", examples=[0.68])
    probability: float = Field(description="Mean probability of its tokens.", examples=[0.97])


class AttemptAnswer(_Answer):
    """One decoding of a window, kept or not."""

    temperature: float = Field(description="0: the most probable text; above: sampled.", examples=[0.0])
    with_context: bool = Field(description="Whether it was told the text before it.", examples=[True])
    heard_s: float = Field(description="Seconds that were heard, silence after the end included.", examples=[30.0])
    avg_logprob: float = Field(description="Mean log-probability of its tokens.", examples=[-0.21])
    compression_ratio: float = Field(description="Bytes of text over bytes after zlib.", examples=[1.4])
    no_speech_prob: float = Field(description="Probability that nobody speaks.", examples=[0.01])
    rejected: list[str] = Field(description="Why it was not good enough; empty: it was.", examples=[["loop"]])


class QualityAnswer(_Answer):
    """The evidence for and against a segment."""

    flags: list[str] = Field(description="What speaks against the text; empty: nothing.", examples=[[]])
    attempts: list[AttemptAnswer] = Field(
        default=[], description="Every decoding of its window; with include=attempts only."
    )


class SegmentAnswer(_Answer):
    """A stretch of text between two timestamps."""

    id: int = Field(description="Position in the transcript, from 0.", examples=[0])
    seek: int = Field(description="First frame (10 ms) of the window it was decoded from.", examples=[0])
    start: float = Field(description="Seconds from the recording's start.", examples=[0.0])
    end: float = Field(description="Seconds from the recording's start.", examples=[2.4])
    text: str = Field(description="As decoded, with the space before it.", examples=[" Hello there."])
    tokens: list[int] = Field(description="Token ids, timestamps included.", examples=[[50364, 2425, 456, 13, 50484]])
    temperature: float = Field(description="Of the attempt that was kept.", examples=[0.0])
    avg_logprob: float = Field(description="Mean log-probability of its window's tokens.", examples=[-0.21])
    compression_ratio: float = Field(description="Bytes of its window's text over bytes after zlib.", examples=[1.4])
    no_speech_prob: float = Field(description="Probability that nobody speaks in its window.", examples=[0.01])
    language: str = Field(description="Code of the language it was decoded in.", examples=["en"])
    channel: int | None = Field(description="The channel, from 0; null unless channels=split.", examples=[None])
    words: list[WordAnswer] = Field(description="Empty unless word times were asked for.")
    quality: QualityAnswer


class BriefSegment(_Answer):
    """A segment with what `include` names."""

    id: int = Field(description="Position in the transcript, from 0.", examples=[0])
    start: float = Field(description="Seconds from the recording's start.", examples=[0.0])
    end: float = Field(description="Seconds from the recording's start.", examples=[2.4])
    text: str = Field(description="As decoded, with the space before it.", examples=[" Hello there."])
    avg_logprob: float | None = Field(default=None, description="With include=logprobs.", examples=[-0.21])
    words: list[WordAnswer] = Field(default=[], description="With include=logprobs.")
    tokens: list[int] = Field(default=[], description="With include=tokens.", examples=[[50364, 2425, 50484]])
    quality: QualityAnswer | None = Field(default=None, description="With include=attempts.")


class SuppressedAnswer(_Answer):
    """Text that was decoded and left out."""

    start: float = Field(description="Seconds from the recording's start.", examples=[14.0])
    end: float = Field(description="Seconds from the recording's start.", examples=[16.0])
    text: str = Field(description="What would have stood there.", examples=["Thanks for watching!"])
    reason: str = Field(description="Why it was left out.", examples=["no_voice"])
    avg_logprob: float = Field(description="Mean log-probability of its tokens.", examples=[-0.9])
    compression_ratio: float = Field(description="Bytes of text over bytes after zlib.", examples=[0.8])
    no_speech_prob: float = Field(description="Probability that nobody speaks.", examples=[0.7])
    channel: int | None = Field(description="The channel, from 0; null unless channels=split.", examples=[None])


class LanguageSpanAnswer(_Answer):
    """A stretch in one language."""

    start: float = Field(description="Seconds from the recording's start.", examples=[0.0])
    end: float = Field(description="Seconds from the recording's start.", examples=[31.5])
    language: str = Field(description="Its code.", examples=["en"])
    probability: float = Field(description="Over the stretch.", examples=[0.98])
    channel: int | None = Field(description="The channel, from 0; null unless channels=split.", examples=[None])


class TimingAnswer(_Answer):
    """Where the time went, in seconds."""

    queue: float = Field(description="Waiting for the model.", examples=[0.02])
    decode_audio: float = Field(description="Reading the file.", examples=[0.05])
    encode: float = Field(description="Hearing it.", examples=[0.31])
    decode: float = Field(description="Writing it down.", examples=[0.44])
    total: float = Field(description="All but the wait.", examples=[0.83])
    rtfx: float | None = Field(description="Seconds of audio per second of work.", examples=[38.6])


class TranscriptAnswer(_Answer):
    """`response_format=json`."""

    text: str = Field(description="The whole text.", examples=["Hello there. How are you?"])
    segments: list[BriefSegment] = Field(default=[], description="With include=logprobs, tokens or attempts.")
    suppressed: list[SuppressedAnswer] = Field(default=[], description="With include=suppressed.")


class _Verbose(_Answer):
    task: Literal["transcribe", "translate"] = Field(description="What was done.", examples=["transcribe"])
    duration: float = Field(description="Length of the recording in seconds.", examples=[32.0])
    text: str = Field(description="The whole text.", examples=["Hello there. How are you?"])
    suppressed: list[SuppressedAnswer] = Field(description="Text that was decoded and left out.")
    language_probs: dict[str, float] = Field(
        description="Probability of each language, by code; empty when the language was given.",
        examples=[{"en": 0.98, "de": 0.01}],
    )
    languages: list[LanguageSpanAnswer] = Field(description="Which language is spoken when.")
    warnings: list[str] = Field(description="What was wrong without preventing a transcript.", examples=[[]])
    timing: TimingAnswer
    request_id: str = Field(description="Also in the X-Request-Id header.", examples=["5f0c6a1be2d94b1d"])
    model: str = Field(description="The model's name.", examples=["base"])
    model_hash: str = Field(description="Digest of its weights.", examples=["d01c3014881c"])


class VerboseTranscript(_Verbose):
    """`response_format=verbose_json`."""

    language: str = Field(description="Code of the speech's language.", examples=["en"])
    language_name: str = Field(description="Its English name.", examples=["english"])
    segments: list[SegmentAnswer]
    words: list[WordAnswer] = Field(description="All words, without the space before; empty unless asked for.")


class UsageAnswer(_Answer):
    """OpenAI's measure of what a transcription costs."""

    type: Literal["duration"] = Field(description="Always duration.", examples=["duration"])
    seconds: int = Field(description="Length of the recording, rounded up.", examples=[32])


class OpenAITranscript(_Answer):
    """OpenAI's `json`."""

    text: str = Field(description="The whole text.", examples=["Hello there. How are you?"])
    usage: UsageAnswer


class OpenAIVerboseTranscript(_Verbose):
    """OpenAI's `verbose_json`, and more."""

    language: str = Field(description="English name of the speech's language.", examples=["english"])
    language_code: str = Field(description="Its code.", examples=["en"])
    segments: list[SegmentAnswer] = Field(default=[], description="With timestamp_granularities segment.")
    words: list[WordAnswer] = Field(default=[], description="With timestamp_granularities word.")
    usage: UsageAnswer


class AsrAnswer(_Answer):
    """openai-whisper's result, as whisper-asr-webservice sends it."""

    text: str = Field(description="The whole text.", examples=["Hello there. How are you?"])
    segments: list[SegmentAnswer]
    language: str = Field(description="Code of the speech's language.", examples=["en"])


class DetectionAnswer(_Answer):
    """The language, in our words and in whisper-asr-webservice's."""

    language: str | None = Field(description="Code; null: none reaches the threshold.", examples=["en"])
    language_probs: dict[str, float] = Field(
        description="Probability of each language, by code.", examples=[{"en": 0.98, "de": 0.01}]
    )
    detected_language: str | None = Field(description="English name.", examples=["english"])
    language_code: str | None = Field(description="As language.", examples=["en"])
    confidence: float = Field(description="Of the best language.", examples=[0.98])


class HealthAnswer(_Answer):
    """The service is alive."""

    status: Literal["ok"] = Field(default="ok", description="Always ok.", examples=["ok"])


class ReadyAnswer(_Answer):
    """A request would be worked on."""

    status: Literal["ready"] = Field(default="ready", description="Always ready.", examples=["ready"])
    model: str = Field(description="The served model's name.", examples=["base"])


class ServedModel(_Answer):
    """A model that may be asked for."""

    name: str = Field(description="What `model` may say.", examples=["base"])
    default: bool = Field(description="Whether it is the one that whisper-1 means.", examples=[True])
    state: str = Field(description="ready, loading, load_failed, stopped or unloaded.", examples=["ready"])
    hash: str | None = Field(description="Digest of its weights; null until it was loaded.", examples=["d01c3014881c"])
    languages: list[str] | None = Field(
        description="Codes of the languages it knows; null until it was loaded.", examples=[["en", "de"]]
    )


class ModelsAnswer(_Answer):
    """The models that are served."""

    models: list[ServedModel]


class OpenAIModel(_Answer):
    """A model as OpenAI describes one."""

    id: str = Field(description="What `model` may say.", examples=["base"])
    object: Literal["model"] = Field(default="model", description="Always model.", examples=["model"])
    created: int = Field(description="When the service started, in Unix seconds.", examples=[1767225600])
    owned_by: str = Field(description="Always auricle.", examples=["auricle"])
    hash: str | None = Field(description="Digest of its weights; null until it was loaded.", examples=["d01c3014881c"])


class OpenAIModels(_Answer):
    """OpenAI's list of models."""

    object: Literal["list"] = Field(default="list", description="Always list.", examples=["list"])
    data: list[OpenAIModel]


EVENT_STREAM = "text/event-stream"

_TEXT = {"type": "string"}
_EVENT = {  # of each event, as programs that read OpenAPI take it
    "type": "object",
    "properties": {
        "event": {"type": "string", "description": "What happened."},
        "data": {
            "type": "string",
            "description": "JSON; at the end the text, where it is asked for in another format.",
        },
    },
    "required": ["data"],
}
_CONTENTS: dict[str, Any] = {
    "text/plain": {"schema": _TEXT, "example": "Hello there.\nHow are you?\n"},
    "text/vtt": {"schema": _TEXT, "example": "WEBVTT\n\n00:00.000 --> 00:02.400\nHello there.\n"},
    "text/tab-separated-values": {"schema": _TEXT, "example": "start\tend\ttext\n0\t2400\tHello there.\n"},
    EVENT_STREAM: {"schema": _EVENT, "example": {"event": "segment", "data": '{"id": 0, "text": " Hello there."}'}},
}


def _ok(shape: Any, description: str, *media_types: str) -> dict[int | str, dict[str, Any]]:
    """OpenAPI's description of a success: JSON of this shape, or one of these types."""
    contents = {media_type: _CONTENTS[media_type] for media_type in media_types}
    return {200: {"model": shape, "description": description, "content": contents}}


TRANSCRIPT_ANSWER = _ok(
    TranscriptAnswer | VerboseTranscript,
    "The transcript in the format asked for; with `stream=true` the events `segment`, `done` and `error`",
    *_CONTENTS,
)
OPENAI_TRANSCRIPT_ANSWER = _ok(
    OpenAITranscript | OpenAIVerboseTranscript,
    "The transcript in the format asked for; with `stream=true` the events `transcript.text.delta` and `.done`",
    "text/plain", "text/vtt", EVENT_STREAM,
)  # fmt: skip
OPENAI_TRANSLATION_ANSWER = _ok(
    OpenAITranscript | OpenAIVerboseTranscript, "The translation in the format asked for", "text/plain", "text/vtt"
)
ASR_ANSWER = _ok(AsrAnswer, "The transcript, as a file", "text/plain", "text/vtt", "text/tab-separated-values")
DETECTION_ANSWER = _ok(DetectionAnswer, "The language")
JOB_RESULT_ANSWER = _ok(
    TranscriptAnswer | VerboseTranscript,
    "As `/transcribe` would have answered",
    "text/plain", "text/vtt", "text/tab-separated-values",
)  # fmt: skip
JOB_EVENTS_ANSWER: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The events `progress`, `segment`, `done` and `error`",
        "content": {EVENT_STREAM: _CONTENTS[EVENT_STREAM]},
    }
}
