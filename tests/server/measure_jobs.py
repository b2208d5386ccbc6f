"""How fast jobs are taken, claimed and shared: ``make job-speed``. In: nothing. Out: JSON, a line for each part.

Both stores on this machine's disk, every commit synced to it; workers are whole services over a model that only waits.
"""

import asyncio
import json
import os
import statistics
import tempfile
import time
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
from cluster_hosts import Cluster, until
from postgres_server import PostgresServer, postgres_programs, running_postgres

from server.jobs.postgres import PostgresJobStore
from server.jobs.sqlite import SqliteJobStore
from server.jobs.store import JobStore, NewJob

N_JOBS = 1_000
N_POSTS = 300
N_SHARED, N_WINDOWS, WINDOW_S = 24, 5, 0.8


def new_job() -> NewJob:
    fields = (("language", "en"), ("timestamps", "word"))
    return NewJob(id=f"job_{uuid.uuid4().hex}", model="base", fields=fields, request_id="r", idempotency_key=None)


async def enqueued(store: JobStore, n_at_once: int) -> dict[str, float]:
    """Milliseconds from ``add`` to its return, which is when a job survives anything."""
    took_s: list[float] = []

    async def add() -> None:
        for _ in range(N_JOBS // n_at_once):
            began = time.perf_counter()
            await store.add(new_job())
            took_s.append(time.perf_counter() - began)

    await asyncio.gather(*(add() for _ in range(n_at_once)))
    return percentiles(took_s)


async def claimed(stores: list[JobStore]) -> float:
    """Claims a second, until all are claimed; each store is another process's."""

    async def claim(store: JobStore) -> int:
        owner, count = uuid.uuid4().hex, 0
        while await store.claim(owner, ["base"], 60.0):
            count += 1
        return count

    began = time.perf_counter()
    counts = await asyncio.gather(*(claim(store) for store in stores))
    return round(sum(counts) / (time.perf_counter() - began))


def percentiles(took_s: list[float]) -> dict[str, float]:
    cuts = statistics.quantiles(took_s, n=100)
    return {"n": len(took_s), "p50_ms": round(cuts[49] * 1e3, 2), "p99_ms": round(cuts[98] * 1e3, 2)}


async def store_speed(make: Callable[[], JobStore]) -> dict[str, Any]:
    stores = [make() for _ in range(4)]
    await asyncio.gather(*(store.get("none") for store in stores))
    speed: dict[str, Any] = {"enqueue, one after the other": await enqueued(stores[0], 1)}
    speed["claims/s, one claimer"] = await claimed(stores[:1])
    speed["enqueue, eight at once"] = await enqueued(stores[0], 8)
    speed["claims/s, four claimers"] = await claimed(stores)
    closing: list[Awaitable[None]] = [store.close() for store in stores]
    await asyncio.gather(*closing)
    return speed


def posted(cluster: Cluster, n_jobs: int, text: str) -> list[float]:
    """Seconds from a request's first byte to its 202."""
    api, took_s = cluster.hosts[0], []
    with httpx.Client(base_url=f"http://{api.address}:{api.port}", trust_env=False, timeout=30) as client:
        for _ in range(n_jobs):
            began = time.perf_counter()
            client.post("/jobs", files={"file": text.encode()}).raise_for_status()
            took_s.append(time.perf_counter() - began)
    return took_s


def shared(server: PostgresServer, folder: Path, n_workers: int) -> dict[str, Any]:
    """Seconds for the same jobs with so many workers, two jobs at once in each."""
    cluster = Cluster(server, folder / f"{n_workers}-workers")
    cluster.folder.mkdir()
    try:
        cluster.add_host("api")
        until(cluster.hosts[0].is_ready, "the API")
        post = percentiles(posted(cluster, N_POSTS, "windows 1 0"))
        for _ in range(n_workers):
            cluster.add_host("worker")
        until(lambda: cluster.unfinished() == 0, "the small jobs", 300)
        posted(cluster, N_SHARED, f"windows {N_WINDOWS} {WINDOW_S}")
        until(lambda: cluster.unfinished() == 0, "the jobs", 300)
        [(took_s,)] = cluster.ask(
            "SELECT max(ended_at) - min(started_at) FROM"
            " (SELECT * FROM auricle_jobs ORDER BY queue_id DESC LIMIT %s) AS last",
            N_SHARED,
        )
    finally:
        cluster.close()
    return {"POST /jobs": post, "jobs": N_SHARED, "took_s": round(took_s, 2)}


def main() -> None:
    programs = postgres_programs()
    if programs is None:
        raise SystemExit("PostgreSQL's programs are not installed (Debian: postgresql)")
    with tempfile.TemporaryDirectory() as name, running_postgres(programs, is_durable=True) as server:
        folder = Path(name)
        tell("cores", os.cpu_count())
        tell("sqlite", asyncio.run(store_speed(lambda: SqliteJobStore(folder / "jobs.sqlite3"))))
        tell("postgresql", asyncio.run(store_speed(lambda: PostgresJobStore(server.url()))))
        one, two = (shared(server, folder, n_workers) for n_workers in (1, 2))
        tell("one worker", one)
        tell("two workers", two)
        tell("two workers over one", round(one["took_s"] / two["took_s"], 2))


def tell(what: str, measured: object) -> None:
    print(json.dumps({what: measured}), flush=True)


if __name__ == "__main__":
    main()
