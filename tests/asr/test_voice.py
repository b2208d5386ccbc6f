import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr.voice import LOST_MARGIN_S, MIN_LOST_S, Voice

RUNS = st.lists(st.tuples(st.floats(0.1, 40.0), st.sampled_from([0.0, 0.1, 0.3, 0.9])), min_size=1, max_size=10)


def test_a_faint_voice_is_possible_speech_but_no_speech(activity_of):
    voice = Voice(activity_of((3.2, 0.9), (3.2, 0.0), (3.2, 0.3), (3.2, 0.0)), threshold=0.5)
    assert [(round(each.start, 3), round(each.end, 3)) for each in voice.speech] == [(0, 3.2)]
    assert [(round(each.start, 3), round(each.end, 3)) for each in voice.possible] == [(0, 3.2), (6.4, 9.6)]


def test_what_is_below_a_faint_voice_is_silence(activity_of):
    voice = Voice(activity_of((3.2, 0.1)), threshold=0.5)
    assert voice.possible == voice.speech == ()


def test_a_threshold_below_a_faint_voice_counts(activity_of):
    voice = Voice(activity_of((3.2, 0.1)), threshold=0.05)
    assert len(voice.speech) == len(voice.possible) == 1


@settings(max_examples=200, deadline=None)
@given(runs=RUNS, threshold=st.sampled_from([0.05, 0.2, 0.5, 0.9]))
def test_possible_speech_is_sorted_apart_and_holds_all_speech(activity_of, runs, threshold):
    voice = Voice(activity_of(*runs), threshold=threshold)
    ends = [0.0, *(each.end for each in voice.possible)]
    assert all(end <= each.start < each.end for end, each in zip(ends, voice.possible, strict=False))
    for speech in voice.speech:
        inside = sum(max(min(speech.end, p.end) - max(speech.start, p.start), 0) for p in voice.possible)
        assert inside == pytest.approx(speech.end - speech.start)


@pytest.mark.parametrize(
    ("begin", "end", "expected"),
    [
        (1100, 20_000, 1100),  # inside a voice
        (0, 20_000, 0),  # the window has one
        (0, 900, 900),  # not before the walk's end
        (1500, 20_000, 9970),  # far: shortly before it
        (1500, 9980, 9970),
        (1500, 9960, 9960),
        (11_000, 20_000, 20_000),  # none any more
    ],
)
def test_the_next_voice(activity_of, begin, end, expected):
    voice = Voice(activity_of((9.6, 0.0), (3.2, 0.9), (87.2, 0.0), (3.2, 0.9)), threshold=0.5)
    assert voice.next_voice(begin, end) == expected


@settings(max_examples=200, deadline=None)
@given(runs=RUNS, data=st.data())
def test_a_walk_never_skips_a_voice_nor_decodes_a_window_without(activity_of, runs, data):
    activity = activity_of(*runs)
    voice = Voice(activity, threshold=0.5)
    end = int(activity.duration * 100)
    begin = data.draw(st.integers(0, end))
    at = voice.next_voice(begin, end)
    assert begin <= at <= end
    skipped = [p for p in voice.possible if p.start < at / 100 and p.end > begin / 100]
    assert at == begin or not skipped
    if at < end:
        window_end = min(at / 100 + 30, end / 100)
        assert any(p.start <= window_end and p.end > at / 100 for p in voice.possible)


def test_evidence_looks_a_little_beyond_a_segment(activity_of):
    voice = Voice(activity_of((3.2, 0.0), (1.6, 0.8), (3.2, 0.0)), threshold=0.5)
    near, far = voice.evidence(2.0, 3.0), voice.evidence(1.0, 2.0)
    assert near.max_probability == pytest.approx(0.8)
    assert near.speech_s == pytest.approx(0.05)
    assert (far.max_probability, far.speech_s) == (0, 0)
    assert voice.evidence(7.9, 9.0).max_probability == 0  # beyond the end


def test_speech_between_and_in_windows(activity_of):
    voice = Voice(activity_of((3.2, 0.9), (3.2, 0.0), (3.2, 0.9)), threshold=0.5)
    assert len(voice.speech_between(0, 10)) == 2
    assert voice.speech_between(3.2, 6.4) == []
    assert voice.speech_s(160, 640) == pytest.approx(3.2)


def test_lost_speech(activity_of):
    voice = Voice(activity_of((9.6, 0.9), (3.2, 0.0), (9.6, 0.9)), threshold=0.5)

    def lost(covered: list[tuple[float, float]], begin: float = 0.0, end: float = 100.0) -> list[tuple[float, float]]:
        return [(round(each.start, 2), round(each.end, 2)) for each in voice.lost(covered, begin, end)]

    # 0.2 s around each, but not beyond the ends.
    assert lost([]) == [(0, 9.8), (12.6, 22.6)]
    assert lost([(2, 4), (3, 5)]) == [(0, 2.2), (4.8, 9.8), (12.6, 22.6)]
    assert lost([(9, 15)], begin=1, end=20) == [(1, 9.2), (14.8, 20)]
    assert lost([(0, 30)]) == []
    assert lost([(1.4, 14.7)]) == [(14.5, 22.6)]  # less than 1.5 s at the beginning, whatever is around them
    assert lost([], begin=0.1, end=9.7) == [(0.1, 9.7)]


