"""Every format by hand."""

import json
import tracemalloc
from collections.abc import Callable
from dataclasses import replace

import pytest

from asr.errors import InvalidOptionError
from asr.formats import FORMATS, Layout, render, to_dict
from asr.transcript import Attempt, LanguageSpan, Quality, Segment, Suppressed, Timing, Transcript

Make = Callable[..., Transcript]


@pytest.fixture
def hand(transcript: Make) -> Transcript:
    return transcript((0.0, 1.25, " Hello, wörld."), (1.25, 1.3, "  "), (59.9996, 3661.5, " a --> b\n\n<i> & c"))


@pytest.fixture
def song(spoken: Make) -> Transcript:
    return spoken((60.0, 60.5, " When"), (61.236, 61.5, " the"), (61.5, 62.0, " truth,"))


def test_txt(hand: Transcript):
    assert render(hand, "txt") == "Hello, wörld.\na --> b <i> & c\n"


def test_srt(hand: Transcript):
    assert render(hand, "srt") == (
        "1\n00:00:00,000 --> 00:00:01,250\nHello, wörld.\n\n2\n00:01:00,000 --> 01:01:01,500\na -> b\n<i> & c\n"
    )


def test_vtt(hand: Transcript):
    assert render(hand, "vtt") == (
        "WEBVTT\n\n00:00:00.000 --> 00:00:01.250\nHello, wörld.\n"
        "\n00:01:00.000 --> 01:01:01.500\na -> b\n&lt;i> &amp; c\n"
    )


def test_vtt_words_light_up_as_they_are_spoken(song: Transcript):
    assert render(song, "vtt") == (
        "WEBVTT\n\n00:01:00.000 --> 00:01:02.000\nWhen<00:01:01.236><c> the</c><00:01:01.500><c> truth,</c>\n"
    )


def test_vtt_word_times_rise_and_lie_inside_the_cue(spoken: Make):
    text = render(spoken((1.0, 1.0, " a"), (1.0, 1.0, " b"), (2.0, 2.5, " <c>"), (1.5, 3, " d"), (3, 3, " e")), "vtt")
    assert text.splitlines()[-1] == "a<c> b</c><00:00:02.000><c> &lt;c></c><c> d</c><c> e</c>"


def test_tsv_is_openai_whisper_s(hand: Transcript):
    assert render(hand, "tsv") == "start\tend\ttext\n0\t1250\tHello, wörld.\n60000\t3661500\ta --> b <i> & c\n"


def test_tsv_rows_have_three_columns(transcript: Make):
    assert render(transcript((0, 1, " a\tb\r\nc")), "tsv").splitlines()[1] == "0\t1000\ta b c"


def test_lrc(hand: Transcript):
    assert render(hand, "lrc") == "[00:00.00]Hello, wörld.\n[01:00.00]a --> b <i> & c\n"


def test_lrc_words_and_minutes_beyond_an_hour(song: Transcript, transcript: Make):
    assert render(song, "lrc") == "[01:00.00]<01:00.00>When <01:01.24>the <01:01.50>truth,\n"
    assert render(transcript((6000.995, 6001, " x")), "lrc") == "[100:01.00]x\n"


def test_a_lyric_that_begins_with_a_bracket_is_no_tag(transcript: Make):
    assert render(transcript((0, 1, "[00:05.00] x")), "lrc") == "[00:00.00] [00:05.00] x\n"


def test_channels_are_named(transcript: Make, spoken: Make):
    heard = transcript((0, 1, " Hello?\nAnna here."), channel=1)
    label = "[channel 2] Hello?"
    assert render(heard, "txt") == f"{label} Anna here.\n"
    assert render(heard, "srt").splitlines()[2:] == [label, "Anna here."]
    assert render(heard, "vtt").splitlines()[3:] == ["<v Channel 2>Hello?", "Anna here."]
    assert render(heard, "tsv").splitlines()[1] == f"0\t1000\t{label} Anna here."
    assert render(heard, "lrc") == f"[00:00.00] {label} Anna here.\n"
    assert json.loads(render(heard, "json"))["segments"][0]["channel"] == 1
    timed = render(spoken((0, 1, " Hello"), (1, 2, " you"), channel=0), "vtt")
    assert timed.splitlines()[-1] == "<v Channel 1>Hello<00:00:01.000><c> you</c>"


def test_json_holds_everything(hand: Transcript):
    text = render(hand, "json")
    parsed = json.loads(text)
    assert "wörld" in text
    assert text.endswith("}\n")
    assert parsed == to_dict(hand)
    assert set(parsed) - {"text"} == set(Transcript.__dataclass_fields__)
    assert parsed["task"] == "transcribe"
    assert parsed["warnings"] == ["w"]
    assert len(parsed["segments"]) == 3
    assert set(parsed["segments"][0]) == set(Segment.__dataclass_fields__)
    assert parsed["segments"][0]["tokens"] == [1, 2]
    assert set(parsed["timing"]) == set(Timing.__dataclass_fields__)


