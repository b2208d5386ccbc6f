import dataclasses
import math

import pytest

from asr.errors import InvalidOptionError
from asr.options import TranscribeOptions


def test_defaults_are_valid_and_frozen():
    options = TranscribeOptions()
    with pytest.raises(dataclasses.FrozenInstanceError):
        options.beam_size = 1


def test_the_language_becomes_its_code():
    assert TranscribeOptions(language="German").language == "de"


@pytest.mark.parametrize(
    ("param", "value"),
    [
        ("beam_size", 0),
        ("beam_size", 33),
        ("best_of", 0),
        ("patience", math.nan),
        ("length_penalty", 1.5),
        ("no_speech_threshold", -0.1),
        ("logprob_threshold", 0.5),
        ("max_initial_timestamp_s", 31),
        ("seed", -1),
        ("language", "klingon"),
    ],
)
def test_a_value_out_of_range_is_named(param: str, value: object):
    with pytest.raises(InvalidOptionError, match=param) as caught:
        TranscribeOptions(**{param: value})
    assert caught.value.param == param


@pytest.mark.parametrize("temperatures", [(), (-0.1,), (0.0, 2.1)])
def test_temperatures(temperatures: tuple[float, ...]):
    with pytest.raises(InvalidOptionError, match="temperature"):
        TranscribeOptions(temperatures=temperatures)


def test_a_beam_that_waits_for_nothing():
    with pytest.raises(InvalidOptionError, match="patience"):
        TranscribeOptions(beam_size=1, patience=0.1)
