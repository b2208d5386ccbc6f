from collections.abc import Callable

import pytest

from data_pipeline.stages.contamination import EvaluationText, build_index, drop_contaminated
from data_pipeline.types import Drop, Record

INDEX = build_index(
    EvaluationText(where=where, text=text)
    for where, text in (
        ("long", "And so, my fellow Americans: ask not what your country can do for you."),
        ("short", "The weather will be fine."),
        ("tiny", "Thank you."),
        ("japanese", "今日はとてもいい天気ですね"),
    )
)


@pytest.mark.parametrize(
    ("cues", "where"),
    [
        (("ask not what your country can do for you. Ask what",), None),
        (("He said: so my fellow Americans, ask not what your country can do!",), "long"),
        (("so my fellow americans ask", "NOT what your country can do"), "long"),
        (("So my fellow Americans, ask what your country can do for you.",), None),
        (("The weather will be fine!",), "short"),
        (("Tomorrow the weather will be fine.",), None),
        (("Thank you.",), None),
        (("ええ、今日はとてもいい天気ですね。",), "japanese"),
        (("Something else altogether, of ten words or more, that nobody evaluates on.",), None),
    ],
)
def test_contamination(make_record: Callable[..., Record], cues: tuple[str, ...], where: str | None):
    record = make_record(*cues)
    outcome = drop_contaminated(record, INDEX)
    assert outcome is record if where is None else isinstance(outcome, Drop) and outcome.limit == where


def test_the_drop_quotes_the_words(make_record: Callable[..., Record]):
    outcome = drop_contaminated(make_record("so my fellow Americans, ask not what your country can"), INDEX)
    words = "so my fellow americans ask not what your country can"
    assert outcome == Drop(reason="contaminated", value=words, limit="long")


def test_what_is_too_short_is_counted():
    assert INDEX.n_too_short == 1
