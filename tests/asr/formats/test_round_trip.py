"""What is written is read again: subtitles by pysubs2, the two small formats by parsers of a few lines."""

import re
from collections.abc import Callable
from dataclasses import replace

import pysubs2
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from asr.formats import Layout, render
from asr.transcript import Transcript

Make = Callable[..., Transcript]
Cues = list[tuple[float, float, str]]

STEPS = st.lists(
    st.tuples(
        st.floats(0, 10), st.floats(0.001, 30), st.text(st.characters(exclude_categories=["Cs", "Cc"])),
    ),
    max_size=20,
)  # fmt: skip
NASTY = st.text(st.sampled_from("a1 -><&{}\\N\r\n\t\x00\x0b\x1b\x85\u2028\ufeff\u200fאب今é:,.[]"), max_size=30)
LAYOUTS = st.sampled_from(
    [Layout(), Layout(max_line_width=10), Layout(max_words_per_line=2), Layout(max_line_width=7, max_line_count=2)]
)


def placed(steps: list[tuple[float, float, str]]) -> Cues:
    cues, now = [], 0.0
    for pause, length, text in steps:
        cues.append((now + pause, now + pause + length, text))
        now += pause + length
    return cues


def lines_of(text: str) -> list[str]:
    text = re.sub("[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\ufeff]", "", text)
    return [line for raw in text.splitlines() if (line := re.sub("[\t\x1f]", " ", raw).strip())]


def read_with_pysubs2(text: str, format_: str) -> Cues:
    if not text:
        return []  # pysubs2 wants a cue
    # pysubs2 takes any line with two times for the head of a cue.
    text = re.sub(r"<\d\d+:\d\d:\d\d\.\d{3}>", "", text)
    subtitles = pysubs2.SSAFile.from_string(text, format_=format_, keep_html_tags=True)
    found = [(event.start / 1000, event.end / 1000, event.text.replace("\\N", "\n")) for event in subtitles]
    if format_ == "vtt":
        bare = ((start, end, re.sub("<[^>]*>", "", text)) for start, end, text in found)
        return [(start, end, text.replace("&lt;", "<").replace("&amp;", "&")) for start, end, text in bare]
    return found


def without_arrows(text: str) -> str:
    return re.sub("--+>", "->", text)


@pytest.mark.parametrize("format_", ["srt", "vtt"])
@given(steps=STEPS)
def test_subtitles_come_back(transcript: Make, format_: str, steps: list[tuple[float, float, str]]):
    cues = [cue for cue in placed(steps) if lines_of(cue[2])]
    assume(not any(re.search(r"\n *\d+ *$", "\n".join(lines_of(text))) for _, _, text in cues))  # taken for an index
    assume("\\N" not in "".join(text for _, _, text in cues))  # how pysubs2 writes a line break
    read = read_with_pysubs2(render(transcript(*cues), format_), format_)
    assert len(read) == len(cues)
    for (start, end, text), (read_start, read_end, read_text) in zip(cues, read, strict=True):
        assert read_start == pytest.approx(start, abs=0.00051)
        assert read_end == pytest.approx(end, abs=0.00151)
        assert read_text == without_arrows("\n".join(lines_of(text)))


@pytest.mark.parametrize("format_", ["srt", "vtt"])
@given(texts=st.lists(NASTY, min_size=1, max_size=5), layout=LAYOUTS)
def test_no_text_breaks_the_file(transcript: Make, format_: str, texts: list[str], layout: Layout):
    cues = [(10.0 * place, 10.0 * place + 5, text) for place, text in enumerate(texts)]
    text = render(transcript(*cues), format_, layout)
    blocks = [block for block in text.removeprefix("WEBVTT\n").strip("\n").split("\n\n") if block]
    kept = [cue for cue in cues if lines_of(cue[2])]
    assert len(blocks) >= len(kept)
    assert text.count("-->") == len(blocks)
    assert all("-->" in block.split("\n")[1 if format_ == "srt" else 0] for block in blocks)
    shown = "".join("".join(block.split("\n")[2 if format_ == "srt" else 1 :]) for block in blocks)
    if format_ == "vtt":
        shown = shown.replace("&lt;", "<").replace("&amp;", "&")
    # Where a line ends inside an arrow it needs no change; characters apart from white space and dashes all come back.
    expected = "".join("".join(lines_of(text)) for _, _, text in kept)
    assert re.sub(r"[\s-]", "", shown) == re.sub(r"[\s-]", "", expected)
    assert "\r" not in text
    assert "\x00" not in text


