"""Datasets of the Hugging Face hub, or folders in their layouts. In: a name or a folder. Out: ``Corpus``.

Needs ``datasets`` (``pip install 'auricle[hub]'``), which downloads what is not on this machine. Since version 4 it
refuses datasets that a script makes, such as google/fleurs: those are unpacked and read by a reader of their own.
Columns are found by their usual names. Audio that is inside the tables is written to a cache beside the models', a
file for each content. Decodes no audio.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asr.errors import UnsupportedLanguageError
from asr.languages import to_language_code
from eval.corpora.cache import cache_folder, write_cached
from eval.corpora.types import Corpus, Utterance, canonical_language
from eval.errors import CorpusError

__all__ = ["read_hub"]

AUDIO_COLUMN, FILE_COLUMN = "audio", "file_name"
TEXT_COLUMNS = ("text", "sentence", "raw_transcription", "transcription", "transcript")
LANGUAGE_COLUMNS = ("language", "locale")
TRANSLATION_COLUMNS = ("translation_en", "translation")
SPEAKER_COLUMNS = ("speaker_id", "speaker", "client_id")
AUDIO_FOLDER_TABLES = {"metadata.csv": "csv", "metadata.jsonl": "json", "metadata.parquet": "parquet"}
EXPECTED = "expected a dataset's name on the hub or a folder, with the config and split that it has"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Source:
    """An opened split."""

    name: str
    """Of the dataset, or of its folder."""
    where: str
    """For messages."""
    dataset: Any
    """Its column ``audio`` is not decoded."""
    folder: Path | None
    """What the column ``file_name`` is relative to, in a folder of audio files."""

    def column(self, *names: str) -> str | None:
        """The first of the names that the dataset has."""
        return next((name for name in names if name in self.dataset.column_names), None)


def read_hub(
    name: str,
    *,
    config: str | None = None,
    split: str = "test",
    language: str | None = None,
    cache: Path | None = None,
) -> Corpus:
    """Read a split of a dataset by its name on the hub, or of a folder of audio files or parquet tables.

    ``language`` outranks the column that tells it; where neither does, a config that begins with one (``de_de``,
    ``german``) is asked. A column ``translation`` is taken as English, unless the config says that it is not
    (``en_de``). ``cache`` defaults to ``cache_folder()``. Raises CorpusError.
    """
    source = _open(name, config, split)
    make = _UtteranceMaker(source, config=config, language=language, cache=cache or cache_folder())
    ids = _ids(source, split)
    utterances = tuple(make(clip_id, row) for clip_id, row in zip(ids, source.dataset, strict=True))
    if not utterances:
        raise CorpusError(f"{source.where}: got no rows, expected at least one")
    digest = hashlib.sha256()
    for clip in utterances:
        fields = [clip.id, clip.path.name, clip.text, clip.language, clip.translation_en, clip.speaker]
        digest.update(json.dumps(fields, ensure_ascii=False).encode())
    parts = [source.name, config, split]
    return Corpus(name="/".join(part for part in parts if part), sha256=digest.hexdigest(), utterances=utterances)


def _open(name: str, config: str | None, split: str) -> _Source:
    where = f"hub:{name}, split {split!r}"
    try:
        from datasets import Audio, load_dataset
        from datasets.exceptions import DatasetsError
    except ImportError as error:
        message = f"{where}: got no package `datasets`, expected it for the Hugging Face hub"
        raise CorpusError(f"{message}; `pip install 'auricle[hub]'`") from error
    table = _audio_folder_table(Path(name), split)
    try:
        if table is not None:
            # `datasets` would want a decoder to list the files of a folder, so it is given their table alone.
            dataset = load_dataset(AUDIO_FOLDER_TABLES[table.name], data_files={split: str(table)}, split=split)
            return _Source(name=Path(name).resolve().name, where=where, dataset=dataset, folder=table.parent)
        dataset = load_dataset(name, config, split=split)
        if AUDIO_COLUMN in dataset.column_names:
            dataset = dataset.cast_column(AUDIO_COLUMN, Audio(decode=False))
    except (OSError, ValueError, RuntimeError, DatasetsError) as error:  # RuntimeError: a dataset made by a script
        raise CorpusError(f"{where}: {error.__cause__ or error}; {EXPECTED}") from error
    is_folder = Path(name).is_dir()
    return _Source(name=Path(name).resolve().name if is_folder else name, where=where, dataset=dataset, folder=None)


def _audio_folder_table(folder: Path, split: str) -> Path | None:
    """The table of a folder of audio files, which lies in the split's folder where there are splits."""
    candidates = [place / table for place in (folder / split, folder) for table in AUDIO_FOLDER_TABLES]
    return next((path for path in candidates if path.is_file()), None)


