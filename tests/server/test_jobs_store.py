"""Job stores, SQLite's and PostgreSQL's, against one model of them, over crashes and stale claims; and what each has to
be told.
"""

import asyncio
import sqlite3
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import ClassVar

import psycopg
import pytest
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)
from postgres_server import PostgresServer
from service_fakes import MODEL, SEGMENTS, make_evidence, make_transcript
from store_benches import BEGINNING, Bench, PostgresBench, SqliteBench

from asr.transcript import Progress
from server.errors import ApiError
from server.jobs.postgres import PostgresJobStore
from server.jobs.sqlite import SqliteJobStore
from server.jobs.store import Findings, Job, JobError, JobStatus, NewJob
from server.responses import Answered

LEASE_S, TTL_S = 10.0, 100.0
ERROR = JobError(status=422, code="undecodable_audio", message="no frame", param=None)
ANSWERED = Answered(transcript=make_transcript(), model=MODEL, request_id="r", queue_s=0.5)


def new_job(number: int, *, key: str | None = None, webhook: bool = True) -> NewJob:
    return NewJob(
        id=f"job_{number}",
        model="base",
        fields=(("language", "en"), ("prompt", "names")),
        request_id="r",
        webhook_url="https://example.org" if webhook else None,
        idempotency_key=key,
        fingerprint="f",
    )


@dataclass
class Expected:
    """What the model believes of a job."""

    status: JobStatus = JobStatus.QUEUED
    attempt: int = 0
    n_deaths: int = 0
    owner: str = ""
    claimed_at: float = 0.0
    lease_until: float = 0.0
    windows: set[str] = field(default_factory=set)
    expires_at: float = float("inf")


