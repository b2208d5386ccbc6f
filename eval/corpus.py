"""A corpus on disk. In: the path of a JSONL manifest. Out: ``Corpus`` of ``Utterance``.

Checks every line before anything is transcribed. Opens no audio, knows no model and no normalizer.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asr.errors import UnsupportedLanguageError
from asr.languages import to_language_code
from asr.tasks import Task
from eval.errors import ManifestError

__all__ = ["Corpus", "Utterance", "read_manifest"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Utterance:
    """One clip and what is known about it."""

    id: str
    path: Path
    """Where the audio is."""
    text: str | None
    """What is said; "": nothing; None: not known."""
    language: str | None
    """Whisper's code; a code it does not know is kept as written; None: nobody speaks, or not known."""
    duration: float | None
    """Seconds, as the manifest has it."""
    translation_en: str | None = None
    speaker: str | None = None
    dataset: str | None = None
    metric: str | None = None
    """"wer" or "cer" where the corpus says which it asks for."""
    kind: str | None = None
    single_word: bool = False
    quality: str | None = None
    """A remark on the transcript, such as "doubtful"."""

    def reference(self, task: Task) -> str | None:
        """The text that the task's output is held against; None: there is none."""
        return self.text if task is Task.TRANSCRIBE else self.translation_en


@dataclass(frozen=True, slots=True, kw_only=True)
class Corpus:
    """The clips of one manifest, in its order."""

    name: str
    """File name of the manifest."""
    sha256: str
    """Digest of the manifest's bytes."""
    utterances: tuple[Utterance, ...]


def read_manifest(manifest: Path) -> Corpus:
    """Read a JSONL manifest; paths in it are relative to its folder, fields it has beyond ours are ignored.

    Raises ManifestError with file, line, what was got and what was expected.
    """
    try:
        data = manifest.read_bytes()
    except OSError as error:
        message = f"{manifest}: {error.strerror or error}; expected a JSONL manifest, one clip a line"
        raise ManifestError(message) from error
    lines_of_id: dict[str, int] = {}
    utterances = []
    for number, line in enumerate(data.split(b"\n"), start=1):
        if not line.strip():
            continue
        where = f"{manifest}, line {number}"
        utterance = _utterance(line, where, manifest.parent)
        first = lines_of_id.setdefault(utterance.id, number)
        if first != number:
            raise ManifestError(f"{where}: id {utterance.id!r} is already on line {first}; expected ids to be unique")
        utterances.append(utterance)
    if not utterances:
        raise ManifestError(f"{manifest}: got no clips, expected one JSON object a line")
    return Corpus(name=manifest.name, sha256=hashlib.sha256(data).hexdigest(), utterances=tuple(utterances))


def _utterance(line: bytes, where: str, folder: Path) -> Utterance:
    try:
        entry = json.loads(line)
    except ValueError as error:
        raise ManifestError(f"{where}: got no valid JSON ({error}), expected one object a line") from error
    if not isinstance(entry, dict):
        raise ManifestError(
            f"{where}: got {type(entry).__name__}, expected a JSON object with id, path, text, language"
        )
    field = _FieldReader(entry, where)
    duration = field("duration", "a number of seconds, 0 or more", lambda value: _is_number(value) and value >= 0)
    return Utterance(
        id=field("id", "a text that is not empty", _is_filled, required=True),
        path=folder / field("path", "a path relative to the manifest's folder", _is_filled, required=True),
        text=field.text("text", required=True),
        language=_canonical_language(field.text("language")),
        duration=None if duration is None else float(duration),
        translation_en=field.text("translation_en"),
        speaker=field.text("speaker"),
        dataset=field.text("dataset"),
        metric=field("metric", '"wer" or "cer"', lambda value: value in {"wer", "cer"}),
        kind=field.text("kind"),
        single_word=bool(field("single_word", "true or false", lambda value: isinstance(value, bool))),
        quality=field.text("quality"),
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
            raise ManifestError(f"{self.where}: {name!r} is missing, expected {expected}")
        if not is_valid(value):
            raise ManifestError(f"{self.where}: {name!r} is {json.dumps(value)}, expected {expected}")
        return value

    def text(self, name: str, *, required: bool = False) -> str | None:
        """A text or null; ``required``: the field must be written even if it is null."""
        value = self(name, "a text or null", lambda value: value is None or isinstance(value, str), required=required)
        return None if value is None else str(value)


def _is_filled(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _canonical_language(language: str | None) -> str | None:
    if not language:
        return None
    try:
        return to_language_code(language)
    except UnsupportedLanguageError:
        return language  # the target refuses it, and that is this clip's result
