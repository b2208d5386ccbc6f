"""Recordings of jobs: on this host's disk, in a directory that hosts share, in an object store."""

import os
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import fsspec
import pytest

from server.jobs.shared_media import SharedMedia
from server.jobs.storage import GRACE_S, Media, MediaFolder

URLS = {"folder": None, "directory": "file://{}/shared", "objects": "memory://{}"}


@pytest.fixture(params=URLS)
def make_media(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[str], Media]:
    """A host's view of them, by its name; one folder can only be of one host."""
    template = URLS[request.param]

    def make(host: str) -> Media:
        if template is None:
            return MediaFolder(tmp_path / "media")
        return SharedMedia(template.format(tmp_path), MediaFolder(tmp_path / host / "media"))

    return make


def kept(media: Media, job_id: str = "job_1", sound: bytes = b"sound") -> None:
    upload = media.receiving() / "upload"
    upload.write_bytes(sound)
    media.keep(upload, job_id)
    assert not upload.exists()


def test_what_one_host_keeps_another_fetches(make_media: Callable[[str], Media]) -> None:
    api, worker = make_media("api"), make_media("worker")
    kept(api)
    recording = worker.fetch("job_1")
    assert recording.read_bytes() == b"sound"
    assert recording.stat().st_mode & 0o077 == 0 or recording.parent.stat().st_mode & 0o077 == 0
    worker.windows_of("job_1", 2).write_text("{}")
    worker.tidy("job_1")
    assert list(recording.parent.iterdir()) == [recording]
    assert worker.fetch("job_1") == recording
    worker.drop("job_1")
    assert not recording.exists()
    api.drop("job_1")  # again, by another
    for media in (api, worker):
        media.close()


def test_a_recording_that_is_lost_is_told_as_such(make_media: Callable[[str], Media]) -> None:
    media = make_media("worker")
    with pytest.raises(FileNotFoundError):
        media.fetch("job_1").read_bytes()


def test_what_nobody_needs_is_swept(make_media: Callable[[str], Media], monkeypatch: pytest.MonkeyPatch) -> None:
    api, worker = make_media("api"), make_media("worker")
    worker.sweep(set())  # nothing was ever there
    for job_id in ("job_1", "job_2"):
        kept(api, job_id)
        worker.fetch(job_id)
    worker.sweep({"job_2"})
    assert worker.fetch("job_1").exists()  # it may be about to be accepted
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + GRACE_S + 1)
    worker.sweep({"job_2"})
    assert worker.fetch("job_2").exists()
    with pytest.raises(FileNotFoundError):
        worker.fetch("job_1").read_bytes()
    api.close()


def test_others_in_a_shared_directory_are_left_alone(tmp_path: Path) -> None:
    media = SharedMedia(f"file://{tmp_path}/shared", MediaFolder(tmp_path / "media"))
    kept(media)
    other = tmp_path / "shared" / "somebody-else"
    other.touch()
    os.utime(other, (0, 0))
    media.sweep(set())
    assert other.exists()
    media.close()


def test_a_store_that_is_away_is_an_oserror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    media = SharedMedia(f"memory://{uuid.uuid4()}", MediaFolder(tmp_path))

    def refuse(*_: object, **__: object) -> None:
        raise RuntimeError("botocore says no")

    monkeypatch.setattr(fsspec.filesystem("memory"), "put_file", refuse)
    with pytest.raises(OSError, match="RuntimeError: botocore says no"):
        kept(media)
    media.close()
    with pytest.raises(OSError, match="the store of recordings"):
        SharedMedia("nonsense://bucket", MediaFolder(tmp_path))