class StoreMachine(RuleBasedStateMachine):
    claims = Bundle("claims")

    def make_bench(self) -> Bench:
        raise NotImplementedError

    @initialize()
    def open(self) -> None:
        self.bench = self.make_bench()
        self.now = BEGINNING
        self.jobs: dict[str, Expected] = {}

    def teardown(self) -> None:
        if hasattr(self, "bench"):
            self.bench.close()

    def holds(self, claim: Job) -> bool:
        job = self.jobs[claim.id]
        return job.status is JobStatus.RUNNING and job.attempt == claim.attempt

    def ended(self, claim: Job, status: JobStatus) -> None:
        job = self.jobs[claim.id]
        job.status, job.windows, job.expires_at = status, set(), self.now + TTL_S

    def prolonged(self, owner: str) -> set[str]:
        mine = {name for name, job in self.jobs.items() if job.status is JobStatus.RUNNING and job.owner == owner}
        for name in mine:
            self.jobs[name].lease_until = self.now + LEASE_S
        return mine

    @rule()
    def add(self) -> None:
        name = f"job_{len(self.jobs)}"
        assert self.bench.run(self.bench.store.add(new_job(len(self.jobs)))).status is JobStatus.QUEUED
        self.jobs[name] = Expected()

    @rule(target=claims, owner=st.sampled_from(["a", "b"]))
    def claim(self, owner: str) -> Job | None:
        for job in self.jobs.values():
            if job.status is JobStatus.RUNNING and job.lease_until < self.now:
                job.status = JobStatus.QUEUED
        self.prolonged(owner)
        free = [name for name, job in self.jobs.items() if job.status is JobStatus.QUEUED]
        claimed = self.bench.run(self.bench.store.claim(owner, ["base"], LEASE_S))
        assert (claimed.id if claimed else None) == (free[0] if free else None)
        if claimed:
            job = self.jobs[claimed.id]
            job.status, job.attempt, job.owner = JobStatus.RUNNING, job.attempt + 1, owner
            job.claimed_at, job.lease_until = self.now, self.now + LEASE_S
            assert claimed.attempt == job.attempt
        return claimed

    @rule(claim=claims, key=st.sampled_from("xyz"))
    def record(self, claim: Job | None, key: str) -> None:
        if claim is None:
            return
        found = Findings(
            windows={key: key}, segments=[SEGMENTS[0]], progress=Progress(done=claim.attempt, duration=9.0)
        )
        assert self.bench.run(self.bench.store.record(claim, found)) == self.holds(claim)
        if self.holds(claim):
            self.jobs[claim.id].windows.add(key)
            self.jobs[claim.id].n_deaths = 0

    @rule(claim=claims)
    def finish(self, claim: Job | None) -> None:
        if claim is not None:
            assert self.bench.run(self.bench.store.finish(claim, ANSWERED, TTL_S)) == self.holds(claim)
            if self.holds(claim):
                self.ended(claim, JobStatus.FINISHED)

    @rule(claim=claims)
    def fail(self, claim: Job | None) -> None:
        if claim is not None:
            assert self.bench.run(self.bench.store.fail(claim, ERROR, TTL_S)) == self.holds(claim)
            if self.holds(claim):
                self.ended(claim, JobStatus.FAILED)

    @rule(claim=claims, died=st.booleans())
    def give_back(self, claim: Job | None, died: bool) -> None:
        if claim is not None:
            assert self.bench.run(self.bench.store.give_back(claim, died=died)) == self.holds(claim)
            if self.holds(claim):
                self.jobs[claim.id].status = JobStatus.QUEUED
                self.jobs[claim.id].n_deaths += died

    @rule(claim=claims)
    def cancel(self, claim: Job | None) -> None:
        if claim is None:
            return
        self.bench.run(self.bench.store.cancel(claim.id, TTL_S))
        job = self.jobs[claim.id]
        if job.status.is_final:
            job.expires_at = min(job.expires_at, self.now)
        else:
            self.ended(claim, JobStatus.CANCELLED)

    @rule(owner=st.sampled_from(["a", "b"]), knows=st.booleans())
    def renew(self, owner: str, knows: bool) -> None:
        known = sorted(self.jobs) if knows else sorted(self.jobs)[::2]
        for name, job in self.jobs.items():
            is_old = job.claimed_at < self.now - LEASE_S
            if job.status is JobStatus.RUNNING and job.owner == owner and is_old and name not in known:
                job.status = JobStatus.QUEUED
        assert self.bench.run(self.bench.store.renew(owner, known, LEASE_S)) == self.prolonged(owner)

    @rule(seconds=st.sampled_from([1.0, LEASE_S + 1]))
    def wait(self, seconds: float) -> None:
        self.bench.wait(seconds)
        self.now += seconds

    @rule()
    def crash(self) -> None:
        self.bench.reopen()

    @rule()
    def expire(self) -> None:
        self.bench.run(self.bench.store.expire(1e9))

    @invariant()
    def agrees(self) -> None:
        if hasattr(self, "bench"):
            self.bench.run(self.check())

    async def check(self) -> None:
        store, waiting = self.bench.store, 0
        for name, expected in self.jobs.items():
            job = await store.get(name)
            assert job is not None
            assert (job.status, job.attempt, job.n_deaths) == (expected.status, expected.attempt, expected.n_deaths)
            waiting += expected.status is JobStatus.QUEUED
            assert await store.queue_position(name) == (waiting if expected.status is JobStatus.QUEUED else None)
            assert (await store.windows(name)).keys() == expected.windows
            is_kept = expected.status is JobStatus.FINISHED and not job.is_expired
            assert (await store.result(name) is not None) == is_kept
            assert not job.is_expired or expected.expires_at <= self.now
        assert await store.under_way() == {name for name, job in self.jobs.items() if not job.status.is_final}

    @invariant()
    def one_webhook_for_each_end(self) -> None:
        if getattr(self, "jobs", {}):
            told = self.bench.deliveries()
            assert told == sorted(name for name, job in self.jobs.items() if job.status.is_final)


class SqliteMachine(StoreMachine):
    def make_bench(self) -> Bench:
        self.folder = TemporaryDirectory()
        return SqliteBench(Path(self.folder.name) / "jobs.sqlite3")

    def teardown(self) -> None:
        super().teardown()
        if hasattr(self, "folder"):
            self.folder.cleanup()


TestSqliteMachine = SqliteMachine.TestCase
TestSqliteMachine.settings = hypothesis_settings(max_examples=20, stateful_step_count=30, deadline=None)


