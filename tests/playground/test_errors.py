"""Everything that can go wrong, as the visitor sees it: what happened, what to do, and the way on."""

import re
from pathlib import Path

import pytest
from playground_site import Site, Visit, choose
from playwright.sync_api import Page, expect

from asr.errors import CorruptAudioError, UnsupportedMediaError
from server.errors import ApiError
from server.pool_types import WorkerStatus
from server.worker_seat import WorkerState

ROOT = Path(__file__).parents[2]
STATIC = ROOT / "server" / "playground" / "static"


def expect_error(page: Page, title: str, *, may_try_again: bool) -> None:
    expect(page.locator("#error-title")).to_have_text(title)
    expect(page.locator("#error-text")).not_to_be_empty()
    expect(page.locator("#error-retry")).to_be_visible(visible=may_try_again)


@pytest.mark.parametrize(
    ("error", "title", "may_try_again"),
    [
        (UnsupportedMediaError("the file is not audio"), "This is no recording that can be read", False),
        (CorruptAudioError("no frame could be decoded"), "The recording is damaged", False),
        (ApiError(413, "audio_too_long", "too long"), "The recording is too long", False),
        (ApiError(507, "insufficient_storage", "no space"), "The service has no room for the recording", True),
        (ApiError(503, "decoder_unavailable", "not now", retry_after_s=2), "The service is not ready", True),
    ],
    ids=lambda value: getattr(value, "code", ""),
)
def test_a_recording_that_cannot_be_taken(
    visit: Visit, site: Site, error: Exception, title: str, may_try_again: bool
) -> None:
    page = visit(site.url)
    site.decoder.failure = error
    choose(page)
    expect_error(page, title, may_try_again=may_try_again)
    expect(page.locator("#drop")).to_be_visible()  # the next one can be taken at once
    if may_try_again:
        site.decoder.failure = None
        page.click("#error-retry")
        expect(page.locator("#segments li")).to_have_count(2)
        expect(page.locator("#error")).to_be_hidden()


@pytest.mark.parametrize(
    ("error", "title"),
    [
        (ApiError(503, "loading", "The model is loading.", retry_after_s=3), "The model is still being loaded"),
        (ApiError(503, "load_failed", "It cannot be loaded."), "The model cannot be loaded"),
        (ApiError(429, "queue_full", "Too much waits.", retry_after_s=7), "Too much is waiting at the moment"),
    ],
    ids=lambda value: getattr(value, "code", ""),
)
def test_a_service_that_takes_nothing_now(visit: Visit, site: Site, error: ApiError, title: str) -> None:
    page = visit(site.url)
    site.workers.refusal = error
    choose(page)
    expect_error(page, title, may_try_again=True)
    if error.headers.get("Retry-After"):
        expect(page.locator("#error-hint")).to_contain_text(f"{error.headers['Retry-After']} s of patience")
    site.workers.refusal = None
    page.click("#error-retry")
    expect(page.locator("#segments li")).to_have_count(2)


def test_an_empty_file(visit: Visit, site: Site) -> None:
    page = visit(site.url)
    choose(page, content=b"")
    expect_error(page, "The file is empty", may_try_again=False)
    page.click("#error-close")
    expect(page.locator("#error")).to_be_hidden()


def test_an_error_in_the_middle_leaves_what_was_written(visit: Visit, site: Site) -> None:
    site.workers.failure, site.workers.fail_after_segments = ApiError(503, "worker_died", "It died."), 1
    page = visit(site.url)
    choose(page)
    expect_error(page, "Something went wrong in the service", may_try_again=True)
    expect(page.locator("#segments p")).to_have_text(["Hello there."])
    assert re.search(r"\(request [0-9a-f]{32}\)", page.inner_text("#error-hint"))
    site.workers.failure = None
    page.click("#error-retry")
    expect(page.locator("#segments p")).to_have_text(["Hello there.", "How are you?"])


def test_a_service_that_does_not_answer(visit: Visit, site: Site) -> None:
    page = visit(site.url)
    page.context.set_offline(True)
    choose(page)
    expect_error(page, "No answer", may_try_again=True)
    page.context.set_offline(False)
    page.click("#error-retry")
    expect(page.locator("#segments li")).to_have_count(2)


def test_the_state_of_the_service_is_shown(visit: Visit, site: Site) -> None:
    site.workers.status = WorkerStatus(state=WorkerState.LOADING, model=None)
    page = visit(site.url)
    expect(page.locator("#service")).to_have_text(re.compile("Loading base"))
    site.workers.status = WorkerStatus(state=WorkerState.READY, model=site.workers.status.model)
    expect(page.locator("#service")).to_have_text(re.compile("base is ready"))


def test_a_silent_recording_is_told_as_such(visit: Visit, site: Site) -> None:
    from dataclasses import replace

    assert site.workers.transcript is not None
    site.workers.transcript = replace(site.workers.transcript, segments=(), suppressed=())
    page = visit(site.url)
    choose(page)
    expect(page.locator("#empty")).to_have_text("No speech was found in 0:04 of sound.")


def test_no_microphone_without_permission(visit: Visit, site: Site) -> None:
    page = visit(site.url)
    page.click("#speak")
    expect(page.locator("#error-title")).to_have_text(
        re.compile("The microphone is not allowed|There is no microphone")
    )
    expect(page.locator("#error-retry")).to_be_visible()
    expect(page.locator("#drop")).to_be_visible()


def test_every_code_that_the_page_explains_is_one_of_the_service() -> None:
    table = re.search(r"const ERRORS = \{(.*?)\n\};", (STATIC / "messages.js").read_text(), re.DOTALL)
    assert table
    codes = re.findall(r"^  ([a-z_]+):", table[1], re.MULTILINE)
    assert len(codes) > 20
    sources = [*(ROOT / "server").rglob("*.py"), *(ROOT / "asr").rglob("*.py"), STATIC / "service.js"]
    known = "\n".join(path.read_text() for path in sources)
    assert [code for code in codes if f'"{code}"' not in known] == []


def test_every_reason_for_leaving_text_out_is_explained() -> None:
    table = re.search(r"const REASONS = \{(.*?)\n\};", (STATIC / "messages.js").read_text(), re.DOTALL)
    assert table
    explained = set(re.findall(r"^  ([a-z_]+):", table[1], re.MULTILINE))
    quality = (ROOT / "asr" / "quality.py").read_text()
    assert explained == set(re.findall(r'^[A-Z_]+ = "([a-z_]+)"', quality, re.MULTILINE))
