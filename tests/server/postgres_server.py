"""A PostgreSQL server of the tests' own, which can be stopped and started again. PostgreSQL refuses to run as root."""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

NO_POSTGRES = "PostgreSQL's programs are not installed (Debian: postgresql)"


def postgres_programs() -> Path | None:
    """The folder of initdb and pg_ctl, which Debian keeps off the PATH."""
    found = shutil.which("pg_ctl")
    folders = [Path(found).resolve().parent] if found else sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    return folders[-1] if folders and (folders[-1] / "initdb").exists() else None


class PostgresServer:
    """Listens on one port of every address of this machine; trusts everybody.

    Tests end processes, not the machine: nothing has to reach the disk unless ``is_durable``.
    """

    def __init__(self, programs: Path, folder: Path, *, user: str | None, is_durable: bool) -> None:
        self._programs, self._folder, self._user = programs, folder, user
        self._fsync = "on" if is_durable else "off"
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]

    def url(
        self, schema: str = "public", host: str = "127.0.0.1", port: int | None = None, user: str = "auricle"
    ) -> str:
        """Tables are looked for in one schema; what it has of its own goes before PostgreSQL's."""
        place = f"{user}@{host}:{port or self.port}"
        return f"postgresql://{place}/postgres?options=-csearch_path%3D{schema}%2Cpg_catalog"

    def create(self) -> None:
        self._run("initdb", "--username=auricle", "--auth=trust", "--no-sync", "--encoding=UTF8", "--locale=C")
        with (self._folder / "data" / "pg_hba.conf").open("a") as file:
            file.write("host all all all trust\n")

    def start(self) -> None:
        where = f"-p {self.port} -c listen_addresses=* -k {self._folder}"
        options = f"{where} -c fsync={self._fsync} -c max_connections=200"
        self._run("pg_ctl", "start", "--wait", "--log", str(self._folder / "log"), "--options", options)

    def stop(self, mode: str = "fast") -> None:
        """``immediate``: as if it had crashed."""
        self._run("pg_ctl", "stop", "--wait", "--mode", mode)

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self._programs / program), "--pgdata", str(self._folder / "data"), *arguments]
        with (self._folder / "output").open("ab") as output:  # no pipe, which the server would hold open
            subprocess.run(command, check=True, user=self._user, cwd=self._folder, stdout=output, stderr=output)


@contextmanager
def running_postgres(programs: Path, *, is_durable: bool = False) -> Iterator[PostgresServer]:
    user = None
    with tempfile.TemporaryDirectory(prefix="auricle-postgres-") as name:
        folder = Path(name)
        if os.geteuid() == 0:
            user = "postgres"  # whom Debian's package has made
            os.chown(folder, pwd.getpwnam(user).pw_uid, -1)
        server = PostgresServer(programs, folder, user=user, is_durable=is_durable)
        server.create()
        server.start()
        try:
            yield server
        finally:
            server.stop("immediate")
