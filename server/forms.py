"""What a request asks for. In: field names and values as text. Out: one validated form, and ``TranscribeOptions``.

Every name that is not a field here is refused, never ignored. The same classes document the forms in OpenAPI. Knows
nothing of uploads, routes or workers.
"""

import json
from collections.abc import Iterable
from typing import Annotated, Any, ClassVar, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from asr.errors import InvalidOptionError
from asr.options import TranscribeOptions
from asr.tasks import Task
from server.errors import ApiError

__all__ = ["DetectionForm", "RecognitionForm", "TranscriptionForm", "form_schema", "parse_form"]

# Named in the design, not built yet: the refusal says so instead of "unknown".
PLANNED_FIELDS = frozenset({
    "carry_prompt", "channels", "clip_timestamps", "hotwords", "languages", "priority", "url", "vad",
})  # fmt: skip
PLANNED_VALUES = {
    "response_format": {"tsv", "lrc"},
    "timestamps": {"word"},
    "plan": {"parallel", "hybrid"},
    "include": {"logprobs", "attempts", "suppressed"},
}


def _split_list(value: object) -> object:
    """A list in any of its spellings (repeated field, JSON list, commas) as one flat list."""
    if not isinstance(value, list):
        return value
    flat: list[object] = []
    for item in value:
        text = str(item).strip()
        flat.extend(json.loads(text) if text.startswith("[") else text.split(","))
    return [item.strip() if isinstance(item, str) else item for item in flat]


Threshold = float | Literal["none"]


class DetectionForm(BaseModel):
    """Fields of ``/detect-language``."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    lists: ClassVar[frozenset[str]] = frozenset()

    model: str = Field(default="whisper-1", description="The served model's name; whisper-1 means it too.")


class RecognitionForm(DetectionForm):
    """Fields that transcription and translation share."""

    lists: ClassVar[frozenset[str]] = frozenset({"temperature", "include"})

    language: str | None = Field(
        default=None, description="Language of the speech, as a code or an English name (de, German); else detected."
    )
    response_format: Literal["json", "verbose_json", "text", "srt", "vtt"] = Field(
        default="json", description="json has the text only, verbose_json everything."
    )
    timestamps: Literal["none", "segment"] = Field(
        default="segment", description="none: the text of each 30 s window is one segment."
    )
    stream: bool = Field(
        default=False,
        description="Answer with server-sent events: each segment as soon as it is decoded, then the whole.",
    )
    prompt: str | None = Field(
        default=None, description="Text taken to come before the recording: names, spelling, style."
    )
    temperature: Annotated[tuple[float, ...], BeforeValidator(_split_list)] | None = Field(
        default=None,
        description="One number: that temperature only. A list (repeated, JSON or commas): tried in order until a "
        "window passes the thresholds. Absent: 0, 0.2, 0.4, 0.6, 0.8, 1.",
    )
    beam_size: int | None = Field(default=None, description="Beams at temperature 0; 1 is greedy.")
    best_of: int | None = Field(default=None, description="Samples at temperatures above 0, of which the best is kept.")
    patience: float | None = Field(default=None, description="Beam search waits for beam_size x patience hypotheses.")
    length_penalty: float | None = Field(default=None, description="Exponent of the length penalty, 0 to 1.")
    seed: int | None = Field(default=None, description="Makes sampling reproducible.")
    compression_ratio_threshold: Threshold | None = Field(
        default=None, description="Text that compresses better is a loop: next temperature. none: no such test."
    )
    logprob_threshold: Threshold | None = Field(
        default=None, description="A lower average log-probability is a failure: next temperature. none: no such test."
    )
    no_speech_threshold: Threshold | None = Field(
        default=None, description="A higher no-speech probability may be silence. none: no such test."
    )
    condition_on_previous_text: bool | None = Field(
        default=None, description="Give each window the text of the one before as context."
    )
    plan: Literal["sequential"] = Field(default="sequential", description="How a long recording is walked.")
    include: Annotated[tuple[Literal["tokens"], ...], BeforeValidator(_split_list)] | None = Field(
        default=None, description="tokens: each segment's token ids, which verbose_json and stream show in any case."
    )

    def options(self, task: Task) -> TranscribeOptions:
        """The form as asr's options. Raises InvalidOptionError, naming the field."""
        if self.include and self.response_format != "verbose_json" and not self.stream:
            message = f"include: {self.include[0]} needs response_format verbose_json or stream"
            raise InvalidOptionError(message, param="include")
        chosen: dict[str, Any] = {
            name: None if value == "none" else value
            for name in _SHARED_FIELDS
            if (value := getattr(self, name)) is not None
        }
        if self.temperature is not None:
            chosen["temperatures"] = self.temperature
        return TranscribeOptions(task=task, timestamps=self.timestamps != "none", **chosen)


