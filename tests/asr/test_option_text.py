"""Options as text, and the text that is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr.errors import InvalidOptionError
from asr.option_text import parse_clips, parse_floats, parse_integers, parse_threshold, split_list
from asr.options import TranscribeOptions


@pytest.mark.parametrize(
    ("text", "clips"),
    [
        ("10-20.5,60-", ((10.0, 20.5), (60.0, None))),
        (" 0 - 1.5 , 2 - 3 ", ((0.0, 1.5), (2.0, 3.0))),
        (".5-1.", ((0.5, 1.0),)),
        ("10,20.5,60", ((10.0, 20.5), (60.0, None))),
        ("0,30", ((0.0, 30.0),)),
        ("90", ((90.0, None),)),
        ("[[10.0, 20.5], [60, null]]", ((10.0, 20.5), (60.0, None))),
    ],
)
def test_clips(text: str, clips: object):
    assert parse_clips(text) == clips
    assert TranscribeOptions(clip_timestamps=parse_clips(text)).clip_timestamps == clips


@pytest.mark.parametrize(
    "text", ["", "noon", "-20", "10-20,60", "1-2-3", "10-20;60-70", "1:00-2:00", "10-20,", "--1", "[[1]]", "[[1, 2"]
)
def test_clips_that_are_none(text: str):
    with pytest.raises(InvalidOptionError, match="clip_timestamps: got") as caught:
        TranscribeOptions(clip_timestamps=parse_clips(text))
    assert caught.value.param == "clip_timestamps"


@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=20))
def test_both_spellings_of_clips_say_the_same(hundredths: list[int]):
    times = [hundredth / 100 for hundredth in hundredths]
    pairs = [times[place : place + 2] for place in range(0, len(times), 2)]
    stretches = ",".join(f"{pair[0]}-{pair[1] if len(pair) == 2 else ''}" for pair in pairs)
    assert parse_clips(stretches) == parse_clips(",".join(str(time) for time in times))


@pytest.mark.parametrize(
    ("texts", "items"),
    [
        ([], ()),
        (["de, fr", "it"], ("de", "fr", "it")),
        (['["Smith, Ada", "Bob"]', "Cy"], ("Smith, Ada", "Bob", "Cy")),
        (["[0, 0.5]"], ("0", "0.5")),
    ],
)
def test_lists(texts: list[str], items: tuple[str, ...]):
    assert split_list(texts, param="x") == items


@pytest.mark.parametrize("text", ["[de", '["de"', "[[1]]", "[null]", '[{"a": 1}]'])
def test_lists_that_are_none(text: str):
    with pytest.raises(InvalidOptionError, match=r"hotwords: got .* JSON list") as caught:
        split_list([text], param="hotwords")
    assert caught.value.param == "hotwords"


def test_numbers():
    assert parse_floats("0", param="x") == (0.0,)
    assert parse_floats("0, 0.5", param="x") == (0.0, 0.5)
    assert parse_integers("-1, 50", param="x") == (-1, 50)
    assert parse_integers("none", param="x") == parse_integers("", param="x") == ()
    assert parse_threshold("-0.5", param="x") == -0.5
    assert parse_threshold("None", param="x") is None


@pytest.mark.parametrize(("parse", "text"), [(parse_floats, "a"), (parse_integers, "1.5"), (parse_threshold, "")])
def test_what_is_no_number(parse, text: str):
    with pytest.raises(InvalidOptionError, match="seed: got") as caught:
        parse(text, param="seed")
    assert caught.value.param == "seed"
