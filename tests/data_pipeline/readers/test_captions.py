import json

import pytest

from data_pipeline.readers.captions import MAX_CAPTION_BYTES, Captions, parse_captions
from data_pipeline.types import Drop

SRT = "1\n00:00:01,000 --> 00:00:02,500\n<i>Hello</i>\n\n2\n00:00:03,000 --> 00:00:04,000\nworld\n"
VTT = "WEBVTT\n\nNOTE by hand\n\nfirst\n00:01.000 --> 00:02.500 align:start\nHello\n\n00:03.000 --> 00:04.000\nworld\n"
HELLO = [(1.0, 2.5, "Hello"), (3.0, 4.0, "world")]
SEGMENTS = [{"start": start, "end": end, "text": text} for start, end, text in HELLO]
YOUTUBE = [{"start": start, "duration": end - start, "text": text} for start, end, text in HELLO]


@pytest.mark.parametrize(
    ("data", "format_"),
    [
        (SRT, "srt"),
        (SRT.replace("\n", "\r\n"), "srt"),
        ("\ufeff" + SRT, "srt"),
        (VTT, "vtt"),
        (json.dumps({"language": "english", "segments": SEGMENTS}), "json"),
        (json.dumps(SEGMENTS), "json"),
        (json.dumps(YOUTUBE), "json"),
    ],
)
def test_cues_are_read(data: str, format_: str):
    captions = parse_captions(data.encode(), format_)
    assert isinstance(captions, Captions)
    assert [(cue.start, cue.end, cue.text) for cue in captions.cues] == HELLO
    assert captions.timed


def test_utf_16_is_read():
    captions = parse_captions(SRT.encode("utf-16"), "srt")
    assert isinstance(captions, Captions)
    assert len(captions.cues) == 2


@pytest.mark.parametrize(("data", "format_"), [("Hello, world.", "txt"), ('{"text": "Hello, world."}', "json")])
def test_a_text_without_times_is_one_cue(data: str, format_: str):
    captions = parse_captions(data.encode(), format_)
    assert isinstance(captions, Captions)
    assert [cue.text for cue in captions.cues] == ["Hello, world."]
    assert not captions.timed


@pytest.mark.parametrize(("data", "format_"), [(b"", "srt"), (b"WEBVTT\n", "vtt"), (b" \n", "txt"), (b"[]", "json")])
def test_empty_captions_have_no_cues(data: bytes, format_: str):
    captions = parse_captions(data, format_)
    assert isinstance(captions, Captions)
    assert captions.cues == ()


@pytest.mark.parametrize(
    ("data", "format_", "reason"),
    [
        (b"<html>not found</html>", "vtt", "malformed_captions"),
        (b"garbage", "srt", "malformed_captions"),
        (SRT.replace("00:00:03,000", "later").encode(), "srt", "malformed_captions"),
        (SRT.encode()[:-20], "srt", "malformed_captions"),
        (b"a\x00b", "txt", "malformed_captions"),
        (b"\x00" * 64, "srt", "malformed_captions"),
        (b"{", "json", "malformed_captions"),
        (b"[" * 100_000, "json", "malformed_captions"),
        (b"3", "json", "malformed_captions"),
        (b'{"segments": 3}', "json", "malformed_captions"),
        (b'[{"start": NaN, "end": 1, "text": "x"}]', "json", "malformed_captions"),
        (b'[{"start": 0, "end": 1e999, "text": "x"}]', "json", "malformed_captions"),
        (b'[{"start": "0", "end": 1, "text": "x"}]', "json", "malformed_captions"),
        (b'[{"start": 0, "end": 1, "text": ["x"]}]', "json", "malformed_captions"),
        (b'[{"start": 0, "text": "x"}]', "json", "malformed_captions"),
        ("Grüße".encode("latin-1"), "txt", "captions_not_utf8"),
        (b"\xff\xfe\x00", "srt", "captions_not_utf8"),
        (b"x" * (MAX_CAPTION_BYTES + 1), "txt", "captions_too_large"),
    ],
)
def test_what_is_wrong_is_a_drop(data: bytes, format_: str, reason: str):
    captions = parse_captions(data, format_)
    assert isinstance(captions, Drop)
    assert captions.reason == reason
