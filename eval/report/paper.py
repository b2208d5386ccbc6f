"""Our rates beside the paper's. In: groups by corpus and language. Out: a section that says which agree."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from eval.normalizers import Unit
from eval.published import Decoding, Published, decoding_of, published_rate, published_source
from eval.report.document import NO_VALUE, Cell, Section, Table, count_cell, counted, number_cell, text_cell
from eval.report.facts import columns
from eval.scoring.types import ErrorGroup, Interval, TranscriptionScores, TranslationGroup, TranslationScores

__all__ = ["rates_beside_the_paper", "translations_beside_the_paper"]

HEADING = "Beside the paper"
BY_CHARACTER = frozenset({"zh", "ja", "th"})  # Table 13 marks these as CER
PAPERS_NORMALIZERS = frozenset({"whisper-english", "whisper-basic"})  # appendix C
SAMPLE = (
    "The paper scored the whole of each corpus; this run scored the clips counted here. A figure inside the 95 % "
    "interval is no evidence of a difference; with few clips the interval is wide, and no evidence of agreement either."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ours:
    """A figure of this run, on the paper's scale."""

    name: str
    n_clips: int
    size: str
    value: float
    interval: Interval | None
    remarks: tuple[str, ...]


def rates_beside_the_paper(scores: TranscriptionScores) -> Section:
    """Error rates of the corpora that the paper has."""
    rows = []
    others = sorted({use.name for use in scores.normalizers} - PAPERS_NORMALIZERS)
    for name, group in scores.dataset_languages.items():
        language, published = _published(scores.config, name)
        by_character = group.unit == Unit.CHARACTER
        if published is None or group.counts.rate is None or by_character != _is_by_character(published, language):
            continue
        ours = _Ours(
            name=name,
            n_clips=group.n_clips,
            size=f"{group.counts.n_ref:,} {group.unit}s",
            value=100 * group.counts.rate,
            interval=_times_100(group.interval),
            remarks=(*_few(group), *(f"normalizer {other} here" for other in others)),
        )
        rows.append(_row(ours, published))
    return _section(rows, scores.config, measure="error rate")


def translations_beside_the_paper(scores: TranslationScores) -> Section:
    """BLEU of the corpora that the paper has, which is CoVoST 2."""
    rows = []
    for name, group in scores.dataset_languages.items():
        _, published = _published(scores.config, name)
        if published is None or published.table != "15":
            continue
        ours = _Ours(
            name=name,
            n_clips=group.n_clips,
            size=f"{group.n_reference_words:,} words",
            value=group.bleu,
            interval=group.bleu_interval,
            remarks=_few(group),
        )
        rows.append(_row(ours, published))
    return _section(rows, scores.config, measure="BLEU")


def _published(config: Mapping[str, Any], name: str) -> tuple[str, Published | None]:
    corpus, _, language = name.rpartition("/")
    return language, published_rate(str(config.get("model")), corpus, language, decoding_of(config))


def _is_by_character(published: Published, language: str) -> bool:
    return published.table == "13" and language in BY_CHARACTER


def _remarks(published: Published) -> tuple[str, ...]:
    decoding: tuple[str, ...] = ()
    if published.same_decoding is not None:
        decoding = (
            "same decoding" if published.same_decoding else f"{published.decoding} there, another decoding here",
        )
    return (*decoding, *((published.difference,) if published.difference else ()))


def _row(ours: _Ours, published: Published) -> tuple[Cell, ...]:
    interval = ours.interval
    shown = NO_VALUE if interval is None else f"{interval.low:.1f} – {interval.high:.1f}"
    remarks = (*_remarks(published), *ours.remarks)
    return (
        text_cell(ours.name),
        count_cell(ours.n_clips),
        text_cell(ours.size),
        number_cell(ours.value, f"{ours.value:.1f}"),
        number_cell(interval.low if interval else None, shown),
        number_cell(published.value, f"{published.value:.1f}"),
        number_cell(ours.value - published.value, _verdict(ours.value, interval, published.value)),
        text_cell(f"Table {published.table}"),
        text_cell("; ".join(remarks)),
    )


def _few(group: ErrorGroup | TranslationGroup) -> tuple[str, ...]:
    return (f"{counted(group.n_clusters, 'speaker')} here",) if group.few_voices else ()


def _verdict(ours: float, interval: Interval | None, theirs: float) -> str:
    difference = f"{abs(ours - theirs):.1f} {'higher' if ours > theirs else 'lower'}"
    if interval is None:
        return f"without an interval to hold it against: ours is {difference}"
    return "inside the interval" if interval.low <= theirs <= interval.high else f"outside: ours is {difference}"


def _section(rows: list[tuple[Cell, ...]], config: Mapping[str, Any], *, measure: str) -> Section:
    if not rows:
        what = "Table 15 (CoVoST 2) has" if measure == "BLEU" else "Tables 8, 9, 10, 13 and 16 have"
        remark = (
            f"The paper's {what} no figure for {config.get('model')} on any corpus of this run, "
            f"so this {measure} stands alone: corpora differ too much for a number to travel."
        )
        return Section(heading=HEADING, remarks=(remark,))
    unit = "" if measure == "BLEU" else ", %"
    numbers = ("clips", "size", f"ours{unit}", "95 % interval", f"paper{unit}")
    texts = ("the paper is", "where", "remarks")
    table = Table(
        caption=f"The paper's {measure} where the corpus is the same, or near",
        columns=columns("corpus/language", *numbers, *texts, texts=texts),
        rows=tuple(rows),
    )
    remarks: tuple[str, ...] = (SAMPLE, f"Source: {published_source()}.")
    if decoding_of(config) is Decoding.OTHER:
        remarks = ("This run decoded neither as the paper's greedy nor as its beam with fallback.", *remarks)
    return Section(heading=HEADING, remarks=remarks, tables=(table,))


def _times_100(interval: Interval | None) -> Interval | None:
    return None if interval is None else Interval(low=100 * interval.low, high=100 * interval.high)
