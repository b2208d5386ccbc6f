"""Suites: tables of what is run on what. In: ``suites.toml``, ours or another. Out: ``Suite`` by name.

Names jobs, modes and normalizers; opens no corpus and runs nothing.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, TypeVar

from eval.corpora.opening import CorpusSpec
from eval.errors import CorpusError
from eval.jobs import Job
from eval.normalizers import NormalizerName, Unit
from eval.runner import LanguageMode

__all__ = ["Suite", "SuiteRow", "read_suites"]

Choice = TypeVar("Choice", bound=StrEnum)
TEXTS = ("name", "corpus", "published")
CHOICES = ("job", "language", "normalizer", "unit")


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteRow:
    """One run, and how it is scored."""

    name: str
    """Unique in its suite; the folder of its results."""
    corpus: str
    """As ``open_corpus`` takes it; paths are relative to the data folder."""
    only: tuple[str, ...] = ()
    """Conditions as ``select`` takes them."""
    job: Job = Job.TRANSCRIBE
    language: LanguageMode = LanguageMode.MANIFEST
    normalizer: NormalizerName = NormalizerName.WHISPER
    unit: Unit | None = None
    """None: as the language or the corpus asks."""
    published: str | None = None
    """The column of the paper's tables that it stands beside, DATASET/LANGUAGE as in ``published.json``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Suite:
    """Rows under a name."""

    name: str
    description: str
    rows: tuple[SuiteRow, ...]


def read_suites(path: Path | None = None) -> Mapping[str, Suite]:
    """The suites of a TOML file by name; without a path, those that come with Auricle.

    A table ``[NAME]`` has ``description`` and ``rows``, an array of tables with the fields of ``SuiteRow``. Raises
    CorpusError.
    """
    source: Path | Traversable = path or files("eval") / "suites.toml"
    try:
        tables = tomllib.loads(source.read_text(encoding="utf-8"))
    except OSError as error:
        raise CorpusError(f"{source}: {error.strerror or error}; expected a TOML file of suites") from error
    except ValueError as error:
        raise CorpusError(f"{source}: got no valid TOML ({error}), expected tables [NAME] with rows") from error
    if not tables:
        raise CorpusError(f"{source}: got no suites, expected at least one table [NAME] with rows")
    return {name: _suite(name, table, f"{source}, [{name}]") for name, table in tables.items()}


def _suite(name: str, table: Any, where: str) -> Suite:
    if not isinstance(table, dict) or not isinstance(table.get("rows"), list) or not table["rows"]:
        raise CorpusError(f"{where}: expected a table with rows = [{{ name = …, corpus = … }}, …]")
    _check_keys(table, {"description", "rows"}, where)
    rows: dict[str, SuiteRow] = {}
    for number, fields in enumerate(table["rows"], start=1):
        row = _row(fields, f"{where}, row {number}")
        if row.name in rows:
            raise CorpusError(f"{where}, row {number}: name {row.name!r} was there before, expected names to be unique")
        rows[row.name] = row
    return Suite(name=name, description=str(table.get("description", "")), rows=tuple(rows.values()))


def _row(fields: Any, where: str) -> SuiteRow:
    if not isinstance(fields, dict):
        raise CorpusError(f"{where}: got {fields!r}, expected a table {{ name = …, corpus = … }}")
    _check_keys(fields, {"only", *TEXTS, *CHOICES}, where)
    for name in ("name", "corpus"):
        if not fields.get(name):
            raise CorpusError(f"{where}: {name!r} is missing, expected a text")
    only = fields.get("only", [])
    given = [fields[name] for name in (*TEXTS, *CHOICES) if name in fields]
    if not isinstance(only, list) or not all(isinstance(text, str) for text in [*given, *only]):
        raise CorpusError(f'{where}: expected texts, and `only` to be an array of texts such as "language=en"')
    if Path(fields["name"]).name != fields["name"] or fields["name"] == "..":
        raise CorpusError(f"{where}: got the name {fields['name']!r}, expected one that can be a folder's")
    CorpusSpec.parse(fields["corpus"])
    return SuiteRow(
        name=fields["name"],
        corpus=fields["corpus"],
        only=tuple(only),
        job=_choice(fields, "job", Job.TRANSCRIBE, where),
        language=_choice(fields, "language", LanguageMode.MANIFEST, where),
        normalizer=_choice(fields, "normalizer", NormalizerName.WHISPER, where),
        unit=_choice(fields, "unit", Unit.WORD, where) if "unit" in fields else None,
        published=fields.get("published"),
    )


def _choice(fields: Mapping[str, Any], name: str, default: Choice, where: str) -> Choice:
    kind = type(default)
    try:
        return kind(fields.get(name, default))
    except ValueError as error:
        message = f"{where}: {name!r} is {fields[name]!r}, expected one of {', '.join(kind)}"
        raise CorpusError(message) from error


def _check_keys(table: Mapping[str, Any], known: set[str], where: str) -> None:
    unknown = sorted(table.keys() - known)
    if unknown:
        raise CorpusError(f"{where}: got the field {unknown[0]!r}, expected only {', '.join(sorted(known))}")
