from collections.abc import Callable

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
    partial = Window(start=0, end=8, next_start=4, cues=good.cues, partial_start=4.0)
    assert agree_window(good, record, LIMITS) is good
    assert agree_window(partial, record, LIMITS) is partial
    drop = Drop(reason="segment_wer", value=1.0, limit=0.7)
    assert agree_window(bad, record, LIMITS) == CutWindow(start=4, next_start=8, drop=drop)
