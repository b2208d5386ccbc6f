import io
import tarfile
from pathlib import Path

import pytest

from data_pipeline.readers import list_tars
from data_pipeline.types import Item, Origin

ORIGIN = Origin(source="tars", licence="CC0-1.0")


def make_tar(path: Path, *members: tuple[str, bytes], kind: bytes = tarfile.REGTYPE) -> Path:
    with tarfile.open(path, "w") as tar:
        for name, data in members:
            member = tarfile.TarInfo(name)
            member.size = len(data) if kind == tarfile.REGTYPE else 0
            member.type = kind
            member.linkname = "/etc/passwd"
            tar.addfile(member, io.BytesIO(data))
    return path


def reasons(items: list[Item]) -> dict[str, str | None]:
    return {item.id: item.refused and item.refused.reason for item in items}


def test_members_are_read_where_they_lie(tmp_path: Path):
    path = make_tar(tmp_path / "x.tar", ("1.flac", b"sound"), ("1.txt", b"text"), ("2.flac", b"s"))
    items = list(list_tars(tmp_path, ORIGIN))
    assert reasons(items) == {"tars/x.tar/1.flac": None, "tars/x.tar/2.flac": "no_captions"}
    blob = items[0].audio.blob if items[0].audio else None
    assert blob is not None
    assert blob.size is not None
    assert path.read_bytes()[blob.offset : blob.offset + blob.size] == b"sound"
    assert items[0].source == "tars"


@pytest.mark.parametrize("name", ["../../a", "/etc/a", "x/../../a"])
def test_a_name_that_would_leave_the_tar_is_refused(tmp_path: Path, name: str):
    make_tar(tmp_path / "x.tar", (f"{name}.wav", b"sound"), (f"{name}.txt", b"text"))
    (reason,) = reasons(list(list_tars(tmp_path / "x.tar", ORIGIN))).values()
    assert reason == "unsafe_name"
    assert [path.name for path in tmp_path.iterdir()] == ["x.tar"]


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_what_is_no_file_is_refused(tmp_path: Path, kind: bytes):
    make_tar(tmp_path / "x.tar", ("a.wav", b""), ("a.txt", b""), kind=kind)
    (reason,) = reasons(list(list_tars(tmp_path, ORIGIN))).values()
    assert reason == "not_a_file"


def test_what_is_before_the_break_is_used(tmp_path: Path):
    path = make_tar(tmp_path / "x.tar", ("1.wav", b"s" * 600), ("1.txt", b"t"), ("2.wav", b"s" * 6000), ("2.txt", b"t"))
    path.write_bytes(path.read_bytes()[: 512 + 1024 + 1024 + 512 + 1000])
    found = reasons(list(list_tars(tmp_path, ORIGIN)))
    assert found["tars/x.tar/1.wav"] is None
    assert "broken_tar" in found.values()


@pytest.mark.parametrize("data", [b"garbage" * 200, b"\x1f\x8b" + b"x" * 600, b"\0" * 100])
def test_what_is_no_tar_has_a_reason(tmp_path: Path, data: bytes):
    (tmp_path / "x.tar").write_bytes(data)
    (item,) = list_tars(tmp_path, ORIGIN)
    assert item.refused is not None
    assert item.refused.reason == "broken_tar"


def test_a_huge_claim_is_not_believed(tmp_path: Path):
    path = make_tar(tmp_path / "x.tar", ("1.wav", b"sound"), ("1.txt", b"text"))
    with tarfile.open(path, "w") as tar:
        member = tarfile.TarInfo("1.wav")
        member.size = 8 << 30
        tar.fileobj.write(member.tobuf())  # type: ignore[union-attr]
    assert "broken_tar" in reasons(list(list_tars(tmp_path, ORIGIN))).values()
