from hypothesis import given
from hypothesis import strategies as st

from asr.audio_context import bare_context, context_of, short_context
from asr.features import N_FRAMES
from asr.options import AudioContext

FRAMES = st.integers(1, N_FRAMES)


@given(FRAMES)
def test_a_window_gets_silence_of_at_least_three_seconds_or_all_there_is(n_frames):
    padded_to = short_context(n_frames)
    assert padded_to % 2 == 0
    assert 1200 <= padded_to <= N_FRAMES
    assert padded_to - n_frames >= 300 or padded_to == N_FRAMES


@given(FRAMES, FRAMES)
def test_a_longer_window_gets_no_less(first, second):
    shorter, longer = sorted((first, second))
    assert short_context(shorter) <= short_context(longer)


def test_the_measured_margin():
    assert [short_context(n) for n in (1, 600, 601, 1000, 1799, 1800)] == [1200, 1200, 1202, 1800, 3000, 3000]


@given(FRAMES)
def test_a_bare_window_is_even_and_a_second_at_least(n_frames):
    padded_to = bare_context(n_frames)
    assert padded_to % 2 == 0
    assert 100 <= padded_to <= N_FRAMES
    assert padded_to - n_frames <= 1 or padded_to == 100


def test_what_each_context_hears_of_four_seconds():
    assert [context_of(401, each) for each in AudioContext] == [1200, 3000, 402]
