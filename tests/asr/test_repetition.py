import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr.repetition import Repetition, find_repetition


@pytest.mark.parametrize(
    ("tokens", "found"),
    [
        ([], None),
        ([1] * 6, None),  # "no no no no no no" is speech
        ([1] * 15, None),
        ([1] * 16, (0, 1, 16)),
        ([9, 8, *[1] * 20, 7], (2, 1, 20)),
        ([1, 2] * 7, None),
        ([1, 2] * 8, (0, 2, 8)),
        ([1, 2] * 8 + [1], (0, 2, 8)),  # a copy that is not whole is not counted
        ([1, 2, 3, 4, 5] * 3, None),  # three times is emphasis, or a chorus
        ([1, 2, 3, 4, 5] * 4, (0, 5, 4)),
        ([*range(48)] * 4, (0, 48, 4)),
        ([*range(49)] * 4, None),
        ([*range(200)], None),
        ([1, 2, 3] * 6 + [*range(10, 14)] * 10, (18, 4, 10)),  # the longer of two
        ([1, 1, 2] * 6, (0, 3, 6)),
    ],
)
def test_repetitions(tokens, found):
    expected = None if found is None else Repetition(begin=found[0], n=found[1], count=found[2])
    assert find_repetition(tokens) == expected


def longest_repetition(tokens: list[int]) -> int:
    """Tokens in the longest loop, found by trying every n-gram at every place; 0 for none."""
    best = 0
    for n in range(1, len(tokens) // 4 + 1):
        for begin in range(len(tokens)):
            count = 1
            while tokens[begin + count * n : begin + (count + 1) * n] == tokens[begin : begin + n]:
                count += 1
                if begin + count * n >= len(tokens):
                    break
            if count >= 4 and count * n >= 16 and begin + count * n <= len(tokens):
                best = max(best, count * n)
    return best


@settings(max_examples=400, deadline=None)
@given(
    st.lists(
        st.tuples(st.lists(st.integers(0, 2), min_size=1, max_size=6), st.integers(1, 9)), min_size=1, max_size=5
    ).map(lambda parts: [token for ngram, count in parts for token in ngram * count][:90])
)
def test_the_longest_loop_is_found(tokens):
    found = find_repetition(tokens)
    assert (found.n * found.count if found else 0) == longest_repetition(tokens)
    if found is not None:
        first = tokens[found.begin : found.begin + found.n]
        assert tokens[found.begin : found.end] == first * found.count
