from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr.transcript import LanguageSpan
from eval.corpora import Part
from eval.scoring import score_transcriptions
from eval.scoring.timeline import recording_timeline


def parts(*spans: tuple[float, float, str | None]) -> tuple[Part, ...]:
    return tuple(
        Part(id=f"{number}", start=start, end=end, text="a", language=language)
        for number, (start, end, language) in enumerate(spans)
    )


def spans(*found: tuple[float, float, str]) -> tuple[LanguageSpan, ...]:
    return tuple(LanguageSpan(start=start, end=end, language=name, probability=0.9) for start, end, name in found)


def test_by_hand() -> None:
    truth = parts((0, 10, "en"), (12, 20, "de"), (21, 25, None), (25, 30, "en"))
    found = recording_timeline("r", truth, spans((0, 9, "english"), (9, 18, "de"), (26, 30, "fr")))
    assert (found.seconds, found.seconds_right) == (23, 9 + 6)
    assert (found.n_parts, found.n_parts_right) == (3, 2)
    assert (found.n_switches, found.n_switches_found) == (2, 2)
    assert found.confusion == {"de": {"de": 6, "none": 2}, "en": {"de": 1, "en": 9, "fr": 4, "none": 1}}


def test_overlapping_spans_count_time_once() -> None:
    found = recording_timeline("r", parts((0, 10, "en")), spans((0, 6, "en"), (4, 10, "de"), (5, 6, "fr")))
    assert found.confusion == {"en": {"de": 4, "en": 6}}


def test_recordings_are_added_up(make_run) -> None:
    truth = parts((0, 10, "en"), (10, 20, "de"))
    run = make_run(
        ({"text": "a", "parts": truth}, {"text": "a", "languages": spans((0, 20, "en"))}),
        ({"text": "a", "parts": truth}, {"text": "a"}),  # found nothing
        ({"text": "a"}, {"text": "a", "languages": spans((0, 1, "en"))}),  # not joined
    )
    timeline = score_transcriptions(run).timeline
    assert (timeline.seconds, timeline.seconds_right, timeline.share_right) == (40, 10, 0.25)
    assert (timeline.n_parts, timeline.n_parts_right) == (4, 1)
    assert (timeline.n_switches, timeline.n_switches_found) == (2, 0)
    assert timeline.confusion == {"de": {"en": 10, "none": 10}, "en": {"en": 10, "none": 10}}
    assert [each.id for each in timeline.clips] == ["clip-0", "clip-1"]


def test_a_recording_in_several_languages_has_a_row_of_its_own(make_run) -> None:
    truth = parts((0, 10, "en"), (10, 20, "de"))
    run = make_run(({"text": "a", "parts": truth, "language": None}, "a"), ({"text": "", "language": None}, ""))
    assert set(score_transcriptions(run).languages) == {"none", "several"}


def test_a_run_that_says_nothing_of_languages(make_run) -> None:
    run = make_run(({"text": "a", "parts": parts((0, 1, "en"))}, "a"))
    assert score_transcriptions(run).timeline is None


times = st.lists(st.floats(0, 100, allow_nan=False), min_size=2, max_size=12).map(sorted)


@given(times, times)
def test_every_second_of_speech_has_one_label(truth: list[float], found: list[float]) -> None:
    languages = ["en", "de", "fr"]
    said = [(start, end, languages[n % 3]) for n, (start, end) in enumerate(pairwise(truth))]
    named = [(start, end, languages[n % 2]) for n, (start, end) in enumerate(pairwise(found))]
    timeline = recording_timeline("r", parts(*said), spans(*named))
    total = sum(seconds for row in timeline.confusion.values() for seconds in row.values())
    assert total == pytest.approx(timeline.seconds, abs=1e-4)
    assert 0 <= timeline.seconds_right <= timeline.seconds + 1e-9
    assert 0 <= timeline.n_parts_right <= timeline.n_parts


@given(times)
def test_the_truth_is_right(truth: list[float]) -> None:
    said = [
        (start, end, "en" if n % 2 else "de") for n, (start, end) in enumerate(pairwise(truth)) if end - start > 0.01
    ]
    timeline = recording_timeline("r", parts(*said), spans(*said))
    assert timeline.seconds_right == pytest.approx(timeline.seconds)
    assert (timeline.n_parts_right, timeline.n_switches_found) == (timeline.n_parts, timeline.n_switches)
