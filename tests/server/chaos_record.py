"""What the chaos tests measure, and how often they do it. In: checks of a row of docs/reliability.md. Out: JSON files.

``CHAOS`` unset: the short form of every row. ``CHAOS=full`` (``make chaos``): the counts that the page asks for.
``CHAOS=0.05``: that share of them; such a run is recorded as scaled, and never shown as a full one. Records lie in the
folder that ``CHAOS_OUT`` names, one a row and part; ``chaos_page.py`` shows them.
"""

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

ASKED = os.environ.get("CHAOS", "")
FORM = {"": "short", "full": "full"}.get(ASKED, "scaled")
SHARE = {"short": 0.0, "full": 1.0}[FORM] if FORM != "scaled" else float(ASKED)
IS_SHORT, IS_FULL = FORM == "short", FORM == "full"
PROGRESS_EVERY_S = 20.0


def count(full: int, short: int) -> int:
    """How many this run does of what the full form does so many times; never fewer than the short form."""
    return short if IS_SHORT else max(short, round(full * SHARE), 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One measured figure beside its target."""

    what: str
    target: str
    measured: float
    unit: str
    met: bool


@dataclass(slots=True, kw_only=True)
class Record:
    """One part of a row, as it was run."""

    row: str
    part: str
    worker: str
    """``stub`` or a model's name."""
    form: str = FORM
    asked: int
    """The full count."""
    n: int
    """The count of this run."""
    unit: str
    """What is counted."""
    seconds: float = 0.0
    hardware: str = ""
    failure: str | None = None
    """What broke the run off."""
    checks: list[Check] = field(default_factory=list)


class Measurement:
    """Collects the checks of one part of a row."""

    def __init__(self, record: Record) -> None:
        self.record = record
        self._broken: list[str] = []
        self._began = self._told = time.monotonic()

    def check(
        self,
        what: str,
        measured: float,
        *,
        at_most: float | None = None,
        at_least: float | None = None,
        unit: str = "",
        slack: float = 1.0,
    ) -> None:
        """Note a figure. The target itself is held against it in the full form; else so many times the target, since
        few runs on a busy machine say little of its speed."""
        measured, factor = float(measured), 1.0 if IS_FULL else slack  # numpy's are not for JSON
        if at_most is not None:
            target, met, holds = f"≤ {at_most:g}", measured <= at_most, measured <= at_most * factor
        else:
            assert at_least is not None
            target, met, holds = f"≥ {at_least:g}", measured >= at_least, measured >= at_least / factor
        note = Check(what=what, target=target, measured=round(measured, 4), unit=unit, met=met)
        self.record.checks.append(note)
        if not holds:
            self._broken.append(f"{what}: got {measured:.4g}, expected {target} {unit}".strip())

    def progress(self, done: int) -> None:
        """Say how far it is, now and then, to who waits for hours."""
        now = time.monotonic()
        if not IS_SHORT and now - self._told > PROGRESS_EVERY_S:
            self._told = now
            record = self.record
            print(
                f"\n[{record.row}, {record.worker}] {done} of {record.n} {record.unit}, {now - self._began:.0f} s",
                flush=True,
            )

    def end(self, failure: str | None) -> list[str]:
        """Write the record where one is wanted; returns what does not hold."""
        record = self.record
        record.seconds = round(time.monotonic() - self._began, 1)
        record.hardware = _hardware()
        record.failure = failure
        if "CHAOS_OUT" in os.environ:
            name = "-".join(word for word in (record.row, record.part.replace(" ", "_"), record.worker) if word)
            folder = Path(os.environ["CHAOS_OUT"])
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{name}.json").write_text(json.dumps(asdict(record), ensure_ascii=False, indent=1) + "\n")
        return self._broken


@contextmanager
def measuring(
    row: str, *, n: int, asked: int, unit: str, worker: str = "stub", part: str = ""
) -> Iterator[Measurement]:
    """Measure a part of a row; at the end its record is written, and what was missed fails the test."""
    measurement = Measurement(Record(row=row, part=part, worker=worker, asked=asked, n=n, unit=unit))
    try:
        yield measurement
    except BaseException as error:
        measurement.end(f"{type(error).__name__}: {error}".splitlines()[0][:200])
        raise
    broken = measurement.end(None)
    assert not broken, "; ".join(broken)


def _hardware() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    models = {line.partition(":")[2].strip() for line in lines if line.startswith("model name")}
    return f"{len(os.sched_getaffinity(0))} cores, {', '.join(sorted(models)) or 'unknown processor'}"
