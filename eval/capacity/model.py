"""The arithmetic of capacity. In: ``Inputs``, a load, machines or a demand. Out: numbers and how they come about.

One assumption is in all of it: N machines like the one that was measured do N times what it did. Requests share nothing
between machines but what ``limits_of`` lists.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from math import ceil

from eval.capacity.inputs import Assumptions, Inputs, Load, Machine

__all__ = [
    "Demand",
    "Limit",
    "Scope",
    "Site",
    "cost_per_hour",
    "demand_on",
    "limits_of",
    "live_demand",
    "site_of",
    "sustained",
]

HOUR_S, DAY_S = 3_600, 86_400
BITS = 8


class Scope(StrEnum):
    """Who has one of a resource."""

    MACHINE = "each machine"
    SITE = "all together"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """One resource: what a machine asks of it, and what there is."""

    name: str
    unit: str
    scope: Scope
    per_machine: float
    """What one machine at its sustained load asks of it."""
    available: float
    arithmetic: str
    """How ``per_machine`` comes about."""

    def share(self, n_machines: int) -> float:
        """Of what there is, with so many machines; above 1 it is not enough."""
        n = n_machines if self.scope is Scope.SITE else 1
        return n * self.per_machine / self.available

    def breaks_at(self) -> int | None:
        """Machines from which on it is not enough; None: their number does not matter."""
        if self.scope is Scope.MACHINE:
            return None
        return int(self.available / self.per_machine) + 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """So many machines, all at their sustained load."""

    n_machines: int
    audio_hours_per_hour: float
    streams: int
    """Live ones instead."""
    dollars_per_hour: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """What is asked for, and what carries it."""

    peak: float
    """Seconds of audio a second in the busiest hour; of live streams their number."""
    n_machines: int
    dollars_per_day: float
    """All machines all day."""


def sustained(load: Load, assumptions: Assumptions) -> float:
    """Seconds of audio a second that a machine is given to do."""
    return load.audio_per_second.value * assumptions.utilization


def cost_per_hour(
    dollars_per_hour: float, audio_per_second: float, assumptions: Assumptions, *, all_day: bool
) -> float:
    """Dollars for an hour of audio on a machine that does so much when full.

    ``all_day``: paid for through the quiet hours too, sized for the busiest; else for the busy time alone.
    """
    cost = dollars_per_hour / (audio_per_second * assumptions.utilization)
    return cost * assumptions.peak_over_mean if all_day else cost


def demand_on(inputs: Inputs, load: Load, machine: Machine, *, hours_a_day: float) -> Demand:
    """Machines for so many hours of audio a day, sized for the busiest hour."""
    peak = hours_a_day * HOUR_S / DAY_S * inputs.assumptions.peak_over_mean
    n_machines = ceil(peak / sustained(load, inputs.assumptions))
    return Demand(peak=peak, n_machines=n_machines, dollars_per_day=24 * n_machines * machine.dollars_per_hour)


def live_demand(inputs: Inputs, machine: Machine, *, streams: int) -> Demand:
    """Machines for so many live streams at once."""
    n_machines = ceil(streams / inputs.streams.value)
    return Demand(peak=streams, n_machines=n_machines, dollars_per_day=24 * n_machines * machine.dollars_per_hour)


def site_of(inputs: Inputs, load: Load, machine: Machine, n_machines: int) -> Site:
    """What so many machines carry, and what an hour of them costs."""
    return Site(
        n_machines=n_machines,
        audio_hours_per_hour=n_machines * sustained(load, inputs.assumptions),
        streams=int(n_machines * inputs.streams.value),
        dollars_per_hour=n_machines * machine.dollars_per_hour,
    )


def limits_of(inputs: Inputs, load: Load, machine: Machine) -> tuple[Limit, ...]:
    """Every resource, what each machine has one of first."""
    return (*_own_limits(inputs, load, machine), *_shared_limits(inputs, load))


def _own_limits(inputs: Inputs, load: Load, machine: Machine) -> Iterator[Limit]:
    assumed, full = inputs.assumptions, load.audio_per_second.value
    rate = sustained(load, assumed)
    yield Limit(
        name="cores",
        unit="s of audio a second",
        scope=Scope.MACHINE,
        per_machine=rate,
        available=full,
        arithmetic=f"{full:g} × {assumed.utilization:g}",
    )
    yield Limit(
        name="memory",
        unit="GB",
        scope=Scope.MACHINE,
        per_machine=load.memory_mb.value / 1e3,
        available=machine.memory_gb,
        arithmetic="measured",
    )
    yield Limit(
        name="scratch space, queue full",
        unit="GB",
        scope=Scope.MACHINE,
        per_machine=assumed.queued_audio_s * assumed.sample_bytes_per_s / 1e9,
        available=assumed.scratch_gb,
        arithmetic=f"{assumed.queued_audio_s:,g} s × {assumed.sample_bytes_per_s:,g} B/s",
    )
    yield Limit(
        name="network",
        unit="Gbit/s",
        scope=Scope.MACHINE,
        per_machine=_gbit_per_s(rate, assumed),
        available=machine.gbit_per_s,
        arithmetic=f"{rate:.1f} × {assumed.upload_bytes_per_s:,g} B/s × 8",
    )
    yield _store("store of jobs, SQLite", Scope.MACHINE, assumed.sqlite_writes_per_s, rate, assumed)


def _shared_limits(inputs: Inputs, load: Load) -> Iterator[Limit]:
    assumed, rate = inputs.assumptions, sustained(load, inputs.assumptions)
    yield _store("store of jobs, PostgreSQL", Scope.SITE, assumed.postgresql_writes_per_s, rate, assumed)
    yield Limit(
        name="load balancer, files",
        unit="Gbit/s",
        scope=Scope.SITE,
        per_machine=_gbit_per_s(rate, assumed),
        available=assumed.entry_gbit_per_s,
        arithmetic=f"{rate:.1f} × {assumed.upload_bytes_per_s:,g} B/s × 8",
    )
    yield Limit(
        name="load balancer, live streams",
        unit="Gbit/s",
        scope=Scope.SITE,
        per_machine=inputs.streams.value * assumed.live_bytes_per_s * BITS / 1e9,
        available=assumed.entry_gbit_per_s,
        arithmetic=f"{inputs.streams.value:g} × {assumed.live_bytes_per_s:,g} B/s × 8",
    )


def _store(name: str, scope: Scope, available: float, audio_per_second: float, assumptions: Assumptions) -> Limit:
    """All audio as jobs: each window is written down, and each change of a job."""
    windows, jobs = audio_per_second / assumptions.window_s, audio_per_second / assumptions.job_s
    rate, writes = f"{audio_per_second:.1f}", f"{assumptions.store_writes_per_job:g}"
    how = f"{rate} ÷ {assumptions.window_s:g} + {rate} ÷ {assumptions.job_s:g} × {writes}"
    return Limit(
        name=name,
        unit="writes/s",
        scope=scope,
        per_machine=windows + jobs * assumptions.store_writes_per_job + assumptions.renewals_per_s,
        available=available,
        arithmetic=f"{how} + {assumptions.renewals_per_s:g}",
    )


def _gbit_per_s(audio_per_second: float, assumptions: Assumptions) -> float:
    return audio_per_second * assumptions.upload_bytes_per_s * BITS / 1e9
