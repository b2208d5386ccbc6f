"""Words from placed tokens; every token of the test tokenizer is one byte, so that characters span tokens."""

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from asr.audio import load_audio
from asr.decoding import BeamSearch, DecodeRequest, DecodingOptions, DecodingResult, TokenTime
from asr.errors import AuricleError
from asr.features import HOP_LENGTH, N_SAMPLES, log_mel_spectrogram
from asr.prompt import TaskPrompt
from asr.segments import split_segments
from asr.transcript import Word
from asr.words import snap_words, words_of_segments

STEP_S = 0.1  # of a token
shares_fixtures = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


def result_of(tokens, times=None) -> DecodingResult:
    n_text = sum(token < 50257 for token in tokens)
    times = times or [TokenTime(start=i * STEP_S, end=(i + 1) * STEP_S, probability=0.5) for i in range(n_text)]
    return DecodingResult(
        tokens=tuple(tokens), text="", language="en", language_probs={}, avg_logprob=-0.25, no_speech_prob=0.0,
        compression_ratio=1.0, temperature=0.0, token_times=tuple(times),
    )  # fmt: skip


def segments_of(result, tokenizer, n_frames=3000):
    return split_segments(result, tokenizer, seek=0, n_frames=n_frames, language="en").segments


def words_of(tokenizer, text: str, language: str = "en", **places) -> list[Word]:
    result = result_of(tokenizer.encode(text))
    segments = segments_of(result, tokenizer)
    (words,) = words_of_segments(
        segments, result, tokenizer, language=language, **{"offset": 0.0, "end": 3600.0} | places
    )
    return list(words)


@pytest.mark.parametrize(
    ("language", "text", "words"),
    [
        ("en", " Hello, world!", [" Hello,", " world!"]),
        ("en", "No space first", ["No", " space", " first"]),
        ("en", ' She said: "Yes." (Really?)', [" She", " said:", ' "Yes."', " (Really?)"]),
        ("en", " it's 1,000 dollars...", [" it", "'s", " 1", ",000", " dollars..."]),
        ("es", " ¿Qué tal? ¡Bien!", [" ¿Qué", " tal?", " ¡Bien!"]),
        ("en", " Wait - what", [" Wait", " - what"]),
        ("en", " ...", [" ..."]),
        ("en", ' He left "', [" He", " left", ' "']),
        ("en", " space after ", [" space", " after "]),
        ("zh", "A 你好 ", ["A", " 你", "好 "]),
        ("zh", "你好,“世界”。", ["你", "好,", "“世", "界”。"]),
        ("ja", "はい、そう", ["は", "い、", "そ", "う"]),
        ("th", "ดีA", ["ด", "ี", "A"]),
        ("en", " Ünlü çok 😀 İyi", [" Ünlü", " çok", " 😀", " İyi"]),
    ],
)
def test_splits(tokenizer, language, text, words):
    # One token a byte: a mark is always a token of its own, so "it's" is cut as it would be if the model spelled it.
    assert [word.word for word in words_of(tokenizer, text, language)] == words


texts = st.text(st.characters(codec="utf-8") | st.sampled_from(" .,\"'“¿([{-?!。”、你ी"), max_size=30)
languages = st.sampled_from(["en", "zh", "th"])


@shares_fixtures
@given(text=texts, language=languages)
def test_words_join_to_the_text(tokenizer, text, language):
    result = result_of(tokenizer.encode(text))
    segments = segments_of(result, tokenizer)
    placed = words_of_segments(segments, result, tokenizer, language=language, offset=0.0, end=30.0)
    for segment, words in zip(segments, placed, strict=True):
        assert "".join(word.word for word in words) == segment.text


@shares_fixtures
@given(tokens=st.lists(st.integers(0, 255) | st.integers(50364, 51864), max_size=40), language=languages)
def test_any_tokens_at_all(tokenizer, tokens, language):
    result = result_of(tokens)
    segments = segments_of(result, tokenizer)
    placed = words_of_segments(segments, result, tokenizer, language=language, offset=5.0, end=6.0)
    for segment, words in zip(segments, placed, strict=True):
        assert "".join(word.word for word in words) == segment.text
    edges = [edge for words in placed for word in words for edge in (word.start, word.end)]
    assert edges == sorted(edges)
    assert all(5.0 <= edge <= 6.0 for edge in edges)


