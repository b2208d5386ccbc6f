"""A report as Markdown, to paste into a page of results. In: ``Report``. Out: text. Leaves charts and sounds out."""

import re
from collections.abc import Iterable, Sequence

from eval.report.document import Chapter, Report, Section, Table, WorstClip
from eval.report.labels import language_label

__all__ = ["render_markdown"]


def render_markdown(report: Report) -> str:
    """Headings, key figures, every table, and the worst clips' texts."""
    lines = [f"# {_plain(report.title)}", ""]
    if report.summary is not None:
        lines += _table(report.summary)
    for chapter in report.chapters:
        lines += _chapter(chapter)
    return "\n".join(lines).rstrip() + "\n"


def _chapter(chapter: Chapter) -> Iterable[str]:
    yield from (f"## {_plain(chapter.title)}", "")
    for warning in chapter.warnings:
        yield from (f"> **Note.** {_plain(warning)}", "")
    figures = [(figure.name, figure.value, figure.interval or "–", figure.meaning) for figure in chapter.figures]
    yield from _rows(("", "value", "95 % interval", "meaning"), figures, numeric=(False, True, True, False))
    yield from _rows(("what was run", ""), [(fact.name, fact.value) for fact in chapter.facts], numeric=(False, False))
    for section in chapter.sections:
        yield from _section(section)


def _section(section: Section) -> Iterable[str]:
    yield from (f"### {section.heading}", "")
    for remark in section.remarks:
        yield from (_plain(remark), "")
    for table in section.tables:
        yield from _table(table)
    if section.clips:
        yield from _clips(section.clips)


def _table(table: Table) -> Iterable[str]:
    heads = [column.name for column in table.columns]
    rows = [[cell.text for cell in row] for row in table.rows]
    yield from _rows(heads, rows, numeric=[column.numeric for column in table.columns])


def _clips(clips: Sequence[WorstClip]) -> Iterable[str]:
    rows = [
        (
            clip.id,
            language_label(clip.language),
            clip.summary,
            clip.reference,
            f"(failed: {clip.error})" if clip.error else clip.hypothesis or "",
        )
        for clip in clips
    ]
    yield from _rows(("clip", "language", "result", "reference", "hypothesis"), rows, numeric=(False,) * 5)


def _rows(heads: Sequence[str], rows: Iterable[Sequence[str]], *, numeric: Sequence[bool]) -> Iterable[str]:
    yield _row(heads)
    yield "|" + "|".join(" ---: " if right else " --- " for right in numeric) + "|"
    yield from map(_row, rows)
    yield ""


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(map(_plain, cells)) + " |"


def _plain(text: str) -> str:
    # One line, with nothing that Markdown or HTML would take for its own.
    return re.sub(r"([\\`*_|<>\[\]])", r"\\\1", " ".join(text.split()))
