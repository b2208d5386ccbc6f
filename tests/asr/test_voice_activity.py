from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from asr.voice_activity import FRAME_S, SpeechStretch, VoiceActivity


def activity(*probabilities: float, duration: float | None = None) -> VoiceActivity:
    """One frame per probability."""
    n_frames = len(probabilities)
    return VoiceActivity(
        probabilities=np.array(probabilities, np.float32), duration=n_frames * FRAME_S if duration is None else duration
    )


@st.composite
def activities(draw) -> VoiceActivity:
    n_frames = draw(st.integers(0, 200))
    probabilities = draw(hnp.arrays(np.float32, n_frames, elements=st.floats(0, 1, width=32)))
    overhang_s = draw(st.floats(0, FRAME_S * 0.9)) if n_frames else 0.0
    return VoiceActivity(probabilities=probabilities, duration=n_frames * FRAME_S - overhang_s)


@given(activities(), st.floats(0, 1), st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))
def test_stretches_are_in_order_disjoint_and_inside(found, threshold, min_speech_s, min_silence_s, pad_s):
    stretches = found.speech(threshold, min_speech_s=min_speech_s, min_silence_s=min_silence_s, pad_s=pad_s)
    times = [time for stretch in stretches for time in (stretch.start, stretch.end)]
    assert times == sorted(set(times))
    assert all(0 <= time <= found.duration for time in times)
    for before, after in pairwise(stretches):
        assert after.start - before.end >= min_silence_s - 2 * pad_s - 1e-9


@given(activities(), st.floats(0, 1))
def test_every_frame_at_the_threshold_is_in_a_stretch(found, threshold):
    stretches = found.speech(threshold, min_speech_s=0, min_silence_s=0)
    for frame in np.flatnonzero(found.probabilities >= np.float32(threshold)):
        middle = min((frame + 0.5) * FRAME_S, found.duration - 1e-6)
        assert any(stretch.start <= middle <= stretch.end for stretch in stretches)


@given(activities(), st.floats(-1, 8), st.floats(0, 8))
def test_figures_agree_with_each_other(found, start, length):
    end = start + length
    peak, mean = found.max_between(start, end), found.mean_between(start, end)
    assert 0 <= mean <= peak + 1e-6
    assert peak <= 1
    assert 0 <= found.speech_s_between(start, end, 0.5) <= length + 1e-9
    assert found.speech_s_between(start, end, 0.0) == pytest.approx(
        max(0.0, min(end, found.duration) - max(start, 0)), abs=1e-9
    )
    assert start <= found.quietest(start, end) <= end


def test_speech_goes_on_until_it_is_clearly_over():
    found = activity(0.4, 0.6, 0.4, 0.36, 0.3, 0.4, 0.1)
    assert found.speech(min_speech_s=0) == (SpeechStretch(FRAME_S, 4 * FRAME_S),)


def test_a_faint_voice_ends_at_half_its_threshold():
    found = activity(0.14, 0.2, 0.1, 0.08, 0.074, 0.1, 0.2)  # 0.15 below the threshold nothing would ever end
    assert found.speech(0.15, min_speech_s=0, min_silence_s=0) == (
        SpeechStretch(FRAME_S, 4 * FRAME_S),
        SpeechStretch(6 * FRAME_S, 7 * FRAME_S),
    )


def test_short_pauses_are_bridged_and_short_speech_dropped():
    found = activity(*[1] * 10, 0, 0, *[1] * 10, *[0] * 20, 1)
    assert found.speech() == (SpeechStretch(0.0, 22 * FRAME_S),)
    assert len(found.speech(min_silence_s=0.05, min_speech_s=0.01)) == 3


def test_padded_stretches_that_meet_are_one():
    found = activity(*[0] * 5, *[1] * 5, *[0] * 5, *[1] * 5, *[0] * 5)
    assert len(found.speech(pad_s=2 * FRAME_S)) == 2
    merged = found.speech(pad_s=3 * FRAME_S)
    assert [(s.start, s.end) for s in merged] == [(pytest.approx(2 * FRAME_S), pytest.approx(23 * FRAME_S))]


def test_no_stretch_reaches_beyond_the_recording():
    assert activity(1, 1, 1, 1, duration=0.1).speech(pad_s=1.0) == (SpeechStretch(0.0, 0.1),)


def test_nothing_in_nothing_out():
    empty = activity()
    assert empty.speech() == ()
    assert (empty.max_between(0, 1), empty.mean_between(0, 1), empty.speech_s_between(0, 1, 0.5)) == (0, 0, 0)
    assert empty.quietest(2.0, 4.0) == 3.0


def test_parts_of_frames_count_as_parts():
    found = activity(0.2, 0.8)
    assert found.mean_between(FRAME_S / 2, FRAME_S * 2) == pytest.approx((0.2 * 0.5 + 0.8) / 1.5)
    assert found.speech_s_between(FRAME_S / 2, FRAME_S * 1.5, 0.5) == pytest.approx(FRAME_S / 2)
    assert found.max_between(0, FRAME_S) == pytest.approx(0.2)


def test_the_longest_pause_is_cut_in_its_middle():
    found = activity(1, 0, 1, 1, 0, 0, 0, 0, 1, 1)
    assert found.quietest(0, found.duration) == pytest.approx(6 * FRAME_S)
    assert found.quietest(0, 3 * FRAME_S) == pytest.approx(1.5 * FRAME_S)


def test_of_equal_pauses_the_deepest_is_cut():
    found = activity(1, 0.3, 0.3, 1, 0.1, 0.1, 1)
    assert found.quietest(0, found.duration) == pytest.approx(5 * FRAME_S)


def test_without_a_pause_the_least_probable_frame_is_cut():
    found = activity(1, 0.9, 0.6, 0.9)
    assert found.quietest(0, found.duration) == pytest.approx(2.5 * FRAME_S)