class _UtteranceMaker:
    """Rows → utterances, for one split."""

    def __init__(self, source: _Source, *, config: str | None, language: str | None, cache: Path) -> None:
        text = source.column(*TEXT_COLUMNS)
        audio = FILE_COLUMN if source.folder else AUDIO_COLUMN
        if text is None or source.column(audio) is None:
            got = ", ".join(source.dataset.column_names)
            wanted = f"{audio!r} and one of {', '.join(TEXT_COLUMNS)}"
            raise CorpusError(f"{source.where}: got the columns {got}; expected {wanted}; rename them in the dataset")
        self._source = source
        self._text = text
        self._language = language
        self._language_column = source.column(*LANGUAGE_COLUMNS)
        self._language_of_config = _language_of_config(config)
        is_from_english = config is not None and config.startswith("en_")
        self._translation = source.column(*TRANSLATION_COLUMNS[: 1 if is_from_english else 2])
        self._speaker = source.column(*SPEAKER_COLUMNS)
        self._cache = cache / source.name.replace("/", "--")

    def __call__(self, clip_id: str, row: Mapping[str, Any]) -> Utterance:
        language = self._language or _text(row.get(self._language_column or "")) or self._language_of_config
        return Utterance(
            id=clip_id,
            path=self._audio(clip_id, row),
            text=_text(row[self._text]),
            language=canonical_language(language),
            duration=None,
            translation_en=_english(row.get(self._translation or "")),
            speaker=_text(row.get(self._speaker or "")),
            dataset=self._source.name.split("/")[-1],
        )

    def _audio(self, clip_id: str, row: Mapping[str, Any]) -> Path:
        if self._source.folder is not None:
            path = self._source.folder / str(row[FILE_COLUMN])
        else:
            audio = row[AUDIO_COLUMN] or {}
            path = Path(audio.get("path") or "")
            if audio.get("bytes"):
                return self._cached(audio["bytes"], path.suffix or ".audio")
        if not path.is_file():
            raise CorpusError(f"{self._source.where}, clip {clip_id!r}: got no audio file {path}, expected one")
        return path

    def _cached(self, data: bytes, suffix: str) -> Path:
        path = self._cache / f"{hashlib.sha256(data).hexdigest()}{suffix}"
        if not path.exists():
            write_cached(path, data)
        return path


def _ids(source: _Source, split: str) -> Sequence[str]:
    """The column ``id`` where it tells clips apart (FLEURS' is that of a sentence), else the numbers of the rows."""
    if source.column("id"):
        ids = [str(clip_id) for clip_id in source.dataset["id"]]
        if len(set(ids)) == len(ids):
            return ids
    return [f"{split}-{number:06}" for number in range(len(source.dataset))]


def _text(value: Any) -> str | None:
    return None if value is None else str(value).strip()


def _english(value: Any) -> str | None:
    """A translation, which is a text, or texts by language."""
    return _text(value.get("en") if isinstance(value, Mapping) else value)


def _language_of_config(config: str | None) -> str | None:
    try:
        return to_language_code(config or "")
    except UnsupportedLanguageError:  # most configs name no language
        return None
