"""A long recording on the page: a job, which neither a reload nor the end of the service loses."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playground_site import Visit, choose, running
from playwright.sync_api import Page, expect
from service_fakes import load_stub

from server.models import ModelPools
from server.pool_types import QueueLimits
from server.worker_pool import WorkerPool

N_WINDOWS = 20
PADDING = b" " * (3 << 20)  # no header tells how long it is: what is so large is taken for long


def long_file(n_windows: int, window_s: float) -> bytes:
    return f"windows {n_windows} {window_s}".encode() + PADDING


@pytest.fixture
def stub(tmp_path: Path) -> Iterator[str]:
    """A service with a real worker process, which decodes window by window."""
    os.environ.pop("STUB_LOG", None)
    workers = ModelPools(("stub",), lambda _: WorkerPool(load_stub, limits=QueueLimits()), idle_timeout_s=0)
    with running(tmp_path, workers, max_duration_s=1e7, max_running_jobs=1) as url:
        yield url


def open_job(visit: Visit, url: str, *, n_windows: int = N_WINDOWS, window_s: float = 0.15) -> Page:
    page = visit(url)
    expect(page.locator("#service")).to_have_text(re.compile("stub is ready"))
    choose(page, "lecture.mp3", long_file(n_windows, window_s))
    page.wait_for_url(re.compile("#job_"))
    return page


def test_progress_and_time_left_are_told(visit: Visit, stub: str) -> None:
    page = open_job(visit, stub)
    expect(page.locator("#progress-text")).to_have_text(
        re.compile(r"\d+ % · 0:\d\d of 0:20 · about 0:\d\d left · \d+ × real time")
    )
    assert re.match(r"\d+ % · lecture.mp3 · Auricle", page.title())
    expect(page.locator("#facts")).to_contain_text("stub")
    expect(page.locator("#segments li")).to_have_count(N_WINDOWS)


def test_a_job_survives_a_reload(visit: Visit, stub: str) -> None:
    page = open_job(visit, stub)
    page.wait_for_selector("#segments li:nth-child(4)")
    page.reload()
    expect(page.locator("#name")).to_have_text("lecture.mp3")
    page.wait_for_selector("#segments li:nth-child(4)")  # what there was is there at once
    expect(page.locator("#facts")).to_contain_text("stub")
    texts = page.locator("#segments p").all_inner_texts()
    assert [text.split()[1] for text in texts] == [str(number) for number in range(N_WINDOWS)]
    with page.expect_download() as download:
        page.click("[data-format=srt]")
    assert Path(download.value.path()).read_text().count("-->") == N_WINDOWS


def test_another_browser_can_read_it_without_its_sound(visit: Visit, stub: str) -> None:
    page = open_job(visit, stub, window_s=0.02)
    expect(page.locator("#facts")).to_contain_text("stub")
    other = visit(page.url)
    expect(other.locator("#segments li")).to_have_count(N_WINDOWS)
    expect(other.locator("#player-note")).to_have_text("This browser does not have the sound of this recording.")


def test_who_waits_is_told_how_many_are_before_them(visit: Visit, stub: str) -> None:
    first = open_job(visit, stub, n_windows=60)
    second = open_job(visit, stub, n_windows=2)
    expect(second.locator("#progress-text")).to_have_text(re.compile("Waiting: next in line"))
    first.click("#stop")
    expect(second.locator("#facts")).to_contain_text("stub")


def test_stopping_ends_the_job_and_forgets_it(visit: Visit, stub: str) -> None:
    page = open_job(visit, stub, n_windows=60)
    page.wait_for_selector("#segments li")
    job_id = page.url.split("#")[1]
    page.click("#stop")
    expect(page.locator("#drop")).to_be_visible()
    expect(page.locator("#recent")).to_be_hidden()
    assert page.request.get(f"{stub}/jobs/{job_id}").json()["status"] == "cancelled"


def test_long_recordings_are_listed_opened_and_deleted(visit: Visit, stub: str) -> None:
    page = open_job(visit, stub, n_windows=2)
    expect(page.locator("#again")).to_be_visible()
    page.click("#again")
    expect(page.locator("#recent-list li")).to_have_count(1)
    page.get_by_role("button", name="lecture.mp3", exact=True).click()
    expect(page.locator("#segments li")).to_have_count(2)
    page.click("#again")
    page.get_by_role("button", name="Delete lecture.mp3").click()
    expect(page.locator("#recent")).to_be_hidden()
    page.reload()
    expect(page.locator("#recent")).to_be_hidden()


def test_a_broken_connection_is_mended(visit: Visit, stub: str) -> None:
    page = open_job(visit, stub)
    page.wait_for_selector("#segments li:nth-child(3)")
    page.route("**/events", lambda route: route.abort())
    page.reload()
    lost = re.compile("The connection is lost; the service works on")
    expect(page.locator("#progress-text")).to_have_text(lost)
    page.unroute("**/events")
    page.wait_for_selector("#segments li:nth-child(4)")
    page.context.set_offline(True)  # what is open stays open; the result cannot be asked for
    expect(page.locator("#progress-text")).to_have_text(lost)
    page.context.set_offline(False)
    expect(page.locator("#facts")).to_contain_text("stub")
    texts = page.locator("#segments p").all_inner_texts()
    assert [text.split()[1] for text in texts] == [str(number) for number in range(N_WINDOWS)]


@pytest.mark.parametrize("content", [b"corrupt", b"bug"])
def test_a_job_that_fails_says_why(visit: Visit, stub: str, content: bytes) -> None:
    page = visit(stub)
    expect(page.locator("#service")).to_have_text(re.compile("stub is ready"))
    choose(page, "lecture.mp3", content + PADDING)
    title = "The recording is damaged" if content == b"corrupt" else "Something went wrong in the service"
    expect(page.locator("#error-title")).to_have_text(title)


def test_a_recording_that_is_not_known_any_more(visit: Visit, stub: str) -> None:
    page = visit(f"{stub}/#job_0123456789abcdef")
    expect(page.locator("#error-title")).to_have_text("This recording is not known here")
    expect(page.locator("#drop")).to_be_visible()
