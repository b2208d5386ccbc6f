from pathlib import Path

import pytest

from data_pipeline.readers import list_folder
from data_pipeline.types import Item, Origin

ORIGIN = Origin(source="talks", licence="CC-BY-4.0", language="en")


def listed(root: Path) -> list[tuple[str, str | None, str | None]]:
    return [(item.id, item.format, item.refused and item.refused.reason) for item in list_folder(root, ORIGIN)]


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")


def test_pairs_are_found_in_order_of_their_names(tmp_path: Path):
    touch(tmp_path, "b.mp3", "b.txt", "a/1.wav", "a/1.srt", "a/1.txt", "c.d.flac", "c.d.json")
    assert listed(tmp_path) == [
        ("talks/a/1.wav", "srt", None),
        ("talks/b.mp3", "txt", None),
        ("talks/c.d.flac", "json", None),
    ]


def test_origin_is_kept(tmp_path: Path):
    touch(tmp_path, "a.wav", "a.vtt")
    (item,) = list_folder(tmp_path, ORIGIN)
    assert (item.source, item.licence, item.language) == ("talks", "CC-BY-4.0", "en")


def test_captions_in_several_languages_are_several_items(tmp_path: Path):
    touch(tmp_path, "a.mp4", "a.vtt", "a.de.vtt", "a.pt-BR.srt", "a.info.json")
    items: list[Item] = list(list_folder(tmp_path, ORIGIN))
    found = {item.id: item.language for item in items}
    assert found == {"talks/a.mp4": "en", "talks/a.mp4#de": "de", "talks/a.mp4#pt": "pt"}


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("a.wav",), [("talks/a.wav", None, "no_captions")]),
        (("a.vtt",), [("talks/a.vtt", None, "missing_audio")]),
        (("a.de.vtt",), [("talks/a.de.vtt", None, "missing_audio")]),
        (("a.pdf", ".srt", "README"), [("talks/.srt", None, "missing_audio")]),
    ],
)
def test_what_has_no_partner_has_a_reason(tmp_path: Path, names: tuple[str, ...], expected: list):
    touch(tmp_path, *names)
    assert listed(tmp_path) == expected


def test_a_link_out_of_the_folder_is_refused(tmp_path: Path):
    touch(tmp_path, "secret.wav", "in/a.txt", "in/b.wav")
    (tmp_path / "in/a.wav").symlink_to(tmp_path / "secret.wav")
    (tmp_path / "in/b.txt").symlink_to("b.txt")  # a loop
    reasons = {name: reason for name, _, reason in listed(tmp_path / "in")}
    assert reasons["talks/a.wav"] == "outside_the_source"
    assert reasons["talks/b.wav"] in ("unsafe_name", "missing_audio")
