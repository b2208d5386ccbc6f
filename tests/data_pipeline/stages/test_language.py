from collections.abc import Callable

import pytest

from asr.tasks import Task
from data_pipeline.stages.language import LanguageLimits, agree_language, text_language
from data_pipeline.types import Drop, Record, SpokenLanguage

ENGLISH = "Good morning, and welcome to the programme. Today we talk about the weather in the mountains."
GERMAN = "Guten Morgen und willkommen zur Sendung. Heute sprechen wir über das Wetter in den Bergen."
FRENCH = "Bonjour et bienvenue dans notre émission. Aujourd'hui nous parlons du temps dans les montagnes."
SERBIAN = "Dobro jutro i dobrodošli u emisiju. Danas razgovaramo o vremenu na planinama i u gradovima."
SHORT = "Okay."
KEEP, RESCUE = Task.TRANSCRIBE, Task.TRANSLATE


@pytest.mark.parametrize(
    ("text", "label", "spoken", "expected"),
    [
        (ENGLISH, None, ("en", 0.9), ("en", KEEP)),
        (GERMAN, "en", ("de", 0.9), ("de", KEEP)),
        (GERMAN, None, ("en", 0.9), "language_mismatch"),
        (GERMAN, None, ("fr", 0.9), "language_mismatch"),
        (ENGLISH, None, ("de", 0.9), ("de", RESCUE)),
        (ENGLISH, "de", ("de", 0.7), ("de", RESCUE)),
        (ENGLISH, "de", ("de", 0.69), "language_mismatch"),
        (ENGLISH, "en", ("de", 0.69), ("en", KEEP)),
        (SHORT, None, ("de", 0.9), ("de", KEEP)),
        (SHORT, "fr", None, ("fr", KEEP)),
        (SHORT, None, None, "language_unknown"),
        (SHORT, None, ("de", 0.5), "language_unknown"),
        (FRENCH, None, None, ("fr", KEEP)),
        (FRENCH, "fr", None, ("fr", KEEP)),
        (FRENCH, "it", None, "language_mismatch"),
        (SERBIAN, "bs", None, ("bs", KEEP)),
    ],
)
def test_language(make_record: Callable[..., Record], text: str, label: str | None, spoken: tuple, expected: object):
    heard = SpokenLanguage(language=spoken[0], probability=spoken[1]) if spoken else None
    outcome = agree_language(make_record(text, language=label, spoken=heard), LanguageLimits())
    if isinstance(outcome, Drop):
        assert outcome.reason == expected
    else:
        assert (outcome.language, outcome.task) == expected


@pytest.mark.parametrize(
    ("text", "language"),
    [
        (ENGLISH, "en"), (GERMAN, "de"), ("你好吗，今天天气很好", "zh"), (SHORT, None), ("", None),
        (ENGLISH + "\x01\x7f\ud800\ufffe\U0010ffff", "en"),
    ],
)  # fmt: skip
def test_text_language(text: str, language: str | None):
    assert text_language(text) == language


def test_every_control_character_is_survived():
    for code in [*range(0x300), *range(0xD7F0, 0xE010), *range(0xFDD0, 0xFDF0), 0xFFFE, 0x1FFFF]:
        text_language(f"Good {chr(code)} morning")