class PostgresMachine(StoreMachine):
    server: ClassVar[PostgresServer]

    def make_bench(self) -> Bench:
        return PostgresBench(self.server)

    @invariant()
    def the_queue_knows_whatever_is_under_way(self) -> None:
        if getattr(self, "jobs", {}):
            assert isinstance(self.bench, PostgresBench)
            assert self.bench.waiting() == sum(not job.status.is_final for job in self.jobs.values())


def test_postgres_machine(postgres: PostgresServer) -> None:
    PostgresMachine.server = postgres
    settings = hypothesis_settings(max_examples=6, stateful_step_count=30, deadline=None)
    run_state_machine_as_test(PostgresMachine, settings=settings)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "jobs.sqlite3"


@pytest.fixture(params=["sqlite", "postgres"])
def bench(request: pytest.FixtureRequest, path: Path) -> Iterator[Bench]:
    is_sqlite = request.param == "sqlite"
    bench: Bench = SqliteBench(path) if is_sqlite else PostgresBench(request.getfixturevalue("postgres"))
    yield bench
    bench.close()


async def claimed(bench: Bench, number: int = 1) -> Job:
    await bench.store.add(new_job(number))
    job = await bench.store.claim("a", ["base"], LEASE_S)
    assert job is not None
    return job


def test_a_transcript_comes_back_as_it_was(bench: Bench) -> None:
    evidence = make_evidence()
    first = replace(evidence.segments[0], avg_logprob=-float("inf"), no_speech_prob=0.1 + 0.2, text=" \u2028ö\0")
    answered = replace(ANSWERED, transcript=replace(evidence, segments=(first, *evidence.segments[1:])))

    async def go() -> None:
        job = await claimed(bench)
        assert await bench.store.finish(job, answered, TTL_S)
        assert await bench.store.result(job.id) == answered
        assert await bench.store.segments(job.id, -1) == list(answered.transcript.segments)
        assert await bench.store.segments(job.id, 0) == list(answered.transcript.segments[1:])
        assert await bench.store.text(job.id) == "".join(each.text for each in answered.transcript.segments).strip()

    bench.run(go())


def test_a_job_is_what_was_sent(bench: Bench) -> None:
    new = replace(new_job(1), fields=(("prompt", "ö\0\ud800"), ("prompt", "twice")), model="m" * 200)

    async def go() -> None:
        await bench.store.add(new)
        job = await bench.store.claim("a", ["base", new.model], LEASE_S)
        assert job is not None
        assert (job.fields, job.model, job.created_at, job.started_at) == (
            new.fields,
            new.model,
            BEGINNING,
            BEGINNING,
        )
        assert await bench.store.fail(job, ERROR, TTL_S)
        job = await bench.store.get("job_1")
        assert job is not None
        assert (job.error, job.expires_at) == (ERROR, BEGINNING + TTL_S)
        assert await bench.store.get("job_2") is None
        await bench.store.cancel("job_1", TTL_S)
        await bench.store.cancel("job_1", TTL_S)

    bench.run(go())


def test_progress_never_goes_back(bench: Bench) -> None:
    async def go() -> None:
        job = await claimed(bench)
        for done in (30.0, 0.0, 60.0, 10.0):
            await bench.store.record(job, Findings(progress=Progress(done=done, duration=90.0)))
        await bench.store.record(job, Findings(windows={"k": "v"}))
        known = await bench.store.get(job.id)
        assert known is not None
        assert (known.done_s, known.duration_s) == (60.0, 90.0)

    bench.run(go())


def test_only_jobs_of_the_served_models_are_claimed(bench: Bench) -> None:
    async def go() -> None:
        await bench.store.add(replace(new_job(1), model="tiny.en"))
        assert await bench.store.claim("a", ["base"], LEASE_S) is None
        assert await bench.store.claim("a", ["base", "tiny.en"], LEASE_S) is not None

    bench.run(go())


