"""Speaking to the page: Chromium's microphone is a file."""

import math
import wave
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from playground_site import PATIENCE_S, Site, Visit, launch, microphone_arguments, watch
from playwright.sync_api import Page, Playwright, expect

from server.errors import ApiError

RATE = 48_000


@pytest.fixture(scope="module")
def spoken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tone of 440 Hz, a minute long."""
    path = tmp_path_factory.mktemp("spoken") / "tone.wav"
    samples = (8000 * np.sin(2 * math.pi * 440 * np.arange(60 * RATE) / RATE)).astype("<i2")
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, RATE, 0, "NONE", ""))
        file.writeframes(samples.tobytes())
    return path


@pytest.fixture
def page(playwright: Playwright, spoken: Path, site: Site) -> Iterator[Page]:
    browser = launch(playwright, *microphone_arguments(spoken))
    context = browser.new_context(permissions=["microphone"])
    context.set_default_timeout(1000 * PATIENCE_S)
    page, problems = context.new_page(), []
    watch(page, problems)
    page.goto(site.url)
    yield page
    browser.close()
    assert problems == []


def test_what_is_said_is_shown_before_it_is_final(page: Page, site: Site) -> None:
    page.select_option("#language", label="German")
    page.click("#speak")
    expect(page.locator(".partial")).to_have_text(["Hello", "Hello"])  # the line, and the words in it
    page.wait_for_timeout(1500)
    page.click("#stop")
    expect(page.locator("#segments p")).to_have_text(["Hello there."])
    expect(page.locator(".partial")).to_have_count(0)
    expect(page.locator("#again")).to_be_visible()
    work = site.workers.stream_works[0]
    assert (work.options.language, work.sample_rate) == ("de", 16_000)
    # What was said can be heard again, word by word.
    page.click("#segments .word >> nth=1")
    expect(page.locator("#play")).to_have_attribute("aria-label", "Pause")
    expect(page.locator("#segments .now")).to_have_count(1)


# A second of a tone through the page's own audio module, in no real time.
RESAMPLE = """async ([rate, frequency]) => {
  const context = new OfflineAudioContext(1, 1.2 * rate, rate);
  await context.audioWorklet.addModule("/playground/pcm.js");
  const worklet = new AudioWorkletNode(context, "pcm", { numberOfOutputs: 0 });
  const heard = [];
  worklet.port.onmessage = ({ data }) => heard.push(...data);
  const tone = new OscillatorNode(context, { frequency });
  tone.connect(worklet);
  tone.start();
  await context.startRendering();
  await new Promise((resolve) => setTimeout(resolve, 200));  // for the last messages
  return heard;
}"""


@pytest.mark.parametrize("rate", [44_100, 48_000, 96_000, 16_000])
def test_whatever_rate_a_microphone_has_a_tone_stays_a_tone(visit: Visit, site: Site, rate: int) -> None:
    samples = np.array(visit(site.url).evaluate(RESAMPLE, [rate, 440]), float)[-16_000:]
    assert len(samples) == 16_000
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples)))) ** 2
    assert spectrum[438:443].sum() / spectrum.sum() > 0.9999  # Hz: a second of samples
    assert abs(samples).max() == pytest.approx(32_767, rel=0.01)


def test_what_sixteen_kilohertz_cannot_hold_is_left_out(visit: Visit, site: Site) -> None:
    page = visit(site.url)
    loudness = [np.std(np.array(page.evaluate(RESAMPLE, [48_000, tone]), float)[1600:]) for tone in (1_000, 9_500)]
    assert 20 * math.log10(loudness[1] / loudness[0]) < -40


@pytest.mark.parametrize(
    ("code", "status", "title"),
    [
        ("too_many_streams", 429, "Too many people are speaking"),
        ("worker_died", 503, "Something went wrong in the service"),
    ],
)
def test_a_stream_that_fails_says_why_and_can_be_tried_again(
    page: Page, site: Site, code: str, status: int, title: str
) -> None:
    site.workers.failure = ApiError(status, code, "Not now.")
    page.click("#speak")
    expect(page.locator("#error-title")).to_have_text(title)
    site.workers.failure = None
    page.click("#error-retry")
    expect(page.locator(".partial").first).to_have_text("Hello")
    page.click("#stop")
    expect(page.locator("#segments p")).to_have_text(["Hello there."])


def test_a_connection_that_breaks_keeps_the_words_and_the_sound(page: Page, site: Site) -> None:
    from service_fakes import STREAM_WORDS

    from asr.streaming import Final

    page.click("#speak")
    page.wait_for_selector(".partial")
    stream = site.workers.streams[0]
    stream.show(Final(words=STREAM_WORDS), RuntimeError("the connection"))
    expect(page.locator("#error")).to_be_visible()
    expect(page.locator("#segments p")).to_have_text(["Hello there."])
    expect(page.locator("#player")).to_be_visible()
