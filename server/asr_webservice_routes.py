"""whisper-asr-webservice's route, for its callers as they are. In: its query and form. Out: its texts.

Source: https://github.com/ahmetoner/whisper-asr-webservice, ``app/webservice.py``. Its ``/detect-language`` is our own
route, which answers in its fields too.
"""

from typing import Any, Literal

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from pydantic import Field

from asr.options import TranscribeOptions
from asr.tasks import Task
from server.answers import ASR_ANSWER
from server.forms import Form, form_body, parse_form
from server.models import DEFAULT_MODEL_ALIAS
from server.raw_samples import ENCODE_DESCRIPTION, check_encode
from server.recognition import ERRORS, ReceivedSamplesToo, recognized, workers_of
from server.responses import Answered, Presentation, segment_body, transcript_response

__all__ = ["router"]

ENGINE = "auricle"

router = APIRouter(tags=["whisper-asr-webservice"])


class AsrForm(Form):
    """Fields of ``/asr``, in the query there, and here in the form too."""

    encode: bool = Field(default=True, description=ENCODE_DESCRIPTION)
    task: Literal["transcribe", "translate"] = Field(default="transcribe", description="translate: into English.")
    language: str | None = Field(default=None, description="Language of the speech, as a code (de); else detected.")
    initial_prompt: str | None = Field(default=None, description="Text taken to come before the recording.")
    vad_filter: bool | None = Field(
        default=None, description="Leave out where nobody speaks. Absent: true, unlike there."
    )
    word_timestamps: bool = Field(default=False, description="Place each word in time; json and vtt show it.")
    diarize: Literal["false", "False", "0"] | None = Field(default=None, description="Only false.")
    output: Literal["txt", "vtt", "srt", "tsv", "json"] = Field(default="txt", description="What comes back.")

    def options(self) -> TranscribeOptions:
        """As asr's options. Raises InvalidOptionError, naming the field."""
        return TranscribeOptions(
            task=Task(self.task),
            language=self.language,
            prompt=self.initial_prompt or "",
            vad=TranscribeOptions().vad if self.vad_filter is None else self.vad_filter,
            word_timestamps=self.word_timestamps,
        )


@router.post("/asr", summary="Speech to text", responses=ASR_ANSWER | ERRORS, openapi_extra=form_body(AsrForm))
async def asr(request: Request, upload: ReceivedSamplesToo) -> Response:
    """Transcribe as whisper-asr-webservice does; the recording is in `audio_file`."""
    form = parse_form(AsrForm, upload.fields)
    check_encode(request, form.encode)
    model = await workers_of(request).model(DEFAULT_MODEL_ALIAS)
    response = _response(await recognized(request, upload, model, form.options()), form.output)
    response.headers["Asr-Engine"] = ENGINE
    response.headers["Content-Disposition"] = f'attachment; filename="transcript.{form.output}"'
    return response


def _response(answered: Answered, output: Literal["txt", "vtt", "srt", "tsv", "json"]) -> Response:
    if output == "json":
        return JSONResponse(_body(answered))
    return transcript_response(answered, Presentation(response_format="text" if output == "txt" else output))


def _body(answered: Answered) -> dict[str, Any]:
    """openai-whisper's result, which it writes as it is."""
    transcript, presentation = answered.transcript, Presentation(response_format="verbose_json")
    segments = [segment_body(segment, presentation) for segment in transcript.segments]
    return {"text": transcript.text, "segments": segments, "language": transcript.language}
