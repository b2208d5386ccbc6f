"""The page itself: what it may load, who can use it, how it looks to whom."""

import re
from html.parser import HTMLParser
from pathlib import Path

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe
from playground_site import DESK, PHONE, Site, Visit, choose, running
from playwright.sync_api import Page, expect
from service_fakes import FakeWorkers

from server.keys import KeyFile
from server.limits import Limits

STATIC = Path(__file__).parents[2] / "server" / "playground" / "static"


def test_everything_comes_from_the_service_and_says_what_it_may_do(site: Site) -> None:
    paths = ["/", *(f"/playground/{file.name}" for file in STATIC.iterdir() if file.name != "index.html")]
    for path in paths:
        answer = httpx.get(site.url + path)
        assert answer.status_code == 200, path
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "http" not in policy
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert httpx.get(f"{site.url}/playground/../routes.py").status_code == 404


def test_the_page_has_nothing_inline() -> None:
    found: list[str] = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            names = dict(attrs)
            found.extend(f"{tag} {name}" for name in names if name == "style" or name.startswith("on"))
            if tag == "style" or (tag == "script" and "src" not in names):
                found.append(tag)

    Reader().feed((STATIC / "index.html").read_text())
    assert found == []


def test_nothing_is_asked_of_anybody_else(visit: Visit, site: Site) -> None:
    asked: list[str] = []
    page = visit("about:blank")
    page.on("request", lambda request: asked.append(request.url))
    page.goto(site.url)
    choose(page)
    expect(page.locator("#facts")).to_contain_text("base")
    assert len(asked) > 8
    assert [url for url in asked if not url.startswith((site.url, "blob:"))] == []


def violations(page: Page) -> list[str]:
    results = Axe().run(page)
    return [
        f"{each['id']} ({each['impact']}): {[node['html'] for node in each['nodes']]}"
        for each in results.response["violations"]
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("viewport", [PHONE, DESK], ids=["phone", "desk"])
def test_axe_finds_nothing_in_any_state(visit: Visit, site: Site, viewport: dict[str, int], scheme: str) -> None:
    page = visit(site.url, viewport=viewport, color_scheme=scheme)
    expect(page.locator("#service")).to_have_text(re.compile("ready"))
    assert violations(page) == [], "start"
    choose(page)
    expect(page.locator("#facts")).to_contain_text("base")
    page.click("#suppressed-title")
    assert violations(page) == [], "text"
    page.focus("#transcript")
    page.keyboard.press("End")
    page.click("#again")
    choose(page, content=b"")
    expect(page.locator("#error")).to_be_visible()
    assert violations(page) == [], "error"


def test_light_and_dark_follow_the_system_until_the_visitor_chooses(visit: Visit, site: Site) -> None:
    shade = "getComputedStyle(document.body).backgroundColor"
    dark, light = visit(site.url, color_scheme="dark"), visit(site.url, color_scheme="light")
    assert dark.evaluate(shade) != light.evaluate(shade)
    light.click("#theme")
    assert light.evaluate(shade) == dark.evaluate(shade)
    expect(light.locator("#theme")).to_have_text("Light")
    light.reload()
    assert light.evaluate(shade) == dark.evaluate(shade)


def test_the_page_needs_no_key_and_asks_for_one_where_the_service_does(visit: Visit, tmp_path: Path) -> None:
    keys = KeyFile(tmp_path / "keys.json")
    secret = keys.create("visitor", Limits())
    with running(tmp_path, FakeWorkers(), api_keys_file=keys.path) as url:
        page = visit(url)
        expect(page.locator("#key")).to_be_visible()
        page.fill("#key-value", "wrong")
        page.keyboard.press("Enter")
        expect(page.locator("#key-text")).to_have_text("The key is not valid, or not any more.")
        expect(page.locator("#key")).to_be_visible()
        assert violations(page) == []
        page.fill("#key-value", secret)
        page.keyboard.press("Enter")
        expect(page.locator("#service")).to_have_text(re.compile("base is ready"))
        choose(page)
        expect(page.locator("#segments li")).to_have_count(2)


def test_the_page_is_not_part_of_the_api(site: Site) -> None:
    paths = httpx.get(f"{site.url}/openapi.json").json()["paths"]
    assert not [path for path in paths if path == "/" or path.startswith("/playground")]
