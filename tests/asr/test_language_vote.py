import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr.language_vote import RELIABLE_S, SWITCH_LOGPROB, Ballot, choose, restrict, smooth, to_spans, vote


def ballot(start: float, end: float, **probabilities: float) -> Ballot:
    return Ballot(start=start, end=end, probabilities=probabilities)


@pytest.mark.parametrize(
    ("allowed", "expected"),
    [
        ((), {"en": 0.6, "de": 0.3, "fr": 0.1}),
        (("de", "fr"), {"de": 0.75, "fr": 0.25}),
        (("de",), {"de": 1.0}),
        (("ja", "zh"), {"ja": 0.5, "zh": 0.5}),  # the model excludes both
        (("de", "ja"), {"de": 1.0, "ja": 0.0}),
    ],
)
def test_restrict(allowed, expected):
    assert restrict({"en": 0.6, "de": 0.3, "fr": 0.1}, allowed) == pytest.approx(expected)


def test_votes_are_weighted_by_length():
    ballots = [ballot(0, 30, en=0.9, de=0.1), ballot(50, 60, de=0.8, en=0.2)]
    assert vote(ballots) == pytest.approx({"en": (0.9 * 30 + 0.2 * 10) / 40, "de": (0.1 * 30 + 0.8 * 10) / 40})
    assert vote([]) == {}


def test_a_language_that_one_ballot_does_not_name_counts_as_zero():
    assert vote([ballot(0, 10, en=1.0), ballot(10, 20, de=1.0)]) == pytest.approx({"de": 0.5, "en": 0.5})


@pytest.mark.parametrize(
    ("window", "chosen"),
    [
        ({"en": 0.45, "de": 0.55}, "en"),  # unclear: as the recording
        ({"en": 0.01, "de": 0.99}, "de"),  # clear: as it says
        ({"en": 0.04, "ja": 0.96}, "ja"),  # clear, and never heard before
        ({"en": 0.2, "ja": 0.8}, "en"),
    ],
)
def test_an_unclear_window_follows_the_recording(window, chosen):
    assert choose(window, {"en": 0.95, "de": 0.05}) == chosen


def test_without_a_vote_a_window_decides():
    assert choose({"en": 0.4, "de": 0.6}, {}) == "de"


PROBABILITY = st.floats(0.0, 1.0)
BALLOTS = st.lists(st.fixed_dictionaries({"a": PROBABILITY, "b": PROBABILITY, "c": PROBABILITY}), max_size=5)


def score(ballots: list[Ballot], path: tuple[str, ...]) -> float:
    heard = sum(
        math.log(max(each.probabilities[name], 1e-4)) * min((each.end - each.start) / RELIABLE_S, 1)
        for each, name in zip(ballots, path, strict=True)
    )
    return heard + SWITCH_LOGPROB * sum(before != after for before, after in itertools.pairwise(path))


@given(BALLOTS, st.lists(st.floats(0.1, 8.0), min_size=5, max_size=5))
def test_the_smoothed_sequence_is_the_most_likely_one(rows, lengths):
    ballots = [
        ballot(10 * i, 10 * i + length, **row) for i, (row, length) in enumerate(zip(rows, lengths, strict=False))
    ]
    path = smooth(ballots)
    assert len(path) == len(ballots)
    if ballots:
        best = max(score(ballots, each) for each in itertools.product("abc", repeat=len(ballots)))
        assert score(ballots, tuple(path)) == pytest.approx(best)


@pytest.mark.parametrize(("length", "expected"), [(0.3, "en"), (1.5, "en"), (2.0, "de"), (8.0, "de")])
def test_a_short_piece_says_less(length, expected):
    ballots = [ballot(0, 8, en=0.99, de=0.01), ballot(8, 8 + length, en=0.0003, de=0.9997)]
    ballots.append(ballot(20, 28, en=0.99, de=0.01))
    assert smooth(ballots) == ["en", expected, "en"]


def test_one_doubtful_piece_is_no_switch_and_a_clear_one_is():
    clear, doubtful = ballot(0, 3, en=0.99, de=0.01), ballot(0, 3, en=0.3, de=0.7)
    assert smooth([clear, doubtful, clear]) == ["en", "en", "en"]
    german = ballot(0, 3, en=0.001, de=0.999)
    assert smooth([clear, german, german, clear]) == ["en", "de", "de", "en"]


def test_neighbours_of_one_language_are_one_span():
    ballots = [ballot(0, 10, en=0.9), ballot(12, 32, en=0.6), ballot(32, 40, de=0.8), ballot(40, 50, en=1.0)]
    spans = to_spans(ballots, ["en", "en", "de", "en"])
    assert [(each.start, each.end, each.language) for each in spans] == [(0, 32, "en"), (32, 40, "de"), (40, 50, "en")]
    assert spans[1].probability == 0.8
    assert 0.6 < spans[0].probability < 0.9
    assert to_spans([], []) == ()


@given(st.lists(st.tuples(st.integers(1, 30), st.sampled_from("ab"), st.floats(0, 1)), min_size=1, max_size=10))
def test_spans_change_language_at_each_border_and_average(pieces):
    ends = list(itertools.accumulate(length for length, _, _ in pieces))
    starts = [0, *ends]
    ballots = [
        Ballot(start=start, end=end, probabilities={language: probability})
        for start, end, (_, language, probability) in zip(starts, ends, pieces, strict=False)
    ]
    spans = to_spans(ballots, [language for _, language, _ in pieces])
    assert all(before.language != after.language for before, after in itertools.pairwise(spans))
    assert all(before.end == after.start for before, after in itertools.pairwise(spans))
    total = sum((span.end - span.start) * span.probability for span in spans)
    assert total == pytest.approx(sum(length * probability for length, _, probability in pieces))
