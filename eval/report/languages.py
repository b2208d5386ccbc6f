"""The chapter of a run that names languages, and the same for a transcription that detected them.

In: ``LanguageIdentification``. Out: sections. Counts nothing but what is already counted.
"""

from collections.abc import Iterable

from eval.published import published_language_accuracy
from eval.report.document import (
    Chapter,
    Chart,
    KeyFigure,
    Section,
    Table,
    count_cell,
    number_cell,
    percent,
    percent_interval,
    text_cell,
)
from eval.report.facts import columns, run_facts, run_title, speed_figure, speed_section, unfinished
from eval.report.labels import language_label
from eval.report.plots import draw_confusion
from eval.scoring.language_id import ABSTAINED
from eval.scoring.types import LanguageIdentification, LanguageScores

__all__ = ["language_chapter", "language_figure", "language_sections"]

MAX_CONFUSIONS = 25


def language_chapter(scores: LanguageScores) -> Chapter:
    """Everything about one run of ``--task detect-language``."""
    found = scores.language_id
    return Chapter(
        title=run_title(scores.config),
        facts=run_facts(scores.config, n_clips=found.n_clips, real_time=scores.real_time, normalizers=()),
        figures=(language_figure(found), *speed_figure(scores.real_time)),
        warnings=unfinished(scores.n_missing),
        sections=(
            *language_sections(found, remarks=_beside_the_paper(scores)),
            *speed_section(scores.real_time),
        ),
    )


def language_figure(found: LanguageIdentification) -> KeyFigure:
    """The accuracy."""
    return KeyFigure(
        name="Language named right",
        value=percent(found.accuracy),
        interval=percent_interval(found.interval) if found.interval else None,
        meaning=f"{found.n_correct:,} of {found.n_clips:,} clips, {len(found.by_language)} languages spoken.",
    )


def language_sections(found: LanguageIdentification, remarks: tuple[str, ...] = ()) -> Iterable[Section]:
    """The confusion, its most frequent entries, and the accuracy by language."""
    confusions = sorted(
        ((spoken, named, count) for spoken, row in found.confusion.items() for named, count in row.items()),
        key=lambda entry: (-entry[2], entry[:2]),
    )
    wrong = [entry for entry in confusions if entry[0] != entry[1]]
    chart = Chart(
        title="Languages spoken and languages named",
        description="Rows are languages spoken, columns languages named, numbers clips; the diagonal is right. "
        "Of the last columns, other holds every language that is spoken in no clip, none the clips for which no "
        "language was named, failed those without an answer. "
        "The tables name the most frequent confusions and the accuracy of each language.",
        draw=lambda: draw_confusion(found.confusion),
    )
    tables = (
        Table(
            caption="Accuracy by language spoken",
            columns=columns("language", "accuracy", "named right", "clips"),
            rows=tuple(
                (
                    text_cell(language_label(name)),
                    number_cell(right / n, percent(right / n)),
                    count_cell(right),
                    count_cell(n),
                )
                for name, (n, right) in found.by_language.items()
            ),
        ),
        Table(
            caption="Most frequent confusions",
            columns=columns("spoken", "named", "clips", "of the language's", texts=("named",)),
            rows=tuple(
                (
                    text_cell(language_label(spoken)),
                    text_cell(named if named == ABSTAINED else language_label(named)),
                    count_cell(count),
                    number_cell(count / found.by_language[spoken][0], percent(count / found.by_language[spoken][0])),
                )
                for spoken, named, count in wrong[:MAX_CONFUSIONS]
            ),
        ),
    )
    yield Section(heading="Languages", remarks=remarks, charts=(chart,), tables=tables if wrong else tables[:1])


def _beside_the_paper(scores: LanguageScores) -> tuple[str, ...]:
    corpus, model = str(scores.config.get("corpus")), str(scores.config.get("model"))
    published = published_language_accuracy(model, corpus)
    if published is not None:
        return (f"The paper has {published:.1f} % for {model} on all 102 languages of FLEURS (section 3.5).",)
    return (
        "The paper has 64.5 % on FLEURS for its largest model (section 3.5); of another model, on other languages and "
        "recordings, this accuracy has no counterpart there.",
    )
