"""Scores for people at a terminal. In: ``Scores``. Out: rich tables that fit 120 columns, intervals beside rates.

Rounds for the eye, counts nothing. Knows no hypothesis.
"""

from collections.abc import Iterable, Mapping
from enum import StrEnum

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from eval.report.document import NO_VALUE
from eval.report.document import Table as DocumentTable
from eval.report.evidence_sections import evidence_sections
from eval.report.facts import model_title, normalizer_in_short
from eval.scoring.types import (
    ErrorGroup,
    Interval,
    InventedWords,
    LanguageIdentification,
    LanguageScores,
    NormalizerUse,
    RealTime,
    Scores,
    TranscriptionScores,
    TranslationGroup,
    TranslationScores,
)

__all__ = ["Breakdown", "document_table", "scores_as_tables", "simple_table", "with_interval"]

N_CONFUSED = 3  # languages that a row of language identification has room for


class Breakdown(StrEnum):
    """Which rows a table has above its totals."""

    LANGUAGE = "language"
    DATASET = "dataset"


def scores_as_tables(scores: Scores, *, by: Breakdown | None = None) -> tuple[Table | Text, ...]:
    """The measures of a run, most important first; rows by language and by dataset, or by one of them; totals last."""
    title = f"{model_title(scores.config)} on {scores.config.get('corpus')}"
    if isinstance(scores, TranscriptionScores):
        return _transcription(scores, title, by)
    if isinstance(scores, TranslationScores):
        signatures = Text(f"BLEU {scores.bleu_signature}\nchrF {scores.chrf_signature}")
        return _translation(scores, title, by), _speed(scores.real_time), signatures
    return _languages(scores, title)


