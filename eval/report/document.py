"""What a report is made of, before it is HTML or Markdown: chapters, sections, tables, charts. Knows no score.

Numbers are formatted here, once, so that every form of a report shows the same digits.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from eval.scoring.types import Interval
from eval.wer import AlignedSpan

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = [
    "FEW_VOICES",
    "NO_VALUE",
    "Bar",
    "Cell",
    "Chapter",
    "Chart",
    "Column",
    "Fact",
    "KeyFigure",
    "Report",
    "Section",
    "Share",
    "Table",
    "WorstClip",
    "count_cell",
    "counted",
    "number_cell",
    "percent",
    "percent_interval",
    "text_cell",
]

NO_VALUE = "–"
FEW_VOICES = " †"  # after an interval over clips of so few speakers that others could be far outside


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """A value with its interval, as fractions of the widest of its table."""

    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One cell of a table."""

    text: str
    order: float | str | None = None
    """What the column is sorted by; None sorts last."""
    bar: Bar | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """The head of a column."""

    name: str
    numeric: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Rows of cells; the first cell names the row."""

    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """A plot, drawn when it is needed."""

    title: str
    description: str
    """What it shows, for those who do not see it."""
    draw: Callable[[], "Figure"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """One part of a whole, for a stacked bar."""

    name: str
    fraction: float


@dataclass(frozen=True, slots=True, kw_only=True)
class WorstClip:
    """One clip that went badly, with everything needed to judge it."""

    id: str
    language: str | None
    """None: nobody speaks."""
    dataset: str
    summary: str
    """Its numbers, in words."""
    reference: str
    """As the corpus has it."""
    hypothesis: str | None
    """As the target wrote it; None: nothing was asked, and the reference is shown alone."""
    audio: str
    """Where the audio was when the run began."""
    spans: tuple[AlignedSpan, ...] = ()
    """The normalized texts, aligned; empty where none are compared unit by unit."""
    by_character: bool = False
    error: str | None = None
    """Why there is no hypothesis."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """Something that was the case when the run was made."""

    name: str
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyFigure:
    """A number to decide by."""

    name: str
    value: str
    interval: str | None
    meaning: str
    """In one line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """One question and its answer."""

    heading: str
    remarks: tuple[str, ...] = ()
    charts: tuple[Chart, ...] = ()
    shares: tuple[Share, ...] = ()
    tables: tuple[Table, ...] = ()
    clips: tuple[WorstClip, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Chapter:
    """One run, or one study."""

    title: str
    facts: tuple[Fact, ...]
    figures: tuple[KeyFigure, ...]
    warnings: tuple[str, ...]
    """What a reader must know before trusting the numbers."""
    sections: tuple[Section, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Everything that one file shows."""

    title: str
    summary: Table | None
    """One row a chapter; None for a single one."""
    chapters: tuple[Chapter, ...]


def percent(rate: float | None, digits: int = 1) -> str:
    """``12.3 %``; a dash where there is no rate."""
    return NO_VALUE if rate is None else f"{100 * rate:.{digits}f} %"


def percent_interval(interval: Interval | None, *, few_voices: bool = False) -> str:
    """``11.0 – 13.9 %``, with a dagger where it speaks for a few voices alone."""
    if interval is None:
        return NO_VALUE
    return f"{100 * interval.low:.1f} – {100 * interval.high:.1f} %{FEW_VOICES if few_voices else ''}"


def counted(n: int, noun: str) -> str:
    """``1 clip``, ``2 clips``."""
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"


def text_cell(text: str) -> Cell:
    """A cell that sorts by its text."""
    return Cell(text=text, order=text)


def count_cell(count: int) -> Cell:
    """A whole number."""
    return Cell(text=f"{count:,}", order=count)


def number_cell(value: float | None, text: str, bar: Bar | None = None) -> Cell:
    """A number under the text that shows it."""
    return Cell(text=text, order=value, bar=bar)
