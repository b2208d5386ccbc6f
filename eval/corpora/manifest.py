"""JSONL manifests. In: the path of one. Out: ``Corpus``.

Checks every line before anything is transcribed. Opens no audio, knows no model and no normalizer.
"""

import hashlib
import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from eval.corpora.types import Corpus, Part, Utterance, canonical_language
from eval.errors import CorpusError

__all__ = ["read_manifest"]

SECONDS = "a number of seconds, 0 or more"


def read_manifest(manifest: Path) -> Corpus:
    """Read a JSONL manifest; paths in it are relative to its folder, fields it has beyond ours are ignored.

    Raises CorpusError with file, line, what was got and what was expected.
    """
    try:
        data = manifest.read_bytes()
    except OSError as error:
        message = f"{manifest}: {error.strerror or error}; expected a JSONL manifest, one clip a line"
        raise CorpusError(message) from error
    lines_of_id: dict[str, int] = {}
    utterances = []
    for number, line in enumerate(data.split(b"\n"), start=1):
        if not line.strip():
            continue
        where = f"{manifest}, line {number}"
        utterance = _utterance(line, where, manifest.parent)
        first = lines_of_id.setdefault(utterance.id, number)
        if first != number:
            raise CorpusError(f"{where}: id {utterance.id!r} is already on line {first}; expected ids to be unique")
        utterances.append(utterance)
    if not utterances:
        raise CorpusError(f"{manifest}: got no clips, expected one JSON object a line")
    return Corpus(
        name=f"{manifest.resolve().parent.name}/{manifest.name}",
        sha256=hashlib.sha256(data).hexdigest(),
        utterances=tuple(utterances),
    )


def _utterance(line: bytes, where: str, folder: Path) -> Utterance:
    try:
        entry = json.loads(line)
    except ValueError as error:
        raise CorpusError(f"{where}: got no valid JSON ({error}), expected one object a line") from error
    if not isinstance(entry, dict):
        raise CorpusError(f"{where}: got {type(entry).__name__}, expected a JSON object with id, path, text, language")
    field = _FieldReader(entry, where)
    duration = field("duration", SECONDS, _is_seconds)
    return Utterance(
        id=field("id", "a text that is not empty", _is_filled, required=True),
        path=folder / field("path", "a path relative to the manifest's folder", _is_filled, required=True),
        text=field.text("text", required=True),
        language=canonical_language(field.text("language")),
        duration=None if duration is None else float(duration),
        translation_en=field.text("translation_en"),
        speaker=field.text("speaker"),
        dataset=field.text("dataset"),
        metric=field("metric", '"wer" or "cer"', lambda value: _is_filled(value) and value in {"wer", "cer"}),
        kind=field.text("kind"),
        single_word=bool(field("single_word", "true or false", lambda value: isinstance(value, bool))),
        quality=field.text("quality"),
        parts=_parts(field, where),
    )


def _parts(field: "_FieldReader", where: str) -> tuple[Part, ...]:
    entries = field("parts", "a list of objects", lambda value: isinstance(value, list))
    parts = tuple(_part(entry, f"{where}, part {number}") for number, entry in enumerate(entries or (), start=1))
    for number, (before, part) in enumerate(pairwise(parts), start=2):
        if part.start < before.end:
            message = f"got a start at {part.start:g} s, expected parts in order, this one from {before.end:g} s on"
            raise CorpusError(f"{where}, part {number}: {message}")
    return parts


def _part(entry: Any, where: str) -> Part:
    if not isinstance(entry, dict):
        message = f"{where}: got {type(entry).__name__}, expected a JSON object with id, start, end, text, language"
        raise CorpusError(message)
    field = _FieldReader(entry, where)
    start = field("start", SECONDS, _is_seconds, required=True)
    return Part(
        id=field("id", "a text that is not empty", _is_filled, required=True),
        start=float(start),
        end=float(
            field("end", f"{SECONDS}, after the start", lambda end: _is_seconds(end) and end > start, required=True)
        ),
        text=field("text", "a text", lambda value: isinstance(value, str), required=True),
        language=canonical_language(field.text("language")),
    )


@dataclass(frozen=True, slots=True)
class _FieldReader:
    """Takes checked values out of one line; null is the same as absent, save for the fields that must be there."""

    entry: dict[str, Any]
    where: str

    def __call__(self, name: str, expected: str, is_valid: Callable[[Any], bool], *, required: bool = False) -> Any:
        value = self.entry.get(name)
        if value is None and not required:
            return None
        if name not in self.entry:
            raise CorpusError(f"{self.where}: {name!r} is missing, expected {expected}")
        if not is_valid(value):
            raise CorpusError(f"{self.where}: {name!r} is {json.dumps(value, ensure_ascii=False)}, expected {expected}")
        return value

    def text(self, name: str, *, required: bool = False) -> str | None:
        """A text or null; ``required``: the field must be written even if it is null."""
        value = self(name, "a text or null", lambda value: value is None or isinstance(value, str), required=required)
        return None if value is None else str(value)


def _is_filled(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


def _is_seconds(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < math.inf
