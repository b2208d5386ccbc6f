"""A real Chromium and a real server, over fake workers. Skipped where there is no Chromium."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Playwright, expect, sync_playwright

# tests/ has no packages; worker processes inherit the path, and find the stubs by their name.
sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "server"))

from playground_site import PATIENCE_S, Site, Visit, launch, running, watch
from service_fakes import make_evidence


@pytest.fixture(scope="module")
def playwright() -> Iterator[Playwright]:
    """Ends with each module: while it runs, nobody else in this thread can have an event loop."""
    expect.set_options(timeout=1000 * PATIENCE_S)
    with sync_playwright() as playwright:
        yield playwright


@pytest.fixture(scope="module")
def browser(playwright: Playwright) -> Iterator[Browser]:
    browser = launch(playwright)
    yield browser
    browser.close()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A service that finds words, doubts, something to leave out and two languages in every recording."""
    site = Site()
    site.workers.transcript = make_evidence()
    with running(tmp_path, site.workers, site.decoder) as site.url:
        yield site


@pytest.fixture
def visit(browser: Browser) -> Iterator[Visit]:
    """Open an address as a new visitor; at the end nothing may have gone wrong in the page's own code."""
    contexts: list[BrowserContext] = []
    problems: list[str] = []

    def open_page(url: str, **options: object) -> Page:
        context = browser.new_context(**options)
        context.set_default_timeout(1000 * PATIENCE_S)
        contexts.append(context)
        page = context.new_page()
        watch(page, problems)
        page.goto(url)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert problems == []
