"""Two runs compared, for people at a terminal. In: ``Comparison``. Out: a verdict in plain words, and rich tables.

Rounds for the eye, counts nothing.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from rich.table import Table
from rich.text import Text

from eval.report.document import NO_VALUE, counted
from eval.report.terminal import document_table, simple_table
from eval.report.word_sections import word_times_remarks, word_times_tables
from eval.scoring.bootstrap import Difference
from eval.scoring.compare import ComparedGroup, ComparedMeasure, Comparison, Measure

__all__ = ["comparison_as_tables", "is_real", "verdicts"]

SIGNIFICANT = 0.05
N_CHANGES = 8  # clips listed
TEXT_CHARACTERS = 300  # of a text that is listed
TINY_P = 0.001


@dataclass(frozen=True, slots=True, kw_only=True)
class _Words:
    """How a measure is spoken of."""

    heading: str
    more: str
    """Of B, when its number is the greater; follows the number."""
    fewer: str
    scale: float
    """From the measure's number to the one shown."""
    failed: str
    """What a clip that failed counts as."""


WORDS: Mapping[Measure, _Words] = {
    Measure.ERROR_RATE: _Words(
        heading="error rate %", more="points more errors", fewer="points fewer errors", scale=100, failed="deleted"
    ),
    Measure.BLEU: _Words(heading="BLEU", more="BLEU more", fewer="BLEU less", scale=1, failed="empty"),
    Measure.CHRF: _Words(heading="chrF", more="chrF more", fewer="chrF less", scale=1, failed="empty"),
    Measure.ACCURACY: _Words(
        heading="languages right %",
        more="points more languages right",
        fewer="points fewer languages right",
        scale=100,
        failed="wrong",
    ),
}


def is_real(difference: Difference) -> bool:
    """Whether zero is outside the interval, and p below 0.05."""
    interval = difference.interval
    if interval is None or difference.p is None:
        return False
    return difference.p < SIGNIFICANT and not interval.low <= 0 <= interval.high


def verdicts(comparison: Comparison) -> tuple[str, ...]:
    """One sentence a measure: how B differs from A over all common clips, and whether that can be told from luck."""
    return tuple(_verdict(each) for each in comparison.measures)


def comparison_as_tables(comparison: Comparison) -> tuple[Table | Text, ...]:
    """The verdict, what was set differently, the measures by language and dataset, and the clips that changed most.

    Word times stand before those clips, where both runs have words.
    """
    n_equal = comparison.n_common - len(comparison.changes)
    line = f"Of {counted(comparison.n_common, 'common clip')} B does better on {comparison.n_better}, worse on "
    line += f"{comparison.n_worse}, the same on {n_equal}."
    left_out = {
        "only in A": comparison.n_only_a,
        "only in B": comparison.n_only_b,
        "held against different references": comparison.n_other_reference,
    }
    if any(left_out.values()):
        line += f" Left out: {', '.join(f'{number} {why}' for why, number in left_out.items() if number)}."
    parts: list[Table | Text] = [Text(verdict, style="bold") for verdict in verdicts(comparison)]
    parts += [*_failures(comparison), Text(line), _configurations(comparison)]
    parts += [_measure(each) for each in comparison.measures]
    if comparison.word_times is not None:
        parts += [document_table(table) for table in word_times_tables(comparison.word_times)]
        parts += [Text(sentence) for sentence in word_times_remarks(comparison.word_times)]
    if comparison.changes:
        parts.append(_changes(comparison))
    return tuple(parts)


def _failures(comparison: Comparison) -> Iterator[Text]:
    counted_as = WORDS[comparison.measures[0].measure].failed
    for name, n_failed in (("A", comparison.n_failed_a), ("B", comparison.n_failed_b)):
        if n_failed:
            share = f"{n_failed} of {counted(comparison.n_common, 'clip')}"
            verb = "counts" if n_failed == 1 else "count"
            yield Text(f"{share} failed in {name} and {verb} as {counted_as}.", style="yellow")