def test_json_holds_the_evidence(song: Transcript):
    attempt = Attempt(
        temperature=0.0, with_context=True, heard_s=30.0, avg_logprob=-2.0, compression_ratio=3.0, no_speech_prob=0.1,
        rejected=("loop",),
    )  # fmt: skip
    removed = Suppressed(
        start=1.0, end=2.0, text=" Thanks!", reason="silence", avg_logprob=-1.5, compression_ratio=1.0,
        no_speech_prob=0.9,
    )  # fmt: skip
    segment = replace(song.segments[0], quality=Quality(flags=("loop",), attempts=(attempt,)))
    span = LanguageSpan(start=0.0, end=3.0, language="en", probability=0.9, channel=1)
    parsed = json.loads(render(replace(song, segments=(segment,), suppressed=(removed,), languages=(span,)), "json"))
    assert parsed["segments"][0]["quality"]["attempts"][0]["rejected"] == ["loop"]
    assert parsed["segments"][0]["words"][1] == {"word": " the", "start": 61.236, "end": 61.5, "probability": 0.5}
    assert (parsed["suppressed"][0]["text"], parsed["suppressed"][0]["reason"]) == (" Thanks!", "silence")
    assert parsed["languages"] == [{"start": 0.0, "end": 3.0, "language": "en", "probability": 0.9, "channel": 1}]


def test_an_empty_transcript(transcript: Make):
    rendered = {format_: render(transcript(), format_) for format_ in FORMATS if format_ != "json"}
    assert rendered == {"txt": "", "srt": "", "vtt": "WEBVTT\n", "tsv": "start\tend\ttext\n", "lrc": ""}


@pytest.mark.parametrize(
    ("time", "clock"),
    [(1.0005, "00:00:01,001"), (0.0004, "00:00:00,000"), (3599.9995, "01:00:00,000"), (360000.0, "100:00:00,000")],
)
def test_times_round_half_up_and_carry(transcript: Make, time: float, clock: str):
    assert render(transcript((time, time + 1, "x")), "srt").splitlines()[1].startswith(f"{clock} --> ")


def test_a_cue_lasts_at_least_a_millisecond(transcript: Make):
    assert "00:00:05.000 --> 00:00:05.001" in render(transcript((5.0, 5.0, "x")), "vtt")


def test_arrows_of_any_length(transcript: Make):
    for arrow in ("-->", "--->", "---->"):
        assert render(transcript((0, 1, f"a {arrow} b")), "srt").splitlines()[2] == "a -> b"


def test_what_no_format_can_hold_is_left_out(transcript: Make):
    heard = transcript((0, 1, "\ufeff a\x00\x1b[1m\x07b\rc\x0b\u2028d\x85"), (1, 2, "\ufeff\x00"))
    assert render(heard, "txt") == "a[1mb c d\n"
    assert render(heard, "srt").splitlines()[2:] == ["a[1mb", "c", "d"]
    assert json.loads(render(heard, "json"))["segments"][0]["text"] == heard.segments[0].text


def test_text_from_right_to_left_is_not_touched(transcript: Make):
    for text in ("\u200fשלום, world!\u200f", "مرحبا \u2067abc\u2069"):
        for format_ in ("txt", "srt", "vtt", "tsv", "lrc"):
            assert text in render(transcript((0, 1, " " + text)), format_)


@pytest.mark.parametrize("format_", FORMATS)
def test_another_format_is_refused_with_those_there_are(transcript: Make, format_: str):
    with pytest.raises(InvalidOptionError, match=f"got 'docx', expected one of .*{format_}") as caught:
        render(transcript(), "docx")
    assert caught.value.param == "format"


def test_a_limit_without_effect_is_refused(transcript: Make):
    with pytest.raises(InvalidOptionError, match="max_line_width: has no meaning in tsv, only in txt, srt") as caught:
        render(transcript(), "tsv", Layout(max_line_width=20))
    assert caught.value.param == "max_line_width"


def test_three_hours_render_in_little_memory(transcript: Make):
    heard = transcript(*((start, start + 2.0, " Some words that were said.") for start in range(0, 10800, 3)))
    tracemalloc.start()
    assert render(heard, "srt", Layout(max_line_width=12, max_line_count=2)).count("-->") == 2 * 3600
    assert tracemalloc.get_traced_memory()[1] < 20 * 2**20
    tracemalloc.stop()
