import math

import pytest

from eval.errors import EvaluationError
from eval.noise.conditions import (
    DEFAULT_SNRS_DB,
    Babble,
    Clean,
    NoiseKind,
    Recorded,
    Reverberant,
    White,
    make_conditions,
    parse_snrs,
)


@pytest.mark.parametrize(
    ("condition", "name"),
    [
        (Clean(), "clean"),
        (White(snr_db=10.0), "white/+10dB"),
        (Babble(snr_db=-5.0), "babble/-5dB"),
        (Recorded(family="pub", snr_db=0.0), "pub/0dB"),
        (Recorded(family="pub", snr_db=-0.0), "pub/0dB"),
        (White(snr_db=2.5), "white/+2.5dB"),
        (Reverberant(room="hall"), "room/hall"),
    ],
)
def test_names_are_folders_and_never_change(condition, name: str) -> None:
    assert condition.name == name


def test_conditions_are_every_kind_at_every_level() -> None:
    conditions = make_conditions([NoiseKind.BABBLE, NoiseKind.WHITE], ["pub"], ["hall"], [0, 20, 0])
    assert [condition.name for condition in conditions] == [
        "clean",
        "babble/+20dB",
        "babble/0dB",
        "white/+20dB",
        "white/0dB",
        "pub/+20dB",
        "pub/0dB",
        "room/hall",
    ]
    many = make_conditions(NoiseKind, ["pub", "car"], ["hall", "cave"], DEFAULT_SNRS_DB)
    assert len({condition.name for condition in many}) == len(many) == 1 + 4 * 8 + 2


@pytest.mark.parametrize("family", ["white", "babble", "clean", "room"])
def test_a_recording_cannot_take_another_kinds_folder(family: str) -> None:
    with pytest.raises(EvaluationError, match=f"{family}.*rename"):
        make_conditions([], [family], [], [0])


def test_levels_are_read() -> None:
    assert parse_snrs("40,0,-10.5") == (40.0, 0.0, -10.5)
    for wrong in ("loud", "", "1,,2", "inf", str(math.nan), "101"):
        with pytest.raises(EvaluationError, match="--snr: got"):
            parse_snrs(wrong)
