import pytest
from hypothesis import given
from hypothesis import strategies as st

from eval.scoring import score_transcriptions
from eval.scoring.lost_text import deletion_runs
from eval.wer import align_words


def runs(reference: str, hypothesis: str):
    return deletion_runs(align_words(reference, hypothesis), reference.split())


@pytest.mark.parametrize(
    ("reference", "hypothesis", "expected"),
    [
        ("a b c d", "a b c d", ()),
        ("a b c d", "a x d", ((1, 1),)),  # one of two is replaced
        ("a b c d e", "b d", ((0, 1), (2, 1), (4, 1))),
        ("a b c d e", "", ((0, 5),)),
        ("to the shop and the house", "to the house", ((2, 3),)),  # whichever "the" was kept
        ("a the b c the d e the z", "a the z", ((2, 6),)),
        ("x y", "x and more y", ()),
        ("", "more", ()),
    ],
)
def test_runs_by_hand(reference: str, hypothesis: str, expected) -> None:
    found = runs(reference, hypothesis)
    assert [length for _, length in found] == [length for _, length in expected]
    if len(expected) != 1 or "the" not in reference:
        assert found == expected


words = st.lists(st.sampled_from("abcd"), max_size=12)


@given(words, words, words)
def test_what_is_cut_out_is_one_run(before: list[str], lost: list[str], after: list[str]) -> None:
    reference = [*before, *lost, *after]
    found = runs(" ".join(reference), " ".join([*before, *after]))
    assert sum(length for _, length in found) == len(lost)


@given(st.integers(0, 20), st.integers(1, 30), st.integers(0, 20))
def test_what_is_cut_out_of_distinct_words_is_found_in_place(n_before: int, n_lost: int, n_after: int) -> None:
    reference = [f"w{number}" for number in range(n_before + n_lost + n_after)]
    kept = reference[:n_before] + reference[n_before + n_lost :]
    assert runs(" ".join(reference), " ".join(kept)) == ((n_before, n_lost),)


def test_long_clips_only_and_where_it_was(make_run) -> None:
    said = [f"q{first}{second}" for first in "klmn" for second in "abcdefghij"]
    text = " ".join(said)
    run = make_run(
        ({"text": text, "kind": "long", "duration": 30}, " ".join(said[:5] + said[20:])),
        ({"text": text, "duration": 61}, text),
        ({"text": text, "duration": 59}, ""),
        ({"text": "", "kind": "music", "duration": 100}, "words"),
        ({"text": "字" * 30, "language": "zh", "duration": 100}, "字" * 18),
    )
    lost = score_transcriptions(run).lost
    assert (lost.min_units, lost.n_runs, lost.longest) == (10, 2, 15)
    assert [(clip.id, clip.longest, clip.unit) for clip in lost.clips] == [
        ("clip-0", 15, "word"),
        ("clip-4", 12, "character"),
        ("clip-1", 0, "word"),
    ]
    (found,) = lost.clips[0].runs
    assert (found.position, found.before, found.after) == (5, " ".join(said[:5]), " ".join(said[20:25]))
    assert found.text == " ".join(said[5:17]) + " …"


def test_without_long_clips_there_is_nothing_to_say(make_run) -> None:
    assert score_transcriptions(make_run(({"text": "a", "duration": 1}, "a"))).lost is None
