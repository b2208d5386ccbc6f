"""A recipe: what goes in, and the limits of every stage. In: a TOML file. Out: ``Recipe``. Opens no source.

skip = ["repeats"]                 # stages to leave out
chunk_items = 64                   # recordings done, and written, together
lhotse_shar = true                 # the examples once more, as lhotse reads them

[[sources]]
name = "talks"                     # part of every id
kind = "folder"                    # folder, nemo, audiofolder, tar
path = "heap/talks"                # relative to the recipe
licence = "CC-BY-4.0"
language = "en"                    # where the source says so

[evaluation]                       # what must not be trained on
suites = ["development"]           # of auricle-eval; all of them when left out
data = "corpora"                   # where the suites' corpora are

[model]                            # what hears the recordings; without it, nothing does
name = "base"

[machine]                          # a table for each stage's limits
casing_vote = 0.6
"""

import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, get_args, get_type_hints

from asr.options import Quantization
from data_pipeline.audio import AudioLimits
from data_pipeline.errors import PipelineError
from data_pipeline.stages.agreement import AgreementLimits
from data_pipeline.stages.language import LanguageLimits
from data_pipeline.stages.machine import MachineLimits
from data_pipeline.stages.repeats import RepeatLimits
from data_pipeline.stages.segmenting import SegmentLimits
from data_pipeline.stages.timing import TimingLimits

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

__all__ = ["KINDS", "SKIPPABLE", "Evaluation", "ModelChoice", "Recipe", "SourceChoice", "read_recipe"]

KINDS = ("folder", "nemo", "audiofolder", "tar")
SKIPPABLE = ("machine", "repeats", "timing", "duplicates", "contamination", "language", "agreement")
Table = TypeVar("Table", bound="DataclassInstance")


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceChoice:
    """Where recordings come from."""

    name: str
    kind: str
    path: Path
    licence: str
    language: str | None = None
    """Label of what has none of its own."""
    root: Path | None = None
    """Of a NeMo manifest: the folder that its files must be in; None: the manifest's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """What is evaluated on."""

    suites: tuple[str, ...] = ()
    """Names of auricle-eval's suites; empty: all."""
    corpora: tuple[str, ...] = ()
    """Further ones, as ``auricle-eval run`` takes them."""
    data: Path = Path()
    """Relative corpora are in it."""
    allow_missing: bool = False
    """Go on without a corpus that is not there; the proof names it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelChoice:
    """Which model of ours hears the recordings."""

    name: str
    quantization: str = Quantization.AUTO.value


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """Everything that decides what comes out, but for the seed."""

    sources: tuple[SourceChoice, ...]
    evaluation: Evaluation | None = None
    """None: nothing is held against evaluation texts."""
    scores: Path | None = None
    """JSON lines of what a model hears: id, spoken {language, probability}, hypothesis [{start, end, text}]."""
    model: ModelChoice | None = None
    """None: no model is asked; which language is spoken, the source says, or the text."""
    skip: tuple[str, ...] = ()
    chunk_items: int = 64
    lhotse_shar: bool = False
    """Write the examples once more, for lhotse."""
    audio: AudioLimits = field(default_factory=AudioLimits)
    machine: MachineLimits = field(default_factory=MachineLimits)
    repeats: RepeatLimits = field(default_factory=RepeatLimits)
    timing: TimingLimits = field(default_factory=TimingLimits)
    language: LanguageLimits = field(default_factory=LanguageLimits)
    agreement: AgreementLimits = field(default_factory=AgreementLimits)
    segments: SegmentLimits = field(default_factory=SegmentLimits)


def read_recipe(path: Path) -> Recipe:
    """Read and check a recipe; its paths are relative to its folder. Raises PipelineError."""
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise PipelineError(f"{path}: {error.strerror or error}; expected a recipe in TOML") from error
    except ValueError as error:
        raise PipelineError(f"{path}: got no valid TOML ({error}), expected a recipe") from error
    sources = table.get("sources")
    if not isinstance(sources, list) or not sources:
        raise PipelineError(f"{path}: got no sources, expected at least one table [[sources]]")
    recipe = _table(Recipe, table, f"{path}", path.parent)
    _check(recipe, path)
    return recipe


def _check(recipe: Recipe, path: Path) -> None:
    names = [source.name for source in recipe.sources]
    for source in recipe.sources:
        if source.kind not in KINDS:
            raise PipelineError(f"{path}: source {source.name!r} has the kind {source.kind!r}, expected {_or(KINDS)}")
        if names.count(source.name) > 1 or not source.name or "/" in source.name:
            raise PipelineError(f"{path}: got the source name {source.name!r}, expected unique ones without a slash")
        if not source.path.exists():
            raise PipelineError(f"{path}: source {source.name!r}: got nothing at {source.path}, expected a source")
    unknown = sorted(set(recipe.skip) - set(SKIPPABLE))
    if unknown:
        raise PipelineError(f"{path}: skip: got {unknown[0]!r}, expected {_or(SKIPPABLE)}")
    if recipe.model and recipe.model.quantization not in list(Quantization):
        got, expected = recipe.model.quantization, _or(tuple(Quantization))
        raise PipelineError(f"{path}: model: quantization: got {got!r}, expected {expected}")
    if recipe.model and recipe.scores:
        raise PipelineError(f"{path}: got both scores and [model], expected one of them")
    if recipe.chunk_items < 1:
        raise PipelineError(f"{path}: chunk_items: got {recipe.chunk_items}, expected 1 or more")


def _table(kind: type[Table], table: Any, where: str, root: Path) -> Table:
    if not isinstance(table, dict):
        raise PipelineError(f"{where}: got {table!r}, expected a table")
    known = {each.name: each for each in fields(kind)}
    unknown = sorted(table.keys() - known.keys())
    if unknown:
        raise PipelineError(f"{where}: got the field {unknown[0]!r}, expected only {', '.join(known)}")
    missing = [name for name, each in known.items() if name not in table and _is_required(each)]
    if missing:
        raise PipelineError(f"{where}: {missing[0]!r} is missing")
    types = get_type_hints(kind)
    return kind(**{name: _value(types[name], value, f"{where}: {name}", root) for name, value in table.items()})


def _is_required(each: Field[Any]) -> bool:
    return each.default is MISSING and each.default_factory is MISSING


def _value(kind: Any, value: Any, where: str, root: Path) -> Any:
    """A TOML value as the field's type."""
    choices = [each for each in get_args(kind) if each not in (type(None), Ellipsis)]
    if isinstance(value, list):
        if not choices:
            raise PipelineError(f"{where}: got {value!r}, expected {kind.__name__}")
        return tuple(_value(choices[0], each, where, root) for each in value)
    plain = choices[0] if choices else kind
    if isinstance(value, Mapping):
        return _table(plain, value, where, root)
    if plain is Path and isinstance(value, str):
        return (root / Path(value).expanduser()).resolve()
    if plain is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(value) is not plain:
        raise PipelineError(f"{where}: got {value!r}, expected {plain.__name__}")
    return value


def _or(names: tuple[str, ...]) -> str:
    return f"{', '.join(names[:-1])} or {names[-1]}"
