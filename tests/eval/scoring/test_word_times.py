import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr.transcript import Word
from eval.scoring import score_run
from eval.scoring.compare import compare_runs
from eval.scoring.word_times import compare_word_times, time_errors


def words(*timed: tuple[str, float, float]) -> tuple[Word, ...]:
    return tuple(Word(word=f" {word}", start=start, end=end, probability=0.9) for word, start, end in timed)


def spoken(text: str, *timed: tuple[str, float, float]):
    return {"text": text}, {"text": text, "words": words(*timed)}


A = (("The", 0.0, 0.2), ("cat", 0.2, 0.5), ("sat.", 0.5, 1.0))
B = (("the", 0.02, 0.2), ("dog", 0.2, 0.5), ("sat", 0.56, 1.3))


def test_same_words_are_compared_and_others_are_not(make_run) -> None:
    times = compare_word_times(make_run(spoken("the cat sat", *A)), make_run(spoken("the cat sat", *B)))
    assert times is not None
    assert times.languages == {"en": times.overall}
    group = times.overall
    assert (group.n_clips, group.n_words_a, group.n_words_b, group.n_matched) == (1, 3, 3, 2)
    assert group.starts.median == pytest.approx(0.04)
    assert group.starts.bias == pytest.approx(0.04)
    assert group.starts.within == {0.04: 0.5, 0.1: 1.0, 0.2: 1.0}
    assert group.ends.mean == pytest.approx(0.15)
    assert group.ends.p95 == pytest.approx(0.285)
    assert times.drift is None


def test_a_run_without_words_has_no_times(make_run) -> None:
    with_words = make_run(spoken("the cat sat", *A))
    without = make_run(({"text": "the cat sat"}, "the cat sat"))
    failed = make_run(({"text": "the cat sat"}, None))
    assert compare_word_times(with_words, without) is None
    assert compare_word_times(failed, with_words) is None
    assert compare_runs(with_words, without).word_times is None
    assert compare_runs(with_words, with_words).word_times.overall.starts.median == 0.0


def test_no_word_in_common(make_run) -> None:
    a, b = make_run(spoken("x", ("one", 0, 1))), make_run(spoken("x", ("two", 0, 1)))
    group = compare_word_times(a, b).overall
    assert (group.n_matched, group.starts, group.ends) == (0, None, None)


def test_a_clock_that_runs_too_fast(make_run) -> None:
    rng = np.random.default_rng(0)
    at = np.arange(200) * 3.0
    said = [str(number) for number in range(200)]
    slow = [(word, time, time + 0.3) for word, time in zip(said, at, strict=True)]
    noise = rng.normal(0, 0.03, 200)
    fast = [(word, time * (1 + 1e-4) + n, time + 0.3) for word, time, n in zip(said, at, noise, strict=True)]
    a, b = (make_run(spoken(" ".join(said), *timed)) for timed in (slow, fast))
    found = compare_word_times(a, b).drift
    assert found.ms_per_hour == pytest.approx(360, abs=100)  # 1e-4 of an hour
    assert found.interval.low < 360 < found.interval.high
    assert found.interval.low > 0
    still = compare_word_times(a, a).drift
    assert (still.ms_per_hour, still.interval.low, still.interval.high) == (0, 0, 0)


def test_times_of_20_ms_are_within_40_ms() -> None:
    assert time_errors([0.6 - 0.56]).within[0.04] == 1.0  # 0.03999… or 0.0400…1


@given(st.lists(st.floats(-10, 10), min_size=1, max_size=30))
def test_summaries_are_ordered(differences: list[float]) -> None:
    errors = time_errors(differences)
    assert 0 <= errors.median <= errors.p95 + 1e-9
    assert list(errors.within.values()) == sorted(errors.within.values())
    mirrored = time_errors([-difference for difference in differences])
    assert mirrored.median == errors.median
    assert mirrored.bias == pytest.approx(-errors.bias)


def test_a_run_with_words_still_scores(make_run) -> None:
    scores = score_run(make_run(spoken("the cat sat", *A)))
    assert scores.placement is None
    assert scores.confidence.overall.n_words == 3
