import dataclasses

import pytest

from asr.decoding import DecodingResult
from asr.segments import split_segments

N_FRAMES = 3000


def result_of(tokenizer, pattern: str, **fields) -> DecodingResult:
    """ "0 ab 100" → <|0.00|>, the tokens of " ab", <|2.00|>: numbers are steps, words text, _ a lone space."""
    tokens: list[int] = []
    for part in pattern.split():
        if part.isdigit():
            tokens.append(tokenizer.timestamp_begin + int(part))
        else:
            tokens += tokenizer.encode(" " if part == "_" else " " + part)
    values = {
        "tokens": tuple(tokens), "text": "", "language": "en", "language_probs": {}, "avg_logprob": -0.25,
        "no_speech_prob": 0.125, "compression_ratio": 1.5, "temperature": 0.5,
    }  # fmt: skip
    return DecodingResult(**values | fields)


@pytest.mark.parametrize(
    ("pattern", "n_frames", "segments", "n_frames_done"),
    [
        # no timestamps: the window is one segment
        ("ab cd", 3000, [(0.0, 30.0, " ab cd")], 3000),
        ("ab", 1234, [(0.0, 12.34, " ab")], 1234),
        ("", 3000, [], 3000),
        # an opening alone tells nothing of the end
        ("0 ab", 3000, [(0.0, 30.0, " ab")], 3000),
        # one segment, its end the last token: nothing more is in the window
        ("0 ab 100", 3000, [(0.0, 2.0, " ab")], 3000),
        # pairs: the window is good up to the last complete one
        ("0 ab 100 100", 3000, [(0.0, 2.0, " ab")], 200),
        ("0 ab 100 100 cd", 3000, [(0.0, 2.0, " ab")], 200),
        ("10 ab 100 120 cd 200 200 ef", 3000, [(0.2, 2.0, " ab"), (2.4, 4.0, " cd")], 400),
        # pairs, and a single ending
        ("0 ab 100 120 cd 200", 3000, [(0.0, 2.0, " ab"), (2.4, 4.0, " cd")], 3000),
        # empty segments are left out, but move the window
        ("0 ab 100 100 150 150", 3000, [(0.0, 2.0, " ab")], 300),
        ("0 _ 100 100 cd 200 200", 3000, [(2.0, 4.0, " cd")], 400),
        # no length
        ("0 ab 50 50 cd 50 50", 3000, [(0.0, 1.0, " ab")], 100),
        ("_", 3000, [], 3000),
        # text first, as only a model without the timestamp rules says it
        ("ab 100 100 cd 200", 3000, [(0.0, 2.0, " ab"), (2.0, 4.0, " cd")], 3000),
    ],
)
def test_patterns(tokenizer, pattern, n_frames, segments, n_frames_done):
    split = split_segments(result_of(tokenizer, pattern), tokenizer, seek=0, n_frames=n_frames, first_id=0)
    assert [(segment.start, segment.end, segment.text) for segment in split.segments] == segments
    assert split.n_frames_done == n_frames_done
    assert [segment.id for segment in split.segments] == list(range(len(segments)))


def test_an_offset_moves_times_and_ids(tokenizer):
    result = result_of(tokenizer, "5 ab 100 120 cd 200 200")
    here = split_segments(result, tokenizer, seek=0, n_frames=N_FRAMES, first_id=0)
    there = split_segments(result, tokenizer, seek=123_456, n_frames=N_FRAMES, first_id=7)
    assert there.n_frames_done == here.n_frames_done
    for near, far in zip(here.segments, there.segments, strict=True):
        assert far.start == pytest.approx(near.start + 1234.56, abs=1e-9)
        assert far.end == pytest.approx(near.end + 1234.56, abs=1e-9)
        moved = dataclasses.replace(near, start=far.start, end=far.end, seek=123_456, id=near.id + 7)
        assert far == moved


def test_segments_carry_their_tokens_and_the_numbers_of_the_window(tokenizer):
    result = result_of(tokenizer, "0 ab 100 120 cd 200 200 ef")
    first, second = split_segments(result, tokenizer, seek=0, n_frames=N_FRAMES, first_id=0).segments
    assert first.tokens + second.tokens == result.tokens[: len(first.tokens) + len(second.tokens)]
    assert first.tokens[0] == tokenizer.timestamp_begin
    assert first.tokens[-1] == tokenizer.timestamp_begin + 100
    for segment in (first, second):
        for field in ("temperature", "avg_logprob", "compression_ratio", "no_speech_prob"):
            assert getattr(segment, field) == getattr(result, field)
