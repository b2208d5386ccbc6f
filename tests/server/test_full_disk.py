"""A disk that is really full: a small file system. Skipped where none can be mounted (not root)."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from chaos_record import count, measuring
from fastapi.testclient import TestClient

from server.jobs.storage import MIN_FREE_BYTES

ROOM = 1_500_000  # bytes that uploads may take
SMALL, LARGE = b"words", b"words" + b" " * 2_000_000

Serve = Callable[..., TestClient]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    size = MIN_FREE_BYTES + ROOM  # jobs leave so much free
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("no file system can be mounted here")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def outcome(answer: httpx.Response) -> tuple[int, str | None]:
    return answer.status_code, None if answer.is_success else answer.json()["error"]["code"]


def fill(disk: Path, free: int) -> Path:
    """Leave so many bytes free."""
    filler = disk / "filler"
    with filler.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, shutil.disk_usage(disk).free - free)
    return filler


def test_an_upload_that_does_not_fit_is_a_507_and_the_next_one_is_taken(serve: Serve, disk: Path) -> None:
    client = serve(spool_dir=disk)
    fill(disk, ROOM)
    n = count(100, 3)
    unlike = not_taken = 0
    with measuring("storage", part="disk full", n=n, asked=100, unit="times") as row:
        for _ in range(n):  # what did not fit is not left there
            answer = client.post("/transcribe", files={"file": LARGE})
            unlike += outcome(answer) != (507, "insufficient_storage") or "Retry-After" not in answer.headers
            not_taken += outcome(client.post("/transcribe", files={"file": SMALL})) != (200, None)
        row.check("answers other than a 507 with Retry-After", unlike, at_most=0)
        row.check("of what fits, not taken", not_taken, at_most=0)


@pytest.mark.parametrize("free", [MIN_FREE_BYTES // 2, 16_384])
def test_a_job_that_does_not_fit_is_a_507_and_none_that_was_accepted_is_lost(
    serve: Serve, disk: Path, free: int
) -> None:
    client = serve(state_dir=disk)
    accepted = client.post("/jobs", files={"file": SMALL})
    assert outcome(accepted) == (202, None)
    filler = fill(disk, free)
    assert outcome(client.post("/jobs", files={"file": SMALL})) == (507, "insufficient_storage")
    assert client.get("/healthz").status_code == 200
    assert outcome(client.get(f"/jobs/{accepted.json()['id']}")) == (200, None)
    filler.unlink()
    assert outcome(client.post("/jobs", files={"file": SMALL})) == (202, None)
