"""Where jobs and their recordings lie on disk. In: uploads. Out: recordings that survive the process; clear errors.

The folder of ``AURICLE_STATE_DIR`` holds ``jobs.sqlite3`` and ``media/``, a folder for each job under way. Nothing is
opened before it is needed: a service whose folder cannot be written to answers all else, and takes jobs as soon as it
can. Knows nothing of what a job is.
"""

import errno
import fcntl
import os
import shutil
import sqlite3
import threading
import time
import uuid
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Protocol

from server.errors import ApiError, insufficient_storage, storage_unavailable

__all__ = ["Media", "MediaFolder", "default_state_dir", "make_folder", "storage_error", "sync"]

RECORDING, RECEIVING = "recording", "receiving-"
FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
MIN_FREE_BYTES = 64 * 2**20  # left to the database and to everybody else
GRACE_S = 60.0  # between a recording's move into the folder and the commit of its job


def default_state_dir() -> Path:
    """Where programs of this user keep what should survive (XDG Base Directory Specification)."""
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "auricle"


def storage_error(error: OSError | sqlite3.Error) -> ApiError:
    """What the client is told: 507 when the disk is full, 503 when the folder or the database cannot be used."""
    is_full = error.errno in FULL if isinstance(error, OSError) else _code(error) == sqlite3.SQLITE_FULL
    if is_full:
        return insufficient_storage()
    return storage_unavailable("Jobs")


def make_folder(path: Path) -> None:
    """Create a folder that only this user can read, and those above it. Raises OSError."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)


class Media(Protocol):
    """The recordings of jobs. All methods block: call them in a thread. They raise OSError."""

    def fetch(self, job_id: str) -> Path:
        """The recording of a job, as a file of this host; there may be none of that name where it was lost."""

    def windows_of(self, job_id: str, attempt: int) -> Path:
        """The file that tells a worker which windows of a recording are known."""

    def receiving(self) -> Path:
        """A folder for uploads. Raises ApiError (507) when the disk is nearly full."""

    def keep(self, upload: Path, job_id: str) -> None:
        """Take over a received file, and come back when it is sure to be there after a power cut."""

    def drop(self, job_id: str) -> None:
        """Delete what there is of a job; what cannot be deleted now is swept later."""

    def tidy(self, job_id: str) -> None:
        """Delete what attempts at a job have left beside its recording: samples, and what was known of windows."""

    def sweep(self, wanted: Collection[str]) -> None:
        """Delete what processes have left behind: recordings of no job under way, uploads that nobody receives."""

    def close(self) -> None:
        """Remove the folder for uploads."""


class MediaFolder:
    """See ``Media``: on a disk of this host, a folder for each job."""

    def __init__(self, path: Path) -> None:
        self._path = path
        # Not by process id, which is the same one in every container.
        self._receiving = path / f"{RECEIVING}{uuid.uuid4().hex}"
        self._lock: BinaryIO | None = None
        self._opening = threading.Lock()

    def fetch(self, job_id: str) -> Path:
        """See Media."""
        return self._path / job_id / RECORDING

    def windows_of(self, job_id: str, attempt: int) -> Path:
        """See Media."""
        return self._path / job_id / f"windows-{attempt}"

    def receiving(self) -> Path:
        """See Media. On the same disk as the recordings; a lock says that its process lives."""
        make_folder(self._path)
        if shutil.disk_usage(self._path).free < MIN_FREE_BYTES:
            raise insufficient_storage()
        with self._opening:
            if self._lock is None or not self._receiving.is_dir():
                make_folder(self._receiving)
                self._lock = _locked(self._receiving)
        return self._receiving

    def keep(self, upload: Path, job_id: str) -> None:
        """See Media."""
        place = self.fetch(job_id)
        make_folder(place.parent)
        sync(upload)
        upload.rename(place)
        sync(place.parent)
        sync(self._path)

    def drop(self, job_id: str) -> None:
        """See Media."""
        shutil.rmtree(self._path / job_id, ignore_errors=True)

    def tidy(self, job_id: str) -> None:
        """See Media."""
        for path in self.fetch(job_id).parent.iterdir():
            if path.name != RECORDING:
                path.unlink(missing_ok=True)

    def sweep(self, wanted: Collection[str]) -> None:
        """See Media."""
        if not self._path.is_dir():
            return
        for folder in self._path.iterdir():
            if folder.name.startswith(RECEIVING):
                is_over = folder != self._receiving and _is_abandoned(folder)
            else:
                is_over = folder.name not in wanted and folder.stat().st_mtime < time.time() - GRACE_S
            if is_over:
                with suppress(FileNotFoundError):  # dropped at the same time
                    shutil.rmtree(folder)

    def close(self) -> None:
        """See Media."""
        if self._lock is not None:
            shutil.rmtree(self._receiving, ignore_errors=True)
            self._lock.close()
            self._lock = None


def _locked(folder: Path) -> BinaryIO | None:
    """The folder's lock file, locked until it is closed or this process ends; None where another process holds it."""
    file = (folder / "lock").open("wb")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    return file


def _is_abandoned(folder: Path) -> bool:
    lock = _locked(folder)
    if lock is None:
        return False
    lock.close()
    return True


def sync(path: Path) -> None:
    """Come back when a file's bytes, or a folder's names, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _code(error: sqlite3.Error) -> int:
    # The low byte is the kind of error, the rest says more (https://sqlite.org/rescode.html).
    return getattr(error, "sqlite_errorcode", 0) & 0xFF
