"""Recordings where every host can read them. In: a URL that fsspec understands. Out: what ``Media`` promises.

What is being received, and a worker's copy with the files of its attempts, lie in a folder of this host; a recording's
one true place is the URL: a shared directory (``file://``), or an object store (``s3://`` with s3fs). Knows nothing of
what a job is.
"""

import os
import shutil
import time
import uuid
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import fsspec
from fsspec.implementations.local import LocalFileSystem

from server.jobs.storage import GRACE_S, MediaFolder, make_folder, sync

__all__ = ["SharedMedia"]

PART = ".part"  # of a recording that is not whole yet


class SharedMedia:
    """See ``Media``. ``scratch``: the folder of this host."""

    def __init__(self, url: str, scratch: MediaFolder) -> None:
        with _as_os_errors():
            self._files, self._root = fsspec.url_to_fs(url)
        self._scratch = scratch

    def windows_of(self, job_id: str, attempt: int) -> Path:
        """See Media."""
        return self._scratch.windows_of(job_id, attempt)

    def receiving(self) -> Path:
        """See Media."""
        return self._scratch.receiving()

    def keep(self, upload: Path, job_id: str) -> None:
        """See Media."""
        place = self._place(job_id)
        with _as_os_errors():
            if isinstance(self._files, LocalFileSystem):
                _copy_durably(upload, Path(place))
            else:
                self._files.put_file(str(upload), place)  # whole, or not there
        upload.unlink()

    def fetch(self, job_id: str) -> Path:
        """See Media."""
        copy = self._scratch.fetch(job_id)
        if not copy.exists():
            make_folder(copy.parent)
            part = copy.with_suffix(f".{uuid.uuid4().hex}")  # an older attempt may be at it too
            with _as_os_errors():
                self._files.get_file(self._place(job_id), str(part))
            part.rename(copy)
        return copy

    def drop(self, job_id: str) -> None:
        """See Media."""
        with suppress(OSError), _as_os_errors():
            self._files.rm_file(self._place(job_id))
        self._scratch.drop(job_id)

    def tidy(self, job_id: str) -> None:
        """See Media."""
        self._scratch.tidy(job_id)

    def sweep(self, wanted: Collection[str]) -> None:
        """See Media."""
        self._scratch.sweep(wanted)
        with _as_os_errors(), suppress(FileNotFoundError):  # nothing was ever kept, or others sweep too
            self._files.invalidate_cache()
            for entry in self._files.ls(self._root, detail=True):
                self._sweep(entry, wanted)

    def close(self) -> None:
        """See Media."""
        self._scratch.close()

    def _sweep(self, entry: dict[str, Any], wanted: Collection[str]) -> None:
        job_id = Path(entry["name"]).name.removesuffix(PART)
        if entry["type"] != "file" or not job_id.startswith("job_") or job_id in wanted:
            return
        with suppress(FileNotFoundError):
            if self._files.modified(entry["name"]).timestamp() < time.time() - GRACE_S:
                self._files.rm_file(entry["name"])

    def _place(self, job_id: str) -> str:
        return f"{self._root}/{job_id}"


def _copy_durably(upload: Path, place: Path) -> None:
    make_folder(place.parent)
    part = place.with_suffix(PART)
    with upload.open("rb") as source, part.open("wb") as target:
        shutil.copyfileobj(source, target)
        target.flush()
        os.fsync(target.fileno())
    part.rename(place)
    sync(place.parent)


@contextmanager
def _as_os_errors() -> Iterator[None]:
    """The libraries behind fsspec have errors of their own for a store that is away or refuses."""
    try:
        yield
    except OSError:
        raise
    except Exception as error:
        raise OSError(f"the store of recordings cannot be used: {type(error).__name__}: {error}") from error
