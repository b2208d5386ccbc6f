"""Transcript → cues: what stands on the screen, from when to when. In: a transcript, a layout. Out: cues of lines.

Times become whole milliseconds here. Knows no file format.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal

from asr.formats.layout import Layout
from asr.formats.line_breaks import may_break, unbreakable_parts
from asr.transcript import Segment, Transcript, Word

__all__ = ["Cue", "Line", "Piece", "make_cues", "text_of"]

# What no format can hold: control characters, and the byte order mark. Those that end lines, or are white space, stay.
_UNPRINTABLE = re.compile("[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\ufeff]")


@dataclass(frozen=True, slots=True)
class Piece:
    """A word, or a stretch of text of which no word times are known."""

    text: str
    """Begins with a space where there is one before it."""
    times_ms: tuple[int, int] | None = None
    """Start and end of the word."""


Line = tuple[Piece, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cue:
    """Lines shown together."""

    start_ms: int
    end_ms: int
    """At least 1 ms after the start: players drop empty cues."""
    lines: tuple[Line, ...]
    channel: int | None = None

    @property
    def label(self) -> str:
        """Names the channel, counted from 1 as people do; empty where channels were not transcribed apart."""
        return _label(self.channel)


def make_cues(transcript: Transcript, layout: Layout) -> Iterator[Cue]:
    """The cues of every segment with text, in the transcript's order; a cue never spans two segments.

    Where a segment has words, its cues last from the first word's start to the last one's end. Elsewhere a segment
    that becomes several cues shares out its time by their characters.
    """
    for segment in transcript.segments:
        lines = _lines(segment, layout)
        per_cue = layout.max_line_count or len(lines)
        groups = [tuple(lines[first : first + per_cue]) for first in range(0, len(lines), per_cue or 1)]
        for group, (start_ms, end_ms) in zip(groups, _times(segment, groups), strict=True):
            yield Cue(start_ms=start_ms, end_ms=max(end_ms, start_ms + 1), lines=group, channel=segment.channel)


def text_of(line: Sequence[Piece]) -> str:
    """The line as plain text."""
    return "".join(piece.text for piece in line).strip()


def _label(channel: int | None) -> str:
    return "" if channel is None else f"[channel {channel + 1}] "


def _lines(segment: Segment, layout: Layout) -> list[Line]:
    """The segment's text in lines; those that it has already stay apart."""
    paragraphs = _paragraphs(segment)
    if not layout.breaks_lines:
        return paragraphs
    lines: list[Line] = []
    for paragraph in paragraphs:
        line: list[list[Piece]] = []
        for unit in _units(paragraph):
            # The label stands on the first line of each cue.
            begins_cue = len(lines) % layout.max_line_count == 0 if layout.max_line_count else not lines
            if line and not _fits([*line, unit], layout, len(_label(segment.channel)) if begins_cue else 0):
                lines.append(_joined(line))
                line = []
            line.append(unit)
        lines.append(_joined(line))
    return lines


def _fits(units: list[list[Piece]], layout: Layout, label_width: int) -> bool:
    if layout.max_words_per_line is not None and len(units) > layout.max_words_per_line:
        return False
    width = label_width + len(text_of(_joined(units)))
    return layout.max_line_width is None or width <= layout.max_line_width


def _joined(units: list[list[Piece]]) -> Line:
    return tuple(piece for unit in units for piece in unit)


def _units(paragraph: Line) -> list[list[Piece]]:
    """The pieces in groups between which a line may end."""
    units: list[list[Piece]] = []
    for piece in paragraph:
        parts = [piece] if piece.times_ms else [Piece(part) for part in unbreakable_parts(piece.text)]
        for part in parts:
            if units and not may_break(units[-1][-1].text, part.text):
                units[-1].append(part)
            else:
                units.append([part])
    return units


def _paragraphs(segment: Segment) -> list[Line]:
    text = _UNPRINTABLE.sub("", segment.text)
    words = tuple(piece for word in segment.words if (piece := _piece(word)) is not None)
    # Words that do not spell the text would change it.
    if words and "".join(piece.text for piece in words).split() == text.split():
        return [words]
    stripped = (line.replace("\t", " ").replace("\x1f", " ").strip() for line in text.splitlines())
    return [(Piece(line),) for line in stripped if line]


def _piece(word: Word) -> Piece | None:
    text = _UNPRINTABLE.sub("", word.word)
    if not text.strip():
        return None
    lead = " " if text[0].isspace() else ""
    return Piece(lead + " ".join(text.split()), (_milliseconds(word.start), _milliseconds(word.end)))


def _times(segment: Segment, groups: list[tuple[Line, ...]]) -> list[tuple[int, int]]:
    """(start, end) in milliseconds of each group of lines."""
    start_ms = _milliseconds(segment.start)
    duration_ms = max(_milliseconds(segment.end) - start_ms, 0)
    sizes = [sum(len(text_of(line)) for line in group) for group in groups]
    times, done = [], 0
    for group, size in zip(groups, sizes, strict=True):
        first, last = group[0][0].times_ms, group[-1][-1].times_ms
        if first and last:
            times.append((first[0], last[1]))
        else:
            begin, end = (start_ms + duration_ms * share // sum(sizes) for share in (done, done + size))
            times.append((begin, end))
        done += size
    return times


def _milliseconds(time_s: float) -> int:
    # Through the shortest decimal form: 1.0005 is a little less in binary, and would round down.
    return int((Decimal(repr(float(time_s))) * 1000).to_integral_value(ROUND_HALF_UP))
