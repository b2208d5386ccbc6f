from collections.abc import Callable
from dataclasses import replace

import pytest

from asr.tasks import Task
from data_pipeline.stages.agreement import AgreementLimits, agree_document, agree_window, document_errors
from data_pipeline.types import Cue, CutWindow, Drop, Record, Window

LIMITS = AgreementLimits()


def words(text: str, step_s: float = 1.0) -> tuple[Cue, ...]:
    return tuple(Cue(start=n * step_s, end=(n + 1) * step_s, text=f" {word}") for n, word in enumerate(text.split()))


@pytest.mark.parametrize(
    ("text", "heard", "language", "wer"),
    [
        ("All good things end.", "all good things end", "en", None),
        ("All good things end.", "all good songs begin", "en", None),
        ("All good things end.", "all is well that", "en", 0.75),
        ("Tres tristes tigres.", "", "es", 1.0),
        # Every word of a language that the model hears badly, but few letters of it.
        ("Äänestin mietinnön puolesta.", "äänesstin mietinön puolessta", "fi", None),
        ("Äänestin mietinnön puolesta.", "hyvää päivää kaikille", "fi", 1.0),
        ("今日は天気です", "今日は雨です", "ja", None),
        ("今日は天気です", "全然違う話をする", "ja", 1.0),
        ("!", "", "en", None),
    ],
)
def test_documents(make_record: Callable[..., Record], text: str, heard: str, language: str, wer: float | None):
    record = make_record(text, language=language, hypothesis=words(heard))
    outcome = agree_document(record, LIMITS)
    assert outcome is record if wer is None else outcome == Drop(reason="document_wer", value=wer, limit=0.5)


def test_what_was_not_heard_or_is_a_translation_is_not_compared(make_record: Callable[..., Record]):
    unheard = make_record("One.", language="en")
    translated = make_record("One.", language="de", task=Task.TRANSLATE, hypothesis=words("eins"))
    assert agree_document(unheard, LIMITS) is unheard
    assert agree_document(translated, LIMITS) is translated
    assert document_errors(translated) is None


def test_a_window_is_held_against_its_own_words(make_record: Callable[..., Record]):
    record = make_record("a b c d e f g h", language="en", hypothesis=words("a b c d x y z w"))
    good = Window(start=0, end=4, next_start=4, cues=(Cue(start=0, end=4, text="a b c d"),))
    bad = Window(start=4, end=8, next_start=8, cues=(Cue(start=4, end=8, text="e f g h"),))
    silent = Window(start=8, end=38, next_start=38)
    partial = Window(start=0, end=8, next_start=4, cues=good.cues, partial_start=4.0)
    assert agree_window(good, record, LIMITS) is good
    assert agree_window(partial, record, LIMITS) is partial
    assert agree_window(silent, record, LIMITS) is silent
    drop = Drop(reason="segment_wer", value=1.0, limit=0.7)
    assert agree_window(bad, record, LIMITS) == CutWindow(start=4, next_start=8, drop=drop)


def test_speech_without_captions_is_no_example(make_record: Callable[..., Record]):
    record = make_record("a b c d", language="en", hypothesis=words("a b c d v x y z w", 0.9))
    record = replace(record, cues=(Cue(start=0, end=3.6, text="a b c d"),), duration=60.0)
    captioned = Window(start=0, end=30, next_start=30, cues=record.cues)
    drop = Drop(reason="uncaptioned_speech", value=4, limit=3)
    cut = CutWindow(start=0, next_start=30, drop=drop)
    assert agree_window(captioned, record, AgreementLimits(max_segment_wer=2.0)) == cut
    # Nor is it one of no speech, or one of a translation.
    assert agree_window(replace(captioned, cues=()), replace(record, cues=()), LIMITS).drop.value == 9
    assert agree_window(captioned, replace(record, task=Task.TRANSLATE), LIMITS) == cut
    assert agree_window(captioned, record, AgreementLimits(max_segment_wer=2.0, max_uncaptioned_words=4)) is captioned


@pytest.mark.parametrize(("shift", "lag"), [(0.0, None), (1.4, None), (2.0, 2.0), (-2.5, -2.5)])
def test_captions_are_where_they_are_heard(make_record: Callable[..., Record], shift: float, lag: float | None):
    texts = ("one two three", "four five six", "seven eight nine", "ten eleven twelve")
    heard = tuple(word for n, text in enumerate(texts) for word in _placed(text, 10.0 * n))
    cues = [(10.0 * n + 3 + shift, 10.0 * n + 6 + shift, text) for n, text in enumerate(texts)]
    record = make_record(*cues, language="en", hypothesis=tuple(_later(word, 3.0) for word in heard))
    outcome = agree_document(record, LIMITS)
    assert outcome is record if lag is None else outcome == Drop(reason="caption_lag", value=lag, limit=1.5)
    untimed = replace(record, timed=False)
    assert agree_document(untimed, LIMITS) is untimed


def _placed(text: str, start: float) -> list[Cue]:
    return [_later(word, start) for word in words(text)]


def _later(word: Cue, seconds: float) -> Cue:
    return replace(word, start=word.start + seconds, end=word.end + seconds)
