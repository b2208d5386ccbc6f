"""The page with the packaged model and real speech."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playground_site import PATIENCE_S, Visit, launch, microphone_arguments, microphone_file, real_service, watch
from playwright.sync_api import Playwright, expect

pytestmark = pytest.mark.weights

ROOT = Path(__file__).parents[2]
AUDIO = Path(os.environ.get("AURICLE_SHARED_DIR", ROOT.parent / "shared")) / "golden" / "audio"
CLIP = AUDIO / "cmu_arctic-cmu_arctic_us_aew_a0001.flac"
CLIP_TEXT = re.compile("Author of the danger trail", re.IGNORECASE)
LONG = AUDIO / "LJ001_long_5min.flac"


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    if not AUDIO.is_dir():
        pytest.skip(f"the recordings are not there: {AUDIO}")
    with real_service(tmp_path_factory.mktemp("service")) as url:
        yield url


def test_a_recording_is_written_heard_and_followed_word_by_word(visit: Visit, url: str) -> None:
    page = visit(url)
    page.set_input_files("#file", CLIP)
    expect(page.locator("#segments")).to_have_text(CLIP_TEXT)
    expect(page.locator("#facts")).to_have_text(re.compile(r"English \(\d+ %\) · 0:0\d · base · \d+ × real time"))
    expect(page.locator("#clock")).to_have_text(re.compile(r"0:00 / 0:0[34]"))
    drawn = page.evaluate(
        "() => { const c = document.getElementById('waveform');"
        "const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;"
        "return d.filter((v, i) => i % 4 === 3 && v > 0).length / (c.width * c.height); }"
    )
    assert 0.05 < drawn < 0.7  # a waveform: neither a line nor a block
    words = page.locator("#segments .word")
    words.nth(4).click()
    expect(page.locator("#segments .now")).to_have_count(1)
    reached = page.evaluate("document.getElementById('audio').currentTime")
    assert reached > 0.5


def test_five_minutes_are_a_job_that_survives_a_reload(visit: Visit, url: str) -> None:
    page = visit(url)
    page.set_input_files("#file", LONG)
    page.wait_for_url(re.compile("#job_"))
    page.wait_for_selector("#segments li:nth-child(2)")
    page.reload()
    expect(page.locator("#segments li").nth(30)).to_be_visible(timeout=60_000)
    expect(page.locator("#facts")).to_contain_text("English", timeout=60_000)
    starts = page.locator("#segments .time").evaluate_all("all => all.map((each) => Number(each.dataset.start))")
    assert starts == sorted(starts)
    assert starts[-1] > 280
    expect(page.locator("#clock")).to_have_text("0:00 / 4:54")  # the sound came back with it
    page.locator("#segments .time").nth(10).click()
    expect(page.locator("#play")).to_have_attribute("aria-label", "Pause")


def test_speech_is_written_as_it_is_spoken(playwright: Playwright, url: str, tmp_path: Path) -> None:
    browser = launch(playwright, *microphone_arguments(microphone_file(CLIP, tmp_path)))
    context = browser.new_context(permissions=["microphone"])
    context.set_default_timeout(1000 * PATIENCE_S)
    page, problems = context.new_page(), []
    watch(page, problems)
    page.goto(url)
    page.click("#speak")
    page.wait_for_selector(".partial")
    page.wait_for_timeout(5000)
    page.click("#stop")
    expect(page.locator("#segments")).to_have_text(CLIP_TEXT)
    expect(page.locator("#facts")).to_contain_text("English")
    browser.close()
    assert problems == []
