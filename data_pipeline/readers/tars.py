"""Tar files of audio and captions, as WebDataset lays them out. In: a tar or a folder of them. Out: items.

Members are read where they lie and never extracted; their names are names, and no paths. What can be read of a broken
tar is used, and the break is an item with its reason.
"""

import tarfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from data_pipeline.readers.finding import files_below
from data_pipeline.readers.folder import pair
from data_pipeline.types import Blob, Drop, Item, Origin

__all__ = ["list_tars"]

MAX_MEMBERS = 1_000_000


def list_tars(path: Path, origin: Origin) -> Iterator[Item]:
    """The items of each tar, in order; pairs are looked for within one tar."""
    tars = [path] if path.is_file() else [file for file in files_below(path) if file.suffix == ".tar"]
    for tar in tars:
        name = f"{origin.source}/{tar.name if path.is_file() else tar.relative_to(path).as_posix()}"
        members: dict[str, Blob | Drop] = {}
        broken = _read(tar, members)
        yield from pair(members, origin, prefix=name)
        if broken:
            yield origin.refuse(name, broken)


def _read(path: Path, members: dict[str, Blob | Drop]) -> Drop | None:
    """Add the members that there are; returns why there are no more of them, if that is not the tar's end."""
    size = path.stat().st_size
    try:
        with path.open("rb") as file, tarfile.open(fileobj=file, mode="r:") as tar:
            for member in tar:
                if len(members) == MAX_MEMBERS:
                    return Drop(reason="broken_tar", value=f"more than {MAX_MEMBERS} members")
                if member.isdir():
                    continue
                members[member.name] = _member(path, member, size)
    except (tarfile.TarError, OSError, ValueError, EOFError, OverflowError) as error:
        return Drop(reason="broken_tar", value=f"{type(error).__name__}: {error}"[:200])
    return None


def _member(path: Path, member: tarfile.TarInfo, tar_size: int) -> Blob | Drop:
    name = PurePosixPath(member.name)
    if name.is_absolute() or ".." in name.parts:
        return Drop(reason="unsafe_name", value=member.name[:200])
    if not member.isreg() or member.issparse():
        return Drop(reason="not_a_file", value=member.name[:200])
    if member.offset_data + member.size > tar_size:
        return Drop(reason="broken_tar", value=f"{member.name[:150]} is cut", limit=tar_size)
    return Blob(path=path, offset=member.offset_data, size=member.size)
