import pytest

from eval.scoring import score_transcriptions


def silent(kind: str | None, text: str | None, *, duration: float | None = 36, language: str | None = None):
    fields = {"text": "", "language": None, "kind": kind, "duration": duration}
    return fields, None if text is None else {"text": text, "language": language}


def test_words_an_hour_by_kind(make_run) -> None:
    run = make_run(
        silent("noise", "Thank you."),
        silent("noise", ""),
        silent("music", "ご視聴ありがとう", language="japanese"),  # 8 characters, and no spaces to count words by
        silent(None, "Thank you"),
        silent("noise", None),  # failed: it was not heard
        silent("noise", "you", duration=None),
        ({"text": "speech", "kind": "noise", "duration": 1}, "speech and more"),
    )
    invented = score_transcriptions(run).invented
    assert {kind: (words.n_clips, words.n_clips_with_words, words.n_words) for kind, words in invented.items()} == {
        "music": (1, 1, 8),
        "noise": (2, 1, 2),
        "other": (1, 1, 2),
        "all": (4, 3, 12),
    }
    assert invented["noise"].hours == pytest.approx(0.02)
    assert invented["noise"].per_hour == pytest.approx(100)
    assert (invented["noise"].interval.low, invented["noise"].interval.high) == pytest.approx((0, 200))
    assert invented["music"].interval is None  # one clip


def test_there_is_nothing_to_say_without_silence(make_run) -> None:
    assert score_transcriptions(make_run(({"text": "a", "duration": 1}, "a"))).invented == {}
