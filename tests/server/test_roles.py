"""Parts of the service: who has which routes, and who works on jobs."""

import asyncio
import time
from collections.abc import Callable
from contextlib import aclosing
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from postgres_server import PostgresServer
from service_fakes import FakeDecoder, FakeWorkers
from store_benches import PostgresBench
from test_jobs_store import LEASE_S, new_job
from typer.testing import CliRunner

from server.app import create_app
from server.cli import app
from server.jobs.store import JobStatus
from server.roles import Role
from server.settings import Settings


def client_of(role: Role, folder: Path, name: str) -> TestClient:
    """All of them share a state folder, as on one host."""
    spool = folder / name
    spool.mkdir()
    settings = Settings(spool_dir=spool, state_dir=folder / "state")
    return TestClient(create_app(settings, FakeWorkers(), FakeDecoder(), role))


def ended(client: TestClient, place: str) -> str:
    deadline = time.monotonic() + 20
    while (status := client.get(place).json()["status"]) in {"queued", "running"}:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return str(status)


def test_what_an_api_takes_a_worker_does(tmp_path: Path) -> None:
    with client_of(Role.API, tmp_path, "api") as api:
        place = api.post("/jobs", files={"file": b"sound"}).headers["Location"]
        assert api.post("/transcribe", files={"file": b"sound"}).status_code == 200
        assert api.get(place).json()["status"] == "queued"
        with client_of(Role.WORKER, tmp_path, "worker"):
            assert ended(api, place) == "finished"
        assert api.get(f"{place}/result").json()["text"]


def test_a_worker_s_routes_are_for_operators(tmp_path: Path) -> None:
    with client_of(Role.WORKER, tmp_path, "worker") as worker:
        paths = set(worker.get("/openapi.json").json()["paths"])
        assert paths == {"/healthz", "/readyz", "/capacity", "/metrics"}
        assert {worker.get(path).status_code for path in paths} == {200}
        assert {worker.post(path).status_code for path in ("/jobs", "/transcribe")} == {404}
        assert worker.get("/").status_code == 404


@pytest.mark.parametrize(
    ("variable", "value", "told"),
    [
        ("database_url", "mysql://root:pw@db/x", "postgresql://"),
        ("media_url", "/srv/media", "file:///srv"),
    ],
)
def test_a_place_of_another_kind_is_refused(variable: str, value: str, told: str) -> None:
    shown = CliRunner().invoke(app, [], env={f"AURICLE_{variable.upper()}": value})
    assert shown.exit_code == 2
    assert told in shown.output
    assert "pw@" not in shown.output


def test_hosts_hear_of_each_other_s_jobs(postgres: PostgresServer) -> None:
    bench = PostgresBench(postgres)

    async def go() -> list[tuple[str, JobStatus]]:
        await bench.store.add(new_job(0))
        other, heard = bench.another(), []
        async with aclosing(other.news()) as news:
            first = asyncio.ensure_future(anext(news))
            while not first.done():  # until it listens
                await bench.store.cancel("job_0", 1.0)
                await asyncio.sleep(0.05)
            await bench.store.add(new_job(1))
            await bench.store.claim("a", ["base"], LEASE_S)
            await bench.store.cancel("job_1", 1.0)
            while ("job_1", JobStatus.CANCELLED) not in heard:
                heard.append(await anext(news))
        return [each for each in heard if each[0] == "job_1"]

    statuses = [status for _, status in bench.run(go())]
    assert list(dict.fromkeys(statuses)) == [JobStatus.QUEUED, JobStatus.RUNNING, JobStatus.CANCELLED]
    bench.close()


def test_who_follows_a_job_hears_of_another_host_at_once(
    postgres: PostgresServer, serve: Callable[..., TestClient]
) -> None:
    bench = PostgresBench(postgres)
    bench.run(bench.store.add(new_job(1)))
    claim = bench.run(bench.store.claim("elsewhere", ["base"], 1000.0))
    assert claim is not None
    client = serve(database_url=bench.url)
    with client.stream("GET", "/jobs/job_1/events") as answer:
        lines = answer.iter_lines()
        assert next(lines) == "event: progress"
        began = time.monotonic()
        bench.run(bench.store.cancel("job_1", 100.0))
        assert any(line == "event: error" for line in lines)
    assert time.monotonic() - began < 4.5  # sooner than it would look by itself
    bench.close()
