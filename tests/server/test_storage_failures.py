"""Folders that cannot be written to and memory that is not there: refused with 503 or 507, and all is well afterwards.

A disk that is full has a file of its own, ``test_full_disk.py``.
"""

import asyncio
import os
import resource
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from chaos_record import IS_SHORT, count, measuring
from fastapi.testclient import TestClient
from running_service import FAKE_DECODER, STUB, WAITING, ask, running, upload, waiting_wav

Serve = Callable[..., TestClient]
REFUSALS = {503, 507}


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={2**28}", "tmpfs", str(folder)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("no file system can be mounted here")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def remount(disk: Path, how: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{how}", str(disk)], check=True)


def test_a_read_only_folder_is_a_503_and_then_all_is_taken_again(serve: Serve, disk: Path) -> None:
    client = serve(spool_dir=disk)
    n = count(100, 2)
    unlike, unwell, not_taken = 0, 0, 0
    with measuring("storage", part="read-only folder", n=n, asked=100, unit="times") as row:
        for _ in range(n):
            remount(disk, "ro")
            answer = client.post("/transcribe", files={"file": b"words"})
            unlike += answer.status_code != 503 or "Retry-After" not in answer.headers
            unwell += client.get("/healthz").status_code != 200
            remount(disk, "rw")
            not_taken += client.post("/transcribe", files={"file": b"words"}).status_code != 200
        row.check("answers other than a 503 with Retry-After", unlike, at_most=0)
        row.check("not alive meanwhile", unwell, at_most=0)
        row.check("not taken afterwards", not_taken, at_most=0)


def test_a_read_only_folder_of_jobs_is_a_503_and_then_jobs_are_taken(serve: Serve, disk: Path) -> None:
    """From the start: a store that is open keeps a disk from being made read-only."""
    remount(disk, "ro")
    client = serve(state_dir=disk)
    refused = client.post("/jobs", files={"file": b"words"})
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "storage_unavailable")
    assert client.post("/transcribe", files={"file": b"words"}).status_code == 200
    remount(disk, "rw")
    assert client.post("/jobs", files={"file": b"words"}).status_code == 202


def test_a_folder_that_was_deleted_is_a_503(serve: Serve, tmp_path: Path) -> None:
    """As those do who clean temporary folders."""
    client = serve()
    (spool,) = tmp_path.iterdir()
    spool.rmdir()
    answer = client.post("/transcribe", files={"file": b"words"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "storage_unavailable")
    spool.mkdir()
    assert client.post("/transcribe", files={"file": b"words"}).status_code == 200


def _address_space(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[0]) * resource.getpagesize()


def _limit(pid: int, n_bytes: int | None) -> None:
    """What a process may have beyond what it has; None: as much as it likes."""
    limit = resource.RLIM_INFINITY if n_bytes is None else _address_space(pid) + n_bytes
    resource.prlimit(pid, resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives back what a limit took")
def test_a_worker_without_memory_refuses_and_recovers(tmp_path: Path) -> None:
    spool = tmp_path / "spool"
    spool.mkdir()
    n = count(100, 2)
    with (
        measuring("storage", part="worker without memory", n=n, asked=100, unit="times") as row,
        running(spool, STUB, FAKE_DECODER) as service,
    ):
        (worker,) = service.worker_pids()

        async def exhausted() -> tuple[int, int]:
            """Answers other than a refusal, and those that were not answered with memory again."""
            unlike = not_answered = 0
            for number in range(n):
                _limit(worker, 2**28)
                status, _ = await ask(service.port, upload(b"hoard 1000000000"))
                unlike += status not in REFUSALS
                _limit(worker, None)
                status, _ = await ask(service.port, upload(b"hoard 1000000"))
                not_answered += status != 200
                row.progress(number)
            return unlike, not_answered

        unlike, not_answered = asyncio.run(exhausted())
        row.check("answers other than 503 and 507", unlike, at_most=0)
        row.check("not answered afterwards", not_answered, at_most=0)
        row.check("workers that died of it", float(service.worker_pids() != [worker]), at_most=0)


@pytest.mark.skipif(IS_SHORT or os.geteuid() != 0, reason="`make chaos` runs it, as root")
def test_an_api_process_without_memory_refuses_and_recovers(tmp_path: Path) -> None:
    spool = tmp_path / "spool"
    spool.mkdir()
    n = count(20, 2)
    with (
        measuring("storage", part="API process without memory", n=n, asked=20, unit="times 32 uploads") as row,
        running(spool, WAITING) as service,
    ):
        request = upload(waiting_wav(0.05, duration=60))

        async def exhausted() -> tuple[list[int], list[int]]:
            during, after = [], []
            for number in range(n):
                _limit(service.process.pid, 2**22)
                during += [
                    status for status, _ in await asyncio.gather(*(ask(service.port, request) for _ in range(32)))
                ]
                _limit(service.process.pid, None)
                after += [status for status, _ in await asyncio.gather(*(ask(service.port, request) for _ in range(8)))]
                row.progress(number)
            return during, after

        during, after = asyncio.run(exhausted())
        row.check(
            "answers other than 200, 503 and 507", sum(each not in REFUSALS | {200} for each in during), at_most=0
        )
        row.check("not answered afterwards", sum(status != 200 for status in after), at_most=0)
