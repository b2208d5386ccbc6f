"""Builds the CPU image without a Docker engine, runs its root file system as compose.yaml would, and asks it.

In: a recording with the words that are said in it; buildah and bubblewrap (Debian packages); root. Out: sizes, times
and what clients get, and exit status 1 where something is wrong. What follows ``--`` goes to ``buildah bud``:

    python docker/checks/image.py clip.flac "Ask not" -- --build-arg BASE_IMAGE=... --secret id=pip.conf,src=...
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from exercise import Service

ROOT = Path(__file__).parents[2]
IMAGE = "auricle:check"
USER = 10001
PORT = 8020
PATIENCE_S = 300.0
CUDA_LIBRARIES = ("libcuda*", "libcudart*", "libcudnn*", "libcublas*", "libnccl*", "libtorch_cuda*")


class Store:
    """Images and containers of this check alone, in a folder."""

    def __init__(self, folder: Path) -> None:
        where = ["--root", f"{folder}/images", "--runroot", f"{folder}/run", "--storage-driver", "vfs"]
        self._command = ["buildah", *where]

    def build(self, options: list[str]) -> None:
        """The CPU image; one copy of each stage, since vfs shares nothing between layers."""
        build = ["bud", "--isolation", "chroot", "--layers=false", "--format", "docker", "--tag", IMAGE]
        subprocess.run([*self._command, *build, "--file", "docker/Dockerfile", *options, "."], cwd=ROOT, check=True)

    @contextmanager
    def unpacked(self) -> Iterator[tuple[dict[str, Any], Path]]:
        """The image's configuration and its root file system."""
        container = self._asked("from", "--pull-never", IMAGE)
        try:
            config = json.loads(self._asked("inspect", container))["Docker"]["config"]
            yield config, Path(self._asked("mount", container))
        finally:
            self._asked("rm", container)

    def _asked(self, *command: str) -> str:
        return subprocess.run([*self._command, *command], check=True, capture_output=True, text=True).stdout.strip()


class Sandbox:
    """The image's processes, fenced in as compose.yaml fences them.

    The root is read-only and /tmp in memory; the user is the image's; there are no capabilities, no new privileges and,
    as under Docker's system call filter, no user namespaces for the processes inside.
    """

    def __init__(self, config: dict[str, Any], root: Path, state: Path) -> None:
        self._config = config
        as_user = ["setpriv", "--reuid", str(USER), "--regid", str(USER), "--clear-groups", "--bounding-set=-all"]
        mounts = ["--ro-bind", str(root), "/", "--tmpfs", "/tmp", "--bind", str(state), "/var/lib/auricle/state"]
        kernel = ["--proc", "/proc", "--dev", "/dev", "--unshare-user", "--disable-userns"]
        self._fence = [*as_user, "bwrap", *mounts, *kernel, "--die-with-parent"]
        self._environment = dict(entry.split("=", 1) for entry in config["Env"]) | {
            "AURICLE_HOST": "127.0.0.1",
            "AURICLE_PORT": str(PORT),
        }

    def run(self, *command: str) -> int:
        """Exit status of a command beside the service."""
        fenced = [*self._fence, *command]
        return subprocess.run(fenced, env=self._environment, check=False, stderr=subprocess.DEVNULL).returncode

    def is_healthy(self) -> bool:
        """What the image's own health check says."""
        _, *command = self._config["Healthcheck"]["Test"]
        return self.run(*command) == 0

    @contextmanager
    def service(self, log: Path) -> Iterator["subprocess.Popen[bytes]"]:
        """The image's own command, its first process the image's first."""
        command = [*self._config["Entrypoint"], *self._config["Cmd"]]
        with log.open("wb") as output:
            fenced = [*self._fence, "--unshare-pid", "--as-pid-1", *command]
            process = subprocess.Popen(fenced, env=self._environment, stdout=output, stderr=output)
            try:
                yield process
            finally:
                process.kill()
                process.wait()


def megabytes(path: Path) -> int:
    """Disk that a folder takes."""
    return int(subprocess.run(["du", "-sm", path], check=True, capture_output=True, text=True).stdout.split()[0])


def resident_megabytes(pid: int) -> int:
    """Memory of a process and all below it; what several share counts once."""
    own = next(line for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines() if line.startswith("Pss:"))
    children = [
        child for task in Path(f"/proc/{pid}/task").iterdir() for child in (task / "children").read_text().split()
    ]
    return int(own.split()[1]) // 1024 + sum(resident_megabytes(int(child)) for child in children)


def check(sandbox: Sandbox, given: argparse.Namespace, log: Path) -> None:
    """Start, ask, stop."""
    assert sandbox.run("sh", "-c", "touch /opt/auricle/x || touch /var/lib/auricle/models/x") != 0, "root is writable"
    assert sandbox.run("sh", "-c", f"test $(id -u) = {USER} && touch /tmp/x /var/lib/auricle/state/x") == 0
    with sandbox.service(log) as process:
        started = time.monotonic()
        while not sandbox.is_healthy():
            if process.poll() is not None or time.monotonic() - started > PATIENCE_S:
                sys.exit(f"the service does not get ready:\n{log.read_text()}")
        print(f"healthy after {time.monotonic() - started:.1f} s")
        service = Service(f"http://127.0.0.1:{PORT}", given.clip)
        for ask in (service.transcribe, service.events, service.job, service.live):
            text = ask()
            assert given.words.lower() in text.lower(), text
            print(f"{ask.__name__:10} {text.strip()}")
        print(f"refusal    {service.refusal()}")
        print(f"memory     {resident_megabytes(process.pid)} MB, all processes")
        first = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()[0]
        os.kill(int(first), signal.SIGTERM)  # to tini, which passes it on
        started = time.monotonic()
        process.wait(30)
        print(f"stopped    in {time.monotonic() - started:.1f} s")
    print("".join(line for line in log.open() if "isolated from" in line), end="")


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", type=Path, help="folder for images, kept; a temporary one if unset")
    parser.add_argument("clip", type=Path)
    parser.add_argument("words", help="what is said in it")
    parser.add_argument("options", nargs="*", help="for buildah bud, after --")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.store or Path(temporary)
        store = Store(folder)
        started = time.monotonic()
        store.build(given.options)
        print(f"built in {time.monotonic() - started:.0f} s")
        with store.unpacked() as (config, root):
            parts = ("opt/auricle", "var/lib/auricle/models")
            print(f"{megabytes(root)} MB, of it " + ", ".join(f"/{part} {megabytes(root / part)} MB" for part in parts))
            cuda = [str(path.relative_to(root)) for name in CUDA_LIBRARIES for path in root.rglob(name)]
            assert not cuda, f"CUDA's libraries are in the CPU image: {cuda[:5]}"
            assert config["User"] == f"{USER}:{USER}"
            for above in list(root.parents)[: len(root.relative_to(folder).parts)]:
                above.chmod(above.stat().st_mode | 0o111)  # the user inside passes through
            state = folder / "state"
            state.mkdir(exist_ok=True)
            os.chown(state, USER, USER)
            check(Sandbox(config, root, state), given, folder / "log")


if __name__ == "__main__":
    main()
