import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eval.wer import (
    AlignedSpan,
    Edit,
    ErrorCounts,
    align_characters,
    align_words,
    count_character_errors,
    count_word_errors,
    equal_positions,
)

words = st.lists(st.sampled_from(["a", "b", "c", "dé", "字"]), max_size=8)


def edit_distance(reference: list[str], hypothesis: list[str]) -> int:
    """Wagner and Fischer's table, written out: independent of jiwer and of rapidfuzz below it."""
    row = list(range(len(hypothesis) + 1))
    for i, expected in enumerate(reference, start=1):
        diagonal, row[0] = row[0], i
        for j, got in enumerate(hypothesis, start=1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (expected != got))
    return row[-1]


@given(reference=words, hypothesis=words)
def test_word_errors_equal_a_naive_edit_distance(reference: list[str], hypothesis: list[str]) -> None:
    counts = count_word_errors(" ".join(reference), " ".join(hypothesis))
    assert counts.n_errors == edit_distance(reference, hypothesis)
    assert counts.n_ref == len(reference)
    assert counts.hits + counts.substitutions + counts.insertions == len(hypothesis)


@given(reference=st.text("ab ก็", max_size=9), hypothesis=st.text("ab ก็", max_size=9))
def test_character_errors_equal_a_naive_edit_distance(reference: str, hypothesis: str) -> None:
    counts = count_character_errors(reference, hypothesis)
    expected, got = reference.replace(" ", ""), hypothesis.replace(" ", "")
    assert counts.n_errors == edit_distance(list(expected), list(got))
    assert counts.n_ref == len(expected)
    assert counts.hits + counts.substitutions + counts.insertions == len(got)


def test_counts_by_hand() -> None:
    counts = count_word_errors("the cat sat on the mat", "the cat sit on mat now")
    assert counts.n_ref == 6
    assert counts.n_errors == 3
    assert counts.rate == 0.5


def test_an_empty_reference_has_no_rate_but_its_insertions_count() -> None:
    invented = count_word_errors("", "thank you")
    assert invented == ErrorCounts(insertions=2)
    assert invented.rate is None
    assert count_character_errors(" ", "谢 谢") == ErrorCounts(insertions=2)
    assert (invented + count_word_errors("one two", "one two")).rate == 1.0


def test_an_empty_hypothesis_is_all_deletions() -> None:
    assert count_word_errors("one two", "") == ErrorCounts(deletions=2)
    assert count_character_errors("字幕", "") == ErrorCounts(deletions=2)


def test_the_corpus_rate_is_not_the_mean_of_rates() -> None:
    short, long = count_word_errors("a", "b"), count_word_errors("a b c d e f g h i", "a b c d e f g h i")
    assert (short + long).rate == 0.1


def total(spans: tuple[AlignedSpan, ...], kind: Edit) -> int:
    return sum(len(span.reference or span.hypothesis) for span in spans if span.kind is kind)


@given(reference=words, hypothesis=words)
def test_an_alignment_holds_both_texts_and_is_what_was_counted(reference: list[str], hypothesis: list[str]) -> None:
    sides = (" ".join(reference), " ".join(hypothesis))
    for align, count, units in (
        (align_words, count_word_errors, str.split),
        (align_characters, count_character_errors, lambda text: list(text.replace(" ", ""))),
    ):
        spans, counts = align(*sides), count(*sides)
        assert [unit for span in spans for unit in span.reference] == units(sides[0])
        assert [unit for span in spans for unit in span.hypothesis] == units(sides[1])
        assert total(spans, Edit.EQUAL) == counts.hits
        assert total(spans, Edit.SUBSTITUTE) == counts.substitutions
        assert total(spans, Edit.DELETE) == counts.deletions
        assert total(spans, Edit.INSERT) == counts.insertions


def test_an_alignment_by_hand() -> None:
    assert align_words("the cat sat down", "the hat sat down now") == (
        AlignedSpan(kind=Edit.EQUAL, reference=("the",), hypothesis=("the",)),
        AlignedSpan(kind=Edit.SUBSTITUTE, reference=("cat",), hypothesis=("hat",)),
        AlignedSpan(kind=Edit.EQUAL, reference=("sat", "down"), hypothesis=("sat", "down")),
        AlignedSpan(kind=Edit.INSERT, reference=(), hypothesis=("now",)),
    )
    assert align_characters("", "ab") == (AlignedSpan(kind=Edit.INSERT, reference=(), hypothesis=("a", "b")),)
    assert align_words("", "") == ()


def test_counts_are_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        ErrorCounts().hits = 1  # type: ignore[misc]


@given(reference=words, hypothesis=words)
def test_equal_positions_name_equal_words_in_order(reference: list[str], hypothesis: list[str]) -> None:
    positions = equal_positions(align_words(" ".join(reference), " ".join(hypothesis)))
    assert all(reference[i] == hypothesis[j] for i, j in positions)
    assert len(positions) == count_word_errors(" ".join(reference), " ".join(hypothesis)).hits
    assert list(positions) == sorted(set(positions))
    assert [j for _, j in positions] == sorted(j for _, j in positions)
