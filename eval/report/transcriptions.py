"""The chapter of a transcription run. In: ``TranscriptionScores``. Out: ``Chapter``. Counts nothing."""

from collections.abc import Iterable, Mapping

from eval.normalizers import Unit
from eval.report.document import (
    NO_VALUE,
    Bar,
    Cell,
    Chapter,
    Chart,
    KeyFigure,
    Section,
    Table,
    count_cell,
    counted,
    number_cell,
    percent,
    percent_interval,
    text_cell,
)
from eval.report.evidence_sections import evidence_figures, evidence_sections
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
from eval.report.labels import corpus_language_label, labelled, language_label, length_label
from eval.report.languages import language_figure, language_sections
from eval.report.paper import rates_beside_the_paper
from eval.report.plots import MAX_SHOWN_RATE, Point, draw_rates, draw_rates_in_order
from eval.report.word_sections import word_times_figure, word_times_section
from eval.report.worst import worst_transcriptions
from eval.scoring.evidence import WordTimes
from eval.scoring.invented import ALL_KINDS, APART_KINDS
from eval.scoring.types import ErrorGroup, Interval, InventedWords, TranscriptionScores

__all__ = ["measure_of", "rate_table", "transcription_chapter"]

MEASURES = {
    Unit.WORD.value: ("WER", "Word error rate"),
    Unit.CHARACTER.value: ("CER", "Character error rate"),
    "mixed": ("error rate", "Error rate"),
}
# The rate is beside its row's name, so that a telephone shows it without scrolling.
RATE_COLUMNS = ("error rate", "95 % interval", "clips", "S", "D", "I", "units", "counted by", "CER", "CER 95 %")
APART = {"doubtful": "doubtful transcripts", "spelled": "spelled-out corpora", "single_word": "single words"}
HOW_COUNTED = (
    "Rates are errors added over clips, divided by units added over clips: S substituted, D deleted, I inserted. Each "
    "language is counted in its own unit; CER is by character for every row. Intervals are 95 %, by bootstrap over "
    "speakers where they are known; †: of so few speakers that it is over their clips, and speaks for these voices "
    "alone. A single clip has none, and its dot in a plot has no line."
)


def transcription_chapter(
    scores: TranscriptionScores, *, n_worst: int, word_times: WordTimes | None = None, against: str = ""
) -> Chapter:
    """Everything about one run; ``word_times`` are against the run that ``against`` names."""
    timed = () if word_times is None else (word_times_section(word_times, against=against),)
    overall = scores.overall
    return Chapter(
        title=run_title(scores.config),
        facts=run_facts(
            scores.config, n_clips=overall.n_clips, real_time=scores.real_time, normalizers=scores.normalizers
        ),
        figures=(
            *_error_figures(scores),
            *_invented_figure(scores.invented),
            *evidence_figures(scores),
            *(word_times_figure(word_times) if word_times else ()),
            *_others(scores),
        ),
        warnings=(*unfinished(scores.n_missing), *_caveats(scores)),
        sections=(
            _groups_section("By corpus", "corpus", scores.datasets, remarks=(HOW_COUNTED,)),
            _groups_section("By language", "language", labelled(scores.languages, language_label)),
            *_corpora_and_languages(scores),
            *_lengths_section(labelled(scores.lengths, length_label)),
            *_apart_section(scores.apart),
            rates_beside_the_paper(scores),
            *_invented_section(scores),
            *evidence_sections(scores),
            *timed,
            *(language_sections(scores.language_id) if scores.language_id else ()),
            *speed_section(scores.real_time),
            *failed_clips({clip.id: clip.hypothesis.error for clip in scores.clips if clip.hypothesis.error}),
            *_worst_section(scores, n_worst),
        ),
    )


def measure_of(group: ErrorGroup) -> str:
    """WER, CER, or "error rate" where units are mixed."""
    return MEASURES[group.unit][0]


def rate_table(caption: str, what: str, groups: Mapping[str, ErrorGroup]) -> Table:
    """One row a group."""
    # All on one scale, as in the plot.
    widest = max((min(_reach(group), MAX_SHOWN_RATE) for group in groups.values()), default=0.0) or 1.0
    return Table(
        caption=caption,
        columns=columns(what, *RATE_COLUMNS, texts=("counted by",)),
        rows=tuple((text_cell(name), *_rate_cells(group, _bar(group, widest))) for name, group in groups.items()),
    )


