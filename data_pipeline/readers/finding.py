"""Where a source's files may be. In: a name that somebody wrote. Out: the file, or why it is not opened."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from asr.errors import UnsupportedLanguageError
from asr.languages import to_language_code
from data_pipeline.types import Blob, Drop

__all__ = ["AUDIO_SUFFIXES", "Found", "file_in", "files_below", "language_or_none", "printable", "unsafe"]

AUDIO_SUFFIXES = frozenset({".wav", ".flac", ".mp3", ".m4a", ".opus", ".webm", ".ogg", ".mp4", ".aac"})

MAX_NAME_CHARACTERS = 4_000


@dataclass(frozen=True, slots=True)
class Found:
    """What lies below a folder, by relative paths in order, which is the same on every file system."""

    files: tuple[str, ...]
    refused: Mapping[str, Drop]
    """Folders that are not entered: links, and those that cannot be read."""


def file_in(root: Path, name: str, *, missing: str = "missing_audio") -> Blob | Drop:
    """A file by the name that a list has for it; it must be in ``root`` after all links are followed."""
    if drop := unsafe(name):
        return drop
    try:
        path = (root / name).resolve()
        if not path.is_relative_to(root.resolve()):
            return Drop(reason="outside_the_source", value=name[:200], limit=str(root))
        if not path.is_file():
            return Drop(reason="not_a_file" if path.exists() else missing, value=name[:200])
    except (OSError, ValueError, RuntimeError) as error:  # too long a name, a loop of links
        return Drop(reason="unsafe_name", value=f"{type(error).__name__}: {name[:150]}")
    return Blob(path=root / name)


def unsafe(name: str) -> Drop | None:
    """Why a name is not used. One that is no UTF-8 would be in the shards, where readers refuse it."""
    if "\0" in name or len(name) > MAX_NAME_CHARACTERS or printable(name) != name:
        return Drop(reason="unsafe_name", value=ascii(name)[:200])
    return None


def printable(name: str) -> str:
    """As it can be written: bytes that are no UTF-8 are escaped, and of an endless name only the end is shown."""
    shown = name.encode("utf-8", "backslashreplace").decode()
    return shown if len(shown) <= MAX_NAME_CHARACTERS else f"…{shown[-MAX_NAME_CHARACTERS:]}"


def files_below(root: Path) -> Found:
    """Every file of a folder, whatever it is."""
    errors: list[OSError] = []
    files: list[Path] = []
    refused: dict[str, Drop] = {}
    for folder, folders, names in os.walk(root, onerror=errors.append):
        files += [Path(folder) / name for name in names]
        links = [Path(folder) / name for name in folders if (Path(folder) / name).is_symlink()]
        refused |= {_below(root, link): Drop(reason="linked_folder") for link in links}
    for error in errors:
        refused[_below(root, Path(error.filename))] = Drop(reason="unreadable_folder", value=error.strerror)
    files.sort(key=lambda path: path.relative_to(root).parts)
    return Found(tuple(_below(root, path) for path in files), dict(sorted(refused.items())))


def _below(root: Path, path: Path) -> str:
    return path.relative_to(root).as_posix()


def language_or_none(name: object) -> str | None:
    """Whisper's code of a label; None where it names no language that Whisper knows."""
    try:
        return to_language_code(name) if isinstance(name, str) and name.strip() else None
    except UnsupportedLanguageError:
        return None
