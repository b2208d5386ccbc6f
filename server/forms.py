"""What a request asks for. In: field names and values as text. Out: one validated form, and ``TranscribeOptions``.

Every name that is not a field here is refused, never ignored. The same classes document the forms in OpenAPI. Knows
nothing of uploads, routes or workers.
"""

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, ClassVar, Literal, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    WithJsonSchema,
)

from asr.errors import InvalidOptionError
from asr.formats import Layout
from asr.option_text import Clip, parse_clips, split_list
from asr.options import MAX_HOTWORDS, AudioContext, Channels, Plan, TranscribeOptions
from asr.tasks import Task
from asr.ticket import Lane
from server.errors import ApiError
from server.form_examples import EXAMPLES
from server.raw_samples import ENCODE_DESCRIPTION
from server.responses import Include, Presentation, ResponseFormat

__all__ = [
    "DetectLanguageForm",
    "Form",
    "OwnForm",
    "RecognitionForm",
    "TranscriptionForm",
    "VadForm",
    "form_body",
    "parse_form",
    "split_field",
    "validated",
]

DEFAULTS = TranscribeOptions()


def split_field(texts: list[str], info: ValidationInfo) -> tuple[str, ...]:
    """A list in any of its spellings (repeated field, JSON list, commas) as one flat list."""
    return split_list(texts, param=str(info.field_name))


def _split_or_none(texts: list[str], info: ValidationInfo) -> tuple[str, ...]:
    items = split_field(texts, info)
    return () if items == ("none",) else items


Texts = Annotated[tuple[str, ...], BeforeValidator(split_field)]
Clips = Annotated[tuple[Clip, ...], BeforeValidator(parse_clips), WithJsonSchema({"type": "string"})]
Limit = Annotated[int, Field(ge=1)]
Threshold = float | Literal["none"]


class Form(BaseModel):
    """Fields of a route; ``lists`` are those that may come several times."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    lists: ClassVar[frozenset[str]] = frozenset()


class OwnForm(Form):
    """Fields that every route of ours has."""

    model: str = Field(default="whisper-1", description="The served model's name; whisper-1 means it too.")
    url: str | None = Field(
        default=None,
        description="Where to fetch the recording, in place of a file; only from hosts that AURICLE_ALLOW_URLS names.",
    )


class VadForm(OwnForm):
    """Fields of ``/vad``."""

    vad_threshold: float | None = Field(
        default=None,
        description="A 32 ms frame above this probability is speech; lower finds faint voices, and more noise. "
        f"Absent: {DEFAULTS.vad_threshold:g}.",
    )

    def threshold(self) -> float:
        """The threshold, checked. Raises InvalidOptionError, naming the field."""
        if self.vad_threshold is None:
            return DEFAULTS.vad_threshold
        return TranscribeOptions(vad_threshold=self.vad_threshold).vad_threshold


class DetectionForm(OwnForm):
    """Fields of the routes that name or use languages."""

    lists: ClassVar[frozenset[str]] = frozenset({"languages"})

    languages: Texts | None = Field(
        default=None,
        description="Languages to choose among when detecting, as codes or English names (repeated, JSON or commas). "
        "Absent: all that the model knows.",
    )
    language_threshold: float | None = Field(
        default=None,
        description="If the best language is less probable than this, none is named and language is null, with "
        "status 200. Absent: 0, the best is always named.",
    )

    def detection_options(self) -> TranscribeOptions:
        """Languages and threshold as asr's options. Raises InvalidOptionError, naming the field."""
        return TranscribeOptions(languages=self.languages or (), language_threshold=self.language_threshold or 0.0)


class DetectLanguageForm(DetectionForm):
    """Fields of ``/detect-language``, whisper-asr-webservice's among them."""

    encode: bool = Field(default=True, description=ENCODE_DESCRIPTION)


