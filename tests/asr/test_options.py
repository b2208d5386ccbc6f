import dataclasses
import math

import pytest

from asr.errors import InvalidOptionError
from asr.options import Plan, TranscribeOptions


def test_defaults_are_valid_and_frozen():
    options = TranscribeOptions()
    with pytest.raises(dataclasses.FrozenInstanceError):
        options.beam_size = 1


def test_the_default_plan_is_the_measured_one():
    assert TranscribeOptions().plan is Plan.HYBRID


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


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"languages": ("de", "klingon")}, "language"),
        ({"language": "en", "languages": ("de", "fr")}, "language"),
        ({"language_threshold": 1.1}, "language_threshold"),
        ({"language_threshold": math.nan}, "language_threshold"),
        ({"vad_threshold": 0.0}, "vad_threshold"),
        ({"vad_threshold": 1.0}, "vad_threshold"),
        ({"word_timestamps": True, "timestamps": False}, "word_timestamps"),
        ({"carry_prompt": True}, "carry_prompt"),
        ({"carry_prompt": True, "prompt": "  "}, "carry_prompt"),
        ({"hotwords": ("a", " ")}, "hotwords"),
        ({"hotwords": tuple(f"w{i}" for i in range(51))}, "hotwords"),
        ({"suppress_tokens": (5, -2)}, "suppress_tokens"),
        ({"clip_timestamps": ((2.0, 1.0),)}, "clip_timestamps"),
        ({"clip_timestamps": ((1.0, 1.0),)}, "clip_timestamps"),
        ({"clip_timestamps": ((-1.0, 1.0),)}, "clip_timestamps"),
        ({"clip_timestamps": ((math.nan, 1.0),)}, "clip_timestamps"),
        ({"clip_timestamps": ((0.0, math.nan),)}, "clip_timestamps"),
        ({"clip_timestamps": ((math.inf, None),)}, "clip_timestamps"),
        ({"clip_timestamps": ((0.0, 2.0), (1.0, 3.0))}, "clip_timestamps"),
        ({"clip_timestamps": ((4.0, 5.0), (1.0, 3.0))}, "clip_timestamps"),
        ({"clip_timestamps": ((0.0, None), (1.0, 3.0))}, "clip_timestamps"),
        ({"clip_timestamps": tuple((float(i), i + 0.5) for i in range(1001))}, "clip_timestamps"),
    ],
)
def test_what_does_not_fit_is_named(fields: dict[str, object], param: str):
    with pytest.raises(InvalidOptionError, match=param) as caught:
        TranscribeOptions(**fields)
    assert caught.value.param == param


@pytest.mark.parametrize(
    "fields",
    [
        {"language": "de", "languages": ("German", "fr")},
        {"language_threshold": 0},
        {"vad_threshold": 0.01},
        {"carry_prompt": True, "prompt": "Tolkien"},
        {"hotwords": ("Auricle", "Viterbi beam")},
        {"suppress_tokens": ()},
        {"suppress_tokens": (-1, 0, 50)},
        {"clip_timestamps": ((0.0, 1.0), (1.0, 2.0), (7.5, None))},
    ],
)
def test_what_fits(fields: dict[str, object]):
    TranscribeOptions(**fields)


def test_allowed_languages_become_codes():
    assert TranscribeOptions(languages=("German", "pt-BR", "en")).languages == ("de", "pt", "en")


def test_whole_numbers_are_told_whole() -> None:
    with pytest.raises(InvalidOptionError, match="seed: got -1, expected 0 to 9223372036854775807"):
        TranscribeOptions(seed=-1)