def test_a_word_has_the_times_and_the_mean_probability_of_its_own_tokens(tokenizer):
    result = result_of(
        tokenizer.encode(" ab, c"),
        [
            TokenTime(start=start, end=end, probability=probability)
            for start, end, probability in [
                (0.0, 0.2, 0.25), (0.2, 0.4, 0.5), (0.4, 0.52, 0.75), (0.52, 1.0, 0.1), (1.0, 1.2, 1.0), (1.2, 1.4, 0.5)
            ]
        ],
    )  # fmt: skip
    segments = segments_of(result, tokenizer)
    (words,) = words_of_segments(segments, result, tokenizer, language="en", offset=100.0, end=101.3)
    assert words == (
        Word(word=" ab,", start=100.0, end=100.52, probability=0.5),
        Word(word=" c", start=101.0, end=101.3, probability=0.75),
    )


def test_segments_may_be_missing(tokenizer):
    begin = tokenizer.timestamp_begin
    parts = [
        [begin + i * 50, *tokenizer.encode(f" {letter * 2}"), begin + i * 50 + 50] for i, letter in enumerate("abcd")
    ]
    result = result_of([token for part in parts for token in part])
    segments = segments_of(result, tokenizer)
    assert len(segments) == 4
    placed = words_of_segments([segments[1], segments[3]], result, tokenizer, language="en", offset=0.0, end=30.0)
    assert [(word.word, word.start, word.end) for words in placed for word in words] == [
        (" bb", 0.3, 0.6), (" dd", 0.9, 1.2)
    ]  # fmt: skip


def test_a_segment_of_another_window(tokenizer):
    (segment,) = segments_of(result_of(tokenizer.encode(" one")), tokenizer)
    other = result_of(tokenizer.encode(" two"))
    with pytest.raises(AuricleError, match=r"segment 0 \(' one'\) is not part"):
        words_of_segments([segment], other, tokenizer, language="en", offset=0.0, end=1.0)


def timed(tokenizer, segments: list[tuple[float, str, float]], durations: list[float]) -> list[tuple[float, float]]:
    """Times of words, given each segment's predicted times and each token's (a sign's) duration."""
    begin = tokenizer.timestamp_begin
    tokens: list[int] = []
    for start, text, end in segments:
        tokens += [begin + round(start * 50), *tokenizer.encode(text), begin + round(end * 50)]
    times, place = [], 0.0
    for duration in durations:
        times.append(TokenTime(start=place, end=place + duration, probability=1.0))
        place += duration
    result = result_of(tokens, times)
    placed = words_of_segments(segments_of(result, tokenizer), result, tokenizer, language="zh", offset=0.0, end=30.0)
    return [(word.start, word.end) for words in placed for word in words]


def test_the_first_word_of_a_sentence_leaves_out_the_pause_before_it(tokenizer):
    times = timed(tokenizer, [(0.0, "ab.c", 4.0)], [0.2, 0.2, 0.2, 3.0])
    assert times == [(0.0, 0.2), (0.2, 0.4), (3.2, 3.6)]


def test_the_first_word_after_a_pause_leaves_it_out(tokenizer):
    assert timed(tokenizer, [(0.0, "abc", 3.4)], [3.0, 0.2, 0.2]) == [(2.6, 3.0), (3.0, 3.2), (3.2, 3.4)]


def test_the_first_two_words_after_a_pause_leave_it_out(tokenizer):
    times = timed(tokenizer, [(0.0, "abcde", 5.6)], [3.0, 2.0, 0.2, 0.2, 0.2])
    assert times[:3] == [(4.2, 4.6), (4.6, 5.0), (5.0, 5.2)]


def test_predicted_times_win_where_first_and_last_words_stick_out(tokenizer):
    times = timed(tokenizer, [(1.0, "abc", 2.0), (3.2, "d", 4.0)], [1.2, 0.4, 1.6, 0.3])
    # Both keep a typical duration, 0.7 s at most.
    assert times[:3] == [(0.5, 1.2), (1.2, 1.6), (1.6, 2.3)]


def word(start: float, end: float) -> Word:
    return Word(word=" w", start=start, end=end, probability=1.0)