class RecognitionForm(DetectionForm):
    """Fields that transcription and translation share."""

    lists: ClassVar[frozenset[str]] = frozenset({"temperature", "include", "languages", "hotwords", "suppress_tokens"})

    language: str | None = Field(
        default=None, description="Language of the speech, as a code or an English name (de, German); else detected."
    )
    language_threshold: float | None = Field(
        default=None,
        description="A detection that is less probable than this abstains: the language is kept where one was known, "
        f"else the best guess is taken, with a warning. Absent: {DEFAULTS.language_threshold:g}.",
    )
    response_format: ResponseFormat = Field(
        default="json",
        description="json has the text, and what include names; verbose_json everything; text one segment a line; "
        "srt and vtt are subtitles, lrc lyrics, tsv openai-whisper's table in milliseconds.",
    )
    timestamps: Literal["none", "segment", "word"] = Field(
        default="segment",
        description="none: the text of each 30 s window is one segment. word: each word is placed in time, with its "
        "probability; verbose_json, vtt and lrc show it.",
    )
    priority: Literal["normal", "low"] = Field(
        default="normal",
        description="low: after all who wait for a short recording. One of more than a minute is so in any case.",
    )
    stream: bool = Field(
        default=False,
        description="Answer with server-sent events: each segment as soon as it is decoded, then the whole.",
    )
    max_line_width: Limit | None = Field(
        default=None, description="Characters in a line of text, srt, vtt, lrc; 42 is usual. Absent: no limit."
    )
    max_line_count: Limit | None = Field(
        default=None,
        description="Lines in a cue of srt, vtt; the rest becomes more cues. Needs max_line_width or "
        "max_words_per_line. Absent: no limit.",
    )
    max_words_per_line: Limit | None = Field(
        default=None, description="Words in a line of text, srt, vtt, lrc. Absent: no limit."
    )
    prompt: str | None = Field(
        default=None, description="Text taken to come before the recording: names, spelling, style."
    )
    carry_prompt: bool | None = Field(
        default=None, description="Tell every window the prompt, not only the first. Absent: false."
    )
    hotwords: Texts | None = Field(
        default=None,
        description="Names and terms that every window is told (repeated, JSON or commas); past about ten they crowd "
        f"out the context, at most {MAX_HOTWORDS}.",
    )
    clip_timestamps: Clips | None = Field(
        default=None,
        description="Transcribe these stretches only, in seconds: 10-20.5,60- (the last end may be missing), the flat "
        "list 10,20.5,60, or JSON pairs.",
    )
    channels: Literal["mix", "split"] | None = Field(
        default=None,
        description="mix: the mean of the channels. split: each channel by itself, merged by time; segments, "
        f"cues and lines then say their channel. Absent: {DEFAULTS.channels}.",
    )
    vad: bool | None = Field(
        default=None,
        description="Leave out where nobody speaks (voice activity detection), where models invent text. "
        f"Absent: {str(DEFAULTS.vad).lower()}.",
    )
    vad_threshold: float | None = Field(
        default=None,
        description="A 32 ms frame above this probability is speech; lower keeps faint voices, and more noise. "
        f"Absent: {DEFAULTS.vad_threshold:g}.",
    )
    temperature: Annotated[tuple[float, ...], BeforeValidator(split_field)] | None = Field(
        default=None,
        description="One number: that temperature only. A list (repeated, JSON or commas): tried in order until a "
        "window passes the thresholds. Absent: 0, 0.2, 0.4, 0.6, 0.8, 1.",
    )
    beam_size: int | None = Field(default=None, description="Beams at temperature 0; 1 is greedy.")
    best_of: int | None = Field(default=None, description="Samples at temperatures above 0, of which the best is kept.")
    patience: float | None = Field(default=None, description="Beam search waits for beam_size x patience hypotheses.")
    length_penalty: float | None = Field(default=None, description="Exponent of the length penalty, 0 to 1.")
    seed: int | None = Field(default=None, description="Makes sampling reproducible.")
    suppress_tokens: Annotated[tuple[int, ...], BeforeValidator(_split_or_none)] | None = Field(
        default=None,
        description="Ids of tokens that never appear; -1 stands for the signs of what is not spoken. none: any may "
        "appear. Absent: -1.",
    )
    max_initial_timestamp_s: float | None = Field(
        default=None,
        description="The first timestamp of a window is at most this, in seconds. "
        f"Absent: {DEFAULTS.max_initial_timestamp_s:g}.",
    )
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
    plan: Literal["sequential", "parallel", "hybrid"] | None = Field(
        default=None,
        description="How a long recording is walked. sequential: window after window; parallel: cut at pauses, "
        "fastest; hybrid: parallel, then weak stretches again with their neighbours' text. "
        f"Absent: {DEFAULTS.plan}.",
    )
    context: Literal["auto", "exact", "fit"] | None = Field(
        default=None,
        description="auto: a window shorter than 30 s is heard with little silence after it, and again with all where "
        "its text is doubtful. exact: always padded to 30 s, as the model was trained. fit: with none, for a model "
        f"that was trained for it, and again with all where its text is doubtful. Absent: {DEFAULTS.context}.",
    )
    include: Annotated[tuple[Include, ...], BeforeValidator(split_field)] | None = Field(
        default=None,
        description="More for json, verbose_json and stream. logprobs: each segment's avg_logprob and its words' "
        "probabilities; tokens: each segment's token ids; attempts: every decoding of a segment's window, under "
        "quality; suppressed: text that was decoded and left out, with the reason. verbose_json has all but attempts "
        "in any case.",
    )

    def options(self, task: Task) -> TranscribeOptions:
        """The form as asr's options. Raises InvalidOptionError, naming the field."""
        chosen: dict[str, Any] = {
            name: None if value == "none" else value
            for name in _SHARED_FIELDS
            if (value := getattr(self, name)) is not None
        }
        if self.temperature is not None:
            chosen["temperatures"] = self.temperature
        if self.plan is not None:
            chosen["plan"] = Plan(self.plan)
        if self.context is not None:
            chosen["context"] = AudioContext(self.context)
        if self.channels is not None:
            chosen["channels"] = Channels(self.channels)
        return TranscribeOptions(
            task=task, timestamps=self.timestamps != "none", word_timestamps=self.timestamps == "word", **chosen
        )

    @property
    def lane(self) -> Lane:
        """Who comes first."""
        return Lane.BULK if self.priority == "low" else Lane.INTERACTIVE

    def presentation(self) -> Presentation:
        """How the answer is to look. Raises InvalidOptionError, naming the field."""
        layout = Layout(
            max_line_width=self.max_line_width,
            max_line_count=self.max_line_count,
            max_words_per_line=self.max_words_per_line,
        )
        presentation = Presentation(
            response_format=self.response_format, include=frozenset(self.include or ()), layout=layout
        )
        if self.include and not presentation.is_json and not self.stream:
            message = f"include: {self.include[0]} needs response_format json or verbose_json, or stream"
            raise InvalidOptionError(message, param="include")
        return presentation