def _rate_cells(group: ErrorGroup, bar: Bar | None) -> tuple[Cell, ...]:
    counts, interval, cer = group.counts, group.interval, group.characters_interval
    return (
        number_cell(counts.rate, percent(counts.rate), bar),
        number_cell(interval.low if interval else None, percent_interval(interval, few_voices=group.few_voices)),
        clips_cell(group.n_clips, group.n_failed),
        count_cell(counts.substitutions),
        count_cell(counts.deletions),
        count_cell(counts.insertions),
        count_cell(counts.n_ref),
        text_cell(group.unit),
        number_cell(group.characters.rate, percent(group.characters.rate)),
        number_cell(cer.low if cer else None, percent_interval(cer, few_voices=group.few_voices)),
    )


def _error_figures(scores: TranscriptionScores) -> Iterable[KeyFigure]:
    left_out = ", ".join(APART[name] for name, group in scores.apart.items() if group.n_clips)
    without = f", without {left_out}" if left_out else ""
    if scores.headline.counts.n_ref or not scores.invented:  # where nobody speaks, what is invented is the measure
        yield _figure("headline", scores.headline, f"of all that counts{without}")
    if left_out:
        yield _figure("everything", scores.overall, "of every clip with a transcript")
    if scores.words.n_clips and scores.characters.n_clips:
        yield _figure("by word", scores.words, "of clips counted by word")
        yield _figure("by character", scores.characters, "of clips counted by character")


def _figure(name: str, group: ErrorGroup, which: str) -> KeyFigure:
    counts, unit = group.counts, "unit" if group.unit == "mixed" else group.unit
    return KeyFigure(
        name=f"{MEASURES[group.unit][1]}, {name}",
        value=percent(counts.rate),
        interval=percent_interval(group.interval, few_voices=group.few_voices) if group.interval else None,
        meaning=f"{counted(counts.n_errors, 'error')} in {counted(counts.n_ref, unit)}, "
        f"{counted(group.n_clips, 'clip')}: {which}.",
    )


def _invented_figure(invented: Mapping[str, InventedWords]) -> Iterable[KeyFigure]:
    if ALL_KINDS in invented:
        found = invented[ALL_KINDS]
        interval = found.interval
        yield KeyFigure(
            name="Invented words",
            value=NO_VALUE if found.per_hour is None else f"{found.per_hour:,.0f} an hour",
            interval=f"{interval.low:,.0f} – {interval.high:,.0f}" if interval else None,
            meaning=f"{counted(found.n_words, 'word')} in {60 * found.hours:.1f} min in which nobody speaks; "
            f"{found.n_clips_with_words} of {found.n_clips} clips have some.",
        )


def _others(scores: TranscriptionScores) -> Iterable[KeyFigure]:
    if scores.language_id is not None:
        yield language_figure(scores.language_id)
    yield from speed_figure(scores.real_time)


def _caveats(scores: TranscriptionScores) -> Iterable[str]:
    if scores.overall.n_failed:
        failed = counted(scores.overall.n_failed, "clip")
        yield f"{failed} failed; all of their words count as deleted. They are named below."
    if scores.headline.few_voices:
        few = counted(scores.headline.n_clusters, "speaker")
        yield f"Only {few}: the intervals marked † speak for these voices alone, and not for others."


def _groups_section(
    heading: str, what: str, groups: Mapping[str, ErrorGroup], remarks: tuple[str, ...] = ()
) -> Section:
    points = sorted(_points(groups), key=lambda point: point.value)
    charts: tuple[Chart, ...] = ()
    if len(points) > 1:
        lowest, highest = points[0], points[-1]
        description = (
            f"One row a {what}, the lowest rate on top, with its interval: from {lowest.label}, "
            f"{percent(lowest.value)}, to {highest.label}, {percent(highest.value)}. The table has every number."
        )
        title = f"Error rate by {what}"
        charts = (Chart(title=title, description=description, draw=lambda: draw_rates(points, measure="error rate")),)
    return Section(
        heading=heading, remarks=remarks, charts=charts, tables=(rate_table(f"Error rate by {what}", what, groups),)
    )


def _points(groups: Mapping[str, ErrorGroup]) -> list[Point]:
    return [
        Point(label=name, value=group.counts.rate, interval=group.interval)
        for name, group in groups.items()
        if group.counts.rate is not None
    ]


