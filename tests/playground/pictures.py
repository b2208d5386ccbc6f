"""Makes the pictures of docs/playground.md: ``make pictures``. The packaged model hears real recordings."""

import os
import re
import shutil
import tempfile
from pathlib import Path

from playground_site import DESK, PHONE, ROOT, launch, microphone_arguments, microphone_file, real_service
from playwright.sync_api import Browser, Page, expect, sync_playwright

SHARED = Path(os.environ.get("AURICLE_SHARED_DIR", ROOT.parent / "shared"))
CALL = SHARED / "data" / "earnings22" / "earnings22_3_4483589_261_321.flac"
LONG = SHARED / "golden" / "audio" / "LJ001_long_5min.flac"
PICTURES = ROOT / "docs" / "images"


def take(page: Page, name: str) -> None:
    page.screenshot(path=PICTURES / f"playground-{name}.png")


def open_page(browser: Browser, url: str, size: dict[str, int], scheme: str) -> Page:
    page = browser.new_page(viewport=size, color_scheme=scheme)
    page.goto(url)
    expect(page.locator("#service")).to_have_text(re.compile("ready"))
    return page


def text_of(page: Page, clip: Path) -> None:
    page.set_input_files("#file", clip)
    expect(page.locator("#facts")).to_contain_text("real time", timeout=60_000)
    page.wait_for_timeout(500)  # the waveform


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright, real_service(Path(folder)) as url:
        call, lecture = Path(folder, "quarterly call.flac"), Path(folder, "lecture.flac")
        shutil.copy(CALL, call)
        shutil.copy(LONG, lecture)
        browser = launch(playwright, *microphone_arguments(microphone_file(LONG, Path(folder))))
        for size, device, scheme in ((DESK, "desk", "light"), (DESK, "desk", "dark"), (PHONE, "phone", "dark")):
            page = open_page(browser, url, size, scheme)
            text_of(page, call)
            take(page, f"text-{device}-{scheme}")
            page.close()
        page = open_page(browser, url, PHONE, "light")
        take(page, "start-phone-light")
        page.close()
        page = open_page(browser, url, DESK, "light")
        page.set_input_files("#file", lecture)
        page.wait_for_selector("#segments li:nth-child(8)")
        take(page, "job-desk-light")
        page.close()
        page = open_page(browser, url, PHONE, "dark")
        page.click("#speak")
        page.wait_for_selector("#segments .word")
        page.wait_for_timeout(2500)
        take(page, "live-phone-dark")
        page.click("#stop")
        page.wait_for_timeout(1500)
        page.close()
        page = open_page(browser, url, DESK, "light")
        page.set_input_files("#file", {"name": "notes.txt", "mimeType": "text/plain", "buffer": b"not a recording"})
        page.wait_for_selector("#error-title")
        take(page, "error-desk-light")
        browser.close()


if __name__ == "__main__":
    main()
