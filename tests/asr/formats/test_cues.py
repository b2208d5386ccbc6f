"""Layouts: where lines and cues end, and when cues are shown."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr.errors import InvalidOptionError
from asr.formats import Layout, render
from asr.formats.cues import make_cues, text_of
from asr.transcript import Transcript

Make = Callable[..., Transcript]
Shown = list[tuple[int, int, list[str]]]


def shown(transcript: Transcript, **limits: int) -> Shown:
    cues = make_cues(transcript, Layout(**limits))
    return [(cue.start_ms, cue.end_ms, [text_of(line) for line in cue.lines]) for cue in cues]


@pytest.mark.parametrize("name", ["max_line_width", "max_words_per_line", "max_line_count"])
@pytest.mark.parametrize("limit", [0, -3])
def test_limits_are_positive(name: str, limit: int):
    with pytest.raises(InvalidOptionError, match=f"{name}: got {limit}, expected at least 1") as caught:
        Layout(**{name: limit})
    assert caught.value.param == name


def test_a_count_of_lines_needs_lines():
    with pytest.raises(InvalidOptionError, match="needs max_line_width or max_words_per_line") as caught:
        Layout(max_line_count=2)
    assert caught.value.param == "max_line_count"


def test_without_limits_the_text_is_one_cue(transcript: Make):
    assert shown(transcript((0, 2, " one  two\nthree"))) == [(0, 2000, ["one  two", "three"])]


def test_lines_wrap_between_words(transcript: Make):
    assert shown(transcript((0, 2, " one two three")), max_line_width=7) == [(0, 2000, ["one two", "three"])]
    assert shown(transcript((0, 2, " one two three")), max_line_width=6) == [(0, 2000, ["one", "two", "three"])]


def test_a_word_longer_than_the_line_stays_whole(transcript: Make):
    assert shown(transcript((0, 2, " see https://example.org now")), max_line_width=5)[0][2] == [
        "see", "https://example.org", "now",
    ]  # fmt: skip


def test_words_a_line(transcript: Make):
    assert shown(transcript((0, 2, " a b c d e")), max_words_per_line=2)[0][2] == ["a b", "c d", "e"]


def test_cues_share_the_time_by_characters(transcript: Make):
    assert shown(transcript((1, 2, " abcd e fghij")), max_line_width=5, max_line_count=1) == [
        (1000, 1400, ["abcd"]),
        (1400, 1500, ["e"]),
        (1500, 2000, ["fghij"]),
    ]


def test_cues_of_words_have_the_words_times(spoken: Make):
    heard = spoken((1, 1.2, " one"), (1.4, 1.8, " two"), (5, 5.5, " three"))
    assert shown(heard, max_words_per_line=2, max_line_count=1) == [(1000, 1800, ["one two"]), (5000, 5500, ["three"])]
    assert shown(heard) == [(1000, 5500, ["one two three"])]


def test_a_word_in_several_tokens_is_not_cut(spoken: Make):
    assert shown(spoken((0, 1, " AT"), (1, 2, "&T"), (2, 3, " calls")), max_line_width=3)[0][2] == ["AT&T", "calls"]


def test_words_that_do_not_spell_the_text_are_not_used(spoken: Make):
    heard = spoken((1, 1.5, " one"), (2, 2.5, " two"))
    changed = replace(heard, segments=(replace(heard.segments[0], text=" one or two"),))
    assert shown(changed, max_line_width=3, max_line_count=1)[1] == (1562, 1937, ["or"])


def test_very_short_cues_still_show_something(transcript: Make):
    cues = shown(transcript((5, 5, " a b c")), max_words_per_line=1, max_line_count=1)
    assert cues == [(5000, 5001, ["a"]), (5000, 5001, ["b"]), (5000, 5001, ["c"])]


def test_the_channel_counts_as_part_of_the_line(transcript: Make):
    heard = transcript((0, 4, " one two three four"), channel=0)
    layout = Layout(max_line_width=20, max_line_count=2)
    assert render(heard, "srt", layout).splitlines()[2:4] == ["[channel 1] one two", "three four"]
    assert render(heard, "txt", Layout(max_line_width=20)) == "[channel 1] one two\nthree four\n"


def test_each_cue_names_its_channel(transcript: Make):
    text = render(transcript((0, 4, " one two"), channel=1), "srt", Layout(max_words_per_line=1, max_line_count=1))
    assert [line for line in text.splitlines() if "o" in line] == ["[channel 2] one", "[channel 2] two"]


def test_a_lyric_of_several_lines_has_a_time_for_each(spoken: Make, transcript: Make):
    heard = spoken((1, 1.5, " one"), (2, 2.5, " two"))
    assert render(heard, "lrc", Layout(max_words_per_line=1)) == "[00:01.00]<00:01.00>one\n[00:02.00]<00:02.00>two\n"
    assert render(transcript((0, 2, " ab cd")), "lrc", Layout(max_line_width=2)) == "[00:00.00]ab\n[00:01.00]cd\n"


@pytest.mark.parametrize(
    ("text", "width", "lines"),
    [
        ("今日は、いい天気です。", 4, ["今日は、", "いい天気", "です。"]),
        ("今日は。", 3, ["今日", "は。"]),  # 。 never begins a line
        ("「はい」と言った", 4, ["「はい」", "と言った"]),
        ("彼はOpenAI社に", 6, ["彼は", "OpenAI", "社に"]),
        ("ราคาเท่าไร", 4, ["ราคา", "เท่า", "ไร"]),
        ("중국어 아니요", 3, ["중국어", "아니요"]),  # Korean has spaces
    ],
)
def test_scripts_without_spaces_wrap_between_characters(transcript: Make, text: str, width: int, lines: list[str]):
    assert shown(transcript((0, 2, text)), max_line_width=width)[0][2] == lines


def test_words_of_a_script_without_spaces(spoken: Make):
    heard = spoken((0, 1, "今日"), (1, 2, "は、"), (2, 3, "いい"), (3, 4, "天気"))
    assert shown(heard, max_words_per_line=2, max_line_count=1) == [(0, 2000, ["今日は、"]), (2000, 4000, ["いい天気"])]


LIMITS = st.builds(
    lambda width, words, count: {
        name: limit
        for name, limit in (("max_line_width", width), ("max_words_per_line", words), ("max_line_count", count))
        if limit is not None and (name != "max_line_count" or width or words)
    },
    st.none() | st.integers(1, 40),
    st.none() | st.integers(1, 6),
    st.none() | st.integers(1, 3),
)
TEXTS = st.text(st.sampled_from("ab -<é.今は、เ่ש\n\u200f"), min_size=1, max_size=60)


@given(TEXTS, LIMITS, st.floats(0, 1e6), st.floats(0.2, 30))
def test_no_layout_loses_text_or_breaks_its_limits(
    transcript: Make, text: str, limits: dict[str, int], start: float, length: float
):
    cues = shown(transcript((start, start + length, text)), **limits)
    lines = [line for _, _, lines in cues for line in lines]
    assert "".join("".join(lines).split()) == "".join(text.split())
    assert all(lines) or not text.strip()
    width = limits.get("max_line_width")
    for line in lines:
        # One unbreakable stretch may be wider than the line.
        assert width is None or len(line) <= width or " " not in line
    assert all(len(lines) <= limits.get("max_line_count", len(lines)) for _, _, lines in cues)
    times = [time for start_ms, end_ms, _ in cues for time in (start_ms, end_ms)]
    assert times == sorted(times)
    if times:
        assert times[0] == pytest.approx(start * 1000, abs=0.51)
        assert times[-1] == pytest.approx((start + length) * 1000, abs=0.51)


@given(
    st.lists(st.tuples(st.floats(0, 2), st.floats(0, 2), st.sampled_from([" a", " bcd", "今", " é.", "-x"]))), LIMITS
)
def test_word_cues_begin_and_end_with_words(
    spoken: Make, steps: list[tuple[float, float, str]], limits: dict[str, int]
):
    words, now = [], 0.0
    for pause, length, text in steps:
        words.append((now + pause, now + pause + length, text))
        now += pause + length
    if not words:
        return
    cues = shown(spoken(*words), **limits)
    starts = {round(start * 1000) for start, _, _ in words}
    assert all(min(abs(cue[0] - start) for start in starts) <= 1 for cue in cues)
    assert "".join("".join(lines) for _, _, lines in cues).replace(" ", "") == "".join(w[2].strip() for w in words)
