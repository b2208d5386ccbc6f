import itertools
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr.errors import InvalidOptionError
from asr.stretches import Stretch, clips_to_stretches, cut_anywhere, cut_at_pauses
from asr.voice import Voice

LEVELS = st.sampled_from([0.0, 0.05, 0.3, 0.6, 0.95])
RUNS = st.lists(st.tuples(st.floats(0.05, 45.0), LEVELS), min_size=1, max_size=12)
EDGES = st.tuples(st.integers(0, 4000), st.integers(1, 20_000))


def check_sound(stretches: list[Stretch], inside: Stretch) -> None:
    """In order, apart, none empty or longer than a window, none outside."""
    reached = inside.begin
    for stretch in stretches:
        assert isinstance(stretch.begin, int)
        assert isinstance(stretch.end, int)
        assert reached <= stretch.begin < stretch.end <= min(stretch.begin + 3000, inside.end)
        reached = stretch.end


@settings(max_examples=300, deadline=None)
@given(runs=RUNS, edges=EDGES, keep_silence=st.booleans(), threshold=st.sampled_from([0.2, 0.5, 0.9]))
def test_any_recording_is_cut_soundly(activity_of, runs, edges, keep_silence, threshold):
    activity = activity_of(*runs)
    n_frames = int(activity.duration * 100)
    inside = Stretch(begin=min(edges[0], n_frames), end=min(edges[0] + edges[1], n_frames))
    speech = Voice(activity, threshold=threshold).possible
    stretches = cut_at_pauses(inside, speech, activity, keep_silence=keep_silence)
    check_sound(stretches, inside)
    heard = sum(max(min(s.end, inside.end / 100) - max(s.start, inside.begin / 100), 0) for s in speech)
    covered = sum(max(min(s.end, w.end / 100) - max(s.start, w.begin / 100), 0) for s in speech for w in stretches)
    # Rounded to frames: half a frame may be missing at the very ends, nothing between.
    assert covered >= heard - 0.011
    if keep_silence and inside.end > inside.begin:
        assert stretches[0].begin == inside.begin
        assert stretches[-1].end == inside.end
        assert all(before.end == after.begin for before, after in itertools.pairwise(stretches))


@settings(max_examples=200, deadline=None)
@given(
    turns=st.lists(st.tuples(st.floats(0.2, 4.0), st.floats(0.25, 2.5)), min_size=1, max_size=8).filter(
        lambda turns: sum(map(sum, turns)) < 28
    )
)
def test_a_short_recording_with_short_pauses_is_one_stretch(activity_of, turns):
    activity = activity_of(*[part for talk, pause in turns for part in ((talk, 0.9), (pause, 0.0))])
    whole = Stretch(begin=0, end=int(activity.duration * 100))
    voice = Voice(activity, threshold=0.5)
    assert cut_at_pauses(whole, voice.possible, activity, keep_silence=False) == [whole]


@pytest.mark.parametrize(
    "runs",
    [
        [(29.792, 0.9)],
        [(2.56, 0.0), (27.36, 0.9)],
        [(0.32, 0.0), (14.4, 0.9), (0.64, 0.0), (14.4, 0.9)],
    ],
)
def test_a_recording_of_almost_30_s_is_one_stretch(activity_of, runs):
    activity = activity_of(*runs)
    whole = Stretch(begin=0, end=int(activity.duration * 100))
    speech = Voice(activity, threshold=0.5).possible
    assert cut_at_pauses(whole, speech, activity, keep_silence=False) == [whole]


def test_long_silence_that_is_kept_does_not_cut_speech(activity_of):
    activity = activity_of((100.0, 0.0), (25.6, 0.9), (100.0, 0.0))
    speech = Voice(activity, threshold=0.5).possible
    stretches = cut_at_pauses(Stretch(begin=0, end=22_560), speech, activity, keep_silence=True)
    assert not [each for each in stretches if 10_000 < each.begin < 12_560]


def test_silence_is_in_no_stretch_unless_it_is_kept(activity_of):
    activity = activity_of((64.0, 0.0))
    whole = Stretch(begin=0, end=6400)
    assert cut_at_pauses(whole, (), activity, keep_silence=False) == []
    kept = cut_at_pauses(whole, (), activity, keep_silence=True)
    assert [(each.begin, each.end) for each in kept] == [(0, 3000), (3000, 6000), (6000, 6400)]


