"""What long recordings show: text lost, languages over time. In: what scoring found. Out: sections, key figures.

Counts nothing.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from eval.report.document import (
    NO_VALUE,
    Cell,
    Chart,
    KeyFigure,
    Section,
    Table,
    count_cell,
    counted,
    number_cell,
    percent,
    text_cell,
)
from eval.report.facts import columns
from eval.report.labels import language_label
from eval.scoring.evidence import LanguageTimeline, LostText, LostTextClip, RecordingTimeline, SuppressedText
from eval.scoring.timeline import UNLABELLED

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["lost_figure", "lost_section", "suppressed_section", "timeline_figure", "timeline_section"]

MAX_TIMELINES = 12  # recordings in one picture
N_RUNS = 30  # runs of lost text that are listed


def lost_figure(lost: LostText) -> KeyFigure:
    """The longest run."""
    unit = lost.clips[0].unit
    where = f", in {lost.clips[0].id}" if lost.longest else ""
    return KeyFigure(
        name="Longest text lost",
        value=counted(lost.longest, unit),
        interval=None,
        meaning=f"In a row{where}; {counted(lost.n_runs, 'run')} of {lost.min_units} or more "
        f"in {counted(len(lost.clips), 'long clip')}.",
    )


def lost_section(lost: LostText) -> Section:
    """Every long clip, and what is missing in it."""
    remark = (
        f"Long clips, each with its longest run of consecutive deleted units. Runs of {lost.min_units} or more are "
        "text lost, no slip of a word: a stretch that was skipped."
    )
    tables = [
        Table(
            caption="Text lost in long clips",
            columns=columns("clip", "longest run", f"runs of {lost.min_units} or more", "units", "counted by",
                            "minutes", texts=("counted by",)),
            rows=tuple(_lost_row(clip) for clip in lost.clips),
        )
    ]  # fmt: skip
    if lost.n_runs:
        rows = [(clip, run) for clip in lost.clips for run in clip.runs][:N_RUNS]
        tables.append(
            Table(
                caption=f"What is lost, {len(rows)} of {counted(lost.n_runs, 'run')}",
                columns=columns("clip", "units", "after", "lost", "before", texts=("after", "lost", "before")),
                rows=tuple(
                    (
                        text_cell(clip.id),
                        count_cell(run.n_units),
                        Cell(text=f"… {run.before}" if run.before else "(the beginning)", order=run.position),
                        text_cell(run.text),
                        text_cell(f"{run.after} …" if run.after else "(the end)"),
                    )
                    for clip, run in rows
                ),
            )
        )
    return Section(heading="Text lost", remarks=(remark,), tables=tuple(tables))


def suppressed_section(reasons: Mapping[str, SuppressedText]) -> Section:
    """What was left out where somebody speaks, and whether it was said."""
    table = Table(
        caption="Text left out where somebody speaks",
        columns=columns("reason", "texts", "clips", "units", "said"),
        rows=tuple(
            (text_cell(reason), *map(count_cell, (texts.n_texts, texts.n_clips, texts.n_units, texts.n_said)))
            for reason, texts in reasons.items()
        ),
    )
    remark = (
        "Text that was decoded and left out of the transcript, in words (characters where no spaces are written). "
        "Said are those that the reference has and the transcript has not: what leaving out may have lost."
    )
    return Section(heading="Text left out", remarks=(remark,), tables=(table,))


def timeline_figure(timeline: LanguageTimeline) -> KeyFigure:
    """Share of speech in the right language."""
    return KeyFigure(
        name="Language over time",
        value=percent(timeline.share_right),
        interval=None,
        meaning=f"Of {timeline.seconds / 60:.1f} min of speech labelled right; {timeline.n_parts_right:,} of "
        f"{counted(timeline.n_parts, 'part')}.",
    )


def timeline_section(timeline: LanguageTimeline) -> Section:
    """The picture, each recording, and which language was taken for which."""
    shown = timeline.clips[:MAX_TIMELINES]
    described = "; ".join(
        f"{clip.id}: {percent(clip.seconds_right / clip.seconds if clip.seconds else None)} right" for clip in shown
    )
    chart = Chart(
        title="Languages over time",
        description=f"For each recording, above what is spoken and below what was found, from left to right. "
        f"{described}. The tables have every recording and every second.",
        draw=lambda: _draw(shown),
    )
    remark = (
        "The recordings were joined of clips, each in one language. Time between clips is no speech, and counts "
        "nothing; speech that was given no language is none, and wrong. A part is right when most of its labelled "
        "time is."
    )
    overall = (("overall", timeline),) if len(timeline.clips) > 1 else ()
    tables = (
        Table(
            caption="Languages over time by recording",
            columns=columns("recording", "time right", "minutes of speech", "parts right", "parts", "switches found",
                            "switches"),
            rows=tuple(
                (text_cell(name), *_timeline_cells(each))
                for name, each in (*((clip.id, clip) for clip in timeline.clips), *overall)
            ),
        ),
        Table(
            caption="Seconds of speech by language",
            columns=columns("spoken", "found", "seconds", "of the language's", texts=("found",)),
            rows=tuple(_confusion_rows(timeline)),
        ),
    )  # fmt: skip
    return Section(heading="Languages over time", remarks=(remark,), charts=(chart,), tables=tables)


def _draw(recordings: Sequence[RecordingTimeline]) -> "Figure":
    from eval.report.evidence_plots import draw_timelines  # matplotlib is for pages, and these tables for terminals

    return draw_timelines(recordings)


def _lost_row(clip: LostTextClip) -> tuple[Cell, ...]:
    minutes = None if clip.duration is None else clip.duration / 60
    return (
        text_cell(clip.id),
        count_cell(clip.longest),
        count_cell(len(clip.runs)),
        count_cell(clip.n_ref),
        text_cell(clip.unit),
        number_cell(minutes, NO_VALUE if minutes is None else f"{minutes:.1f}"),
    )


def _timeline_cells(each: LanguageTimeline | RecordingTimeline) -> Iterable[Cell]:
    share = each.seconds_right / each.seconds if each.seconds else None
    yield number_cell(share, percent(share))
    yield number_cell(each.seconds, f"{each.seconds / 60:.1f}")
    yield from map(count_cell, (each.n_parts_right, each.n_parts, each.n_switches_found, each.n_switches))


def _confusion_rows(timeline: LanguageTimeline) -> Iterable[tuple[Cell, ...]]:
    for spoken, row in timeline.confusion.items():
        total = sum(row.values())
        for found, seconds in sorted(row.items(), key=lambda entry: -entry[1]):
            yield (
                text_cell(language_label(spoken)),
                text_cell(found if found == UNLABELLED else language_label(found)),
                number_cell(seconds, f"{seconds:,.1f}"),
                number_cell(seconds / total, percent(seconds / total)),
            )
