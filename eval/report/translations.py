"""The chapter of a translation run. In: ``TranslationScores``. Out: ``Chapter``. Counts nothing."""

from collections.abc import Iterable, Mapping

from eval.report.document import (
    FEW_VOICES,
    NO_VALUE,
    Bar,
    Cell,
    Chapter,
    Fact,
    KeyFigure,
    Section,
    Table,
    count_cell,
    counted,
    number_cell,
    text_cell,
)
from eval.report.facts import (
    clips_cell,
    columns,
    failed_clips,
    run_facts,
    run_title,
    speed_figure,
    speed_section,
    unfinished,
)
from eval.report.labels import labelled, language_label
from eval.report.paper import translations_beside_the_paper
from eval.report.worst import worst_translations
from eval.scoring.types import Interval, TranslationGroup, TranslationScores

__all__ = ["translation_chapter"]

TOP_SCORE = 100.0
REMARK = (
    "BLEU counts words and phrases that translation and reference share, chrF letters; both go to 100. There is one "
    "reference a clip, and a good translation in other words scores low. Intervals are 95 %, by bootstrap over "
    "speakers where they are known; †: of so few speakers that it is over their clips, and speaks for these voices "
    "alone."
)


def translation_chapter(scores: TranslationScores, *, n_worst: int) -> Chapter:
    """Everything about one run."""
    overall = scores.overall
    facts = run_facts(scores.config, n_clips=overall.n_clips, real_time=scores.real_time, normalizers=())
    signatures = (Fact(name="BLEU", value=scores.bleu_signature), Fact(name="chrF", value=scores.chrf_signature))
    warnings = unfinished(scores.n_missing)
    if overall.n_failed:
        warnings = (
            *warnings,
            f"{counted(overall.n_failed, 'clip')} failed and count as empty texts. They are named below.",
        )
    return Chapter(
        title=run_title(scores.config),
        facts=(*facts, *signatures),
        figures=(*_figures(overall), *speed_figure(scores.real_time)),
        warnings=warnings,
        sections=(
            *_tables(scores),
            translations_beside_the_paper(scores),
            *speed_section(scores.real_time),
            *failed_clips({clip.id: clip.hypothesis.error for clip in scores.clips if clip.hypothesis.error}),
            *_worst(scores, n_worst),
        ),
    )


def _figures(overall: TranslationGroup) -> tuple[KeyFigure, ...]:
    size = f"{counted(overall.n_clips, 'clip')}, {overall.n_reference_words:,} words of reference"
    return tuple(
        KeyFigure(
            name=name,
            value=f"{value:.1f}",
            interval=_shown(interval, few_voices=overall.few_voices) if interval else None,
            meaning=f"{meaning}; {size}.",
        )
        for name, value, interval, meaning in (
            ("BLEU into English", overall.bleu, overall.bleu_interval, "shared words and phrases, of 100"),
            ("chrF into English", overall.chrf, overall.chrf_interval, "shared letters, of 100"),
        )
    )


def _tables(scores: TranslationScores) -> Iterable[Section]:
    table = _table(
        "BLEU and chrF by language spoken",
        "language",
        labelled(scores.languages, language_label),
    )
    yield Section(heading="By language", remarks=(REMARK,), tables=(table,))
    table = _table("BLEU and chrF by corpus", "corpus", scores.datasets)
    yield Section(heading="By corpus", tables=(table,))
    if len(scores.dataset_languages) > max(len(scores.datasets), len(scores.languages)):
        table = _table("BLEU and chrF by corpus and language", "corpus/language", scores.dataset_languages)
        yield Section(heading="By corpus and language", tables=(table,))


def _table(caption: str, what: str, groups: Mapping[str, TranslationGroup]) -> Table:
    return Table(
        caption=caption,
        columns=columns(what, "BLEU", "95 % interval", "chrF", "95 % interval", "clips", "words"),
        rows=tuple(
            (
                text_cell(name),
                *_score_cells(group.bleu, group.bleu_interval, few_voices=group.few_voices),
                *_score_cells(group.chrf, group.chrf_interval, few_voices=group.few_voices),
                clips_cell(group.n_clips, group.n_failed),
                count_cell(group.n_reference_words),
            )
            for name, group in groups.items()
        ),
    )


def _score_cells(value: float, interval: Interval | None, *, few_voices: bool) -> tuple[Cell, ...]:
    bar = Bar(
        value=value / TOP_SCORE,
        low=interval.low / TOP_SCORE if interval else None,
        high=interval.high / TOP_SCORE if interval else None,
    )
    shown = _shown(interval, few_voices=few_voices)
    return number_cell(value, f"{value:.1f}", bar), number_cell(interval.low if interval else None, shown)


def _shown(interval: Interval | None, *, few_voices: bool) -> str:
    if interval is None:
        return NO_VALUE
    return f"{interval.low:.1f} – {interval.high:.1f}{FEW_VOICES if few_voices else ''}"


def _worst(scores: TranslationScores, n_worst: int) -> Iterable[Section]:
    clips = worst_translations(scores, n_worst)
    if clips:
        remark = f"The {len(clips)} clips with the lowest chrF; a short text scores low easily."
        yield Section(heading="Worst clips first", remarks=(remark,), clips=clips)