def test_short_pauses_do_not_hide_lost_speech(activity_of):
    sentences = Voice(activity_of(*[(1.28, 0.9), (0.64, 0.0)] * 5), threshold=0.5)
    (lost,) = sentences.lost([], 0, 9.6)
    assert (lost.start, lost.end) == (0, pytest.approx(8.96 + LOST_MARGIN_S))
    assert sentences.lost([(1.0, 8.0)], 0, 9.6) == []
    words = Voice(activity_of(*[(0.64, 0.9), (1.28, 0.0)] * 5), threshold=0.5)
    assert words.lost([], 0, 9.6) == []


SPANS = st.lists(st.tuples(st.integers(0, 300), st.integers(0, 60)), max_size=8)


@settings(max_examples=200, deadline=None)
@given(runs=st.lists(st.tuples(st.integers(1, 120), st.booleans()), min_size=1, max_size=8), spans=SPANS)
def test_lost_speech_is_speech_that_is_not_covered(activity_of, runs, spans):
    """Against sets of whole frames of 32 ms, without the margins around what is found."""
    activity = activity_of(*[(n * 0.032, 0.9 if talks else 0.0) for n, talks in runs])
    voice = Voice(activity, threshold=0.5)
    covered = sorted((begin * 0.032, (begin + length) * 0.032) for begin, length in spans if length)
    speech = {i for each in voice.speech for i in range(round(each.start / 0.032), round(each.end / 0.032))}
    open_ = speech - {i for begin, length in spans for i in range(begin, begin + length)}
    padded = voice.lost(covered, -1.0, activity.duration + 1.0)
    inside = [(max(each.start, 0.0), min(each.end, activity.duration)) for each in padded]
    assert [(each.start, each.end) for each in voice.lost(covered, 0.0, activity.duration)] == inside
    found = [
        set(range(round((each.start + LOST_MARGIN_S) / 0.032), round((each.end - LOST_MARGIN_S) / 0.032)))
        for each in padded
    ]
    for one, other in itertools.pairwise(found):
        assert max(one) < min(other)
    for frames in found:
        assert frames & speech <= open_
        assert {min(frames), max(frames)} <= open_
        assert len(frames & open_) * 0.032 >= MIN_LOST_S - 1e-6
    # What is not found is no longer stretch without a pause.
    for begin, end in _runs_of(open_ - set().union(*found)):
        assert (end - begin) * 0.032 < MIN_LOST_S + 1e-6


def _runs_of(frames: set[int]) -> list[tuple[int, int]]:
    begins = sorted(frame for frame in frames if frame - 1 not in frames)
    ends = sorted(frame + 1 for frame in frames if frame + 1 not in frames)
    return list(zip(begins, ends, strict=True))


def test_a_faint_voice_beside_a_loud_one_is_possible_speech(activity_of):
    voice = Voice(activity_of((10.24, 0.3), (5.12, 0.9), (10.24, 0.0)), threshold=0.5)
    assert [(round(each.start, 2), round(each.end, 2)) for each in voice.possible] == [(0, 10.24), (10.24, 15.36)]


@pytest.mark.parametrize(("length", "counts"), [(2.88, False), (3.2, True)])
def test_a_faint_neighbour_of_loud_speech_counts_from_3_s_on(activity_of, length, counts):
    voice = Voice(activity_of((length, 0.3), (5.12, 0.9), (length, 0.3)), threshold=0.5)
    faint = [round(each.end - each.start, 2) for each in voice.possible if each not in voice.speech]
    assert faint == ([length] * 2 if counts else [])
    assert len(voice.speech) == 1


@pytest.mark.parametrize(("length", "counts"), [(0.16, False), (0.224, True)])
def test_a_faint_voice_by_itself_counts_from_200_ms_on(activity_of, length, counts):
    voice = Voice(activity_of((5.12, 0.9), (1.6, 0.0), (length, 0.3), (1.6, 0.0)), threshold=0.5)
    assert len(voice.possible) == 1 + counts


def test_a_pause_that_is_not_quite_silent_is_no_possible_speech(activity_of):
    voice = Voice(activity_of((5.12, 0.9), (0.096, 0.2), (1.6, 0.05), (5.12, 0.9)), threshold=0.5)
    assert not [each for each in voice.possible if each.start < 6.0 < each.end]