def test_long_pauses_are_left_out_but_for_their_edges(activity_of):
    activity = activity_of((12.8, 0.0), (6.4, 0.9), (12.8, 0.0), (6.4, 0.9), (12.8, 0.0))
    speech = Voice(activity, threshold=0.5).possible
    stretches = cut_at_pauses(Stretch(begin=0, end=5120), speech, activity, keep_silence=False)
    assert [(each.begin, each.end) for each in stretches] == [(1180, 2020), (3100, 3940)]
    assert all(each.after_pause for each in stretches)


def test_the_cut_is_in_the_longest_pause_that_is_late_enough(activity_of):
    pauses = (0.96, 0.32, 0.64, 0.32, 0.32)  # the longest comes too early
    activity = activity_of(*[part for pause in pauses for part in ((7.04, 0.9), (pause, 0.0))], (7.04, 0.9))
    speech = Voice(activity, threshold=0.5).possible
    n_frames = int(activity.duration * 100)
    first, second = cut_at_pauses(Stretch(begin=0, end=n_frames), speech, activity, keep_silence=False)
    third_turn_ends = 3 * 7.04 + 0.96 + 0.32
    assert first.end == second.begin == round((third_turn_ends + 0.32) * 100)
    assert second.after_pause


def test_pauses_that_are_not_quite_silent_are_pauses(activity_of):
    activity = activity_of(*[(5.12, 0.9), (0.096, 0.2), (0.96, 0.05)] * 12)
    whole = Stretch(begin=0, end=int(activity.duration * 100))
    stretches = cut_at_pauses(whole, Voice(activity, threshold=0.5).possible, activity, keep_silence=False)
    assert all(each.after_pause for each in stretches)


def test_speech_without_a_pause_is_cut_where_it_is_weakest(activity_of):
    activity = activity_of((22.4, 0.95), (0.032, 0.6), (22.4, 0.95))
    speech = Voice(activity, threshold=0.5).possible
    first, second = cut_at_pauses(Stretch(begin=0, end=4483), speech, activity, keep_silence=False)
    assert first.end == second.begin
    assert 2240 <= first.end <= 2244
    assert (first.after_pause, second.after_pause) == (True, False)


def test_hours_of_speech_without_a_pause_end(activity_of):
    activity = activity_of((7200.0, 0.9))
    whole = Stretch(begin=0, end=720_000)
    stretches = cut_at_pauses(whole, Voice(activity, threshold=0.5).possible, activity, keep_silence=False)
    check_sound(stretches, whole)
    assert stretches[0].begin == 0
    assert stretches[-1].end == 720_000
    assert len(stretches) < 7200 / 14.9


def test_cut_anywhere():
    stretches = cut_anywhere(Stretch(begin=500, end=7000))
    assert [(each.begin, each.end) for each in stretches] == [(500, 3500), (3500, 6500), (6500, 7000)]
    assert [each.after_pause for each in stretches] == [True, False, False]
    assert cut_anywhere(Stretch(begin=500, end=500)) == []


@pytest.mark.parametrize(
    ("clips", "n_frames", "expected"),
    [
        ((), 1000, [(0, 1000)]),
        ((), 0, []),
        (((1.0, 2.0), (2.0, 3.5)), 1000, [(100, 200), (200, 350)]),
        (((1.0, 2.0), (5.0, None)), 1000, [(100, 200), (500, 1000)]),
        (((1.0, 99.0),), 1000, [(100, 1000)]),
        (((9.99, None),), 1000, [(999, 1000)]),
        (((1.0, math.inf),), 1000, [(100, 1000)]),
    ],
)
def test_clips(clips, n_frames, expected):
    assert [(each.begin, each.end) for each in clips_to_stretches(clips, n_frames)] == expected


@pytest.mark.parametrize(("clips", "n_frames"), [(((10.0, 11.0),), 1000), (((1.0, 2.0), (12.5, None)), 1000)])
def test_a_clip_past_the_end_is_named(clips, n_frames):
    start = clips[-1][0]
    with pytest.raises(
        InvalidOptionError, match=rf"got a start of {start:g} s, the recording ends at 10\.00"
    ) as caught:
        clips_to_stretches(clips, n_frames)
    assert caught.value.param == "clip_timestamps"
