from collections.abc import Callable

import pytest

from data_pipeline.stages.timing import TimingLimits, check_timing
from data_pipeline.types import Drop, Record

Cues = tuple[tuple[float, float, str], ...]
LIMITS = TimingLimits()


@pytest.mark.parametrize(
    ("cues", "duration", "reason"),
    [
        (((0, 2, "One, two, three."), (2, 4, "Four, five, six.")), 5.0, None),
        (((0, 2, "One, two, three."), (1.9, 4, "Four, five, six.")), 5.0, None),
        (((2, 4, "One, two, three."), (1.7, 4, "Four, five, six.")), 5.0, None),
        (((2, 4, "One, two, three."), (0, 2, "Four, five, six.")), 5.0, "times_not_monotone"),
        (((-2, 4, "One, two, three."),), 5.0, "times_not_monotone"),
        (((0, 2, "One, two, three."), (4, 5.9, "Four, five, six.")), 5.0, None),
        (((0, 2, "One, two, three."), (4, 6.1, "Four, five, six.")), 5.0, "captions_beyond_audio"),
        (((7, 2, "One, two, three."),), 5.0, "captions_beyond_audio"),
        (((5.5, 5.9, "One, two, three."),), 5.0, "captions_beyond_audio"),
        (((0, 0.5, "One, two, three, four, five, six."),), 5.0, "characters_per_second"),
        (((0, 30, "One, two."),), 30.0, "characters_per_second"),
        (((3, 2, "One, two, three."),), 5.0, "characters_per_second"),
        (((0, 2, "今日はとてもいい天気ですね。"),), 5.0, None),
        (((0, 0.9, "今日はとてもいい天気ですね。"),), 5.0, "characters_per_second"),
    ],
)
def test_timing(make_record: Callable[..., Record], cues: Cues, duration: float, reason: str | None):
    outcome = check_timing(make_record(*cues, duration=duration), LIMITS)
    if reason is None:
        assert isinstance(outcome, Record)
        assert all(0 <= cue.start <= cue.end <= duration for cue in outcome.cues)
        assert [cue.start for cue in outcome.cues] == sorted(cue.start for cue in outcome.cues)
    else:
        assert isinstance(outcome, Drop)
        assert outcome.reason == reason


def test_a_text_without_times_lasts_as_long_as_the_recording(make_record: Callable[..., Record]):
    outcome = check_timing(make_record((0, 0, "One, two, three."), timed=False, duration=3.0), LIMITS)
    assert isinstance(outcome, Record)
    assert [(cue.start, cue.end) for cue in outcome.cues] == [(0.0, 3.0)]


def test_the_drop_names_both_seconds(make_record: Callable[..., Record]):
    outcome = check_timing(make_record((0, 9, "One, two, three."), duration=5.0), LIMITS)
    assert outcome == Drop(reason="captions_beyond_audio", value=9, limit=6.0)
