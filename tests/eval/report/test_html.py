import base64
import io
import re
from collections import Counter
from html.parser import HTMLParser

import pytest

from asr.audio import load_audio
from eval.report.assemble import make_report
from eval.report.document import percent
from eval.report.html import count_steps, render_html
from eval.report.players import NoPlayer, Player, make_player

HOSTILE = '<script>alert("heard")</script>'
VOID = {"meta", "link", "img", "br", "hr", "input", "source"}
LANGUAGES = (("a", "en", "x", "en", "en"), ("b", "de", "x", "de", "nl"), ("c", "de", "x", "de", "de"))
TRANSLATED = (("t-1", "fr", "sentences", "the cat is black", "the cat is dark"), ("t-2", "es", "sentences", "a", None))


class Page(HTMLParser):
    """Every element with its attributes, and whether tags are balanced."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.open: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)

    def attributes(self, name: str) -> list[str]:
        return [value or "" for _, attrs in self.elements for key, value in attrs.items() if key == name]


@pytest.fixture
def folders(write_run, write_study):
    return (
        write_run(),
        write_run("detect-language", LANGUAGES, name="languages"),
        write_run("translate", TRANSLATED, name="translations"),
        write_study(),
    )


def test_the_page_asks_for_nothing(as_html, folders):
    html = as_html(*folders, audio=True)
    page = Page(html)
    assert not page.open
    for name in ("src", "href", "xlink:href", "action", "data", "poster", "srcset"):
        assert all(value.startswith(("data:audio/webm;base64,", "#")) for value in page.attributes(name))
    assert not re.search(r"@import|url\((?!#)", html)
    policy = next(attrs["content"] for tag, attrs in page.elements if tag == "meta" and "http-equiv" in attrs)
    assert policy.startswith("default-src 'none'")


def test_every_kind_of_run_has_its_chapter(as_html, folders):
    html = as_html(*folders)
    text = re.sub(r"\s+", " ", " ".join(Page(html).text))
    for heading in ("By corpus", "By language", "By length", "Beside the paper", "Languages", "Time", "Noise"):
        assert f" {heading} " in text
    assert "Every run" in text
    assert 'href="#run-4"' in html


def test_every_groups_rate_is_in_the_page(as_html, write_run, scored):
    folder = write_run()
    scores, text = scored(folder).scores, " ".join(Page(as_html(folder)).text)
    groups = {**scores.languages, **scores.datasets, **scores.dataset_languages, **scores.lengths}
    assert len(groups) >= 9
    for name, group in groups.items():
        assert name in text
        assert percent(group.counts.rate) in text


def test_hostile_text_stays_text(as_html, write_run):
    hostile = ((HOSTILE, "en", HOSTILE, HOSTILE, HOSTILE + " and more"), ("failed", "en", "x", "a b", None))
    html = as_html(write_run(clips=hostile, model=HOSTILE, corpus=HOSTILE))
    page = Page(html)
    assert sum(tag == "script" for tag, _ in page.elements) == 1  # the page's own
    assert html.count("<script") == 1
    assert "&lt;script&gt;" in html


def test_alignments_follow_the_script(as_html, write_run):
    page = Page(as_html(write_run()))
    aligned = [attrs for tag, attrs in page.elements if tag == "p" and "pairs" in (attrs.get("class") or "")]
    assert len(aligned) == 5  # the clips with errors
    assert {attrs["dir"] for attrs in aligned} == {"auto"}
    assert "ar" in {attrs["lang"] for attrs in aligned}
    marks = Counter(attrs.get("title") for tag, attrs in page.elements if tag == "span")
    assert marks["substitute"] >= 4
    assert marks["delete"] >= 1


def test_ids_are_unique_and_links_lead_somewhere(as_html, folders):
    page = Page(as_html(*folders))
    ids = page.attributes("id")
    assert len(ids) == len(set(ids))
    targets = [value[1:] for name in ("href", "xlink:href") for value in page.attributes(name) if value[0] == "#"]
    assert set(targets) <= set(ids)
    named = " ".join(page.attributes("aria-labelledby")).split()
    assert named
    assert set(named) <= set(ids)


def test_the_sound_in_the_page_decodes(as_html, write_run):
    sounds = [attrs["src"] for tag, attrs in Page(as_html(write_run(), audio=True)).elements if tag == "audio"]
    assert len(sounds) == 5
    waveform = load_audio(io.BytesIO(base64.b64decode(sounds[0].partition(",")[2])))
    assert waveform.duration == pytest.approx(0.5, abs=0.03)
    assert abs(waveform.samples).max() > 0.1


def test_without_audio_there_is_no_player(as_html, write_run):
    assert "<audio" not in as_html(write_run(), audio=False)


def test_a_long_clip_is_cut(make_tone):
    player = make_player(make_tone(31.0))
    assert isinstance(player, Player)
    assert player.is_cut
    assert player.duration == 31.0
    played = load_audio(io.BytesIO(base64.b64decode(player.uri.partition(",")[2])))
    assert played.duration == pytest.approx(30.0, abs=0.03)
    assert len(player.uri) < 200_000


@pytest.mark.parametrize(("content", "reason"), [(None, "is not there"), (b"not audio at all", "cannot be decoded")])
def test_what_cannot_be_played_says_why(tmp_path, content, reason):
    path = tmp_path / "clip.wav"
    if content is not None:
        path.write_bytes(content)
    player = make_player(path)
    assert isinstance(player, NoPlayer)
    assert reason in player.reason


def test_failed_clips_are_named(as_html, write_run):
    html = as_html(write_run(clips=(("gone", "en", "x", "a b", None), ("here", "en", "x", "a b", "a b"))))
    assert "Failed clips" in html
    assert "undecodable_audio" in html
    assert "1 clip failed" in html


def test_steps_are_counted_beforehand(scored, folders):
    report = make_report([scored(folder) for folder in folders], title="A report", n_worst=2)
    steps: list[str] = []
    render_html(report, with_audio=False, on_step=steps.append)
    assert len(steps) == count_steps(report) > 4


def test_runs_of_one_title_are_told_apart(as_html, write_run):
    html = as_html(write_run(name="first"), write_run(name="second"))
    assert "base on corpus/manifest.jsonl (first)" in html
    assert "base on corpus/manifest.jsonl (second)" in html


def test_where_nobody_speaks_the_invented_words_come_first(scored, write_run):
    silence = (("s-1", None, "noise", "", "thank you"), ("s-2", None, "noise", "", ""))
    report = make_report([scored(write_run(clips=silence))], title="A report", n_worst=5)
    assert report.chapters[0].figures[0].name == "Invented words"
    assert "By length" not in [section.heading for section in report.chapters[0].sections]
