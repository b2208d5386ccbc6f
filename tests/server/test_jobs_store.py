"""The job store against a model of it, over crashes and stale claims; and what SQLite has to be told."""

import asyncio
import sqlite3
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule
from service_fakes import MODEL, SEGMENTS, make_evidence, make_transcript

from asr.transcript import Progress
from server.errors import ApiError
from server.jobs.rows import JobRows
from server.jobs.sqlite import SqliteJobStore
from server.jobs.store import Findings, Job, JobError, JobStatus, NewJob
from server.responses import Answered

LEASE_S, TTL_S = 10.0, 100.0
ERROR = JobError(status=422, code="undecodable_audio", message="no frame", param=None)
ANSWERED = Answered(transcript=make_transcript(), model=MODEL, request_id="r", queue_s=0.5)


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


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
    lease_until: float = 0.0
    windows: set[str] = field(default_factory=set)
    expires_at: float = float("inf")


class StoreMachine(RuleBasedStateMachine):
    claims = Bundle("claims")

    @initialize()
    def open(self) -> None:
        self.folder = TemporaryDirectory()
        self.clock = Clock()
        self.rows = JobRows(Path(self.folder.name) / "jobs.sqlite3", self.clock)
        self.jobs: dict[str, Expected] = {}

    def teardown(self) -> None:
        if hasattr(self, "folder"):
            self.rows.close()
            self.folder.cleanup()

    def holds(self, claim: Job) -> bool:
        job = self.jobs[claim.id]
        return job.status is JobStatus.RUNNING and job.attempt == claim.attempt

    def ended(self, claim: Job, status: JobStatus) -> None:
        job = self.jobs[claim.id]
        job.status, job.windows, job.expires_at = status, set(), self.clock.now + TTL_S

    @rule()
    def add(self) -> None:
        name = f"job_{len(self.jobs)}"
        assert self.rows.add(new_job(len(self.jobs))).status is JobStatus.QUEUED
        self.jobs[name] = Expected()

    @rule(target=claims, owner=st.sampled_from(["a", "b"]))
    def claim(self, owner: str) -> Job | None:
        now = self.clock.now
        free = [
            name
            for name, job in self.jobs.items()
            if job.status is JobStatus.QUEUED or (job.status is JobStatus.RUNNING and job.lease_until < now)
        ]
        claimed = self.rows.claim(owner, ["base"], LEASE_S)
        assert (claimed.id if claimed else None) == (free[0] if free else None)
        if claimed:
            job = self.jobs[claimed.id]
            job.status, job.attempt, job.lease_until = JobStatus.RUNNING, job.attempt + 1, now + LEASE_S
            assert claimed.attempt == job.attempt
        return claimed

    @rule(claim=claims, key=st.sampled_from("xyz"))
    def record(self, claim: Job | None, key: str) -> None:
        if claim is None:
            return
        found = Findings(
            windows={key: key}, segments=[SEGMENTS[0]], progress=Progress(done=claim.attempt, duration=9.0)
        )
        assert self.rows.record(claim, found) == self.holds(claim)
        if self.holds(claim):
            self.jobs[claim.id].windows.add(key)
            self.jobs[claim.id].n_deaths = 0

    @rule(claim=claims)
    def finish(self, claim: Job | None) -> None:
        if claim is not None:
            assert self.rows.finish(claim, ANSWERED, TTL_S) == self.holds(claim)
            if self.holds(claim):
                self.ended(claim, JobStatus.FINISHED)

    @rule(claim=claims)
    def fail(self, claim: Job | None) -> None:
        if claim is not None:
            assert self.rows.fail(claim, ERROR, TTL_S) == self.holds(claim)
            if self.holds(claim):
                self.ended(claim, JobStatus.FAILED)

    @rule(claim=claims, died=st.booleans())
    def give_back(self, claim: Job | None, died: bool) -> None:
        if claim is not None:
            assert self.rows.give_back(claim, int(died)) == self.holds(claim)
            if self.holds(claim):
                self.jobs[claim.id].status = JobStatus.QUEUED
                self.jobs[claim.id].n_deaths += died

    @rule(claim=claims)
    def cancel(self, claim: Job | None) -> None:
        if claim is None:
            return
        self.rows.cancel(claim.id, TTL_S)
        job = self.jobs[claim.id]
        if job.status.is_final:
            job.expires_at = min(job.expires_at, self.clock.now)
        else:
            self.ended(claim, JobStatus.CANCELLED)

    @rule(owner=st.sampled_from(["a", "b"]))
    def renew(self, owner: str) -> None:
        for name in self.rows.renew(owner, LEASE_S):
            self.jobs[name].lease_until = self.clock.now + LEASE_S

    @rule(seconds=st.sampled_from([1.0, LEASE_S + 1]))
    def wait(self, seconds: float) -> None:
        self.clock.now += seconds

    @rule()
    def crash(self) -> None:
        self.rows.close()

    @rule()
    def expire(self) -> None:
        self.rows.expire(1e9)

    @invariant()
    def agrees(self) -> None:
        for name, expected in getattr(self, "jobs", {}).items():
            job = self.rows.get(name)
            assert job is not None
            assert (job.status, job.attempt, job.n_deaths) == (expected.status, expected.attempt, expected.n_deaths)
            assert self.rows.windows(name).keys() == expected.windows
            assert (self.rows.result(name) is not None) == (
                expected.status is JobStatus.FINISHED and not job.is_expired
            )
            assert not job.is_expired or expected.expires_at <= self.clock.now

    @invariant()
    def one_webhook_for_each_end(self) -> None:
        if not getattr(self, "jobs", {}):
            return
        with sqlite3.connect(Path(self.folder.name) / "jobs.sqlite3") as db:
            told = [name for (name,) in db.execute("SELECT job_id FROM deliveries ORDER BY job_id")]
        assert told == sorted(name for name, job in self.jobs.items() if job.status.is_final)


