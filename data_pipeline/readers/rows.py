"""Lists of audio files with their texts: NeMo's JSONL manifests, and Hugging Face's ``audiofolder``.

In: the path of a list. Out: items. A line that cannot be read is an item with its reason.
"""

import csv
import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from data_pipeline.errors import PipelineError
from data_pipeline.readers.captions import MAX_TIME_S
from data_pipeline.readers.finding import file_in, files_below, language_or_none, printable
from data_pipeline.types import AudioPlace, Drop, Item, Origin

__all__ = ["list_audiofolder", "list_nemo"]

TEXT_COLUMNS = ("text", "transcription", "transcript", "sentence")
METADATA = ("metadata.jsonl", "metadata.csv")
MALFORMED = "malformed_listing"
MAX_ROW_CHARACTERS = 8 << 20  # of a file without line breaks, no more is held


def list_nemo(path: Path, origin: Origin, *, root: Path | None = None) -> Iterator[Item]:
    """A line a clip: ``audio_filepath``, ``text``, and ``offset``, ``duration``, ``lang`` where known.

    Files must be in ``root``, by default the manifest's folder. A text without times is of the whole stretch.
    """
    try:
        for number, row in _json_rows(path):
            identity = f"{origin.source}/{printable(path.name)}:{number}"
            yield _item(row, "audio_filepath", identity, root or path.parent, origin)
    except OSError as error:
        raise PipelineError(f"{path}: {error.strerror or error}; expected a list, one JSON object a line") from error


def list_audiofolder(path: Path, origin: Origin) -> Iterator[Item]:
    """A folder with ``metadata.jsonl`` or ``metadata.csv`` in it or in its parts: ``file_name`` and a text column."""
    found = files_below(path)
    for name, drop in found.refused.items():
        yield origin.refuse(f"{origin.source}/{printable(name)}", drop)
    tables = [name for name in found.files if PurePosixPath(name).name in METADATA]
    if not tables:
        raise PipelineError(f"{path}: got no {' or '.join(METADATA)}, expected a folder with one")
    for name in tables:
        yield from _list_table(path, name, origin)


def _list_table(root: Path, name: str, origin: Origin) -> Iterator[Item]:
    """A table that cannot be read is an item, and so is the break where it cannot be read on."""
    shown, table = f"{origin.source}/{printable(name)}", file_in(root, name, missing=MALFORMED)
    if isinstance(table, Drop):
        yield origin.refuse(shown, table)
        return
    path = table.path
    try:
        for number, row in _json_rows(path) if path.suffix == ".jsonl" else _csv_rows(path):
            yield _item(row, "file_name", f"{shown}:{number}", path.parent, origin)
    except (OSError, ValueError, csv.Error) as error:
        yield origin.refuse(shown, Drop(reason=MALFORMED, value=f"{type(error).__name__}: {error}"[:200]))


def _item(row: Mapping[str, Any] | Drop, file_column: str, identity: str, root: Path, origin: Origin) -> Item:
    if isinstance(row, Drop):
        return origin.refuse(identity, row)
    own = row.get("license") or row.get("licence")
    if isinstance(own, str) and printable(own) != own:
        return origin.refuse(identity, Drop(reason=MALFORMED, value="a licence that is no text"))
    origin = replace(origin, licence=own) if isinstance(own, str) else origin
    name = row.get(file_column)
    blob = file_in(root, name) if isinstance(name, str) and name else Drop(reason=MALFORMED, value=f"no {file_column}")
    stretch = _stretch(row)
    text = next((row[column] for column in TEXT_COLUMNS if isinstance(row.get(column), str)), None)
    if isinstance(blob, Drop):
        return origin.refuse(identity, blob)
    if isinstance(stretch, Drop):
        return origin.refuse(identity, stretch)
    if text is None:
        return origin.refuse(identity, Drop(reason="no_captions"))
    return Item(
        id=identity,
        source=origin.source,
        licence=origin.licence,
        audio=AudioPlace(blob=blob, start=stretch[0], duration=stretch[1]),
        text=text,
        language=language_or_none(row.get("lang") or row.get("language") or row.get("source_lang")) or origin.language,
    )


def _stretch(row: Mapping[str, Any]) -> tuple[float, float | None] | Drop:
    """Start and length; a length without ``offset`` is only what the manifest believes of the whole file."""
    if row.get("offset") in (None, ""):
        return 0.0, None
    try:
        start, duration = float(row["offset"]), float(row["duration"])
    except (KeyError, TypeError, ValueError, OverflowError):
        return Drop(reason=MALFORMED, value="offset without a duration, or no numbers")
    if not (0 <= start <= MAX_TIME_S and 0 < duration <= MAX_TIME_S):  # nor NaN
        return Drop(reason=MALFORMED, value=f"offset {start}, duration {duration}")
    return start, duration


def _json_rows(path: Path) -> Iterator[tuple[int, Mapping[str, Any] | Drop]]:
    with path.open("rb") as file:
        number = 0
        while line := file.readline(MAX_ROW_CHARACTERS):
            number += 1
            if len(line) == MAX_ROW_CHARACTERS:
                while line and not line.endswith(b"\n"):
                    line = file.readline(MAX_ROW_CHARACTERS)
                yield number, Drop(reason=MALFORMED, value="a line's bytes", limit=MAX_ROW_CHARACTERS)
            elif line.strip():
                yield number, _json_row(line)


def _json_row(line: bytes) -> Mapping[str, Any] | Drop:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        return Drop(reason=MALFORMED, value=str(error)[:200])
    return row if isinstance(row, dict) else Drop(reason=MALFORMED, value=f"got {type(row).__name__}")


def _csv_rows(path: Path) -> Iterator[tuple[int, Mapping[str, Any] | Drop]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        # A longer line comes in parts, of which csv refuses the first: no field may have more than 128 kB.
        lines = iter(lambda: file.readline(MAX_ROW_CHARACTERS), "")
        for number, row in enumerate(csv.DictReader(lines), start=2):
            yield number, row if None not in row else Drop(reason=MALFORMED, value="more fields than columns")
