"""Words in time, and their probabilities, as parts of a chapter. In: what scoring found. Out: sections, key figures.

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
from eval.report.labels import labelled, language_label
from eval.scoring.evidence import (
    ConfidenceBin,
    Drift,
    PlacedGroup,
    StrayWord,
    TimeErrors,
    WordConfidence,
    WordConfidenceGroup,
    WordPlacement,
    WordTimeGroup,
    WordTimes,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = [
    "confidence_figure",
    "confidence_section",
    "placement_figure",
    "placement_section",
    "word_times_figure",
    "word_times_remarks",
    "word_times_section",
    "word_times_tables",
]

N_STRAY = 20  # words listed


def confidence_figure(found: WordConfidence) -> KeyFigure:
    """How far off the probabilities are."""
    overall = found.overall
    area = "" if overall.auc is None else f"; a right word is above a wrong one {percent(overall.auc)} of the time"
    return KeyFigure(
        name="Word probabilities are off by",
        value=percent(overall.ece),
        interval=None,
        meaning=f"Said {percent(overall.probability)}, right {percent(overall.n_correct / overall.n_words)} of "
        f"{counted(overall.n_words, 'word')}{area}.",
    )


def confidence_section(found: WordConfidence) -> Section:
    """The reliability diagram with its tables."""
    filled = [each for each in found.bins if each.n]
    steps = ", ".join(f"{percent(each.probability, 0)}: {percent(each.accuracy, 0)} right" for each in filled)
    chart = Chart(
        title="Reliability of word probabilities",
        description="Above, the share of words that are right against the probability they were given; on the dashed "
        f"line, both are the same. Below, how many words have such a probability. {steps}.",
        draw=lambda: _draw_bins(found.bins),
    )
    remark = (
        "A word is right when the alignment with the reference finds it there. ECE: mean distance of share right from "
        "probability, over bins of a tenth; Brier: mean squared error; AUC: chance that a right word has the greater "
        "probability than a wrong one. Unclear: words that normalization merges with others, or without probability."
    )
    rows = {**labelled(found.languages, language_label), "overall": found.overall}
    tables = (
        Table(
            caption="Word probabilities by language",
            columns=columns("language", "words", "right", "mean probability", "ECE", "Brier", "AUC", "unclear"),
            rows=tuple((text_cell(name), *_confidence_cells(group)) for name, group in rows.items()),
        ),
        Table(
            caption="Word probabilities by tenth",
            columns=columns("probability", "words", "mean probability", "right"),
            rows=tuple(_bin_row(each) for each in filled),
        ),
    )
    return Section(heading="Word probabilities", remarks=(remark,), charts=(chart,), tables=tables)


def word_times_figure(times: WordTimes) -> tuple[KeyFigure, ...]:
    """How far words begin from where the other run has them; none without matched words."""
    overall = times.overall
    if overall.starts is None:
        return ()
    return (
        KeyFigure(
            name="Word starts differ by",
            value=f"{_ms(overall.starts.median)} ms",
            interval=None,
            meaning=f"Median of {counted(overall.n_matched, 'word')}; 95 % by at most {_ms(overall.starts.p95)} ms.",
        ),
    )


def word_times_section(times: WordTimes, *, against: str) -> Section:
    """Against another run, whose name is given."""
    remark = (
        f"Against the words of {against}: the same word in the same place of the text, by alignment of the normalized "
        "texts. A is that run, B this one; differences are absolute but for the bias, the median of B less A."
    )
    overall = times.overall
    curves = {name: each for name, each in (("starts", overall.starts), ("ends", overall.ends)) if each is not None}
    described = "; ".join(
        f"{name}: half of the words by at most {_ms(each.median)} ms, 95 % by at most {_ms(each.p95)} ms"
        for name, each in curves.items()
    )
    chart = Chart(
        title="Differences of word times",
        description=f"Share of the words whose times differ by at most so many milliseconds. {described}.",
        draw=lambda: _draw_times(curves),
    )
    return Section(
        heading="Word times",
        remarks=(remark, *word_times_remarks(times)),
        charts=(chart,) if curves else (),
        tables=word_times_tables(times),
    )


def word_times_remarks(times: WordTimes) -> tuple[str, ...]:
    """What is in no match, and the drift where there is any to show."""
    overall = times.overall
    unclear = overall.n_unclear_a, overall.n_unclear_b
    left_out = f"Normalization merges {unclear[0]:,} words of A and {unclear[1]:,} of B with others; they match none."
    return (*((left_out,) if any(unclear) else ()), *_drift(times.drift))


def word_times_tables(times: WordTimes) -> tuple[Table, ...]:
    """Starts and ends by language; tolerances are head of columns."""
    groups = {**labelled(times.languages, language_label), "overall": times.overall}
    return tuple(
        Table(
            caption=caption,
            columns=columns(
                "language", "clips", "matched", "of A", "of B", "median ms", "mean ms", "95 % ms", "bias ms",
                *(f"≤ {_ms(tolerance)} ms" for tolerance in _tolerances(times)),
            ),
            rows=tuple(
                (text_cell(name), *_time_cells(group, group.starts if caption == STARTS else group.ends))
                for name, group in groups.items()
            ),
        )
        for caption in (STARTS, ENDS)
    )  # fmt: skip


STARTS, ENDS = "Word starts, B against A", "Word ends, B against A"


def placement_figure(found: WordPlacement) -> tuple[KeyFigure, ...]:
    """Share of words inside their clip; none without matched words."""
    overall = found.overall
    if not overall.n_matched:
        return ()
    strict, wide = (percent(count / overall.n_matched, 2) for count in list(overall.inside.values())[:2])
    tolerance = list(overall.inside)[1]
    return (
        KeyFigure(
            name="Words inside their clip",
            value=strict,
            interval=None,
            meaning=f"{wide} within {tolerance:g} s, of {counted(overall.n_matched, 'matched word')} "
            f"in {counted(overall.n_clips, 'joined recording')}.",
        ),
    )


def placement_section(found: WordPlacement) -> Section:
    """Words in joined recordings, and those that are not where they were said."""
    remark = (
        "The recordings were joined from clips at known offsets: a word that the alignment finds in the text of a clip "
        "should start and end inside it. The widest tolerance allows for a clip that begins or ends in its word."
    )
    groups = {**found.clips, "overall": found.overall} if len(found.clips) > 1 else found.clips
    inside = (f"inside ± {tolerance:g} s" if tolerance else "inside" for tolerance in found.overall.inside)
    tables = [
        Table(
            caption="Words inside their clip",
            columns=columns("recording", "words", "matched", *inside),
            rows=tuple((text_cell(name), *_placed_cells(group)) for name, group in groups.items()),
        )
    ]
    if found.stray:
        tables.append(
            Table(
                caption=f"Words farthest outside their clip, {min(N_STRAY, len(found.stray))} of {len(found.stray)}",
                columns=columns("recording", "word", "said in", "clip s", "word s", "off by s", texts=STRAY_TEXTS),
                rows=tuple(_stray_row(word) for word in found.stray[:N_STRAY]),
            )
        )
    remarks = (remark, *_drift(found.drift))
    return Section(heading="Words inside their clip", remarks=remarks, tables=tuple(tables))


STRAY_TEXTS = ("word", "said in", "clip s", "word s")


def _drift(drift: Drift | None) -> tuple[str, ...]:
    """One sentence; none where nothing is long enough to show any."""
    if drift is None:
        return ()
    low, high = drift.interval.low, drift.interval.high
    return (
        f"Drift: {drift.ms_per_hour:+.1f} ms an hour (95 %: {low:+.1f} to {high:+.1f}; "
        f"{counted(drift.n_points, 'point')}).",
    )


def _draw_times(curves: Mapping[str, TimeErrors]) -> "Figure":
    from eval.report.evidence_plots import draw_time_errors

    return draw_time_errors(curves)


def _draw_bins(bins: Sequence[ConfidenceBin]) -> "Figure":
    from eval.report.evidence_plots import draw_reliability  # matplotlib is for pages, and these tables for terminals

    return draw_reliability(bins)


def _confidence_cells(group: WordConfidenceGroup) -> Iterable[Cell]:
    right = group.n_correct / group.n_words
    return (
        count_cell(group.n_words),
        number_cell(right, percent(right)),
        number_cell(group.probability, percent(group.probability)),
        number_cell(group.ece, percent(group.ece)),
        number_cell(group.brier, f"{group.brier:.3f}"),
        number_cell(group.auc, NO_VALUE if group.auc is None else f"{group.auc:.3f}"),
        count_cell(group.n_unclear),
    )


def _bin_row(each: ConfidenceBin) -> tuple[Cell, ...]:
    return (
        Cell(text=f"{100 * each.low:.0f} – {100 * each.high:.0f} %", order=each.low),
        count_cell(each.n),
        number_cell(each.probability, percent(each.probability)),
        number_cell(each.accuracy, percent(each.accuracy)),
    )


def _time_cells(group: WordTimeGroup, errors: TimeErrors | None) -> Iterable[Cell]:
    yield from map(count_cell, (group.n_clips, group.n_matched, group.n_words_a, group.n_words_b))
    if errors is None:
        return
    for seconds in (errors.median, errors.mean, errors.p95):
        yield number_cell(seconds, _ms(seconds))
    yield number_cell(errors.bias, f"{1000 * errors.bias:+.0f}")
    for share in errors.within.values():
        yield number_cell(share, percent(share))


def _tolerances(times: WordTimes) -> Mapping[float, float]:
    return times.overall.starts.within if times.overall.starts else {}


def _placed_cells(group: PlacedGroup) -> Iterable[Cell]:
    yield from map(count_cell, (group.n_words, group.n_matched))
    for count in group.inside.values():
        share = count / group.n_matched if group.n_matched else None
        yield number_cell(share, percent(share, 2))


def _stray_row(word: StrayWord) -> tuple[Cell, ...]:
    return (
        text_cell(word.clip_id),
        text_cell(word.word),
        text_cell(word.part_id),
        Cell(text=f"{word.part_start:.2f} – {word.part_end:.2f}", order=word.part_start),
        Cell(text=f"{word.start:.2f} – {word.end:.2f}", order=word.start),
        number_cell(word.off_by, f"{word.off_by:.2f}"),
    )


def _ms(seconds: float) -> str:
    return f"{1000 * seconds:.0f}"
