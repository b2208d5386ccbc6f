import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr.transcript import Word
from eval.scoring import score_transcriptions
from eval.scoring.confidence import area_under_curve, calibration_bins

judged = st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=40)


def spoken(text: str, *words: tuple[str, float], **fields):
    timed = tuple(
        Word(word=f" {word}", start=number, end=number + 1, probability=probability)
        for number, (word, probability) in enumerate(words)
    )
    return {"text": text, **fields}, {"text": " ".join(word for word, _ in words), "words": timed}


def test_by_hand(make_run) -> None:
    run = make_run(
        spoken("the cat sat", ("The", 1.0), ("bat", 0.4), ("sat.", 0.85)),
        spoken("", ("you", 0.25), language=None),  # nobody speaks
        spoken("das ist so", ("Das", 0.95), language="de"),
        spoken("doubtful", ("wrong", 1.0), quality="doubtful"),  # nobody knows what is right
        spoken("21 cats", ("twenty", 0.5), ("one", 0.5), ("cats", 0.95)),
        spoken("no idea", ("no", float("nan"))),
    )
    found = score_transcriptions(run).confidence
    overall = found.overall
    assert (overall.n_clips, overall.n_words, overall.n_unclear, overall.n_correct) == (5, 6, 3, 4)
    assert overall.probability == pytest.approx(4.4 / 6)
    # [0.2, 0.3): 0.25 off; [0.4, 0.5): 0.4 off; [0.8, 0.9): 0.15 off; [0.9, 1]: 0.1 off in all
    assert overall.ece == pytest.approx((0.25 + 0.4 + 0.15 + 0.1) / 6)
    assert overall.brier == pytest.approx((0.0 + 0.16 + 0.15**2 + 0.0625 + 0.05**2 + 0.05**2) / 6)
    assert overall.auc == 1.0
    assert set(found.languages) == {"de", "en", "none"}
    assert found.languages["none"].auc is None
    assert [each.n for each in found.bins] == [0, 0, 1, 0, 1, 0, 0, 0, 1, 3]
    assert (found.bins[9].accuracy, found.bins[0].accuracy) == (1.0, None)


def test_without_words_there_is_none(make_run) -> None:
    assert score_transcriptions(make_run(({"text": "a"}, "a"))).confidence is None
    assert score_transcriptions(make_run(spoken("a"))).confidence is None


@given(judged)
def test_every_word_is_in_one_bin(pairs: list[tuple[float, bool]]) -> None:
    bins = calibration_bins(pairs)
    assert sum(each.n for each in bins) == len(pairs)
    assert sum(each.n_correct for each in bins) == sum(right for _, right in pairs)
    assert all(each.low - 1e-9 <= each.probability <= each.high + 1e-9 for each in bins if each.n)


@given(judged)
def test_the_area_is_the_share_of_pairs_in_order(pairs: list[tuple[float, bool]]) -> None:
    right, wrong = ([p for p, is_right in pairs if is_right is wanted] for wanted in (True, False))
    area = area_under_curve(np.array([p for p, _ in pairs]), np.array([is_right for _, is_right in pairs]))
    if not right or not wrong:
        assert area is None
    else:
        won = sum((p > q) + (p == q) / 2 for p in right for q in wrong)
        assert area == pytest.approx(won / (len(right) * len(wrong)))
