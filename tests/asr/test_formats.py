"""Formats by hand, and subtitles parsed back."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr.errors import InvalidOptionError
from asr.formats import FORMATS, render, to_dict
from asr.tasks import Task
from asr.transcript import Segment, Timing, Transcript


def transcript(*cues: tuple[float, float, str]) -> Transcript:
    segments = tuple(
        Segment(
            id=index,
            seek=0,
            start=start,
            end=end,
            text=text,
            tokens=(1, 2),
            temperature=0.0,
            avg_logprob=-0.5,
            compression_ratio=1.5,
            no_speech_prob=0.01,
        )
        for index, (start, end, text) in enumerate(cues)
    )
    return Transcript(task=Task.TRANSCRIBE, language="en", duration=90.0, segments=segments, warnings=("w",))


HAND = transcript((0.0, 1.25, " Hello, wörld."), (1.25, 1.3, "  "), (59.9996, 3661.5, " a --> b\n\n<i> & c"))


def test_txt():
    assert render(HAND, "txt") == "Hello, wörld.\na --> b <i> & c\n"


def test_srt():
    assert render(HAND, "srt") == (
        "1\n00:00:00,000 --> 00:00:01,250\nHello, wörld.\n\n2\n00:01:00,000 --> 01:01:01,500\na -> b\n<i> & c\n"
    )


def test_vtt():
    assert render(HAND, "vtt") == (
        "WEBVTT\n\n00:00:00.000 --> 00:00:01.250\nHello, wörld.\n"
        "\n00:01:00.000 --> 01:01:01.500\na -> b\n&lt;i> &amp; c\n"
    )


def test_json_holds_everything():
    text = render(HAND, "json")
    parsed = json.loads(text)
    assert "wörld" in text
    assert text.endswith("}\n")
    assert parsed == json.loads(json.dumps(to_dict(HAND)))
    assert set(parsed) == {
        "text", "task", "language", "language_probs", "duration", "segments", "warnings", "timing",
    }  # fmt: skip
    assert parsed["task"] == "transcribe"
    assert parsed["warnings"] == ["w"]
    assert len(parsed["segments"]) == 3
    assert set(parsed["segments"][0]) == set(Segment.__dataclass_fields__)
    assert parsed["segments"][0]["tokens"] == [1, 2]
    assert set(parsed["timing"]) == set(Timing.__dataclass_fields__)


def test_an_empty_transcript():
    assert [render(transcript(), format_) for format_ in ("txt", "srt", "vtt")] == ["", "", "WEBVTT\n"]


@pytest.mark.parametrize(
    ("time", "clock"),
    [(1.0005, "00:00:01,001"), (0.0004, "00:00:00,000"), (3599.9995, "01:00:00,000"), (360000.0, "100:00:00,000")],
)
def test_times_round_half_up_and_carry(time: float, clock: str):
    assert render(transcript((time, time + 1, "x")), "srt").splitlines()[1].startswith(f"{clock} --> ")


def test_a_cue_lasts_at_least_a_millisecond():
    assert "00:00:05.000 --> 00:00:05.001" in render(transcript((5.0, 5.0, "x")), "vtt")


def test_arrows_of_any_length():
    for arrow in ("-->", "--->", "---->"):
        assert render(transcript((0, 1, f"a {arrow} b")), "srt").splitlines()[2] == "a -> b"


def test_another_format_is_refused():
    with pytest.raises(InvalidOptionError, match="txt, json, srt, vtt") as caught:
        render(HAND, "docx")
    assert caught.value.param == "format"


CUE = re.compile(r"(?:(\d+)\n)?(\d+):(\d\d):(\d\d)[,.](\d{3}) --> (\d+):(\d\d):(\d\d)[,.](\d{3})\n((?:.+\n)+)")


def parse(text: str) -> list[tuple[float, float, str]]:
    cues = []
    for found in CUE.finditer(text):
        numbers = [int(group) for group in found.groups()[1:9]]
        start, end = ((h * 60 + m) * 60 + s + ms / 1000 for h, m, s, ms in (numbers[:4], numbers[4:]))
        cues.append((start, end, found[10].removesuffix("\n")))
    return cues


@given(
    st.lists(
        st.tuples(st.floats(0, 10), st.floats(0.001, 30), st.text(st.characters(exclude_categories=["Cs", "Cc"]))),
        max_size=20,
    )
)
def test_subtitles_parse_back(steps: list[tuple[float, float, str]]):
    cues, now = [], 0.0
    for pause, length, text in steps:
        cues.append((now + pause, now + pause + length, text))
        now += pause + length
    kept = [cue for cue in cues if cue[2].strip()]
    for format_ in ("srt", "vtt"):
        assert format_ in FORMATS
        parsed = parse(render(transcript(*cues), format_))
        assert len(parsed) == len(kept)
        for (start, end, text), (parsed_start, parsed_end, parsed_text) in zip(kept, parsed, strict=True):
            assert parsed_start == pytest.approx(start, abs=0.00051)
            assert parsed_end == pytest.approx(end, abs=0.00151)
            expected = "\n".join(line.strip() for line in text.splitlines() if line.strip())
            if format_ == "vtt":
                parsed_text = parsed_text.replace("&lt;", "<").replace("&amp;", "&")  # noqa: PLW2901
            assert parsed_text == re.sub("--+>", "->", expected)
