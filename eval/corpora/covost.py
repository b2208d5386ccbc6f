"""CoVoST 2 beside the Common Voice clips it translates. In: the folder of its tables. Out: ``Corpus``.

``covost_v2.de_en.test.tsv`` has path, sentence, translation and client_id. ``covost_v2.de_en.tsv``, as it is published,
has path, translation and split; the rest is in Common Voice's ``validated.tsv``. That table and the folder ``clips``
are beside it, or in ``de``. Only translations into English are read: Whisper makes no others. Opens no audio.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from eval.corpora.common_voice import locale_language, spoken_text
from eval.corpora.listing import Listing, Row, existing_folder
from eval.corpora.types import Corpus, Utterance
from eval.errors import CorpusError

__all__ = ["read_covost"]

LAYOUT = "a folder with covost_v2.SOURCE_en.SPLIT.tsv or covost_v2.SOURCE_en.tsv"
TABLE_NAME = re.compile(r"covost_v2\.(?P<source>[\w-]+?)_(?P<target>[\w-]+?)(?:\.(?P<split>\w+))?\.tsv")
ESCAPED = re.compile(r"\\(.)")  # get_covost_splits.py, which writes the tables of a split, escapes with a backslash


@dataclass(frozen=True, slots=True, kw_only=True)
class _Table:
    """A table by its file name."""

    path: Path
    source: str
    target: str
    split: str | None
    """None: every split is in it, named in a column."""


def read_covost(path: Path, *, languages: Sequence[str] = (), split: str = "test") -> Corpus:
    """Read a split's translations into English from the source languages named (``sv-SE``), or from all there are.

    Raises CorpusError, also when all that is there are translations from English.
    """
    tables = _tables_into_english(existing_folder(path, LAYOUT), languages, split)
    listing = Listing()
    for table in tables:
        for row in _rows(listing, table, split):
            listing.add(_utterance(row, table), row.where)
    pairs = "+".join(f"{table.source}_en" for table in tables)
    return listing.corpus(f"covost2/{pairs}/{split}", path)


def _tables_into_english(folder: Path, languages: Sequence[str], split: str) -> list[_Table]:
    tables = [table for table in _tables(folder, split) if not languages or table.source in languages]
    into_english = [table for table in tables if table.target == "en"]
    if tables and not into_english:
        first = tables[0]
        message = f"{first.path}: got translations from {first.source} into {first.target}, expected them into English"
        raise CorpusError(f"{message}, which alone Whisper makes; fetch covost_v2.SOURCE_en")
    absent = sorted(set(languages) - {table.source for table in into_english})
    if absent or not into_english:
        named = f" from {', '.join(absent)}" if absent else ""
        raise CorpusError(f"{folder}: got no table{named} with the split {split!r}, expected {LAYOUT}")
    return into_english


def _tables(folder: Path, split: str) -> list[_Table]:
    """The tables in a folder and its subfolders that have the split; of two for the same languages, the split's own."""
    files = sorted([*folder.glob("covost_v2.*.tsv"), *folder.glob("*/covost_v2.*.tsv")])
    names = [(file, TABLE_NAME.fullmatch(file.name)) for file in files]
    tables: dict[tuple[str, str], _Table] = {}
    for file, name in names:
        if name is not None and name["split"] in {None, split}:
            pair = (name["source"], name["target"])
            table = _Table(path=file, source=name["source"], target=name["target"], split=name["split"])
            tables[pair] = table if table.split else tables.get(pair, table)
    return list(tables.values())


def _rows(listing: Listing, table: _Table, split: str) -> list[Row]:
    if table.split is not None:
        rows = listing.rows(table.path, ("path", "sentence", "translation", "client_id"))
        return [
            replace(row, fields={name: ESCAPED.sub(r"\1", value) for name, value in row.fields.items()}) for row in rows
        ]
    rows = [row for row in listing.rows(table.path, ("path", "translation", "split")) if row["split"] == split]
    validated = _beside(table, "validated.tsv")
    by_clip = {row["path"]: row.fields for row in listing.rows(validated, ("path", "sentence", "client_id"))}
    return [_joined(row, by_clip, validated) for row in rows]


def _joined(row: Row, by_clip: Mapping[str, Mapping[str, str]], validated: Path) -> Row:
    if row["path"] not in by_clip:
        message = f"{row.where}: clip {row['path']!r} is not in {validated}, expected Common Voice's release 4"
        raise CorpusError(f"{message}; take the line out, if the clip was withdrawn since")
    return replace(row, fields={**by_clip[row["path"]], **row.fields})


def _utterance(row: Row, table: _Table) -> Utterance:
    if not row["translation"].strip():
        raise CorpusError(f"{row.where}: the translation is empty, expected an English text; take the line out")
    return Utterance(
        id=f"covost2/{table.source}_en/{Path(row['path']).stem}",
        path=_beside(table, "clips") / row["path"],
        text=spoken_text(row["sentence"]),
        language=locale_language(table.source),
        duration=None,
        translation_en=row["translation"].strip(),
        speaker=row["client_id"] or None,
        dataset="covost2",
    )


def _beside(table: _Table, name: str) -> Path:
    in_language = table.path.parent / table.source / name
    return in_language if in_language.exists() else table.path.parent / name
