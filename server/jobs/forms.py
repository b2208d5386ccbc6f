"""What a job asks for. In: its form, as it was sent and as the store keeps it. Out: options, and how results look."""

from typing import Literal, get_args

from pydantic import Field

from asr.errors import InvalidOptionError
from asr.options import TranscribeOptions
from asr.tasks import Task
from server.forms import TranscriptionForm, parse_form
from server.jobs.store import Job
from server.responses import Presentation, ResponseFormat

__all__ = ["JobForm", "form_of", "presentation_of"]


class JobForm(TranscriptionForm):
    """Fields of ``POST /jobs``."""

    stream: bool = Field(default=False, description="Only false: a job's segments are at `/jobs/{id}/events`.")
    priority: Literal["low"] = Field(default="low", description="Only low: jobs leave places to requests.")
    webhook_url: str | None = Field(
        default=None,
        description="Told with a signed POST when the job ends (Standard Webhooks). A public http or https address.",
    )

    def options(self, task: Task) -> TranscribeOptions:
        """As asr's options. Raises InvalidOptionError, naming the field."""
        if self.stream:
            message = "stream: got true, expected false or nothing: a job's segments are at /jobs/{id}/events"
            raise InvalidOptionError(message, param="stream")
        return super().options(task)


def form_of(job: Job) -> JobForm:
    """The form that a job was accepted with."""
    return parse_form(JobForm, job.fields)


def presentation_of(form: JobForm, response_format: str | None) -> Presentation:
    """How a result is to look: as the form says, in another format where one is named.

    Of the form's layout and ``include`` that format takes what has a meaning in it. Raises InvalidOptionError for a
    format that does not exist.
    """
    if response_format is None:
        return form.presentation()
    formats = get_args(ResponseFormat)
    if response_format not in formats:
        message = f"format: got {response_format[:64]!r}, expected one of {', '.join(formats)}"
        raise InvalidOptionError(message, param="format")
    return _presented(form.model_copy(update={"response_format": response_format}))


def _presented(form: JobForm) -> Presentation:
    try:
        return form.presentation()
    except InvalidOptionError as error:
        if error.param is None or getattr(form, error.param, None) is None:
            raise
        return _presented(form.model_copy(update={error.param: None}))
