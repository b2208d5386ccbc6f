"""How log lines look. In: ``logging`` records. Out: JSON, one object a line, or text for people.

Every line written while a request is handled carries its id. Structured fields come as ``extra={"fields": {...}}``.
Knows nothing of requests themselves; ``server.cli`` turns it on.
"""

import json
import logging
import sys
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, Literal

__all__ = ["JsonFormatter", "LogFormat", "TextFormatter", "configure_logging", "current_request_id"]

LogFormat = Literal["auto", "json", "text"]

# uvicorn writes the query of every WebSocket, and an error after each that was refused (Kludex/uvicorn#3138); the
# application's own line has all but the query.
UNWANTED = ('"WebSocket %s"', "ASGI callable returned without completing handshake")

current_request_id: ContextVar[str | None] = ContextVar("current_request_id", default=None)


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time (UTC), level, logger, message, request_id, the fields, exception."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        line: dict[str, Any] = {
            "time": _time_of(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **_fields_of(record),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


class TextFormatter(logging.Formatter):
    """``time LEVEL logger message name=value ...``, and a traceback below."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        fields = "".join(f" {name}={value}" for name, value in _fields_of(record).items())
        line = f"{_time_of(record)} {record.levelname} {record.name} {record.getMessage()}{fields}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def configure_logging(level: str, log_format: LogFormat) -> None:
    """Send everything to stderr in one form, uvicorn's lines and Python's warnings too.

    ``auto`` is text on a terminal and JSON elsewhere.
    """
    is_json = log_format == "json" or (log_format == "auto" and not sys.stderr.isatty())
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter() if is_json else TextFormatter())
    handler.addFilter(_is_wanted)
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.captureWarnings(capture=True)
    logging.getLogger("httpx").setLevel(logging.WARNING)  # it writes every URL, with what is secret in it


def _is_wanted(record: logging.LogRecord) -> bool:
    return not any(part in str(record.msg) for part in UNWANTED)


def _time_of(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")


def _fields_of(record: logging.LogRecord) -> dict[str, Any]:
    request_id = current_request_id.get()
    fields: dict[str, Any] = getattr(record, "fields", {})
    return fields if request_id is None else {"request_id": request_id} | fields
