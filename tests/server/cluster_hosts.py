"""Several hosts over one PostgreSQL: service processes, in network namespaces where a test wants to pull a cable."""

import collections
import itertools
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psycopg
from postgres_server import PostgresServer

SCRIPT = Path(__file__).parent / "chaos_service.py"
PATIENCE_S = 180.0

_numbers = itertools.count()


def until(condition: Callable[[], bool], what: str, patience_s: float = PATIENCE_S) -> float:
    """Seconds that it took."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() < began + patience_s, f"waited too long for {what}"
        time.sleep(0.05)
    return time.monotonic() - began


class Namespace:
    """A host's network: one cable to this machine's."""

    def __init__(self) -> None:
        number = next(_numbers)
        self.name = f"auricle-{os.getpid()}-{number}"
        self._cable = f"aur{os.getpid() % 100_000}-{number}"
        self.here, self.there = f"10.213.{number % 250}.1", f"10.213.{number % 250}.2"
        _ip("netns", "add", self.name)
        _ip("link", "add", self._cable, "type", "veth", "peer", "name", "eth0", "netns", self.name)
        _ip("address", "add", f"{self.here}/30", "dev", self._cable)
        _ip("link", "set", self._cable, "up")
        for command in (("address", "add", f"{self.there}/30", "dev", "eth0"), ("link", "set", "eth0", "up")):
            _ip("-netns", self.name, *command)
        _ip("-netns", self.name, "link", "set", "lo", "up")

    def cut(self) -> None:
        _ip("link", "set", self._cable, "down")

    def heal(self) -> None:
        _ip("link", "set", self._cable, "up")

    def remove(self) -> None:
        _ip("netns", "delete", self.name)


def namespaces_work() -> bool:
    try:
        Namespace().remove()
    except (OSError, subprocess.CalledProcessError):
        return False
    return True


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


@dataclass
class Host:
    """One service process with a state folder of its own; it shares database and recordings with the others."""

    role: str
    user: str
    """The host's own in the database, which shows whose a session is."""
    folder: Path
    database_url: str
    media: Path
    namespace: Namespace | None = None
    process: "subprocess.Popen[bytes] | None" = None
    port: int = 0

    def __post_init__(self) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]

    @property
    def address(self) -> str:
        return self.namespace.there if self.namespace else "127.0.0.1"

    def start(self) -> None:
        environment = {
            "AURICLE_HOST": self.address,
            "AURICLE_STATE_DIR": str(self.folder / "state"),
            "AURICLE_SPOOL_DIR": str(self.folder),
            "AURICLE_DATABASE_URL": self.database_url,
            "AURICLE_MEDIA_URL": f"file://{self.media}",
            "AURICLE_MAX_DURATION_S": "1000000",
            "AURICLE_LOG_LEVEL": "warning",
        }
        self.folder.mkdir(exist_ok=True)
        inside = ["ip", "netns", "exec", self.namespace.name] if self.namespace else []
        command = [*inside, sys.executable, str(SCRIPT), str(self.port), self.role]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(command, env=os.environ | environment, stderr=log, start_new_session=True)

    def kill(self) -> None:
        """The host's end: of all of its processes at once."""
        assert self.process is not None
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        os.killpg(self.process.pid, number)

    def is_ready(self) -> bool:
        try:
            return httpx.get(f"http://{self.address}:{self.port}/readyz", timeout=2, trust_env=False).status_code == 200
        except httpx.TransportError:
            return False


@dataclass(frozen=True, slots=True, kw_only=True)
class Ends:
    """What became of the jobs."""

    jobs: int
    lost: int
    """With a 202 and not there, not finished, or not whole."""
    doubled: int
    """More than one for a key, or ended more than once."""