def simple_table(title: str, *columns: str) -> Table:
    """A table whose first column names its rows; the others are numbers."""
    table = Table(title=Text(title), title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column(columns[0], overflow="fold")
    for column in columns[1:]:
        table.add_column(column, justify="right", no_wrap=True)
    return table


def document_table(table: DocumentTable) -> Table:
    """A table of a report."""
    shown = Table(title=Text(table.caption), title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for column in table.columns:
        shown.add_column(column.name, justify="right" if column.numeric else "left", overflow="fold")
    for row in table.rows:
        shown.add_row(*(Text(cell.text) for cell in row))
    return shown


def with_interval(value: float | None, interval: Interval | None, *, scale: float = 100) -> str:
    """``22.0 [18.1, 26.3]``: a fraction in percent, or whatever ``scale`` makes of it."""
    if value is None:
        return NO_VALUE
    shown = f"{scale * value:.1f}"
    return shown if interval is None else f"{shown} [{scale * interval.low:.1f}, {scale * interval.high:.1f}]"


def _transcription(scores: TranscriptionScores, title: str, by: Breakdown | None) -> tuple[Table | Text, ...]:
    failed = ("failed",) if scores.overall.n_failed else ()  # names of datasets are long, and 120 columns are few
    columns = ("unit", "clips", *failed, "clusters", "units", "S", "D", "I", "error rate % [95 %]", "CER % [95 %]")
    table = simple_table(title, "", *columns)
    if by is not Breakdown.DATASET:
        _add_error_rows(table, scores.languages)
    if by is not Breakdown.LANGUAGE:
        _add_error_rows(table, scores.datasets)
    if by is None:
        _add_error_rows(table, scores.lengths)
    _add_error_rows(table, {f"only {name}": group for name, group in scores.apart.items() if group.n_clips})
    totals = {"all by word": scores.words, "all by character": scores.characters, "headline": scores.headline}
    _add_error_rows(table, {name: group for name, group in totals.items() if group.n_clips})
    _add_error_rows(table, {"overall": scores.overall})
    parts: list[Table | Text] = [table]
    if scores.invented:
        parts.append(_invented(scores.invented))
    parts += _evidence(scores)
    if scores.language_id is not None:
        parts.append(_language_id(scores.language_id, "Language identification"))
    return (*parts, _speed(scores.real_time), _normalizers(scores.normalizers))


def _add_error_rows(table: Table, groups: Mapping[str, ErrorGroup]) -> None:
    for name, group in groups.items():
        counts = group.counts
        edits = (counts.substitutions, counts.deletions, counts.insertions)
        failed = (group.n_failed,) if any(column.header == "failed" for column in table.columns) else ()
        numbers = (group.n_clips, *failed, _clusters(group), counts.n_ref, *edits)
        rate = with_interval(counts.rate, group.interval)
        cer = with_interval(group.characters.rate, group.characters_interval)
        table.add_row(Text(name), group.unit, *map(str, numbers), rate, cer)
    table.add_section()


def _clusters(group: ErrorGroup | TranslationGroup) -> str:
    return f"{group.n_clusters} †" if group.few_voices else str(group.n_clusters)


def _invented(kinds: Mapping[str, InventedWords]) -> Table:
    says = any(words.n_suppressed for words in kinds.values())
    suppressed = ("suppressed",) if says else ()
    table = simple_table(
        "Words written where nobody speaks",
        "kind", "clips", "clips with words", "hours", "words", *suppressed, "words an hour [95 %]",
    )  # fmt: skip
    for kind, words in kinds.items():
        numbers = [str(words.n_clips), str(words.n_clips_with_words), f"{words.hours:.3f}", str(words.n_words)]
        numbers += [str(words.n_suppressed)] if says else []
        table.add_row(Text(kind), *numbers, with_interval(words.per_hour, words.interval, scale=1))
    return table


def _evidence(scores: TranscriptionScores) -> Iterable[Table | Text]:
    # The report's own tables: the same digits at a terminal and on a page.
    for section in evidence_sections(scores):
        yield from map(document_table, section.tables)
        yield from (Text(remark) for remark in section.remarks[1:])


def _translation(scores: TranslationScores, title: str, by: Breakdown | None) -> Table:
    columns = ("clips", "failed", "clusters", "reference words", "BLEU [95 %]", "chrF [95 %]")
    table = simple_table(title, "", *columns)
    if by is not Breakdown.DATASET:
        _add_translation_rows(table, scores.languages)
    if by is not Breakdown.LANGUAGE:
        _add_translation_rows(table, scores.datasets)
    _add_translation_rows(table, {"overall": scores.overall})
    return table


def _add_translation_rows(table: Table, groups: Mapping[str, TranslationGroup]) -> None:
    for name, group in groups.items():
        bleu = with_interval(group.bleu, group.bleu_interval, scale=1)
        chrf = with_interval(group.chrf, group.chrf_interval, scale=1)
        numbers = (group.n_clips, group.n_failed, _clusters(group), group.n_reference_words)
        table.add_row(Text(name), *map(str, numbers), bleu, chrf)
    table.add_section()


def _languages(scores: LanguageScores, title: str) -> tuple[Table | Text, ...]:
    return _language_id(scores.language_id, title), _speed(scores.real_time)


def _language_id(found: LanguageIdentification, title: str) -> Table:
    table = simple_table(title, "spoken", "clips", "named right", "accuracy % [95 %]", "taken for")
    for spoken, (n_clips, n_correct) in found.by_language.items():
        others = {named: count for named, count in found.confusion[spoken].items() if named != spoken}
        often = sorted(others.items(), key=lambda item: -item[1])[:N_CONFUSED]
        taken_for = ", ".join(f"{named} {count}" for named, count in often)
        table.add_row(Text(spoken), str(n_clips), str(n_correct), f"{100 * n_correct / n_clips:.1f}", Text(taken_for))
    table.add_section()
    accuracy = with_interval(found.accuracy, found.interval)
    table.add_row("overall", str(found.n_clips), str(found.n_correct), accuracy, "")
    return table


def _normalizers(used: Iterable[NormalizerUse]) -> Text:
    return Text(f"Normalizers: {', '.join(map(normalizer_in_short, used))}")


def _speed(speed: RealTime) -> Text:
    if speed.x_real_time is None:
        return Text("Speed: not known, no clip of known length was transcribed")
    line = f"Speed: {speed.x_real_time:.1f} × real time ({speed.audio_s:.0f} s of audio in {speed.wall_s:.0f} s"
    phases = "".join(f", {name} {seconds:.0f} s" for name, seconds in speed.phases_s.items())
    return Text(f"{line}{phases})")
