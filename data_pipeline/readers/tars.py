"""Tar files of audio and captions, as WebDataset lays them out. In: a tar or a folder of them. Out: items.

Members are read where they lie and never extracted; their names are names, and no paths. What can be read of a broken
tar is used, and the break is an item with its reason.
"""

import tarfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from data_pipeline.readers.finding import file_in, files_below, printable, unsafe
from data_pipeline.readers.folder import pair
from data_pipeline.types import Blob, Drop, Item, Origin

__all__ = ["list_tars"]

MAX_MEMBERS = 1_000_000


def list_tars(path: Path, origin: Origin) -> Iterator[Item]:
    """The items of each tar, in order; pairs are looked for within one tar."""
    if path.is_file():
        yield from _list(path, origin, f"{origin.source}/{printable(path.name)}")
        return
    found = files_below(path)
    for name, drop in found.refused.items():
        yield origin.refuse(f"{origin.source}/{printable(name)}", drop)
    for name in found.files:
        if name.endswith(".tar"):
            shown, blob = f"{origin.source}/{printable(name)}", file_in(path, name, missing="broken_tar")
            yield from [origin.refuse(shown, blob)] if isinstance(blob, Drop) else _list(blob.path, origin, shown)


def _list(tar: Path, origin: Origin, shown: str) -> Iterator[Item]:
    members: dict[str, Blob | Drop] = {}
    broken = _read(tar, members)
    yield from pair(members, origin, prefix=shown)
    if broken:
        yield origin.refuse(shown, broken)


def _read(path: Path, members: dict[str, Blob | Drop]) -> Drop | None:
    """Add the members that there are; returns why there are no more of them, if that is not the tar's end."""
    try:
        size, last = path.stat().st_size, -1
        with path.open("rb") as file, tarfile.open(fileobj=file, mode="r:") as tar:
            for number, member in enumerate(tar):
                if number == MAX_MEMBERS:
                    return Drop(reason="broken_tar", value=f"more than {MAX_MEMBERS} members")
                if member.offset_data <= last:  # a negative size leads back, and round for ever
                    return Drop(reason="broken_tar", value=f"a member leads back to byte {member.offset_data}")
                last = member.offset_data
                if not member.isdir():
                    members[printable(member.name)] = _member(path, member, size)
            file.seek(tar.offset)
            if file.read(tarfile.BLOCKSIZE).strip(b"\0"):  # tarfile takes a header that it cannot read for the end
                return Drop(reason="broken_tar", value=f"no header at byte {tar.offset}")
    except (tarfile.TarError, OSError, ValueError, EOFError, OverflowError, MemoryError, RecursionError) as error:
        return Drop(reason="broken_tar", value=f"{type(error).__name__}: {error}"[:200])
    return None


def _member(path: Path, member: tarfile.TarInfo, tar_size: int) -> Blob | Drop:
    if drop := unsafe(member.name):
        return drop
    name = PurePosixPath(member.name)
    if name.is_absolute() or ".." in name.parts:
        return Drop(reason="unsafe_name", value=member.name[:200])
    if not member.isreg() or member.issparse():
        return Drop(reason="not_a_file", value=member.name[:200])
    if member.size < 0 or member.offset_data + member.size > tar_size:
        return Drop(reason="broken_tar", value=f"{member.name[:150]} is cut", limit=tar_size)
    return Blob(path=path, offset=member.offset_data, size=member.size)
