"""Files of a run: whole or absent. In: records and other plain data. Out: JSON lines, and the same read back."""

import json
import os
import socket
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any, BinaryIO

from asr.tasks import Task
from data_pipeline.types import AudioPlace, Blob, Cue, Drop, Item, Record, SpokenLanguage

__all__ = [
    "UNFINISHED",
    "heard_from_json",
    "item_from_json",
    "place_from_json",
    "read_lines",
    "record_from_json",
    "to_json",
    "whole_file",
    "write_lines",
]

UNFINISHED = ".unfinished-"  # begins the names of files that a kill may leave


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """A file that is there when the block ends well, and not before; kills leave the old one, or none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    written = path.with_name(f"{UNFINISHED}{path.name}.{socket.gethostname()}.{os.getpid()}")
    try:
        with written.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        written.replace(path)
    finally:
        written.unlink(missing_ok=True)


def write_lines(path: Path, values: Iterable[Any]) -> None:
    """One JSON object a line."""
    with whole_file(path) as file:
        for value in values:
            file.write(to_json(value) + b"\n")


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """The objects of ``write_lines``."""
    with path.open("rb") as file:
        for line in file:
            yield json.loads(line)


def to_json(value: Any) -> bytes:
    """JSON of plain data and dataclasses; what is None is absent from a dataclass. Lone surrogates are escaped."""
    text = json.dumps(value, ensure_ascii=False, default=_plain)
    return text.encode("utf-8", "backslashreplace")


def item_from_json(fields: dict[str, Any]) -> Item:
    """The item that ``to_json`` wrote."""
    return Item(
        **fields
        | _some(fields, "audio", place_from_json)
        | _some(fields, "captions", _blob)
        | _some(fields, "refused", lambda drop: Drop(**drop))
    )


def record_from_json(fields: dict[str, Any]) -> Record:
    """The record that ``to_json`` wrote."""
    return Record(
        **fields
        | _some(fields, "audio", place_from_json)
        | _some(fields, "cues", _cues)
        | _some(fields, "hypothesis", _cues)
        | _some(fields, "spoken", lambda spoken: SpokenLanguage(**spoken))
        | _some(fields, "task", Task)
    )


def heard_from_json(fields: dict[str, Any]) -> dict[str, Any]:
    """What a model hears of a recording, as fields of ``Record``."""
    spoken, hypothesis = fields.get("spoken"), fields.get("hypothesis")
    return {
        "spoken": None if spoken is None else SpokenLanguage(**spoken),
        "hypothesis": None if hypothesis is None else _cues(hypothesis),
    }


def _some(fields: Mapping[str, Any], name: str, read: Callable[[Any], Any]) -> dict[str, Any]:
    return {name: read(fields[name])} if name in fields else {}


def place_from_json(fields: dict[str, Any]) -> AudioPlace:
    """The place that ``to_json`` wrote."""
    return AudioPlace(**fields | {"blob": _blob(fields["blob"])})


def _blob(fields: dict[str, Any]) -> Blob:
    return Blob(**fields | {"path": Path(fields["path"])})


def _cues(values: list[dict[str, Any]]) -> tuple[Cue, ...]:
    return tuple(Cue(**value) for value in values)


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return _without_none(asdict(value))
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"got {type(value).__name__}, expected plain data")


def _without_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_none(each) for name, each in value.items() if each is not None}
    return [_without_none(each) for each in value] if isinstance(value, list | tuple) else value
