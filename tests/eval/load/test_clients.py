import asyncio
from dataclasses import replace

import pytest

from eval.load.clients import Address, ask_at_rate, ask_in_turn
from eval.load.types import LoadClip, Outcome


def ask(address: Address, clip: LoadClip) -> Outcome:
    outcomes, _ = asyncio.run(ask_in_turn(address, [clip], 1))
    return outcomes[0]


def test_our_stream_tells_when_the_first_text_came(service, ours, clip):
    outcome = ask(ours, clip)
    assert (outcome.text, outcome.code, outcome.status) == ("the cat sat", None, 200)
    assert outcome.first_text_s is not None
    assert 0 < outcome.first_text_s <= outcome.seconds
    assert b'name="stream"' in service.forms[-1]
    assert b'name="language"\r\n\r\nen' in service.forms[-1]


def test_an_answer_without_a_stream_has_its_first_text_at_the_end(service, openai, clip):
    service.delay_s = 0.1
    outcome = ask(openai, replace(clip, language=None))
    assert outcome.text == "the cat sat"
    assert outcome.first_text_s == pytest.approx(outcome.seconds, abs=0.05)
    assert b'name="language"' not in service.forms[-1]


def test_so_many_ask_at_once_and_each_asks_again(service, openai, clip):
    service.delay_s = 0.05
    answered: list[bool] = []
    told = {"on_answer": lambda: answered.append(True)}
    outcomes, elapsed_s = asyncio.run(ask_in_turn(openai, [clip] * 9, 3, **told))
    assert (len(outcomes), len(answered), service.most_under_way) == (9, 9, 3)
    assert elapsed_s >= 3 * 0.05


def test_requests_at_a_rate_wait_for_no_answer(service, openai, clip):
    service.delay_s = 0.3
    outcomes, elapsed_s = asyncio.run(ask_at_rate(openai, [clip] * 6, 60))
    assert service.most_under_way == 6
    assert elapsed_s < 2 * 0.3
    assert all(outcome.code is None for outcome in outcomes)


def test_a_refusal_has_its_code_and_is_not_asked_again(service, ours, clip):
    service.capacity = 0
    outcome = ask(ours, clip)
    assert (outcome.text, outcome.code, outcome.status, outcome.is_refused) == (None, "queue_full", 429, True)
    assert len(service.asked) == 1


@pytest.mark.parametrize(
    ("events", "code"),
    [
        (['event: segment\ndata: {"text": " one"}\n\n'], "stream_broke_off"),
        (['event: error\ndata: {"error": {"code": "worker_died"}}\n\n'], "worker_died"),
        (["event: done\ndata: {}\n\n"], "unexpected_response"),
        (['event: done\ndata: {"text": " "}\n\n'], "empty_text"),
    ],
)
def test_a_stream_that_goes_wrong_is_no_answer(service, ours, clip, events, code):
    service.events = events
    outcome = ask(ours, clip)
    assert (outcome.text, outcome.code, outcome.is_refused) == (None, code, False)


def test_who_waits_too_long_has_no_answer(service, ours, clip):
    service.delay_s = 0.5
    outcome = ask(replace(ours, timeout_s=0.1), clip)
    assert (outcome.code, outcome.status) == ("timeout", None)


def test_a_server_that_is_gone_is_an_outcome(ours, clip):
    outcome = ask(replace(ours, url="http://127.0.0.1:1"), clip)
    assert (outcome.code, outcome.status) == ("ConnectError", None)
