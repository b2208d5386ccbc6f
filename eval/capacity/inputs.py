"""What capacity is computed from. In: ``inputs.toml``, and a file that replaces its prices. Out: ``Inputs``.

What was measured, what is only predicted and what is assumed are different types, so that a table cannot mix them up.
Computes nothing.
"""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeVar

from eval.errors import ResultsError

__all__ = ["Assumptions", "Gpu", "Hosted", "Inputs", "Load", "Machine", "Measured", "Prediction", "read_inputs"]

Row = TypeVar("Row")
TEXTS = ("name", "device", "source", "date")
REPLACEABLE = ("assumptions", "machines", "gpus", "hosted")


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """A number, rounded, and where it stands."""

    value: float
    file: str
    """In docs/data."""
    at: tuple[str | int, ...]
    """Keys and places, from the file's top."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What a full machine did."""

    name: str
    what: str
    audio_per_second: Measured
    """Seconds of audio, all clients together."""
    memory_mb: Measured
    """Of all processes at most; shared pages count in each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """What a device could do at most by its data sheet; no run of ours."""

    name: str
    device: str
    audio_per_second: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Assumptions:
    """Each is explained in ``inputs.toml``."""

    utilization: float
    peak_over_mean: float
    upload_bytes_per_s: float
    live_bytes_per_s: float
    job_s: float
    window_s: float
    store_writes_per_job: float
    renewals_per_s: float
    queued_audio_s: float
    sample_bytes_per_s: float
    scratch_gb: float
    entry_gbit_per_s: float
    sqlite_writes_per_s: float
    postgresql_writes_per_s: float

    def __post_init__(self) -> None:
        for field in fields(self):
            _check(f"assumptions.{field.name}", getattr(self, field.name))
        if self.utilization > 1 or self.peak_over_mean < 1:
            got = f"utilization {self.utilization}, peak_over_mean {self.peak_over_mean}"
            raise ValueError(f"assumptions: got {got}, expected at most 1 and at least 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What an hour of a machine like the one that was measured is listed at."""

    name: str
    dollars_per_hour: float
    memory_gb: float
    gbit_per_s: float
    """Of its network."""
    source: str
    date: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """What an hour of a GPU, with its host, is listed at."""

    name: str
    device: str
    """As predictions name it."""
    dollars_per_hour: float
    source: str
    date: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Hosted:
    """What a minute of audio is listed at by somebody who transcribes it."""

    name: str
    dollars_per_minute: float
    source: str
    date: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """All of it."""

    cores: int
    """Of the machine that was measured."""
    loads: tuple[Load, ...]
    streams: Measured
    """Live streams that it followed at once."""
    streams_what: str
    predictions: tuple[Prediction, ...]
    assumptions: Assumptions
    machines: tuple[Machine, ...]
    gpus: tuple[Gpu, ...]
    hosted: tuple[Hosted, ...]

    def load(self, name: str) -> Load:
        """A load by name. Raises ResultsError."""
        for load in self.loads:
            if load.name == name:
                return load
        known = ", ".join(load.name for load in self.loads)
        raise ResultsError(f"--load: got {name!r}, expected one of {known}")


def read_inputs(prices: Path | None = None) -> Inputs:
    """The inputs that come with Auricle; tables of ``prices`` stand in the place of theirs. Raises ResultsError."""
    ours = tomllib.loads(files("eval.capacity").joinpath("inputs.toml").read_text(encoding="utf-8"))
    given = {} if prices is None else _read(prices)
    try:
        return _inputs(ours, given)
    except (TypeError, ValueError) as error:
        raise ResultsError(
            f"--prices {prices}: {error}; its tables look like those of eval/capacity/inputs.toml"
        ) from error


def _read(path: Path) -> dict[str, Any]:
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ResultsError(f"--prices {path}: {error}; expected a TOML file") from error
    unknown = sorted(set(tables) - set(REPLACEABLE))
    if unknown or not tables:
        got = ", ".join(unknown) or "no table"
        raise ResultsError(f"--prices {path}: got {got}, expected tables of {', '.join(REPLACEABLE)}")
    return tables


def _inputs(ours: Mapping[str, Any], given: Mapping[str, Any]) -> Inputs:
    tables = {**ours, **{name: given[name] for name in REPLACEABLE[1:] if name in given}}
    return Inputs(
        cores=ours["cores"],
        loads=tuple(_load(each) for each in ours["loads"]),
        streams=_measured(ours["live"]["streams"]),
        streams_what=ours["live"]["what"],
        predictions=_rows(Prediction, ours["predictions"]),
        assumptions=Assumptions(**{**ours["assumptions"], **given.get("assumptions", {})}),
        machines=_rows(Machine, tables["machines"]),
        gpus=_rows(Gpu, tables["gpus"]),
        hosted=_rows(Hosted, tables["hosted"]),
    )


def _load(table: Mapping[str, Any]) -> Load:
    numbers = {name: _measured(table[name]) for name in ("audio_per_second", "memory_mb")}
    return Load(name=table["name"], what=table["what"], **numbers)


def _measured(table: Mapping[str, Any]) -> Measured:
    return Measured(value=float(table["value"]), file=table["file"], at=tuple(table["at"]))


def _rows(kind: type[Row], tables: Sequence[Mapping[str, Any]]) -> tuple[Row, ...]:
    for number, table in enumerate(tables, start=1):
        for name, value in table.items():
            _check(f"{kind.__name__} {number}: {name}", value, is_text=name in TEXTS)
    if not tables:
        raise ValueError(f"got no {kind.__name__}, expected one at least")
    return tuple(kind(**table) for table in tables)


def _check(where: str, value: object, *, is_text: bool = False) -> None:
    if is_text:
        if not isinstance(value, str):
            raise ValueError(f"{where}: got {value!r}, expected text")
    elif isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
        raise ValueError(f"{where}: got {value!r}, expected a number above 0")