class TranscriptionForm(RecognitionForm):
    """Fields of ``/transcribe``."""

    task: Literal["transcribe", "translate"] = Field(
        default="transcribe", description="translate: into English, from any language."
    )


# Fields that TranscribeOptions has under the same name; absent means its default, which lives there only.
_SHARED_FIELDS = (
    "language", "languages", "language_threshold", "prompt", "carry_prompt", "hotwords", "clip_timestamps", "vad",
    "vad_threshold", "beam_size", "best_of", "patience", "length_penalty", "seed", "suppress_tokens",
    "max_initial_timestamp_s", "compression_ratio_threshold", "logprob_threshold", "no_speech_threshold",
    "condition_on_previous_text",
)  # fmt: skip

FormT = TypeVar("FormT", bound=Form)


def parse_form(form: type[FormT], fields: Iterable[tuple[str, str]]) -> FormT:
    """The fields as a form. An empty value counts as absent: HTML forms send every field they show.

    Raises ApiError (400) or InvalidOptionError, naming the field that is unknown, repeated or out of range.
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
    return validated(form, values)


def validated(form: type[FormT], values: Mapping[str, Any]) -> FormT:
    """Values by field name as a form; those of lists are lists. Raises ApiError (400), naming the field."""
    for name in values:
        if name not in form.model_fields:
            raise _unsupported(name)
    try:
        return form.model_validate(values)
    except ValidationError as error:
        raise _invalid(error) from error


def form_body(form: type[Form]) -> dict[str, Any]:
    """OpenAPI's description of a request with a form, or with the recording as its body."""
    raw = {"schema": {"type": "string", "format": "binary"}}
    content = {"multipart/form-data": {"schema": _form_schema(form)}, "application/octet-stream": raw, "audio/*": raw}
    return {"requestBody": {"required": True, "content": content}}


def _form_schema(form: type[Form]) -> dict[str, Any]:
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
        kinds = choices[0] if len(choices) == 1 else {"anyOf": choices} if choices else {}
        properties[name] = kept | kinds | {"examples": [EXAMPLES[name]]}
    required = {} if "url" in properties else {"required": ["file"]}  # with a url there is no file
    return {"type": "object", "properties": properties, "additionalProperties": False} | required


def _unsupported(name: str) -> ApiError:
    message = f"{name[:64]}: not a field of this route"
    return ApiError(400, "unsupported_parameter", message, param=name[:64])


def _invalid(error: ValidationError) -> ApiError:
    first = error.errors(include_url=False, include_context=False)[0]
    name = str(first["loc"][0])
    got = str(first["input"])[:64]
    return ApiError(400, "invalid_value", f"{name}: got {got!r}; {first['msg']}", param=name)
