"""Caption files. In: bytes and their format. Out: cues, or why there are none. Knows no audio and no path.

The bytes come from anywhere: whatever is wrong with them is a ``Drop``.
"""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import pysubs2
from pysubs2.formats import get_format_class

from data_pipeline.types import Cue, Drop

__all__ = ["FORMATS", "MAX_CAPTION_BYTES", "Captions", "parse_captions", "untimed"]

FORMATS = ("vtt", "srt", "json", "txt")  # of several beside one recording, the first; txt has no times
MAX_CAPTION_BYTES = 8 << 20  # a day of speech has less than 1 MB
MAX_CUE_CHARACTERS = 2_000  # 30 s have at most 1,200; patterns of pysubs2, and repeats, take a cue's square
MAX_TIME_S = 1e6  # eleven days
MALFORMED = "malformed_captions"


@dataclass(frozen=True, slots=True, kw_only=True)
class Captions:
    """Cues in the file's order. Untimed captions are one cue from 0 to 0, whose end the audio will tell."""

    cues: tuple[Cue, ...]
    timed: bool
    language: str | None = None
    """As the file names it."""


def parse_captions(data: bytes, format_: str) -> Captions | Drop:
    """Read a whole file. Drops: ``captions_too_large``, ``captions_not_utf8``, ``malformed_captions``."""
    if len(data) > MAX_CAPTION_BYTES:
        return Drop(reason="captions_too_large", value=len(data), limit=MAX_CAPTION_BYTES)
    try:
        text = data.decode("utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    except UnicodeDecodeError as error:
        return Drop(reason="captions_not_utf8", value=f"byte {error.start}")
    if "\0" in text:
        return Drop(reason=MALFORMED, value="a NUL character")
    match format_:
        case "txt":
            return untimed(text)
        case "json":
            return _json(text)
        case _:
            return _subtitles(text, format_)


def untimed(text: str) -> Captions:
    """A text without times."""
    return Captions(cues=(Cue(start=0.0, end=0.0, text=text),) if text.strip() else (), timed=False)


def _subtitles(text: str, format_: str) -> Captions | Drop:
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    drop = _check_lines(text.split("\n"), get_format_class(format_).TIMESTAMP)  # type: ignore[attr-defined]
    if drop:
        return drop
    try:
        events = pysubs2.SSAFile.from_string(text, format_=format_)
    except (pysubs2.Pysubs2Error, ValueError, OverflowError) as error:
        return Drop(reason=MALFORMED, value=str(error)[:200])
    if not events and text.removeprefix("WEBVTT").strip():
        return Drop(reason=MALFORMED, value="no cues")
    cues = tuple(Cue(start=event.start / 1000, end=event.end / 1000, text=event.plaintext) for event in events)
    return Captions(cues=cues, timed=True)


def _check_lines(lines: Iterable[str], time: re.Pattern[str]) -> Drop | None:
    """Whether every cue is one that pysubs2 reads: it passes over times that it cannot read, and their text with them.

    What is before the first cue is no text.
    """
    n_arrows = n_unread = n_characters = 0
    for line in lines:
        is_cue, has_arrow = len(time.findall(line)) == 2, "-->" in line
        n_arrows += has_arrow
        n_unread += is_cue != has_arrow
        n_characters = 0 if is_cue or not n_arrows else n_characters + len(line) + 1
        if n_characters > MAX_CUE_CHARACTERS:
            return Drop(reason=MALFORMED, value="a cue's characters", limit=MAX_CUE_CHARACTERS)
    return Drop(reason=MALFORMED, value=f"{n_unread} of {n_arrows} cues", limit=0) if n_unread else None


def _json(text: str) -> Captions | Drop:
    """Whisper's and OpenAI's ``{"segments": […]}``, YouTube's ``[{"start", "duration", "text"}]``, ``{"text"}``."""
    try:
        value = json.loads(text)
        language = value.get("language") if isinstance(value, dict) else None
        language = language if isinstance(language, str) else None
        segments = value.get("segments") if isinstance(value, dict) else value
        if segments is None:
            captions = untimed(_text(value))
            return Captions(cues=captions.cues, timed=False, language=language)
        return Captions(cues=tuple(_cue(segment) for segment in segments), timed=True, language=language)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        return Drop(reason=MALFORMED, value=f"{type(error).__name__}: {error}"[:200])


def _cue(segment: Any) -> Cue:
    start = _seconds(segment["start"])
    end = _seconds(segment["end"]) if "end" in segment else start + _seconds(segment["duration"])
    text = _text(segment)
    if len(text) > MAX_CUE_CHARACTERS:
        raise ValueError(f"got a cue of {len(text)} characters, expected at most {MAX_CUE_CHARACTERS}")
    return Cue(start=start, end=end, text=text)


def _text(value: Any) -> str:
    text = value["text"]
    if not isinstance(text, str):
        raise TypeError(f"got text {text!r}, expected a string")
    return text


def _seconds(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not -MAX_TIME_S <= value <= MAX_TIME_S:
        raise TypeError(f"got {str(value)[:40]}, expected seconds")
    return float(value)
