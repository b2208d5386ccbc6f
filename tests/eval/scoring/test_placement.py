import pytest

from asr.transcript import Word
from eval.corpora import Part
from eval.normalizers import NormalizerName
from eval.scoring.clips import answered_clips
from eval.scoring.placement import place_words


def part(number: int, start: float, end: float, text: str, language: str = "en") -> Part:
    return Part(id=f"part-{number}", start=start, end=end, text=text, language=language)


def word(text: str, start: float, end: float) -> Word:
    return Word(word=text, start=start, end=end, probability=0.5)


def place(make_run, parts, words, language="en"):
    text = " ".join(each.text for each in parts)
    run = make_run(({"text": text, "parts": tuple(parts), "language": language}, {"text": text, "words": words}))
    return place_words(answered_clips(run), normalizer=NormalizerName.WHISPER)


def test_words_inside_and_outside_their_clip(make_run) -> None:
    parts = [part(1, 0.0, 2.0, "Good morning."), part(2, 3.0, 5.0, "Good night, all")]
    words = (
        word(" Good", 0.0, 0.5),
        word(" morning", 1.5, 2.1),  # 0.1 s too long
        word(" Good", 2.0, 3.5),  # begins 1 s too early
        word(" night", 3.5, 5.0),
        word(" ball", 5.0, 9.0),  # not what is said
    )
    found = place(make_run, parts, words)
    assert (found.overall.n_words, found.overall.n_matched) == (5, 4)
    assert found.overall.inside == {0.0: 2, 0.2: 3}
    assert found.clips == {"clip-0": found.overall}
    (stray,) = found.stray
    assert (stray.word, stray.part_id, stray.off_by) == ("Good", "part-2", 1.0)
    assert found.drift is None


def test_parts_in_several_languages_are_counted_by_character_where_one_has_no_spaces(make_run) -> None:
    parts = [part(1, 0, 2, "hello there"), part(2, 3, 5, "你好吗", "zh")]
    words = (word(" hello", 0, 1), word(" there", 1, 2), word("你好", 3, 4), word("吗", 6, 7))
    found = place(make_run, parts, words, language=None)
    assert (found.overall.n_matched, found.overall.inside[0.0]) == (4, 3)


@pytest.mark.parametrize("drift_ms_per_hour", [0.0, 500.0])
def test_drift_over_an_hour_of_parts(make_run, drift_ms_per_hour: float) -> None:
    parts, words = [], []
    for number in range(120):
        start = 30.0 * number
        parts.append(part(number, start, start + 10, f"begin{number} end{number}"))
        late = drift_ms_per_hour / 1000 * start / 3600 + 0.02 * (number % 3)
        words += [
            word(f" begin{number}", start + 1 + late, start + 2),
            word(f" end{number}", start + 5, start + 9 + late),
        ]
    found = place(make_run, parts, tuple(words))
    assert found.overall.inside[0.0] == 240
    assert found.drift.n_points == 120
    assert found.drift.ms_per_hour == pytest.approx(drift_ms_per_hour, abs=15)
    assert found.drift.interval.low <= drift_ms_per_hour + 15
    assert found.drift.interval.high >= drift_ms_per_hour - 15


def test_nothing_to_place(make_run) -> None:
    run = make_run(({"text": "a"}, {"text": "a", "words": (word(" a", 0, 1),)}))
    assert place_words(answered_clips(run), normalizer=NormalizerName.WHISPER) is None