class TranscriptionForm(RecognitionForm):
    """Fields of ``/transcribe``."""

    task: Literal["transcribe", "translate"] = Field(
        default="transcribe", description="translate: into English, from any language."
    )


# Fields that TranscribeOptions has under the same name; absent means its default, which lives there only.
_SHARED_FIELDS = (
    "language", "prompt", "beam_size", "best_of", "patience", "length_penalty", "seed", "compression_ratio_threshold",
    "logprob_threshold", "no_speech_threshold", "condition_on_previous_text",
)  # fmt: skip

FormT = TypeVar("FormT", bound=DetectionForm)


def parse_form(form: type[FormT], fields: Iterable[tuple[str, str]]) -> FormT:
    """The fields as a form. An empty value counts as absent: HTML forms send every field they show.

    Raises ApiError (400), naming the field that is unknown, repeated or out of range.
    """
    values: dict[str, Any] = {}
    for raw_name, value in fields:
        name = raw_name.removesuffix("[]")
        if name not in form.model_fields:
            raise _unsupported(raw_name)
        if value == "":
            continue
        if name in form.lists:
            values.setdefault(name, []).append(value)
        elif name in values:
            raise ApiError(400, "invalid_value", f"{name}: given more than once, expected one value", param=name)
        else:
            values[name] = value
    try:
        return form.model_validate(values)
    except ValidationError as error:
        raise _invalid(error) from error


def form_schema(form: type[DetectionForm]) -> dict[str, Any]:
    """JSON schema of the multipart form, file included, as OpenAPI wants it: no references, no nulls."""
    properties: dict[str, Any] = {
        "file": {
            "type": "string",
            "format": "binary",
            "description": "The recording: wav, flac, mp3, ogg, m4a, webm, mp4 ... (alias: audio_file)",
        }
    }
    for name, schema in form.model_json_schema()["properties"].items():
        choices = [choice for choice in schema.get("anyOf", []) if choice.get("type") != "null"]
        kept = {key: value for key, value in schema.items() if key not in {"anyOf", "title"} and value is not None}
        properties[name] = kept | (choices[0] if len(choices) == 1 else {"anyOf": choices} if choices else {})
    return {"type": "object", "properties": properties, "required": ["file"], "additionalProperties": False}


def _unsupported(name: str) -> ApiError:
    known = name.removesuffix("[]") in PLANNED_FIELDS
    message = f"{name}: not supported yet" if known else f"{name[:64]}: not a field of this route"
    return ApiError(400, "unsupported_parameter", message, param=name[:64])


def _invalid(error: ValidationError) -> ApiError:
    first = error.errors(include_url=False, include_context=False)[0]
    name = str(first["loc"][0])
    got = str(first["input"])[:64]
    if got in PLANNED_VALUES.get(name, ()):
        return ApiError(400, "unsupported_parameter", f"{name}: {got} is not supported yet", param=name)
    return ApiError(400, "invalid_value", f"{name}: got {got!r}; {first['msg']}", param=name)
