import pytest

from asr.transcript import Suppressed
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


def test_kinds_of_noise_and_what_stands_apart(make_run) -> None:
    def sound(dataset: str, kind: str | None = "noise", text: str = "one two"):
        return {"text": "", "language": None, "kind": kind, "dataset": dataset, "duration": 36}, text

    run = make_run(
        sound("noise/white_10min"), sound("pink-noise"), sound("digital_silence"), sound("babble8_open"),
        sound("speechbrain_rir"), sound("rain"), sound("white christmas", "music"), sound("silences", None),
    )  # fmt: skip
    scores = score_transcriptions(run)
    assert {kind: words.n_clips for kind, words in scores.invented.items()} == {
        "babble": 1, "impulse response": 1, "music": 1, "noise": 1, "other": 1, "pink noise": 1, "silence": 1,
        "white noise": 1, "all": 6,
    }  # fmt: skip
    assert len(scores.invented_datasets) == 8
    assert scores.invented_datasets["rain"].n_words == 2


def test_babble_alone_has_no_total(make_run) -> None:
    fields = {"text": "", "language": None, "kind": "noise", "dataset": "babble", "duration": 36}
    assert set(score_transcriptions(make_run((fields, "a"))).invented) == {"babble"}


def test_what_was_suppressed_is_counted_beside(make_run) -> None:
    left_out = Suppressed(
        start=0, end=1, text=" Thank you.", reason="silence", avg_logprob=-1, compression_ratio=1, no_speech_prob=0.9
    )
    fields, _ = silent("noise", "")
    run = make_run((fields, {"text": "you", "suppressed": (left_out, left_out)}), silent("noise", ""))
    noise = score_transcriptions(run).invented["noise"]
    assert (noise.n_words, noise.n_suppressed) == (1, 4)
