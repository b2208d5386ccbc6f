import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr.segments import split_at, split_segments
from asr.transcript import Word

N_FRAMES = 3000


@pytest.mark.parametrize(
    ("pattern", "n_frames", "segments", "n_frames_done"),
    [
        # no timestamps: the window is one segment
        ("ab cd", 3000, [(0.0, 30.0, " ab cd")], 3000),
        ("ab", 1234, [(0.0, 12.34, " ab")], 1234),
        ("", 3000, [], 3000),
        # an opening alone tells nothing of the end
        ("0 ab", 3000, [(0.0, 30.0, " ab")], 3000),
        # one segment, its end the last token: nothing more is in the window
        ("0 ab 100", 3000, [(0.0, 2.0, " ab")], 3000),
        # pairs: the window is good up to the last complete one
        ("0 ab 100 100", 3000, [(0.0, 2.0, " ab")], 200),
        ("0 ab 100 100 cd", 3000, [(0.0, 2.0, " ab")], 200),
        ("10 ab 100 120 cd 200 200 ef", 3000, [(0.2, 2.0, " ab"), (2.4, 4.0, " cd")], 400),
        # pairs, and a single ending
        ("0 ab 100 120 cd 200", 3000, [(0.0, 2.0, " ab"), (2.4, 4.0, " cd")], 3000),
        # empty segments are left out, but move the window
        ("0 ab 100 100 150 150", 3000, [(0.0, 2.0, " ab")], 300),
        ("0 _ 100 100 cd 200 200", 3000, [(2.0, 4.0, " cd")], 400),
        # no length
        ("0 ab 50 50 cd 50 50", 3000, [(0.0, 1.0, " ab")], 100),
        ("_", 3000, [], 3000),
        # text first, as only a model without the timestamp rules says it
        ("ab 100 100 cd 200", 3000, [(0.0, 2.0, " ab"), (2.0, 4.0, " cd")], 3000),
    ],
)
def test_patterns(tokenizer, result_of, pattern, n_frames, segments, n_frames_done):
    split = split_segments(result_of(pattern), tokenizer, seek=0, n_frames=n_frames, language="en")
    assert [(segment.start, segment.end, segment.text) for segment in split.segments] == segments
    assert split.n_frames_done == n_frames_done
    assert [segment.id for segment in split.segments] == list(range(len(segments)))


def test_an_offset_moves_times(tokenizer, result_of):
    result = result_of("5 ab 100 120 cd 200 200")
    here = split_segments(result, tokenizer, seek=0, n_frames=N_FRAMES, language="en")
    there = split_segments(result, tokenizer, seek=123_456, n_frames=N_FRAMES, language="en")
    assert there.n_frames_done == here.n_frames_done
    for near, far in zip(here.segments, there.segments, strict=True):
        assert far.start == pytest.approx(near.start + 1234.56, abs=1e-9)
        assert far.end == pytest.approx(near.end + 1234.56, abs=1e-9)
        moved = dataclasses.replace(near, start=far.start, end=far.end, seek=123_456)
        assert far == moved


def test_segments_carry_their_tokens_and_the_numbers_of_the_window(tokenizer, result_of):
    result = result_of("0 ab 100 120 cd 200 200 ef")
    first, second = split_segments(result, tokenizer, seek=0, n_frames=N_FRAMES, language="en").segments
    assert first.tokens + second.tokens == result.tokens[: len(first.tokens) + len(second.tokens)]
    assert first.tokens[0] == tokenizer.timestamp_begin
    assert first.tokens[-1] == tokenizer.timestamp_begin + 100
    for segment in (first, second):
        for field in ("temperature", "avg_logprob", "compression_ratio", "no_speech_prob"):
            assert getattr(segment, field) == getattr(result, field)


def test_nothing_is_heard_in_the_padding_of_a_short_window(tokenizer, result_of):
    split = split_segments(result_of("0 ab 400 400 cd 1400"), tokenizer, seek=100, n_frames=1000, language="en")
    assert [(segment.start, segment.end) for segment in split.segments] == [(1.0, 9.0), (9.0, 11.0)]


def test_the_language_is_the_given_one(tokenizer, result_of):
    (segment,) = split_segments(result_of(), tokenizer, seek=0, n_frames=N_FRAMES, language="de").segments
    assert segment.language == "de"


