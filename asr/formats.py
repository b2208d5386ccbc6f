"""Transcript → text: plain lines, SubRip, WebVTT, JSON. Knows no file, no model and no torch."""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import asdict
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from asr.errors import InvalidOptionError
from asr.transcript import Transcript

__all__ = ["FORMATS", "render", "to_dict"]

FORMATS = ("txt", "json", "srt", "vtt")

_ARROW = re.compile("--+>")  # every run of dashes, so that "--->" does not leave "-->" behind


def render(transcript: Transcript, format: str) -> str:  # noqa: A002  (the word of the command line and the service)
    """The transcript in one of FORMATS, ending in a newline unless it is empty.

    - txt: the text of one segment a line.
    - srt, vtt: one cue a segment, times rounded half up to milliseconds. Cue text may hold neither a blank line nor
      ``-->``: blank lines are left out and the arrow becomes ``->``. A cue lasts at least 1 ms, since players drop
      empty ones.
    - json: ``to_dict``, indented, characters unescaped.

    Segments without text are left out of all but json. Raises InvalidOptionError for another format.
    """
    renderers: dict[str, Callable[[Transcript], str]] = {"txt": _txt, "json": _json, "srt": _srt, "vtt": _vtt}
    if format not in renderers:
        raise InvalidOptionError(f"format: got {format!r}, expected one of {', '.join(FORMATS)}", param="format")
    return renderers[format](transcript)


def to_dict(transcript: Transcript) -> dict[str, Any]:
    """Everything the transcript holds, as dicts, lists, strings and numbers; times in seconds."""
    return {
        "text": transcript.text,
        "task": str(transcript.task),
        "language": transcript.language,
        "language_probs": dict(transcript.language_probs),
        "duration": transcript.duration,
        "segments": [asdict(segment) | {"tokens": list(segment.tokens)} for segment in transcript.segments],
        "warnings": list(transcript.warnings),
        "timing": asdict(transcript.timing),
    }


def _json(transcript: Transcript) -> str:
    # NaN and Infinity are not JSON: better an error here than a file that no parser reads.
    return json.dumps(to_dict(transcript), ensure_ascii=False, indent=2, allow_nan=False) + "\n"


def _txt(transcript: Transcript) -> str:
    texts = (" ".join(_lines(segment.text)) for segment in transcript.segments)
    return "".join(f"{text}\n" for text in texts if text)


def _srt(transcript: Transcript) -> str:
    cues = (
        f"{index}\n{_clock(start_ms, ',')} --> {_clock(end_ms, ',')}\n{text}\n"
        for index, (start_ms, end_ms, text) in enumerate(_cues(transcript), start=1)
    )
    return "\n".join(cues)


def _vtt(transcript: Transcript) -> str:
    cues = (
        f"\n{_clock(start_ms, '.')} --> {_clock(end_ms, '.')}\n{text.replace('&', '&amp;').replace('<', '&lt;')}\n"
        for start_ms, end_ms, text in _cues(transcript)
    )
    return "WEBVTT\n" + "".join(cues)


def _cues(transcript: Transcript) -> Iterator[tuple[int, int, str]]:
    """(start in ms, end in ms, text) of every segment with text."""
    for segment in transcript.segments:
        text = _ARROW.sub("->", "\n".join(_lines(segment.text)))
        if text:
            start_ms = _milliseconds(segment.start)
            yield start_ms, max(_milliseconds(segment.end), start_ms + 1), text


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]


def _milliseconds(time_s: float) -> int:
    # Through the shortest decimal form: 1.0005 is a little less in binary, and would round down.
    return int((Decimal(repr(time_s)) * 1000).to_integral_value(ROUND_HALF_UP))


def _clock(time_ms: int, decimal_mark: str) -> str:
    seconds, ms = divmod(time_ms, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{seconds:02}{decimal_mark}{ms:03}"