def _corpora_and_languages(scores: TranscriptionScores) -> Iterable[Section]:
    # With one language a corpus, or one corpus a language, the tables before say the same.
    if len(scores.dataset_languages) > max(len(scores.datasets), len(scores.languages)):
        caption = "Error rate by corpus and language"
        yield Section(
            heading="By corpus and language",
            tables=(rate_table(caption, "corpus/language", labelled(scores.dataset_languages, corpus_language_label)),),
        )


def _lengths_section(lengths: Mapping[str, ErrorGroup]) -> Iterable[Section]:
    if not lengths:
        return
    points = _points(lengths)
    charts: tuple[Chart, ...] = ()
    if len(points) > 1:
        steps = ", ".join(f"{point.label}: {percent(point.value)}" for point in points)
        charts = (
            Chart(
                title="Error rate by length of clip",
                description=f"From the shortest clips to the longest: {steps}.",
                draw=lambda: draw_rates_in_order(points, x_label="length of the audio", measure="error rate"),
            ),
        )
    remark = "Lengths differ in corpora and languages too: a difference between rows is not the length's alone."
    table = rate_table("Error rate by length of clip", "length", lengths)
    yield Section(heading="By length", remarks=(remark,), charts=charts, tables=(table,))


def _apart_section(apart: Mapping[str, ErrorGroup]) -> Iterable[Section]:
    left_out = {APART[name]: group for name, group in apart.items() if group.n_clips}
    if left_out:
        remark = "In every other table, and in none of the headline."
        table = rate_table("What the headline leaves out", "reason", left_out)
        yield Section(heading="Left out of the headline", remarks=(remark,), tables=(table,))


def _invented_section(scores: TranscriptionScores) -> Iterable[Section]:
    if not scores.invented:
        return
    remarks = ["Silence, noise and music have no words: each one that is written is invented."]
    if APART_KINDS & scores.invented.keys():
        remarks.append("Babble, in which people do speak, and impulse responses are in no total.")
    says = any(found.n_suppressed for found in scores.invented.values())
    if says:
        remarks.append("Suppressed words were decoded and left out of the text: they are not invented.")
    tables = tuple(
        Table(
            caption=f"Words written where nobody speaks, by {what}",
            columns=columns(
                what, "words an hour", "95 % interval", "words", *(("suppressed",) if says else ()), "clips",
                "with words", "minutes",
            ),
            rows=tuple(_invented_row(name, found, says=says) for name, found in groups.items()),
        )
        for what, groups in (("kind", scores.invented), ("dataset", scores.invented_datasets))
        if len(groups) > 1 or what == "kind"
    )  # fmt: skip
    yield Section(heading="Where nobody speaks", remarks=(" ".join(remarks),), tables=tables)


def _invented_row(name: str, found: InventedWords, *, says: bool) -> tuple[Cell, ...]:
    interval = found.interval
    return (
        text_cell(name),
        number_cell(found.per_hour, NO_VALUE if found.per_hour is None else f"{found.per_hour:,.0f}"),
        number_cell(
            interval.low if interval else None,
            f"{interval.low:,.0f} – {interval.high:,.0f}" if interval else NO_VALUE,
        ),
        count_cell(found.n_words),
        *((count_cell(found.n_suppressed),) if says else ()),
        count_cell(found.n_clips),
        count_cell(found.n_clips_with_words),
        number_cell(found.hours, f"{60 * found.hours:.1f}"),
    )


def _worst_section(scores: TranscriptionScores, n_worst: int) -> Iterable[Section]:
    clips = worst_transcriptions(scores, n_worst)
    if clips:
        remark = (
            f"The {len(clips)} clips with the most errors beyond what the rate of their language predicts; no language "
            "takes more than its share of the list. Aligned texts are normalized, as they were counted; others are as "
            "written."
        )
        yield Section(heading="Worst clips first", remarks=(remark,), clips=clips)


def _reach(group: ErrorGroup) -> float:
    return max(group.counts.rate or 0.0, group.interval.high if group.interval else 0.0)


def _bar(group: ErrorGroup, widest: float) -> Bar | None:
    if group.counts.rate is None:
        return None
    interval = group.interval or Interval(low=group.counts.rate, high=group.counts.rate)
    value, low, high = (min(rate / widest, 1.0) for rate in (group.counts.rate, interval.low, interval.high))
    return Bar(value=value, low=low, high=high) if group.interval else Bar(value=value)
