"""Every refusal as HTTP. In: an exception, or its class and message. Out: ``ApiError``, and from it one JSON shape.

The one table from ``asr.errors`` to status codes is here. Knows nothing of routes, workers or models.
"""

import math
import re
from typing import Any, Literal

from pydantic import BaseModel, Field
from starlette.responses import JSONResponse

from asr.errors import (
    AudioError,
    AudioTooLongError,
    AudioTooShortError,
    AuricleError,
    CorruptAudioError,
    EmptyAudioError,
    InvalidOptionError,
    UnknownModelError,
    UnsupportedLanguageError,
    UnsupportedMediaError,
)

__all__ = [
    "STATUS_OF_ERROR",
    "ApiError",
    "ErrorAnswer",
    "api_error_from",
    "api_error_of",
    "documented_error",
    "error_answer",
    "error_response",
    "insufficient_storage",
    "internal_error",
    "out_of_memory",
    "storage_unavailable",
    "without_paths",
]

STATUS_OF_ERROR: dict[type[AuricleError], int] = {
    EmptyAudioError: 400,
    AudioTooShortError: 400,
    InvalidOptionError: 400,
    UnsupportedLanguageError: 400,
    UnknownModelError: 404,
    AudioTooLongError: 413,
    UnsupportedMediaError: 415,
    CorruptAudioError: 422,
    AudioError: 422,
}

STORAGE_RETRY_S = 30.0  # recordings under way give their space back
MEMORY_RETRY_S = 5.0

# Two or more components after a slash that opens a word, or a Windows drive.
_PATH = re.compile(r"(?<![\w.:/])(?:~?(?:/[^\s/'\":,;()\[\]]+){2,}/?|[A-Za-z]:\\[^\s'\",;]+)")


class ApiError(Exception):
    """A request that is refused or failed, as the client will see it."""

    def __init__(
        self, status: int, code: str, message: str, *, param: str | None = None, retry_after_s: float | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.param = param
        self.retry_after_s = retry_after_s

    @property
    def type(self) -> Literal["invalid_request_error", "rate_limit_error", "server_error"]:
        """The error's family, in the words that OpenAI's clients know."""
        if self.status == 429:
            return "rate_limit_error"
        return "server_error" if self.status >= 500 else "invalid_request_error"

    @property
    def headers(self) -> dict[str, str]:
        """``Retry-After`` where a retry can help; ``x-should-retry: false`` where clients would retry in vain."""
        if self.status == 401:
            return {"WWW-Authenticate": "Bearer"}
        if self.status == 408:  # the rest of the body is not waited for
            return {"x-should-retry": "false", "Connection": "close"}
        if self.retry_after_s is not None:
            return {"Retry-After": str(max(1, math.ceil(self.retry_after_s)))}
        # OpenAI's client retries these by itself unless told not to.
        if self.status in {409, 429} or self.status >= 500:
            return {"x-should-retry": "false"}
        return {}


class ErrorDetail(BaseModel):
    """What went wrong with a request."""

    message: str = Field(
        description="What was got and what was expected, for people.", examples=["beam_size: got 0, expected 1 or more"]
    )
    type: Literal["invalid_request_error", "rate_limit_error", "server_error"] = Field(
        description="The error's family.", examples=["invalid_request_error"]
    )
    param: str | None = Field(description="The field at fault, where there is one.", examples=["beam_size"])
    code: str = Field(description="Stable name of the error, for programs.", examples=["invalid_value"])
    request_id: str = Field(
        description="Also in the X-Request-Id header; quote it when asking for help.", examples=["5f0c6a1be2d94b1d"]
    )


class ErrorAnswer(BaseModel):
    """The body of every answer that is not a success."""

    error: ErrorDetail


def api_error_from(kind: type[AuricleError], message: str, param: str | None = None) -> ApiError:
    """What the client sees of an ``AuricleError``; the nearest ancestor in the table decides the status."""
    status = next((STATUS_OF_ERROR[ancestor] for ancestor in kind.__mro__ if ancestor in STATUS_OF_ERROR), 500)
    return ApiError(status, kind.code, without_paths(message), param=param)


def api_error_of(error: ApiError | AuricleError) -> ApiError:
    """What the client sees of an exception."""
    if isinstance(error, ApiError):
        return error
    return api_error_from(type(error), str(error), error.param if isinstance(error, InvalidOptionError) else None)


def internal_error() -> ApiError:
    """The answer to what nobody foresaw: says nothing, the log has the rest under the request id."""
    return ApiError(500, "internal_error", "Something went wrong on our side. The log has it under this request id.")


def insufficient_storage() -> ApiError:
    """The answer when the disk that uploads are kept on is full."""
    message = "The service has no disk space left for recordings; try again later."
    return ApiError(507, "insufficient_storage", message, retry_after_s=STORAGE_RETRY_S)


def storage_unavailable(what: str) -> ApiError:
    """The answer when the disk that uploads are kept on cannot be used; ``what`` cannot be stored."""
    message = f"{what} cannot be stored at the moment; the log says why."
    return ApiError(503, "storage_unavailable", message, retry_after_s=STORAGE_RETRY_S)


def out_of_memory() -> ApiError:
    """The answer where the service, or its worker, got no memory for a request."""
    message = "The service has no memory left for this request; try again later."
    return ApiError(503, "out_of_memory", message, retry_after_s=MEMORY_RETRY_S)


def error_answer(error: ApiError, request_id: str) -> ErrorAnswer:
    """The error's JSON body."""
    return ErrorAnswer(
        error=ErrorDetail(
            message=error.message, type=error.type, param=error.param, code=error.code, request_id=request_id
        )
    )


def documented_error(status: int, code: str, description: str, message: str) -> dict[str, Any]:
    """OpenAPI's description of a refusal, with an example."""
    example = error_answer(ApiError(status, code, message), "5f0c6a1be2d94b1d").model_dump()
    return {
        "model": ErrorAnswer,
        "description": description,
        "content": {"application/json": {"example": example}},
    }


def error_response(error: ApiError, request_id: str) -> JSONResponse:
    """The error as a whole HTTP answer."""
    body = error_answer(error, request_id).model_dump()
    return JSONResponse(body, status_code=error.status, headers=error.headers)


def without_paths(message: str) -> str:
    """The message with every file path taken out: where a file lies is nobody's business."""
    return _PATH.sub("<file>", message)
