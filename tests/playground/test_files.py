"""A short recording on the page: its text, what is known of it, and what can be done with it."""

import asyncio
import json
import re
import threading
import time
from collections.abc import AsyncGenerator
from pathlib import Path

from playground_site import DESK, PHONE, Site, Visit, choose, running
from playwright.sync_api import Page, expect
from service_fakes import SEGMENTS, FakeWorkers, make_transcript

from server.messages import ModelInfo, Work
from server.models import ModelStatus
from server.pool_types import Result, Update


def open_transcribed(visit: Visit, site: Site, **options: object) -> Page:
    page = visit(site.url, **options)
    expect(page.locator("#service")).to_have_text(re.compile("base is ready"))
    choose(page)
    expect(page.locator("#facts")).to_contain_text("base")
    return page


def test_a_recording_becomes_text_with_what_is_known_of_it(visit: Visit, site: Site) -> None:
    page = open_transcribed(visit, site)
    assert page.locator("#segments p").all_inner_texts() == ["Hello there.", "How are you?"]
    expect(page.locator("#name")).to_have_text("talk.wav")
    expect(page.locator("#facts")).to_have_text("German (90 %) · 0:04 · base · 4 × real time")
    expect(page.locator("#warnings")).to_have_text("Note: the header promised more audio.")
    expect(page.locator("#progress")).to_be_hidden()
    assert page.title() == "talk.wav · Auricle"


def test_words_have_their_confidence_and_it_can_be_switched_off(visit: Visit, site: Site) -> None:
    page = open_transcribed(visit, site)
    words = page.locator("#segments .word")
    assert words.all_inner_texts() == ["Hello", "there."]
    assert [each.get_attribute("class") for each in words.all()] == ["word", "word low"]
    assert words.nth(1).get_attribute("title") == "0:00 · 50 %"
    shade = "el => getComputedStyle(el).backgroundColor"
    assert words.nth(1).evaluate(shade) != words.nth(0).evaluate(shade)
    page.uncheck("#confidence")
    assert words.nth(1).evaluate(shade) == words.nth(0).evaluate(shade)
    page.reload()
    assert not page.is_checked("#confidence", timeout=1000)


def test_what_was_left_out_is_told_on_request_with_its_reason(visit: Visit, site: Site) -> None:
    page = open_transcribed(visit, site)
    expect(page.locator("#suppressed-list")).to_be_hidden()
    page.click("#suppressed-title")
    expect(page.locator("#suppressed-list")).to_contain_text("Thanks!")
    expect(page.locator("#suppressed-list")).to_contain_text("no voice was found there")


def test_the_text_can_be_taken_along(visit: Visit, site: Site) -> None:
    page = open_transcribed(visit, site)
    files = {}
    for kind in ("txt", "srt", "vtt", "json"):
        with page.expect_download() as download:
            page.click(f"[data-format={kind}]")
        assert download.value.suggested_filename == f"talk.{kind}"
        files[kind] = Path(download.value.path()).read_text()
    assert files["txt"] == "Hello there.\nHow are you?\n"
    assert files["srt"].startswith(
        "1\n00:00:00,000 --> 00:00:01,500\nHello there.\n\n2\n00:00:02,000 --> 00:00:03,500\n"
    )
    assert files["vtt"].startswith("WEBVTT\n\n00:00:00.000 --> 00:00:01.500\nHello there.\n")
    assert json.loads(files["json"])["segments"][0]["words"][0]["word"] == " Hello"
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.click("#copy")
    expect(page.locator("#copy")).to_have_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()") == "Hello there. How are you?"


def test_what_is_chosen_is_asked_for_and_remembered(visit: Visit, site: Site) -> None:
    site.workers.transcript = None  # it says what it was asked to do
    page = visit(site.url)
    page.select_option("#language", label="German")
    page.select_option("#task", "translate")
    choose(page)
    expect(page.locator("#facts")).to_contain_text("translated into English")
    work = site.workers.works[-1]
    assert (work.options.language, work.options.task.value) == ("de", "translate")
    page.reload()
    expect(page.locator("#language")).to_have_value("de")
    expect(page.locator("#task")).to_have_value("translate")


