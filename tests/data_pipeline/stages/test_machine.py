from collections.abc import Callable

import pytest

from data_pipeline.stages.machine import MachineLimits, drop_machine_made
from data_pipeline.types import Drop, Record

LIMITS = MachineLimits()
PLAIN = "We went to the market and bought some bread for all the people who had come to see us that day"


@pytest.mark.parametrize(
    ("cues", "reason"),
    [
        (("Hello, how are you?",), None),
        (("HELLO, HOW ARE YOU?",), "all_upper"),
        (("hello, how are you?",), "all_lower"),
        (("NASA",), None),
        (("okay then",), None),
        (("你好吗？今天天气很好。",), None),
        (("مرحبا، كيف حالك اليوم؟",), None),
        (("สวัสดีครับวันนี้อากาศดีมาก" * 10,), None),
        (("GOOD EVENING. THIS IS THE NEWS.", "IT RAINED, AND IT WILL RAIN.", "Weather by Anna."), "casing_vote"),
        (("good evening this is the news", "it rained and it will rain", "weather by Anna"), "casing_vote"),
        (("GOOD EVENING. THIS IS THE NEWS.", "It rained, and it will rain.", "Weather by Anna."), None),
        (("And so, because it had rained", "for days, we all stayed", "at home, and read."), None),
        ((f"{PLAIN} in May",), "no_punctuation"),
        ((f"{PLAIN}.",), None),
        ((f"{PLAIN}. " * 6,), "no_comma"),
        ((f"{PLAIN}. " * 6 + "Yes, we did.",), None),
        (("天気がいいですね" * 10,), "no_punctuation"),
        (("天気がいいですね。" * 40,), "no_comma"),
        (("Привет, как дела?",), None),
        (("ПРИВЕТ, КАК ДЕЛА?",), "all_upper"),
    ],
)
def test_machine_made(make_record: Callable[..., Record], cues: tuple[str, ...], reason: str | None):
    record = make_record(*cues)
    outcome = drop_machine_made(record, LIMITS)
    assert outcome is record if reason is None else isinstance(outcome, Drop) and outcome.reason == reason


def test_the_drop_says_how_far_it_went(make_record: Callable[..., Record]):
    record = make_record("ONE, TWO, THREE.", "FOUR, FIVE, SIX.", "Seven, eight.")
    assert drop_machine_made(record, LIMITS) == Drop(reason="casing_vote", value=0.667, limit=0.6)
    assert drop_machine_made(record, MachineLimits(casing_vote=0.7)) is record
