"""Where a source's files may be. In: a name that somebody wrote. Out: the file, or why it is not opened."""

import os
from collections.abc import Iterable
from pathlib import Path

from asr.errors import UnsupportedLanguageError
from asr.languages import to_language_code
from data_pipeline.types import Blob, Drop

__all__ = ["AUDIO_SUFFIXES", "file_in", "files_below", "language_or_none"]

AUDIO_SUFFIXES = frozenset({".wav", ".flac", ".mp3", ".m4a", ".opus", ".webm", ".ogg", ".mp4", ".aac"})


def file_in(root: Path, name: str, *, missing: str = "missing_audio") -> Blob | Drop:
    """A file by the name that a list has for it; it must be in ``root`` after all links are followed."""
    if "\0" in name:
        return Drop(reason="unsafe_name", value=repr(name)[:200])
    try:
        path = (root / name).resolve()
        if not path.is_relative_to(root.resolve()):
            return Drop(reason="outside_the_source", value=name[:200], limit=str(root))
        if not path.is_file():
            return Drop(reason=missing, value=name[:200])
    except (OSError, ValueError, RuntimeError) as error:  # too long a name, a loop of links
        return Drop(reason="unsafe_name", value=f"{type(error).__name__}: {name[:150]}")
    return Blob(path=root / name)


def files_below(root: Path) -> Iterable[Path]:
    """Every file, in the order of their relative paths, which is the same on every file system."""
    found = (Path(folder) / name for folder, _, names in os.walk(root) for name in names) if root.is_dir() else ()
    return sorted(found, key=lambda path: path.relative_to(root).parts)


def language_or_none(name: object) -> str | None:
    """Whisper's code of a label; None where it names no language that Whisper knows."""
    try:
        return to_language_code(name) if isinstance(name, str) and name.strip() else None
    except UnsupportedLanguageError:
        return None