def _verdict(compared: ComparedMeasure) -> str:
    group, words = compared.overall, WORDS[compared.measure]
    difference = group.difference
    if difference is None:
        return f"No {compared.measure.value.replace('_', ' ')} to compare: nothing is said in the common clips."
    size = f"{counted(group.n_clips, 'clip')}, {counted(group.n_clusters, 'cluster')}"
    amount = abs(difference.value) * words.scale
    said = f"B has {amount:.1f} {words.more if difference.value > 0 else words.fewer}"
    if difference.interval is None or difference.p is None:
        return f"{said}; one speaker or clip is not enough to tell that from luck ({size})."
    low, high = sorted((difference.interval.low * words.scale, difference.interval.high * words.scale))
    if is_real(difference):
        near, far = sorted((abs(low), abs(high)))
        evidence = f"95 %: {near:.1f} to {far:.1f}, {_p(difference.p)}; {size}"
        return f"{said} ({evidence}): a real difference at this sample size."
    evidence = f"95 %: {low:+.1f} to {high:+.1f}, {_p(difference.p)}; {size}"
    if not difference.value:
        return f"No difference can be told: A and B have the same number ({evidence})."
    return f"No difference can be told at this sample size: {said} ({evidence})."


def _p(p: float) -> str:
    return f"p < {TINY_P}" if p < TINY_P else f"p = {p:.3f}"


def _configurations(comparison: Comparison) -> Table | Text:
    if not comparison.differences:
        return Text("The configurations are the same.")
    table = Table(title=Text("What was set differently"), title_justify="left", box=None, pad_edge=False)
    for column in ("", "A", "B"):
        table.add_column(column, overflow="fold")
    for each in comparison.differences:
        table.add_row(*(Text(NO_VALUE if cell is None else str(cell)) for cell in (each.key, each.a, each.b)))
    return table


def _measure(compared: ComparedMeasure) -> Table:
    words = WORDS[compared.measure]
    rows = (*compared.languages.values(), *compared.datasets.values())
    n_corrected = sum(group.p_holm is not None for group in rows)
    table = simple_table("", "", "clips", "clusters", f"A: {words.heading}", "B", "B - A [95 %]", "p", "p (Holm)", "")
    for groups in (compared.languages, compared.datasets, {"overall": compared.overall}):
        for name, group in groups.items():
            table.add_row(Text(name), *_cells(group, words.scale))
        table.add_section()
    note = f"* where p is below {SIGNIFICANT}"
    if n_corrected > 1:
        note = f"p (Holm): corrected for the {n_corrected} rows that have one. * where it is below {SIGNIFICANT}"
        note += "; overall, where p is"
    table.caption = Text(note)
    table.caption_justify = "left"
    return table


def _cells(group: ComparedGroup, scale: float) -> tuple[str, ...]:
    sizes = (str(group.n_clips), str(group.n_clusters))
    values = tuple(NO_VALUE if value is None else f"{scale * value:.1f}" for value in (group.a, group.b))
    difference = group.difference
    if difference is None:
        return (*sizes, *values, NO_VALUE, "", "", "")
    shown = f"{scale * difference.value:+.1f}"
    if difference.interval is None or difference.p is None:
        return (*sizes, *values, shown, "", "", "")
    shown += f" [{scale * difference.interval.low:+.1f}, {scale * difference.interval.high:+.1f}]"
    corrected = difference.p if group.p_holm is None else group.p_holm
    mark = "*" if corrected < SIGNIFICANT else ""
    holm = "" if group.p_holm is None else f"{group.p_holm:.3f}"
    return (*sizes, *values, shown, f"{difference.p:.4f}", holm, mark)


def _changes(comparison: Comparison) -> Table:
    n_shown = min(N_CHANGES, len(comparison.changes))
    title = f"The {n_shown} clips that changed most, of {len(comparison.changes)}"
    table = Table(title=Text(title), title_justify="left", box=None, pad_edge=False, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for change in comparison.changes[:n_shown]:
        verb = "better" if change.better else "worse"
        table.add_row("", Text(f"{change.id}: {change.a:.4g} → {change.b:.4g}, B is {verb}", style="bold"))
        for label, text in (("ref", change.reference.text), ("A", change.text_a), ("B", change.text_b)):
            table.add_row(label, Text(text if len(text) <= TEXT_CHARACTERS else f"{text[:TEXT_CHARACTERS]} …"))
    return table