@dataclass
class Cluster:
    """The hosts, what was sent to them, and what the database has seen of it."""

    server: PostgresServer
    folder: Path
    schema: str = field(default_factory=lambda: f"cluster_{uuid.uuid4().hex[:8]}")
    hosts: list[Host] = field(default_factory=list)
    accepted: dict[str, str] = field(default_factory=dict)
    """Key → id, of what was answered with 202."""

    def __post_init__(self) -> None:
        with psycopg.connect(self.server.url()) as db:
            db.execute(f"CREATE SCHEMA {self.schema}")

    def add_host(self, role: str, *, port: int | None = None, namespace: Namespace | None = None) -> Host:
        """Whose way to the database may lead over another port: a proxy's."""
        here = namespace.here if namespace else "127.0.0.1"
        user = f"{self.schema}_{len(self.hosts)}"
        self.ask_nothing(f"CREATE ROLE {user} SUPERUSER LOGIN")
        url = self.server.url(self.schema, here, port, user)
        host = Host(role, user, self.folder / f"{role}-{len(self.hosts)}", url, self.folder / "media", namespace)
        self.hosts.append(host)
        host.start()
        return host

    def ask(self, query: str, *values: Any) -> list[Any]:
        with psycopg.connect(self.server.url(self.schema), autocommit=True) as db:
            return db.execute(query, values).fetchall()

    def ask_nothing(self, statement: str) -> None:
        with psycopg.connect(self.server.url(self.schema), autocommit=True) as db:
            db.execute(statement)

    def watch_ends(self) -> None:
        """From now on note every end of a job, whoever brings it about. The tables must be there."""
        with psycopg.connect(self.server.url(self.schema)) as db:
            db.execute("CREATE TABLE ends (job_id TEXT, status TEXT)")
            db.execute(
                "CREATE FUNCTION note_end() RETURNS trigger LANGUAGE plpgsql AS"
                " $$ BEGIN INSERT INTO ends VALUES (NEW.id, NEW.status); RETURN NULL; END $$"
            )
            db.execute(
                "CREATE TRIGGER note_end AFTER UPDATE OF status ON auricle_jobs FOR EACH ROW"
                " WHEN (NEW.status IN ('finished', 'failed', 'cancelled')) EXECUTE FUNCTION note_end()"
            )

    def submit(self, api: Host, text: str, key: str) -> bool:
        """Whether a 202 came."""
        try:
            answer = httpx.post(
                f"http://{api.address}:{api.port}/jobs",
                files={"file": text.encode()},
                headers={"Idempotency-Key": key},
                timeout=20,
                trust_env=False,
            )
        except httpx.TransportError:
            return False
        if answer.status_code == 202:
            self.accepted[key] = answer.json()["id"]
        else:
            assert answer.status_code == 503, answer.text
        return answer.status_code == 202

    def unfinished(self) -> int:
        [(count,)] = self.ask("SELECT count(*) FROM auricle_jobs WHERE status IN ('queued', 'running')")
        return int(count)

    def ends(self, n_windows: int) -> Ends:
        """Wait until all jobs have ended, and look at what became of them; nothing is left in the queue."""
        until(lambda: self.unfinished() == 0, "the end of all jobs")
        known = dict(self.ask("SELECT id, status FROM auricle_jobs"))
        n_segments = dict(self.ask("SELECT job_id, count(*) FROM auricle_segments GROUP BY job_id"))
        whole = {job_id for job_id, status in known.items() if status == "finished"}
        whole &= {job_id for job_id, n in n_segments.items() if n == n_windows}
        lost = (set(self.accepted.values()) | known.keys()) - whole
        [(n_again,)] = self.ask("SELECT count(*) - count(DISTINCT idempotency_key) FROM auricle_jobs")
        ended = collections.Counter(name for (name,) in self.ask("SELECT job_id FROM ends"))
        doubled = [job_id for job_id in known if ended[job_id] != 1]
        assert self.ask("SELECT count(*) FROM procrastinate_jobs") == [(0,)]
        return Ends(jobs=len(known), lost=len(lost), doubled=n_again + len(doubled))

    def check(self, n_windows: int) -> None:
        """Nothing is lost, nothing is doubled, and every result is whole."""
        ends = self.ends(n_windows)
        assert (ends.lost, ends.doubled) == (0, 0)

    def close(self) -> None:
        for host in self.hosts:
            if host.process is not None and host.process.poll() is None:
                host.signal(signal.SIGCONT)
                host.kill()


@dataclass(slots=True)
class _Wait:
    """For a host's next session."""

    lost_at: float
    """When it had none left."""
    since: float | None
    """From when on it could have had one; None while it cannot."""
    so_far_s: float = 0.0
    """Of the times before that in which it could."""

    def seconds(self, until: float) -> float:
        return self.so_far_s + (max(0.0, until - self.since) if self.since is not None else 0.0)


class Reconnects:
    """How long a host is without a session of the database although it runs and its way there is free."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._lock = threading.Lock()
        self._waits: dict[str, _Wait] = {}
        self._starting: dict[str, float] = {}
        """When those were killed who have not come back yet; how long they take to start is not looked at."""
        self._seconds: list[float] = []

    def closes(self, *hosts: Host) -> None:
        """The way is cut, or the host does nothing: nobody could connect."""
        now = time.time()
        with self._lock:
            for wait in filter(None, map(self._waits.get, (host.user for host in hosts))):
                wait.so_far_s, wait.since = wait.seconds(now), None

    def opens(self, *hosts: Host, lost: bool) -> None:
        """It could connect; ``lost``: no session of before is left."""
        now = time.time()
        with self._lock:
            for user in (host.user for host in hosts if host.user not in self._starting):
                if lost:
                    before = self._waits.get(user)
                    self._waits[user] = _Wait(now, now, before.seconds(now) if before else 0.0)
                elif user in self._waits:
                    self._waits[user].since = now

    def dies(self, host: Host) -> None:
        """It was killed."""
        with self._lock:
            self._waits.pop(host.user, None)
            self._starting[host.user] = time.time()

    def seconds(self) -> list[float]:
        """Of each time; who has not come back yet counts with the time until now."""
        with self._lock:
            return self._seconds + [wait.seconds(time.time()) for wait in self._waits.values()]

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Look at the sessions twenty times a second."""
        is_over = threading.Event()

        def watch() -> None:
            while not is_over.wait(0.05):
                try:
                    with psycopg.connect(self._cluster.server.url(), autocommit=True) as db:
                        while not is_over.wait(0.05):
                            self._look(db)
                except psycopg.OperationalError:
                    continue  # the database is away

        thread = threading.Thread(target=watch)
        thread.start()
        try:
            yield
        finally:
            is_over.set()
            thread.join()

    def _look(self, db: "psycopg.Connection[Any]") -> None:
        query = "SELECT usename, extract(epoch FROM max(backend_start)) FROM pg_stat_activity GROUP BY usename"
        newest = {user: float(began or 0) for user, began in db.execute(query).fetchall()}
        with self._lock:
            for user, killed_at in list(self._starting.items()):
                if newest.get(user, 0.0) > killed_at:
                    del self._starting[user]
            for user, wait in list(self._waits.items()):
                if newest.get(user, 0.0) > wait.lost_at:
                    self._seconds.append(wait.seconds(newest[user]))
                    del self._waits[user]