@pytest.mark.parametrize(
    ("words", "speech", "snapped"),
    [
        ([(1.0, 2.0)], [], [(1.0, 2.0)]),
        ([(1.0, 2.0)], [(0.5, 2.5)], [(1.0, 2.0)]),
        ([(1.0, 2.0)], [(1.3, 1.8)], [(1.3, 1.8)]),
        ([(1.0, 2.0)], [(0.0, 1.2), (1.7, 3.0)], [(1.0, 2.0)]),
        ([(1.0, 2.0)], [(1.2, 1.4), (1.6, 1.8)], [(1.2, 1.8)]),
        # silence all through: up to speech that is near
        ([(1.0, 1.2)], [(1.5, 3.0)], [(1.5, 1.7)]),
        ([(1.0, 1.2)], [(1.5, 1.6)], [(1.5, 1.6)]),
        ([(1.0, 1.2)], [(0.0, 0.7)], [(0.5, 0.7)]),
        ([(1.0, 1.2)], [(0.0, 0.7), (1.3, 2.0)], [(1.3, 1.5)]),
        ([(1.0, 1.2)], [(0.0, 0.5), (1.7, 2.0)], [(1.0, 1.2)]),
        # as far as the neighbours let it
        ([(1.0, 1.2), (1.4, 1.8)], [(1.5, 3.0)], [(1.3, 1.5), (1.5, 1.8)]),
        ([(0.2, 0.6), (1.0, 1.2)], [(0.0, 0.7)], [(0.2, 0.6), (0.6, 0.8)]),
    ],
)
def test_snapping(words, speech, snapped):
    result = snap_words([word(*pair) for pair in words], speech)
    assert [(each.start, each.end) for each in result] == snapped


edges = st.lists(st.integers(0, 600).map(lambda i: i / 100), max_size=16, unique=True).map(sorted)


@given(word_edges=edges, speech_edges=edges)
def test_snapping_never_reorders(word_edges, speech_edges):
    words = [word(*pair) for pair in zip(word_edges[::2], word_edges[1::2], strict=False)]
    speech = list(zip(speech_edges[::2], speech_edges[1::2], strict=False))
    snapped = snap_words(words, speech)
    places = [edge for each in snapped for edge in (each.start, each.end)]
    assert places == sorted(places)
    for before, after in zip(words, snapped, strict=True):
        heard = [(a, b) for a, b in speech if a < before.end and before.start < b]
        if heard:
            assert (after.start, after.end) == (max(before.start, heard[0][0]), min(before.end, heard[-1][1]))
        assert abs(after.start - before.start) < max(0.5 + before.end - before.start, 0.5)


# openai-whisper 20250625 on the same weights in float32: beam 5, temperature 0, word_timestamps.
JFK = [
    (" And", 0.0, 0.52), (" so,", 0.52, 0.84), (" my", 1.06, 1.2), (" fellow", 1.2, 1.56), (" Americans,", 1.56, 2.1),
    (" ask", 3.3, 3.74), (" not", 3.74, 4.24), (" what", 4.24, 5.52), (" your", 5.52, 5.76), (" country", 5.76, 6.24),
]  # fmt: skip


@pytest.mark.weights
def test_word_times_are_the_reference_implementations(shared, base):
    waveform = load_audio(shared / "golden" / "audio" / "jfk-jfk.flac")
    samples = torch.from_numpy(waveform.samples)
    n_frames = len(samples) // HOP_LENGTH
    mel = log_mel_spectrogram(samples, n_mels=base.n_mels, padding_samples=N_SAMPLES)[:, :n_frames]
    options = DecodingOptions(strategy=BeamSearch(beam_size=5), token_times=True)
    request = DecodeRequest(mel=mel, prompt=TaskPrompt(language="en"), options=options)
    (result,) = base.engine.decode([request])
    segments = segments_of(result, base.tokenizer, n_frames)
    placed = words_of_segments(segments, result, base.tokenizer, language="en", offset=0.0, end=waveform.duration)
    words = [word for words in placed for word in words]
    assert [word.word for word in words[: len(JFK)]] == [text for text, _, _ in JFK]
    for word, (text, start, end) in zip(words, JFK, strict=False):
        assert (word.start, word.end) == pytest.approx((start, end), abs=0.041), text
