import re

import pytest

from eval.report.assemble import make_report
from eval.report.document import percent
from eval.report.labels import language_label
from eval.report.markdown import render_markdown

LANGUAGES = (("a", "en", "x", "en", "en"), ("b", "de", "x", "de", "nl"))


def tables(markdown: str) -> list[list[list[str]]]:
    """Rows of cells, as GitHub splits them: at bars that no backslash stands before."""
    found: list[list[list[str]]] = [[]]
    for line in markdown.splitlines():
        if line.startswith("|"):
            found[-1].append([cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]])
        elif found[-1]:
            found.append([])
    return [table for table in found if table]


@pytest.fixture
def markdown(write_run, write_study, scored):
    folders = (write_run(), write_run("detect-language", LANGUAGES, name="languages"), write_study())
    return render_markdown(make_report([scored(folder) for folder in folders], title="A | B", n_worst=3))


def test_every_table_parses(markdown):
    found = tables(markdown)
    assert len(found) >= 12
    for head, rule, *rows in found:
        assert len(head) == len(rule)
        assert all(re.fullmatch(r"-+:?", cell) for cell in rule)
        assert rows
        assert all(len(row) == len(head) for row in rows)


def test_rates_are_those_of_the_scores(markdown, write_run, scored):
    scores = scored(write_run(name="again")).scores
    table = next(table for table in tables(markdown) if table[0][0] == "language" and "error rate" in table[0])
    column = table[0].index("error rate")
    shown = {row[0]: row[column] for row in table[2:]}
    assert shown == {language_label(code): percent(group.counts.rate) for code, group in scores.languages.items()}


def test_nothing_is_markup_that_was_text(markdown):
    assert not re.search(r"(?<!\\)<", markdown)
    assert markdown.startswith("# A \\| B\n")