def test_one_key_is_one_job(bench: Bench) -> None:
    async def go() -> None:
        first, second = bench.store, bench.another()
        await first.add(new_job(0))  # the tables are there
        sent = [(first if number % 2 else second).add(new_job(number, key="k")) for number in range(1, 9)]
        [name] = {job.id for job in await asyncio.gather(*sent)}
        with pytest.raises(ApiError) as refused:
            await first.add(replace(new_job(9, key="k"), fingerprint="other"))
        assert (refused.value.status, refused.value.code) == (422, "idempotency_key_reused")
        assert await first.under_way() == {"job_0", name}

    bench.run(go())


def test_a_delivery_comes_again_until_it_is_settled(bench: Bench) -> None:
    job = bench.run(claimed(bench))
    assert bench.run(bench.store.claim_delivery(60)) is None
    bench.run(bench.store.finish(job, ANSWERED, TTL_S))
    delivery = bench.run(bench.store.claim_delivery(60))
    assert delivery is not None
    assert (delivery.id, delivery.url, delivery.n_attempts) == ("msg_job_1", "https://example.org", 0)
    assert bench.run(bench.store.claim_delivery(60)) is None  # somebody is at it
    bench.wait(61)  # who has died
    assert bench.run(bench.store.claim_delivery(60)) is not None
    bench.run(bench.store.settle_delivery(delivery, 5.0))
    bench.reopen()
    bench.wait(6)
    again = bench.run(bench.store.claim_delivery(60))
    assert again is not None
    assert again.n_attempts == 1
    bench.run(bench.store.settle_delivery(again, None))
    bench.wait(1e6)
    assert bench.run(bench.store.claim_delivery(60)) is None


def test_what_is_long_past_is_not_even_known(bench: Bench) -> None:
    bench.run(bench.store.finish(bench.run(claimed(bench)), ANSWERED, TTL_S))
    bench.wait(TTL_S + 1)
    bench.run(bench.store.expire(50.0))
    known = bench.run(bench.store.get("job_1"))
    assert known is not None
    assert (known.is_expired, known.fields, known.status) == (True, (), JobStatus.FINISHED)
    bench.wait(50)
    bench.run(bench.store.expire(50.0))
    assert bench.run(bench.store.get("job_1")) is None


def test_an_owner_that_was_long_silent_claims_again(bench: Bench) -> None:
    bench.run(claimed(bench))
    bench.wait(100_000)
    bench.run(bench.store.expire(1.0))  # forgets who is silent

    async def claim() -> Job | None:
        try:
            return await bench.store.claim("a", ["base"], LEASE_S)
        except ApiError:  # the store has learnt that it is to be known anew
            return await bench.store.claim("a", ["base"], LEASE_S)

    job = bench.run(claim())
    assert job is not None
    assert (job.id, job.attempt) == ("job_1", 2)


def test_a_claim_that_its_owner_does_not_know_of_waits_again(bench: Bench) -> None:
    async def go() -> None:
        unknown, known = await claimed(bench, 1), await claimed(bench, 2)
        assert await bench.store.renew("a", [known.id], LEASE_S) == {unknown.id, known.id}  # may just be on its way
        for _ in range(3):
            bench.wait(LEASE_S / 2)
            held = await bench.store.renew("a", [known.id], LEASE_S)
        assert held == {known.id}
        again = await bench.store.claim("b", ["base"], LEASE_S)
        assert again is not None
        assert (again.id, again.attempt) == (unknown.id, 2)
        assert not await bench.store.record(unknown, Findings(windows={"k": "v"}))
        assert await bench.store.record(known, Findings(windows={"k": "v"}))

    bench.run(go())


def test_two_processes_may_share_a_store(bench: Bench) -> None:
    async def go() -> None:
        first, second = bench.store, bench.another()
        for number in range(4):
            await (first if number % 2 else second).add(new_job(number))
        claims = [await store.claim("x", ["base"], LEASE_S) for store in (first, second, first, second)]
        assert [claim.id if claim else None for claim in claims] == ["job_0", "job_1", "job_2", "job_3"]

    bench.run(go())


