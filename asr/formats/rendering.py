"""Transcript → text in one of FORMATS. In: a transcript, a format's name, a layout. Out: the whole file as text."""

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

from asr.formats.cues import Cue, make_cues, text_of
from asr.formats.layout import Layout
from asr.formats.subtitles import to_lrc, to_srt, to_vtt
from asr.transcript import Transcript

__all__ = ["render", "to_dict"]

DEFAULT_LAYOUT = Layout()


def render(transcript: Transcript, format: str, layout: Layout = DEFAULT_LAYOUT) -> str:  # noqa: A002  (the word of the command line and the service)
    """The transcript in one of FORMATS, ending in a newline unless it is empty.

    - txt: the text of one segment a line.
    - json: ``to_dict``, indented, characters unescaped.
    - srt, vtt: one cue a segment, or more where the layout limits them; times rounded half up to milliseconds. Cue
      text may hold neither a blank line nor ``-->``: blank lines are left out and the arrow becomes ``->``. A cue
      lasts at least 1 ms, since players drop empty ones. In vtt the words carry their times.
    - tsv: openai-whisper's table: start and end in whole milliseconds, text.
    - lrc: one line a segment, or more where the layout limits them, each with its start; words carry theirs.

    Where channels were transcribed apart, a text begins with ``[channel 1]``, counted from 1; in vtt the channel is
    the cue's voice, ``<v Channel 1>``; in json it is a number, from 0. Control characters and byte order marks are
    left out of all but json, and so are segments without text. Raises InvalidOptionError for another format, or a
    layout that the format has no use for.
    """
    layout.check_format(format)
    if format == "json":
        return _json(transcript)
    if format == "lrc" and layout.breaks_lines:
        layout = replace(layout, max_line_count=1)
    cues = list(make_cues(transcript, layout))
    if format == "txt":
        return _txt(cues, between_lines="\n" if layout.breaks_lines else " ")
    writers: dict[str, Callable[[list[Cue]], str]] = {"srt": to_srt, "vtt": to_vtt, "tsv": _tsv, "lrc": to_lrc}
    return writers[format](cues)


def to_dict(transcript: Transcript) -> dict[str, Any]:
    """Everything the transcript holds, as dicts, lists, strings and numbers; times in seconds."""
    return {
        "text": transcript.text,
        "task": str(transcript.task),
        "language": transcript.language,
        "language_probs": dict(transcript.language_probs),
        "languages": [asdict(span) for span in transcript.languages],
        "duration": transcript.duration,
        "segments": [_with_lists(asdict(segment)) for segment in transcript.segments],
        "suppressed": [asdict(suppressed) for suppressed in transcript.suppressed],
        "warnings": list(transcript.warnings),
        "timing": asdict(transcript.timing),
    }


def _with_lists(value: Any) -> Any:
    """The same with every tuple as a list, as JSON gives it back."""
    if isinstance(value, dict):
        return {name: _with_lists(item) for name, item in value.items()}
    return [_with_lists(item) for item in value] if isinstance(value, tuple | list) else value


def _json(transcript: Transcript) -> str:
    # NaN and Infinity are not JSON: better an error here than a file that no parser reads.
    return json.dumps(to_dict(transcript), ensure_ascii=False, indent=2, allow_nan=False) + "\n"


def _txt(cues: list[Cue], *, between_lines: str) -> str:
    return "".join(f"{cue.label}{between_lines.join(text_of(line) for line in cue.lines)}\n" for cue in cues)


def _tsv(cues: list[Cue]) -> str:
    rows = (f"{cue.start_ms}\t{cue.end_ms}\t{cue.label}{' '.join(text_of(line) for line in cue.lines)}" for cue in cues)
    return "".join(f"{row}\n" for row in ("start\tend\ttext", *rows))
