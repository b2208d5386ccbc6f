from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_pipeline.stages.segmenting import WINDOW_S, SegmentLimits, segment, with_previous_text
from data_pipeline.types import AudioPlace, Blob, Cue, CutWindow, Drop, Record, Window

LIMITS = SegmentLimits(silence_share=1.0)
Cues = tuple[tuple[float, float, str], ...]
Shape = list[tuple[float, float, float, str, float | None]]


def shape(windows: tuple[Window | CutWindow, ...]) -> Shape:
    return [
        (each.start, each.next_start, each.next_start, f"- {each.drop.reason}", None)
        if isinstance(each, CutWindow)
        else (each.start, each.end, each.next_start, each.text, each.partial_start)
        for each in windows
    ]


@pytest.mark.parametrize(
    ("cues", "duration", "expected"),
    [
        (((0, 4, "a"), (5, 9, "b")), 10.0, [(0, 10, 10, "a b", None)]),
        (((0, 4, "a"), (30, 34, "b")), 40.0, [(0, 30, 30, "a", None), (30, 40, 40, "b", None)]),
        (((0, 4, "a"), (28, 34, "b")), 40.0, [(0, 30, 28, "a", 28), (28, 40, 40, "b", None)]),
        (((28, 34, "b"),), 40.0, [(0, 28, 28, "", None), (28, 40, 40, "b", None)]),
        ((), 70.0, [(0, 30, 30, "", None), (30, 60, 60, "", None), (60, 70, 70, "", None)]),
        (((0, 31, "a"), (35, 36, "b")), 40.0, [(0, 31, 31, "- cue_length", None), (31, 40, 40, "b", None)]),
        (((1, 2, "a"), (2, 40, "b")), 40.0, [(0, 2, 2, "a", None), (2, 40, 40, "- cue_length", None)]),
        (
            ((0, 31, "a"), (20, 33, "b"), (34, 35, "c")),
            40.0,
            [(0, 33, 33, "- cue_length", None), (33, 40, 40, "c", None)],
        ),
        (((0, 4, "a"), (5, 5.01, "b")), 10.0, [(0, 10, 10, "- cue_length", None)]),
        (((0, 30, "a"),), 30.05, [(0, 30, 30, "a", None), (30, 30.05, 30.05, "- too_short", None)]),
        (((0, 30, "a"), (30, 60, "b")), 60.0, [(0, 30, 30, "a", None), (30, 60, 60, "b", None)]),
    ],
)
def test_windows(make_record: Callable[..., Record], cues: Cues, duration: float, expected: Shape):
    assert shape(segment(make_record(*cues, duration=duration), LIMITS, 0)) == expected


@given(
    st.lists(st.tuples(st.floats(0, 20), st.floats(0, 45)), max_size=30),
    st.floats(0.1, 300),
)
def test_every_second_is_in_one_window(gaps: list[tuple[float, float]], duration: float):
    cues, start = [], 0.0
    for gap, length in gaps:
        start += gap
        if start < duration:
            cues.append(Cue(start=start, end=min(start + length, duration), text="a"))
    audio = AudioPlace(blob=Blob(path="a.wav"))  # type: ignore[arg-type]
    record = Record(
        id="a", source="s", licence="l", audio=audio, audio_sha256="", duration=duration, cues=tuple(cues), timed=True
    )
    windows = segment(record, LIMITS, 0)
    assert windows[0].start == 0
    assert windows[-1].next_start == duration
    assert all(first.next_start == second.start < second.next_start for first, second in pairwise(windows))
    said = [cue for window in windows if isinstance(window, Window) for cue in window.cues]
    assert len(said) == len(set(map(id, said)))
    for window in windows:
        if isinstance(window, Window):
            assert window.end - window.start <= WINDOW_S + 1e-9
            assert all(window.start <= cue.start and cue.end <= window.end for cue in window.cues)
    if all(isinstance(window, Window) for window in windows):
        assert said == cues


def test_one_silence_in_ten_is_kept(make_record: Callable[..., Record]):
    record = make_record(duration=30.0 * 2000)
    windows = segment(record, SegmentLimits(), seed=1)
    kept = [window for window in windows if isinstance(window, Window)]
    assert 160 <= len(kept) <= 240
    assert windows == segment(record, SegmentLimits(), seed=1)
    assert windows != segment(record, SegmentLimits(), seed=2)
    assert {window.drop.reason for window in windows if isinstance(window, CutWindow)} == {"silence"}


def test_half_of_the_windows_have_timestamps_and_half_the_previous_text(make_record: Callable[..., Record]):
    record = make_record(*((30.0 * n, 30.0 * n + 20, "text") for n in range(2000)))
    windows = [window for window in segment(record, SegmentLimits(), 0) if isinstance(window, Window)]
    assert 900 <= sum(window.use_timestamps for window in windows) <= 1100
    assert 900 <= sum(window.use_previous_text for window in windows) <= 1100
    both = sum(window.use_timestamps and window.use_previous_text for window in windows)
    assert 430 <= both <= 570


def test_a_text_without_times_has_no_timestamps(make_record: Callable[..., Record]):
    record = make_record(*((30.0 * n, 30.0 * n + 20, "text") for n in range(50)), timed=False)
    assert not any(
        window.use_timestamps for window in segment(record, SegmentLimits(), 0) if isinstance(window, Window)
    )


def test_previous_text_reaches_back_to_what_was_cut():
    def window(start: float, text: str) -> Window:
        cues = (Cue(start=start, end=start + 30, text=text),) if text else ()
        return Window(start=start, end=start + 30, next_start=start + 30, cues=cues)

    def cut(start: float, reason: str) -> CutWindow:
        return CutWindow(start=start, next_start=start + 30, drop=Drop(reason=reason))

    windows = [
        window(0, "a"),
        window(30, "b"),
        cut(60, "silence"),
        window(90, "c"),
        cut(120, "segment_wer"),
        window(150, "d"),
    ]
    result = with_previous_text(windows)
    assert [each.previous_text for each in result if isinstance(each, Window)] == ["", "a", "a b", ""]