def test_claims_at_one_moment_are_of_different_jobs(bench: Bench) -> None:
    async def go() -> None:
        stores = [bench.store, bench.another()]
        await stores[0].add(new_job(0))
        assert await stores[0].claim("dead", ["base"], LEASE_S)
        bench.wait(LEASE_S + 1)  # all of them find the job of one that has died, too
        for number in range(1, 20):
            await stores[0].add(new_job(number))
        claims = await asyncio.gather(
            *(stores[number % 2].claim(f"owner-{number}", ["base"], LEASE_S) for number in range(20))
        )
        names = [claim.id for claim in claims if claim]
        assert len(names) == len(set(names))
        while claim := await stores[1].claim("rest", ["base"], LEASE_S):
            names.append(claim.id)
        assert sorted(names) == sorted(f"job_{number}" for number in range(20))

    bench.run(go())


def test_the_file_is_private_synced_and_versioned(path: Path) -> None:
    bench = SqliteBench(path)
    bench.run(bench.store.add(new_job(1)))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    db = bench.store._rows._open()
    assert [db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous", "user_version")] == [
        "wal",
        2,
        1,
    ]
    bench.close()


def test_a_file_of_a_newer_version_is_left_alone(path: Path) -> None:
    bench = SqliteBench(path)
    bench.run(bench.store.add(new_job(1)))
    bench.close()
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 99")

    async def ask() -> None:
        store = SqliteJobStore(path)
        with pytest.raises(ApiError) as refused:
            await store.get("job_1")
        assert (refused.value.status, refused.value.code) == (503, "storage_unavailable")
        await store.close()

    asyncio.run(ask())


def test_a_full_database_is_a_507_and_recovers(path: Path) -> None:
    async def fill() -> None:
        store = SqliteJobStore(path)
        await store.add(new_job(1))
        connection = store._rows._open()
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count = {pages}")
        large = replace(new_job(2), fields=(("prompt", "x" * 100_000),))
        with pytest.raises(ApiError) as refused:
            await store.add(large)
        assert (refused.value.status, refused.value.code) == (507, "insufficient_storage")
        await store.add(large)  # the file was opened anew, without the limit: as after room was made
        assert await store.get("job_1") is not None
        await store.close()

    asyncio.run(fill())


def test_tables_of_a_newer_version_are_left_alone(postgres: PostgresServer) -> None:
    bench = PostgresBench(postgres)
    bench.run(bench.store.add(new_job(1)))
    with psycopg.connect(bench.url) as db:
        db.execute("UPDATE auricle_schema SET version = 99")
    bench.reopen()
    with pytest.raises(ApiError) as refused:
        bench.run(bench.store.get("job_1"))
    assert (refused.value.status, refused.value.code) == (503, "storage_unavailable")
    bench.close()


def test_tables_are_made_once_and_brought_up_to_date(postgres: PostgresServer) -> None:
    bench = PostgresBench(postgres)

    async def go() -> None:  # several hosts start at once
        stores = [bench.store, *(bench.another() for _ in range(3))]
        await asyncio.gather(*(store.add(new_job(number)) for number, store in enumerate(stores)))
        assert len(await stores[0].under_way()) == 4

    bench.run(go())
    with psycopg.connect(bench.url) as db:  # as if this version of procrastinate's last step were new
        [(_, step)] = db.execute("SELECT version, queue FROM auricle_schema").fetchall()
        db.execute("UPDATE auricle_schema SET queue = '03.04.00_01_pre_add_retry_failed_job_procedure.sql'")
        db.execute(
            "CREATE FUNCTION procrastinate_retry_job_v1(bigint, timestamptz, integer, varchar, integer)"
            " RETURNS void LANGUAGE SQL AS ''"
        )
    bench.reopen()
    bench.run(bench.store.get("job_1"))
    with psycopg.connect(bench.url) as db:
        assert db.execute("SELECT queue FROM auricle_schema").fetchall() == [(step,)]
    bench.close()


def test_a_database_that_is_away_is_a_503(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.jobs.postgres_connection.PATIENCE_S", 0.3)

    async def ask() -> None:
        store = PostgresJobStore("postgresql://auricle@127.0.0.1:1/none")
        with pytest.raises(ApiError) as refused:
            await store.get("job_1")
        assert (refused.value.status, refused.value.code) == (503, "storage_unavailable")
        await store.close()

    asyncio.run(ask())
