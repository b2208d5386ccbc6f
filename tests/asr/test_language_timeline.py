import itertools
from collections.abc import Callable, Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr.errors import AuricleError
from asr.language_timeline import LanguageTimeline, LanguageWindow
from asr.options import TranscribeOptions
from asr.stretches import Stretch, cut_at_pauses
from asr.voice import Voice
from asr.voice_activity import VoiceActivity

ENGLISH, GERMAN = {"en": 0.97, "de": 0.03}, {"en": 0.03, "de": 0.97}


def timeline_of(activity: VoiceActivity, **options) -> tuple[LanguageTimeline, list[Stretch]]:
    voice = Voice(activity, threshold=0.5)
    whole = Stretch(begin=0, end=int(activity.duration * 100))
    windows = cut_at_pauses(whole, voice.possible, activity, keep_silence=False)
    return LanguageTimeline([whole], windows, voice, TranscribeOptions(**options)), windows


def listen(timeline: LanguageTimeline, heard: Callable[[LanguageWindow], Mapping[str, float]]) -> list[LanguageWindow]:
    asked: list[LanguageWindow] = []
    while windows := timeline.next_windows():
        asked += windows
        for window in windows:
            timeline.accept(window, heard(window))
    return asked


@pytest.fixture(scope="module")
def two_minutes(activity_of) -> VoiceActivity:
    return activity_of(*[(4.48, 0.9), (0.64, 0.0)] * 24)


@pytest.fixture(scope="module")
def ten_minutes(activity_of) -> VoiceActivity:
    return activity_of(*[(4.48, 0.9), (0.64, 0.0)] * 120)


def test_a_clear_vote_settles_it(ten_minutes):
    timeline, windows = timeline_of(ten_minutes)
    assert timeline.language is None
    asked = listen(timeline, lambda _: ENGLISH)
    assert len(asked) == len(set(asked)) == 8
    assert {(each.seek, each.seek + each.n_frames) for each in asked} < {(each.begin, each.end) for each in windows}
    assert (asked[0].seek < 10_000, asked[-1].seek > 50_000) == (True, True)
    assert timeline.language == "en"
    assert timeline.probabilities == pytest.approx(ENGLISH)
    assert timeline.runs() == []


def test_a_short_recording_is_heard_whole(two_minutes):
    timeline, windows = timeline_of(two_minutes)
    assert len(listen(timeline, lambda _: ENGLISH)) == len(windows) < 8


def test_each_stretch_is_listened_to_once_and_follows_the_vote_unless_clear(ten_minutes):
    timeline, windows = timeline_of(ten_minutes)
    heard = {(each.seek, each.n_frames) for each in listen(timeline, lambda _: ENGLISH)}
    languages = []
    for place, window in enumerate(windows):
        answer = timeline.language_of(window)
        if isinstance(answer, LanguageWindow):
            assert (answer.seek, answer.n_frames) not in heard
            timeline.accept(answer, {"en": 0.4, "de": 0.6} if place % 2 else GERMAN)
            languages.append((place % 2, timeline.language_of(window)))
        else:
            assert answer == "en"
    assert languages
    assert {language for is_odd, language in languages if is_odd} == {"en"}
    assert {language for is_odd, language in languages if not is_odd} == {"de"}
    assert {span.language for span in timeline.spans} == {"en", "de"}
    ends = [span.end for span in timeline.spans]
    assert all(end <= span.start for end, span in zip(ends, timeline.spans[1:], strict=False))


@pytest.mark.parametrize(
    ("threshold", "best", "expected"),
    [
        (0.5, 0.49, "en"),  # less sure than that: it follows the recording
        (0.5, 0.5, "de"),
        (0.4, 0.49, "de"),
        (0.95, 0.94, "en"),
        (0.95, 0.96, "de"),
    ],
)
def test_a_stretch_of_no_clear_language_follows_the_recording(ten_minutes, threshold, best, expected):
    timeline, windows = timeline_of(ten_minutes, language_threshold=threshold)
    listen(timeline, lambda _: {"en": 1.0})
    unheard = [each for each in windows if isinstance(timeline.language_of(each), LanguageWindow)]
    # English is so unlikely here that the vote alone would not make it English.
    heard = {"de": best, "en": 0.001} | {f"l{i}": (1 - best) / 20 for i in range(20)}
    timeline.accept(timeline.language_of(unheard[0]), heard)
    assert timeline.language_of(unheard[0]) == expected


@pytest.mark.parametrize(
    "heard",
    [
        lambda window: ENGLISH if window.seek < 6000 else GERMAN,  # the vote is torn
        lambda window: GERMAN if 3000 < window.seek < 5500 else ENGLISH,  # one window says clearly otherwise
    ],
)
def test_a_mixed_recording_is_heard_utterance_by_utterance(two_minutes, heard):
    timeline, windows = timeline_of(two_minutes)
    asked = listen(timeline, heard)
    assert len(asked) > len(windows)
    assert all(0 < window.n_frames <= 1100 for window in asked[len(windows) :])
    runs = timeline.runs()
    assert {language for _, language in runs} == {"en", "de"}
    assert (runs[0][0].begin, runs[-1][0].end) == (0, 12_288)
    for (before, one), (after, other) in itertools.pairwise(runs):
        assert before.end == after.begin
        assert one != other
    for span in timeline.spans:
        middle = round((span.start + span.end) * 50)
        assert [language for run, language in runs if run.begin <= middle < run.end] == [span.language]