@settings(max_examples=200, deadline=None)
@given(data=st.data(), n_frames=st.integers(1, 1500).map(lambda n: 2 * n), seek=st.integers(0, 10**6))
def test_what_is_said_before_the_last_pair_is_in_a_segment(tokenizer, result_of, data, n_frames, seek):
    """Results as the timestamp rules have them: pairs, rising, each text with a length."""
    n_pieces = data.draw(st.integers(0, 5))
    times = data.draw(
        st.lists(st.integers(0, 1500), min_size=2 * n_pieces, max_size=2 * n_pieces, unique=True).map(sorted)
    )
    parts = [f"{times[2 * i]} w{chr(97 + i)} {times[2 * i + 1]}" for i in range(n_pieces)]
    tail = data.draw(st.sampled_from(["", "1500", "1500 tail"])) if n_pieces else "tail"
    split = split_segments(result_of(" ".join([*parts, tail])), tokenizer, seek=seek, n_frames=n_frames, language="en")
    is_open = not n_pieces or tail == "1500 tail"
    assert split.n_frames_done >= 0
    said = "".join(segment.text for segment in split.segments)
    inside = [i for i in range(n_pieces) if times[2 * i] * 2 < n_frames]
    assert all(f" w{chr(97 + i)}" in said for i in inside)
    assert ("tail" in said) == (not n_pieces)
    for segment in split.segments:
        assert seek / 100 - 0.005 <= segment.start <= segment.end <= (seek + n_frames) / 100 + 0.005
    assert is_open or split.n_frames_done in {n_frames, *(2 * time for time in times)}


@pytest.mark.parametrize(
    ("time", "pieces"),
    [
        (0.2, [(0.0, 3.0, " grüß dich 🙂")]),  # nothing before it
        (0.5, [(0.0, 0.5, " grüß"), (1.0, 3.0, " dich 🙂")]),
        (1.4, [(0.0, 0.5, " grüß"), (1.0, 3.0, " dich 🙂")]),  # most of a word is on one side
        (1.6, [(0.0, 2.0, " grüß dich"), (2.0, 3.0, " 🙂")]),
        (2.6, [(0.0, 3.0, " grüß dich 🙂")]),  # nothing after it
    ],
)
def test_split_at(tokenizer, result_of, time, pieces):
    words = [
        Word(start=start, end=end, word=word, probability=0.9)
        for start, end, word in [(0.0, 0.5, " grüß"), (1.0, 2.0, " dich"), (2.0, 3.0, " 🙂")]
    ]
    split = split_segments(result_of("0 grüß dich 🙂 150"), tokenizer, seek=0, n_frames=3000, language="de")
    whole = dataclasses.replace(split.segments[0], words=tuple(words))
    found = split_at(whole, time, tokenizer)
    assert [(each.start, each.end, each.text) for each in found] == pieces
    assert sum((each.tokens for each in found), ()) == whole.tokens
    assert sum((each.words for each in found), ()) == whole.words
    assert all(tokenizer.decode(each.tokens) == each.text for each in found)
    without = dataclasses.replace(whole, words=())
    assert split_at(without, time, tokenizer) == [without]


def test_pieces_reach_over_their_words(tokenizer, result_of):
    """Words may be heard outside the segment's predicted times; no piece ends before it begins."""
    words = (
        Word(start=1.0, end=1.5, word=" ab", probability=0.9),
        Word(start=9.0, end=9.5, word=" cd", probability=0.9),
    )
    split = split_segments(result_of("100 ab cd 200 200"), tokenizer, seek=0, n_frames=3000, language="en")
    pieces = split_at(dataclasses.replace(split.segments[0], words=words), 5.0, tokenizer)
    assert [(each.start, each.end) for each in pieces] == [(1.0, 1.5), (9.0, 9.5)]


def test_text_after_the_end_of_a_short_window_has_no_time(tokenizer, result_of):
    split = split_segments(result_of("0 ab 100 500 cd 1400 1400"), tokenizer, seek=0, n_frames=300, language="en")
    assert [(each.text, each.start) for each in split.segments] == [(" ab", 0.0)]
    assert [each.text for each in split.timeless] == [" cd"]


def test_an_opening_time_is_no_end(tokenizer, result_of):
    split = split_segments(result_of("5 ab cd"), tokenizer, seek=0, n_frames=3000, language="en")
    assert [(each.text, each.start, each.end) for each in split.segments] == [(" ab cd", 0.0, 30.0)]