TestStoreMachine = StoreMachine.TestCase
TestStoreMachine.settings = hypothesis_settings(max_examples=40, stateful_step_count=30, deadline=None)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "jobs.sqlite3"


@pytest.fixture
def rows(path: Path) -> Iterator[JobRows]:
    rows = JobRows(path, Clock())
    yield rows
    rows.close()


def claimed(rows: JobRows, number: int = 1) -> Job:
    rows.add(new_job(number))
    job = rows.claim("a", ["base"], LEASE_S)
    assert job is not None
    return job


def test_a_transcript_comes_back_as_it_was(rows: JobRows) -> None:
    evidence = make_evidence()
    first = replace(evidence.segments[0], avg_logprob=-float("inf"), no_speech_prob=0.1 + 0.2, text=" \u2028ö")
    answered = replace(ANSWERED, transcript=replace(evidence, segments=(first, *evidence.segments[1:])))
    job = claimed(rows)
    assert rows.finish(job, answered, TTL_S)
    assert rows.result(job.id) == answered
    assert rows.segments(job.id, -1) == list(answered.transcript.segments)
    assert rows.segments(job.id, 0) == list(answered.transcript.segments[1:])


def test_progress_never_goes_back(rows: JobRows) -> None:
    job = claimed(rows)
    for done in (30.0, 0.0, 60.0, 10.0):
        rows.record(job, Findings(progress=Progress(done=done, duration=90.0)))
    known = rows.get(job.id)
    assert known is not None
    assert (known.done_s, known.duration_s) == (60.0, 90.0)


def test_only_jobs_of_the_served_models_are_claimed(rows: JobRows) -> None:
    rows.add(replace(new_job(1), model="tiny.en"))
    assert rows.claim("a", ["base"], LEASE_S) is None
    assert rows.claim("a", ["base", "tiny.en"], LEASE_S) is not None


def test_a_delivery_comes_again_until_it_is_settled(path: Path) -> None:
    clock = Clock()
    rows = JobRows(path, clock)
    job = claimed(rows)
    assert rows.claim_delivery(60) is None
    rows.finish(job, ANSWERED, TTL_S)
    delivery = rows.claim_delivery(60)
    assert delivery is not None
    assert (delivery.id, delivery.url, delivery.n_attempts) == ("msg_job_1", "https://example.org", 0)
    assert rows.claim_delivery(60) is None  # somebody is at it
    clock.now += 61  # who has died
    assert rows.claim_delivery(60) is not None
    rows.settle_delivery(delivery, 5.0)
    rows.close()
    clock.now += 6
    again = rows.claim_delivery(60)
    assert again is not None
    assert again.n_attempts == 1
    rows.settle_delivery(again, None)
    clock.now += 1e6
    assert rows.claim_delivery(60) is None
    rows.close()


def test_what_is_long_past_is_not_even_known(path: Path) -> None:
    clock = Clock()
    rows = JobRows(path, clock)
    rows.finish(claimed(rows), ANSWERED, TTL_S)
    clock.now += TTL_S + 1
    rows.expire(50.0)
    known = rows.get("job_1")
    assert known is not None
    assert (known.is_expired, known.fields, known.status) == (True, (), JobStatus.FINISHED)
    clock.now += 50
    rows.expire(50.0)
    assert rows.get("job_1") is None
    rows.close()


def test_the_file_is_private_synced_and_versioned(rows: JobRows, path: Path) -> None:
    rows.add(new_job(1))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    db = rows._open()
    assert [db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous", "user_version")] == [
        "wal",
        2,
        1,
    ]


def test_a_file_of_a_newer_version_is_left_alone(rows: JobRows, path: Path) -> None:
    rows.add(new_job(1))
    rows.close()
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


def test_two_processes_may_share_a_store(path: Path) -> None:
    first, second = JobRows(path, Clock()), JobRows(path, Clock())
    for number in range(4):
        (first if number % 2 else second).add(new_job(number))
    claims = [rows.claim("x", ["base"], LEASE_S) for rows in (first, second, first, second)]
    assert [claim.id if claim else None for claim in claims] == ["job_0", "job_1", "job_2", "job_3"]
    first.close()
    second.close()
