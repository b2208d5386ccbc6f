"""Options as people write them. In: text from a command line or a form. Out: the values of ``TranscribeOptions``.

Raises InvalidOptionError, naming the option. Knows neither where the text comes from nor what the values mean.
"""

import json
import re
from collections.abc import Iterable

from asr.errors import InvalidOptionError

__all__ = ["Clip", "parse_clips", "parse_floats", "parse_integers", "parse_threshold", "split_list"]

Clip = tuple[float, float | None]

NONE = "none"  # switches a threshold off, and empties a list that is not empty by default
_STRETCH = re.compile(r"(?P<start>\d+\.?\d*|\.\d+)\s*-\s*(?P<end>\d+\.?\d*|\.\d+)?")


def split_list(texts: Iterable[str], *, param: str) -> tuple[str, ...]:
    """One flat list of all that was given, each text either a JSON list or items between commas.

    An item that holds a comma itself is written as JSON: ``["Smith, Ada"]``.
    """
    items: list[str] = []
    for text in texts:
        items.extend(_json_list(text, param) if text.lstrip().startswith("[") else text.split(","))
    return tuple(item.strip() for item in items)


def parse_clips(text: str) -> tuple[Clip, ...]:
    """Stretches such as ``10-20.5,60-``, or openai-whisper's flat list ``10,20.5,60``; the last end may be missing.

    Programs may write them as JSON too: ``[[10, 20.5], [60, null]]``.
    """
    if text.lstrip().startswith("[["):
        return _json_clips(text)
    parts = [part.strip() for part in text.split(",")]
    stretches = [_STRETCH.fullmatch(part) for part in parts]
    found = [stretch for stretch in stretches if stretch]
    if len(found) == len(parts):
        return tuple((float(stretch["start"]), float(stretch["end"]) if stretch["end"] else None) for stretch in found)
    try:
        times = [float(part) for part in parts]
    except ValueError:
        raise _no_clips(text) from None
    ends: list[float | None] = [*times[1::2], *([None] if len(times) % 2 else [])]
    return tuple(zip(times[::2], ends, strict=True))


def parse_floats(text: str, *, param: str) -> tuple[float, ...]:
    """One number, or several with commas between."""
    try:
        return tuple(float(part) for part in split_list([text], param=param))
    except ValueError:
        message = f"{param}: got {text[:64]!r}, expected a number such as 0 or a list such as 0,0.2,0.4"
        raise InvalidOptionError(message, param=param) from None


def parse_integers(text: str, *, param: str) -> tuple[int, ...]:
    """Whole numbers with commas between; ``none`` is the empty list."""
    if text.strip().lower() in {NONE, ""}:
        return ()
    try:
        return tuple(int(part) for part in split_list([text], param=param))
    except ValueError:
        message = f"{param}: got {text[:64]!r}, expected whole numbers with commas between, or none"
        raise InvalidOptionError(message, param=param) from None


def parse_threshold(text: str, *, param: str) -> float | None:
    """A number; ``none`` switches the test off."""
    if text.strip().lower() == NONE:
        return None
    try:
        return float(text)
    except ValueError:
        raise InvalidOptionError(f"{param}: got {text[:64]!r}, expected a number or none", param=param) from None


def _json_clips(text: str) -> tuple[Clip, ...]:
    try:
        return tuple((float(start), None if end is None else float(end)) for start, end in json.loads(text))
    except (TypeError, ValueError):
        raise _no_clips(text) from None


def _no_clips(text: str) -> InvalidOptionError:
    message = f"clip_timestamps: got {text[:64]!r}, expected seconds such as 10-20.5,60- or 10,20.5,60"
    return InvalidOptionError(message, param="clip_timestamps")


def _json_list(text: str, param: str) -> list[str]:
    try:
        items = json.loads(text)
    except json.JSONDecodeError:
        items = None
    if not isinstance(items, list) or not all(isinstance(item, str | int | float) for item in items):
        message = f"{param}: got {text[:64]!r}, expected a JSON list of plain values, or values with commas between"
        raise InvalidOptionError(message, param=param)
    return [str(item) for item in items]