def test_a_file_can_be_dropped(visit: Visit, site: Site) -> None:
    page = visit(site.url)
    transfer = page.evaluate_handle(
        "() => { const t = new DataTransfer(); t.items.add(new File(['words'], 'dropped.mp3')); return t; }"
    )
    page.dispatch_event("#drop", "dragover", {"dataTransfer": transfer})
    expect(page.locator("#drop")).to_have_class(re.compile("over"))
    page.dispatch_event("#drop", "drop", {"dataTransfer": transfer})
    expect(page.locator("#name")).to_have_text("dropped.mp3")
    expect(page.locator("#segments li")).to_have_count(2)


class TimedWorkers(FakeWorkers):
    """Says the first segment when it is told to, and remembers when that was."""

    def __init__(self) -> None:
        super().__init__()
        self.may_speak, self.may_end = threading.Event(), threading.Event()
        self.spoke_at = 0.0

    async def run(self, work: Work, *, model: str = "base") -> AsyncGenerator[Update]:
        self.works.append(work)
        await asyncio.to_thread(self.may_speak.wait, 20)
        self.spoke_at = time.monotonic()
        yield SEGMENTS[0]
        await asyncio.to_thread(self.may_end.wait, 20)
        yield Result(output=make_transcript(), queue_s=0.0)


def test_text_is_on_the_page_within_a_second_of_the_service_having_it(visit: Visit, tmp_path: Path) -> None:
    workers = TimedWorkers()
    with running(tmp_path, workers) as url:
        page = visit(url)
        choose(page)
        expect(page.locator("#progress-text")).to_have_text("Listening …")
        workers.may_speak.set()
        page.wait_for_selector("#segments li")
        assert time.monotonic() - workers.spoke_at < 1
        expect(page.locator("#stop")).to_be_visible()  # it goes on
        workers.may_end.set()
        expect(page.locator("#segments li")).to_have_count(2)
        expect(page.locator("#again")).to_be_visible()


def test_stopping_leads_back_to_the_start(visit: Visit, tmp_path: Path) -> None:
    workers = TimedWorkers()
    with running(tmp_path, workers) as url:
        page = visit(url)
        choose(page)
        expect(page.locator("#progress-text")).to_have_text("Listening …")
        page.click("#stop")
        expect(page.locator("#drop")).to_be_visible()
        expect(page.locator("#error")).to_be_hidden()
        workers.may_speak.set()
        workers.may_end.set()


def test_the_keyboard_alone_is_enough(visit: Visit, site: Site) -> None:
    page = visit(site.url)
    seen = []
    for _ in range(8):
        page.keyboard.press("Tab")
        seen.append(page.evaluate("document.activeElement.id || document.activeElement.className"))
    assert seen == ["skip", "theme", "file", "speak", "language", "task", "model", ""]  # "": the link below
    choose(page)
    expect(page.locator("#facts")).to_contain_text("base")
    page.focus("#transcript")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    expect(page.locator("#segments .at")).to_have_text("there.")
    expect(page.locator("#status")).to_have_text("there., 0:00, 50 % sure")
    page.focus("#again")
    page.keyboard.press("Enter")
    expect(page.locator("#drop")).to_be_visible()


def test_nothing_is_wider_than_the_window(visit: Visit, site: Site) -> None:
    long_word = "a" * 200
    for viewport in (PHONE, DESK):
        page = visit(site.url, viewport=viewport)
        choose(page, name=f"{long_word}.wav")
        expect(page.locator("#facts")).to_contain_text("base")
        width = page.evaluate("document.documentElement.scrollWidth")
        assert width == viewport["width"]


def test_a_model_is_chosen_with_the_languages_that_it_knows(visit: Visit, site: Site) -> None:
    english = ModelInfo(name="tiny.en", hash="d02d", languages=("en",))
    site.workers.others = [ModelStatus(name="tiny.en", is_default=False, state="unloaded", model=english, stats=None)]
    page = visit(site.url)
    expect(page.locator("#model option")).to_have_text(["base", "tiny.en (loaded when asked for)"])
    expect(page.locator("#language option")).to_have_text(["Detect it", "English", "German"])
    page.select_option("#task", "translate")
    page.select_option("#model", "tiny.en")
    expect(page.locator("#language option")).to_have_text(["Detect it", "English"])
    expect(page.locator("#task")).to_be_disabled()
    expect(page.locator("#task")).to_have_value("transcribe")
    page.reload()
    expect(page.locator("#model")).to_have_value("tiny.en")
