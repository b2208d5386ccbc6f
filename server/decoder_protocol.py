"""What the API process and its decoding processes say to each other: frozen dataclasses, one line of JSON each.

What comes back is written by a process that has read a stranger's file: ``parse_report`` checks every field. Imports
nothing heavy: both sides import it.
"""

import json
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

__all__ = [
    "LASTING_AFTER_S",
    "Crashed",
    "DecodeLimits",
    "DecodeRequest",
    "Decoded",
    "Ended",
    "Interrupted",
    "Limit",
    "Ready",
    "Refused",
    "Report",
    "encode",
    "parse_report",
    "parse_request",
]

LASTING_AFTER_S = 0.02  # about what a short recording takes; a decoding beyond it makes room for the next
Limit = Literal["memory", "size", "disk"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodeLimits:
    """What one decoding process may take."""

    timeout_s: float
    """Wall clock."""
    memory_bytes: int
    """Address space beyond what the process begins with."""
    max_decoded_bytes: int
    """Of the file that it writes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodeRequest:
    """Decode one file; its descriptor, the output's and that of the answer's socket come along, in this order."""

    mode: Literal["mean", "each"]
    max_duration_s: float
    limits: DecodeLimits


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """Decoding can begin."""

    isolated_from: tuple[str, ...]
    """What the kernel lets decoding be cut off from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoded:
    """The file is written."""

    n_channels: int
    n_samples: int
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """The recording is not usable: an AudioError, by its code."""

    code: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Interrupted:
    """A limit was met that the process could still report."""

    limit: Limit


@dataclass(frozen=True, slots=True, kw_only=True)
class Crashed:
    """The process met an exception nobody foresaw."""

    traceback: str
    """For the log only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """The process is gone; the last line of every answer."""

    exit_code: int
    """Negative: the signal that ended it."""
    has_timed_out: bool


Report = Ready | Decoded | Refused | Interrupted | Crashed | Ended
_REPORTS: tuple[type[Report], ...] = (Ready, Decoded, Refused, Interrupted, Crashed, Ended)


def encode(message: Report | DecodeRequest) -> bytes:
    """The message as one line."""
    return json.dumps([type(message).__name__, asdict(message)]).encode() + b"\n"


def parse_request(line: bytes) -> DecodeRequest:
    """What the API process asks; it is trusted."""
    values = json.loads(line)[1]
    return DecodeRequest(**values | {"limits": DecodeLimits(**values["limits"])})


def parse_report(line: bytes) -> Report:
    """What a decoding process says. Raises ValueError for anything that no honest one would say."""
    try:
        name, values = json.loads(line)
        kind = {each.__name__: each for each in _REPORTS}[name]
        return kind(**{field.name: _checked(values.pop(field.name)) for field in fields(kind)}, **values)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"got a report that cannot be read: {line[:200]!r}") from error


def _checked(value: Any) -> Any:
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return tuple(value)
    if isinstance(value, str | int):
        return value
    raise ValueError(f"got {type(value).__name__} in a report, expected text, a number or a list of texts")
