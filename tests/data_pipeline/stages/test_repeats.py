from collections.abc import Callable

import pytest

from data_pipeline.stages.repeats import RepeatLimits, drop_repeated
from data_pipeline.types import Drop, Record

ROLLING = ("so today we will", "so today we will talk about bread", "talk about bread and how it is made")


@pytest.mark.parametrize(
    ("cues", "reason"),
    [
        (("Hello there, my friend.", "How are you today?"), None),
        (("Yes.", "Yes.", "No.", "No."), None),
        (ROLLING, "repeated_captions"),
        (("This is the news.", "This is the news.", "Rain today.", "Rain today, all day."), None),
        (("This is the news.", "This is the news!", "Rain all day.", "Rain all day."), "repeated_captions"),
        # Word for word, but not one after the other: a refrain, or a recognizer that falls back.
        (
            (
                "Round and round we go.",
                "A first verse.",
                "Round and round we go!",
                "A second.",
                "Round and round we go.",
            ),
            "repeated_captions",
        ),
        (("Thank you.", "The next one, please.", "Thank you.", "And another one.", "Thank you."), None),
        (("Thank you.",) * 5, "caption_loop"),
        (("Thank you.",) * 4, None),
        (("One of many.",), None),
        ((), None),
    ],
)
def test_repeats(make_record: Callable[..., Record], cues: tuple[str, ...], reason: str | None):
    record = make_record(*cues)
    outcome = drop_repeated(record, RepeatLimits())
    assert outcome is record if reason is None else isinstance(outcome, Drop) and outcome.reason == reason


def test_the_share_counts(make_record: Callable[..., Record]):
    different = [f"This is sentence number {n}." for n in range(40)]
    song = make_record(*different, "Sing it once again.", "Sing it once again.", "Sing it once again.")
    assert drop_repeated(song, RepeatLimits()) is song
    outcome = drop_repeated(song, RepeatLimits(max_share=0.02))
    assert outcome == Drop(reason="repeated_captions", value=0.047, limit=0.02)