WORDS = st.lists(
    st.tuples(st.floats(0, 2), st.floats(0, 2), st.sampled_from([" word", " <b>", " a&b", "今", " 7", " é,"])),
    min_size=1,
    max_size=12,
)


@given(WORDS, LAYOUTS)
def test_word_cues_come_back(spoken: Make, steps: list[tuple[float, float, str]], layout: Layout):
    words = placed(steps)
    text = render(spoken(*words), "vtt", layout)
    shown = "".join(shown_text for _, _, shown_text in read_with_pysubs2(text, "vtt"))
    assert "".join(shown.split()) == "".join(word.strip() for _, _, word in words)
    starts_ms = {round(start * 1000) for start, _, _ in words}
    for block in text.split("\n\n")[1:]:
        cue_times = [clock_ms(found) for found in re.findall(r"[\d:]+\.\d{3}", block.split("\n")[0])]
        tags = [clock_ms(found) for found in re.findall(r"<([\d:.]+)>", block)]
        assert [cue_times[0], *tags, cue_times[1]] == sorted({cue_times[0], *tags, cue_times[1]})
        assert all(min(abs(tag - start) for start in starts_ms) <= 1 for tag in tags)


def clock_ms(clock: str) -> int:
    hours, minutes, seconds = clock.split(":")
    return (int(hours) * 60 + int(minutes)) * 60_000 + int(seconds.replace(".", ""))


@given(STEPS)
def test_tables_come_back(transcript: Make, steps: list[tuple[float, float, str]]):
    cues = [cue for cue in placed(steps) if lines_of(cue[2])]
    header, *rows, last = render(transcript(*cues), "tsv").split("\n")
    assert (header, last) == ("start\tend\ttext", "")
    read = [row.split("\t") for row in rows]
    assert [text for _, _, text in read] == [" ".join(lines_of(text)) for _, _, text in cues]
    for (start, end, _), (start_ms, end_ms, _) in zip(cues, read, strict=True):
        assert int(start_ms) == pytest.approx(start * 1000, abs=0.51)
        assert int(end_ms) == pytest.approx(end * 1000, abs=1.51)


@given(STEPS)
def test_lyrics_come_back(transcript: Make, steps: list[tuple[float, float, str]]):
    cues = [cue for cue in placed(steps) if lines_of(cue[2])]
    read = [re.fullmatch(r"\[(\d+):(\d\d\.\d\d)\](.*)", line) for line in lines_between_newlines(transcript, cues)]
    assert [found[3].removeprefix(" ") for found in read if found] == [" ".join(lines_of(text)) for *_, text in cues]
    for (start, _, _), found in zip(cues, read, strict=True):
        assert found is not None
        assert int(found[1]) * 60 + float(found[2]) == pytest.approx(start, abs=0.0056)


def lines_between_newlines(transcript: Make, cues: Cues) -> list[str]:
    return render(transcript(*cues), "lrc").split("\n")[:-1]


@given(WORDS)
def test_word_times_of_lyrics_come_back(spoken: Make, steps: list[tuple[float, float, str]]):
    words = placed(steps)
    (line,) = render(spoken(*words), "lrc").splitlines()
    tags = re.findall(r"<(\d+):(\d\d\.\d\d)>", line)
    assert [int(minutes) * 60 + float(seconds) for minutes, seconds in tags] == [
        pytest.approx(start, abs=0.0056) for start, _, _ in words
    ]
    assert re.sub(r"[\[<]\d+:\d\d\.\d\d[\]>]", "", line) == "".join(text for _, _, text in words).strip()


def test_a_recording_of_more_than_99_hours(transcript: Make):
    long = transcript((400_000.0, 400_001.5, " Still talking."))
    assert "111:06:40.000 --> 111:06:41.500" in render(long, "vtt")
    assert read_with_pysubs2(render(long, "vtt"), "vtt") == [(400_000.0, 400_001.5, "Still talking.")]
    assert "111:06:40,000 --> 111:06:41,500" in render(long, "srt")
    assert render(replace(long, warnings=()), "lrc") == "[6666:40.00]Still talking.\n"
