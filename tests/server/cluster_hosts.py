"""Several hosts over one PostgreSQL: service processes, in network namespaces where a test wants to pull a cable."""

import itertools
import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
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
        url = self.server.url(self.schema, here, port)
        host = Host(role, self.folder / f"{role}-{len(self.hosts)}", url, self.folder / "media", namespace)
        self.hosts.append(host)
        host.start()
        return host

    def ask(self, query: str, *values: Any) -> list[Any]:
        with psycopg.connect(self.server.url(self.schema), autocommit=True) as db:
            return db.execute(query, values).fetchall()

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

    def check(self, n_windows: int) -> None:
        """Nothing is lost, nothing is doubled, and every result is whole."""
        until(lambda: self.unfinished() == 0, "the end of all jobs")
        known = dict(self.ask("SELECT id, status FROM auricle_jobs"))
        assert set(self.accepted.values()) <= known.keys()
        assert set(known.values()) == {"finished"}
        keys = self.ask("SELECT count(DISTINCT idempotency_key), count(*) FROM auricle_jobs")
        assert keys == [(len(known), len(known))]
        ends = [name for (name,) in self.ask("SELECT job_id FROM ends")]
        assert sorted(ends) == sorted(known)
        whole = self.ask("SELECT count(*) FROM auricle_segments GROUP BY job_id")
        assert whole == [(n_windows,)] * len(known)
        assert self.ask("SELECT count(*) FROM procrastinate_jobs") == [(0,)]

    def close(self) -> None:
        for host in self.hosts:
            if host.process is not None and host.process.poll() is None:
                host.signal(signal.SIGCONT)
                host.kill()