def test_an_utterance_in_another_language_is_no_run_unless_it_is_clear(two_minutes):
    timeline, _ = timeline_of(two_minutes)
    listen(timeline, lambda window: {"en": 0.6, "de": 0.4} if window.seek % 3 else {"en": 0.45, "de": 0.55})
    assert [language for _, language in timeline.runs()] == ["en"]


def test_little_speech_is_in_one_language(activity_of):
    timeline, windows = timeline_of(activity_of((4.48, 0.9), (0.64, 0.0), (4.48, 0.9)))
    assert len(listen(timeline, lambda _: {"en": 0.5, "de": 0.5})) == len(windows)
    assert timeline.runs() == []


def test_without_voice_activity_the_vote_decides():
    windows = [Stretch(begin=i * 3000, end=(i + 1) * 3000) for i in range(4)]
    timeline = LanguageTimeline([Stretch(begin=0, end=12_000)], windows, None, TranscribeOptions())
    listen(timeline, lambda window: ENGLISH if window.seek < 3000 else GERMAN)
    assert (timeline.language, timeline.runs()) == ("de", [])


def test_nothing_to_listen_to(activity_of):
    timeline, _ = timeline_of(activity_of((30.0, 0.0)))
    assert (timeline.next_windows(), timeline.runs(), timeline.spans, timeline.language) == ([], [], (), None)


def test_allowed_languages(two_minutes):
    timeline, _ = timeline_of(two_minutes, languages=("de", "fr"))
    listen(timeline, lambda _: {"en": 0.9, "de": 0.08, "fr": 0.02})
    assert timeline.probabilities == pytest.approx({"de": 0.8, "fr": 0.2})


def test_one_allowed_language_is_never_mixed(two_minutes):
    timeline, windows = timeline_of(two_minutes, languages=("de",))
    assert len(listen(timeline, lambda _: {"en": 0.9, "de": 0.1})) == len(windows)
    assert (timeline.language, timeline.runs()) == ("de", [])


def test_an_answer_is_taken_once(two_minutes):
    timeline, _ = timeline_of(two_minutes)
    window = timeline.next_windows()[0]
    timeline.accept(window, ENGLISH)
    with pytest.raises(AuricleError, match="twice"):
        timeline.accept(window, ENGLISH)


def test_a_settled_recording_has_one_language(two_minutes):
    timeline, _ = timeline_of(two_minutes)
    listen(timeline, lambda window: ENGLISH if window.seek else {"en": 0.3, "de": 0.7})
    timeline.settle()
    (span,) = timeline.spans
    assert (span.start, span.end, span.language) == (0, 122.88, "en")
    assert span.probability == pytest.approx(timeline.probabilities["en"])


def test_only_clips_are_heard_and_run_through(activity_of):
    activity = activity_of(*[(4.48, 0.9), (0.64, 0.0)] * 24)
    voice = Voice(activity, threshold=0.5)
    clips = [Stretch(begin=1000, end=4000), Stretch(begin=4000, end=5000), Stretch(begin=9000, end=11_000)]
    windows = [window for clip in clips for window in cut_at_pauses(clip, voice.possible, activity, keep_silence=False)]
    timeline = LanguageTimeline(clips, windows, voice, TranscribeOptions())
    asked = listen(timeline, lambda window: ENGLISH if window.seek < 4000 else GERMAN)
    stretches = [run for run, _ in timeline.runs()]
    for begin, end in [(each.seek, each.seek + each.n_frames) for each in asked] + [
        (s.begin, s.end) for s in stretches
    ]:
        assert any(clip.begin <= begin < end <= clip.end for clip in clips)
    assert [(run.begin, run.end, language) for run, language in timeline.runs()] == [
        (1000, 4000, "en"),
        (4000, 5000, "de"),
        (9000, 11_000, "de"),
    ]


RUNS = st.lists(st.tuples(st.floats(0.1, 60.0), st.sampled_from([0.0, 0.3, 0.9])), min_size=1, max_size=12)


@settings(max_examples=150, deadline=None)
@given(runs=RUNS, data=st.data())
def test_any_recording_is_heard_in_windows_of_at_most_30_s_and_cut_into_whole_runs(activity_of, runs, data):
    activity = activity_of(*runs)
    timeline, _ = timeline_of(activity)
    answers = st.sampled_from([ENGLISH, GERMAN, {"en": 0.5, "de": 0.5}])
    asked = listen(timeline, lambda _: data.draw(answers))
    assert len(set(asked)) == len(asked)
    for window in asked:
        assert 0 < window.n_frames <= 3000
        assert 0 <= window.seek < window.seek + window.n_frames <= activity.duration * 100 + 1
    found = timeline.runs()
    for run, language in found:
        assert run.begin < run.end
        assert language in {"en", "de"}
    if found:
        assert (found[0][0].begin, found[-1][0].end) == (0, int(activity.duration * 100))
        assert all(one.end == other.begin for (one, _), (other, _) in itertools.pairwise(found))
