from collections.abc import Callable

import numpy as np
import pytest

from data_pipeline.stages.duplicates import Fingerprint, drop_duplicate, find_duplicates, fingerprint
from data_pipeline.types import Drop, Record

TEXT = (
    "The museum was built in 1905, and in the first year it had more visitors than the opera. Its architect had seen "
    "Paris and Vienna, but what he wanted was a house that everybody in the town would call their own, with a garden, "
    "a library, and a hall for the evenings. It burned down twice. Both times people brought bricks from their walls."
)
OTHER = (
    "Bread needs flour, water, salt and time. Most recipes forget the last one. Leave the dough in a cool place until "
    "the morning, fold it twice, and bake it in a pot with a lid, so that the steam stays inside for half an hour."
)


def make(make_record: Callable[..., Record], name: str, text: str, audio: str = "") -> Fingerprint:
    return fingerprint(make_record(text, id=name, audio_sha256=audio or name))


def changed(text: str, n_words: int) -> str:
    words = text.split()
    for place in np.random.default_rng(1).permutation(len(words))[:n_words]:
        words[place] = f"word{place}"
    return " ".join(words)


@pytest.mark.parametrize(
    ("text", "audio", "reason"),
    [
        (TEXT, "a", "duplicate"),
        (changed(TEXT, 20), "a", "duplicate"),
        (TEXT, "b", "near_duplicate"),
        (TEXT.upper().replace(",", ""), "b", "near_duplicate"),
        (changed(TEXT, 1), "b", "near_duplicate"),
        (OTHER, "b", None),
        (changed(TEXT, 30), "b", None),
    ],
)
def test_what_repeats(make_record: Callable[..., Record], text: str, audio: str, reason: str | None):
    repeats = find_duplicates([make(make_record, "first", TEXT, "a"), make(make_record, "second", text, audio)])
    assert repeats == ({"second": Drop(reason=reason, value="first")} if reason else {})


def test_short_texts_are_said_by_many(make_record: Callable[..., Record]):
    assert not find_duplicates([make(make_record, name, "Thank you very much.") for name in "abc"])


def test_captions_in_two_languages_are_two_records(make_record: Callable[..., Record]):
    german = "Brot braucht Mehl, Wasser, Salz und Zeit. Die meisten Rezepte vergessen das letzte davon."
    assert not find_duplicates([make(make_record, "a", OTHER, "same"), make(make_record, "a#de", german, "same")])


def test_chains_name_the_first(make_record: Callable[..., Record]):
    repeats = find_duplicates([make(make_record, name, TEXT) for name in "abc"])
    assert {name: drop.value for name, drop in repeats.items()} == {"b": "a", "c": "a"}


def test_the_stage_drops_what_was_found(make_record: Callable[..., Record]):
    record = make_record(TEXT, id="b")
    drop = Drop(reason="duplicate", value="a")
    assert drop_duplicate(record, {"b": drop}) is drop
    assert drop_duplicate(record, {}) is record


def test_fingerprints_are_the_same_everywhere(make_record: Callable[..., Record]):
    # Written down, so that a run that is resumed with another version of numpy finds what it knows.
    assert make(make_record, "a", TEXT).bands[:2] == (10673508112742622756, 1454739867433457260)


def test_likeness_and_chance(make_record: Callable[..., Record]):
    """The curve 1 - (1 - s^8)^14 at both ends, over texts of 200 words."""
    draw = np.random.default_rng(0)
    found = {0.3: 0, 0.95: 0}
    for trial in range(40):
        words = [f"w{draw.integers(5000)}" for _ in range(200)]
        for likeness in found:
            shared = round(200 * 2 * likeness / (1 + likeness))
            other = words[:shared] + [f"x{draw.integers(5000)}" for _ in range(200 - shared)]
            pair = [make(make_record, f"{trial}a", " ".join(words)), make(make_record, f"{trial}b", " ".join(other))]
            found[likeness] += len(find_duplicates(pair))
    assert found[0.3] <= 2
    assert found[0.95] == 40
