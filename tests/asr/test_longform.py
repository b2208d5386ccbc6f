"""The walk through a recording, driven by results written by hand."""

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr.decoding import BeamSearch, DecodingResult, Greedy, Sampling
from asr.errors import AuricleError
from asr.longform import LongFormSession, Window
from asr.options import TranscribeOptions
from asr.tasks import Task
from asr.transcript import Segment

LADDER = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)


def result_of(tokenizer, pattern: str = "0 ab 100", **fields) -> DecodingResult:
    """ "0 ab 100" → <|0.00|>, the tokens of " ab", <|2.00|>; good unless fields say otherwise."""
    tokens: list[int] = []
    for part in pattern.split():
        tokens += [tokenizer.timestamp_begin + int(part)] if part.isdigit() else tokenizer.encode(" " + part)
    values = {
        "tokens": tuple(tokens), "text": "", "language": "en", "language_probs": {}, "avg_logprob": -0.3,
        "no_speech_prob": 0.01, "compression_ratio": 1.2, "temperature": 0.0,
    }  # fmt: skip
    return DecodingResult(**values | fields)


def next_window(session: LongFormSession) -> Window:
    window = session.next_window()
    assert window is not None
    return window


def take(session: LongFormSession, result: DecodingResult) -> list[Segment]:
    """Accept a result as if decoded at the temperature that was asked for."""
    window = next_window(session)
    return session.accept(window, dataclasses.replace(result, temperature=window.options.strategy.temperature))


UNLIKELY = {"avg_logprob": -1.5}
LOOP = {"compression_ratio": 3.0}


def test_the_window_moves_to_the_last_timestamp(tokenizer):
    session = LongFormSession(10_000, TranscribeOptions(language="en"), tokenizer)
    assert (next_window(session).seek, next_window(session).n_frames) == (0, 3000)
    assert [s.end for s in take(session, result_of(tokenizer, "0 ab 100 120 cd 1400 1400 ef"))] == [2.0, 28.0]
    assert next_window(session).seek == session.seek == 2800
    segments = take(session, result_of(tokenizer, "0 gh 500"))
    assert [(s.start, s.end, s.seek, s.id) for s in segments] == [(28.0, 38.0, 2800, 2)]
    assert next_window(session).seek == 5800
    take(session, result_of(tokenizer))
    assert (next_window(session).seek, next_window(session).n_frames) == (8800, 1200)
    take(session, result_of(tokenizer))
    assert session.next_window() is None


def test_an_empty_recording_has_no_window(tokenizer):
    assert LongFormSession(0, TranscribeOptions(), tokenizer).next_window() is None


@pytest.mark.parametrize(
    ("options", "fields", "skipped"),
    [
        ({}, {"no_speech_prob": 0.9, "avg_logprob": -1.5}, True),
        ({}, {"no_speech_prob": 0.9, "avg_logprob": -0.5}, False),  # said with confidence: it is speech
        ({}, {"no_speech_prob": 0.5, "avg_logprob": -0.5}, False),
        ({"no_speech_threshold": None}, {"no_speech_prob": 0.9, "avg_logprob": -0.5}, False),
        ({"logprob_threshold": None}, {"no_speech_prob": 0.9, "avg_logprob": -0.1}, True),
        ({}, {"no_speech_prob": 0.9, "avg_logprob": -1.5, "compression_ratio": 9.0}, True),
    ],
)
def test_silence_is_skipped_whole(tokenizer, options, fields, skipped):
    session = LongFormSession(5000, TranscribeOptions(language="en", **options), tokenizer)
    segments = take(session, result_of(tokenizer, "0 ab 100 100", **fields))
    assert (segments == []) == skipped
    assert session.seek == (3000 if skipped else 200)


@pytest.mark.parametrize("fields", [UNLIKELY, LOOP])
def test_the_ladder_is_climbed_and_its_last_step_accepted(tokenizer, fields):
    session = LongFormSession(6000, TranscribeOptions(language="en", seed=1), tokenizer)
    temperatures = []
    for _ in LADDER[:-1]:
        temperatures.append(next_window(session).options.strategy.temperature)
        assert take(session, result_of(tokenizer, **fields)) == []
        assert session.seek == 0
    temperatures.append(next_window(session).options.strategy.temperature)
    segments = take(session, result_of(tokenizer, **fields))
    assert tuple(temperatures) == LADDER
    assert [segment.temperature for segment in segments] == [1.0]
    assert next_window(session).options.strategy.temperature == 0.0


def test_a_good_result_ends_the_ladder(tokenizer):
    session = LongFormSession(6000, TranscribeOptions(language="en"), tokenizer)
    assert take(session, result_of(tokenizer, **LOOP)) == []
    assert [segment.temperature for segment in take(session, result_of(tokenizer))] == [0.2]
    assert (session.seek, next_window(session).options.strategy.temperature) == (3000, 0.0)


@pytest.mark.parametrize(
    ("options", "fields"),
    [
        ({"compression_ratio_threshold": None}, LOOP),
        ({"logprob_threshold": None}, UNLIKELY),
        ({"temperatures": (0.0,)}, LOOP | UNLIKELY),
        ({}, {"compression_ratio": 2.4, "avg_logprob": -1.0}),  # at the thresholds
    ],
)
def test_no_fallback(tokenizer, options, fields):
    session = LongFormSession(3000, TranscribeOptions(language="en", **options), tokenizer)
    assert len(take(session, result_of(tokenizer, **fields))) == 1
    assert session.next_window() is None


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, BeamSearch(beam_size=5)),
        ({"beam_size": 1}, Greedy()),
        (
            {"beam_size": 3, "patience": 2.0, "length_penalty": 0.5},
            BeamSearch(beam_size=3, patience=2.0, length_penalty=0.5),
        ),
        ({"temperatures": (0.3,), "best_of": 2}, Sampling(temperature=0.3, best_of=2)),
    ],
)
def test_strategies(tokenizer, options, expected):
    session = LongFormSession(3000, TranscribeOptions(language="en", **options), tokenizer)
    assert next_window(session).options.strategy == expected


def test_options_reach_the_decoder(tokenizer):
    options = TranscribeOptions(language="de", task=Task.TRANSLATE, timestamps=False, max_initial_timestamp_s=0.5)
    window = next_window(LongFormSession(3000, options, tokenizer))
    assert (window.prompt.language, window.prompt.task, window.prompt.timestamps) == ("de", Task.TRANSLATE, False)
    assert window.options.max_initial_timestamp_s == 0.5


# --- context ---


def test_the_text_before_is_context(tokenizer):
    session = LongFormSession(9000, TranscribeOptions(language="en"), tokenizer)
    assert next_window(session).prompt.context == ()
    first = take(session, result_of(tokenizer, "0 ab 100 120 cd 200 200 ef"))
    assert next_window(session).prompt.context == first[0].tokens + first[1].tokens
    second = take(session, result_of(tokenizer, "0 gh 300"))
    assert next_window(session).prompt.context == first[0].tokens + first[1].tokens + second[0].tokens


def test_the_prompt_is_the_first_context_and_carried(tokenizer):
    session = LongFormSession(9000, TranscribeOptions(language="en", prompt="  Tolkien. "), tokenizer)
    prompt = tuple(tokenizer.encode(" Tolkien."))
    assert next_window(session).prompt.context == prompt
    segments = take(session, result_of(tokenizer))
    assert next_window(session).prompt.context == prompt + segments[0].tokens


def test_without_conditioning_only_the_first_window_hears_the_prompt(tokenizer):
    options = TranscribeOptions(language="en", prompt="Tolkien", condition_on_previous_text=False)
    session = LongFormSession(9000, options, tokenizer)
    assert next_window(session).prompt.context == tuple(tokenizer.encode(" Tolkien"))
    take(session, result_of(tokenizer))
    assert next_window(session).prompt.context == ()


@pytest.mark.parametrize(("temperature", "kept"), [(0.0, True), (0.5, True), (0.6, False), (1.0, False)])
def test_text_sampled_above_half_is_no_context(tokenizer, temperature, kept):
    options = TranscribeOptions(language="en", temperatures=(temperature,), prompt="Tolkien")
    session = LongFormSession(9000, options, tokenizer)
    segments = take(session, result_of(tokenizer))
    expected = (*tokenizer.encode(" Tolkien"), *segments[0].tokens) if kept else ()
    assert next_window(session).prompt.context == expected


def test_silence_leaves_the_context(tokenizer):
    session = LongFormSession(12_000, TranscribeOptions(language="en"), tokenizer)
    segments = take(session, result_of(tokenizer))
    assert take(session, result_of(tokenizer, no_speech_prob=0.9, **UNLIKELY)) == []
    assert next_window(session).prompt.context == segments[0].tokens


# --- language ---


def test_the_first_result_fixes_the_language(tokenizer):
    session = LongFormSession(9000, TranscribeOptions(), tokenizer)
    assert next_window(session).prompt.language is None
    take(session, result_of(tokenizer, language="de", language_probs={"de": 0.9, "en": 0.1}, **LOOP))
    assert next_window(session).prompt.language == "de"  # already at the second attempt
    take(session, result_of(tokenizer, language="fr", language_probs={"fr": 1.0}))
    assert (session.language, session.language_probs) == ("de", {"de": 0.9, "en": 0.1})


def test_a_given_language_stays(tokenizer):
    session = LongFormSession(9000, TranscribeOptions(language="es"), tokenizer)
    take(session, result_of(tokenizer, language="de"))
    assert (session.language, session.language_probs) == ("es", {})


# --- robustness ---


def test_the_result_of_another_window_is_refused(tokenizer):
    session = LongFormSession(9000, TranscribeOptions(language="en"), tokenizer)
    window = next_window(session)
    session.accept(window, result_of(tokenizer))
    with pytest.raises(AuricleError, match="at frame 0, expected frame 3000"):
        session.accept(window, result_of(tokenizer))


def seeds_of(tokenizer, seed: int | None) -> list[int | None]:
    session = LongFormSession(9000, TranscribeOptions(language="en", seed=seed), tokenizer)
    found = []
    while (window := session.next_window()) is not None:
        if isinstance(window.options.strategy, Sampling):
            found.append(window.options.strategy.seed)
        take(session, result_of(tokenizer, **UNLIKELY))
    return found


def test_every_attempt_and_window_has_its_own_reproducible_seed(tokenizer):
    seeds = seeds_of(tokenizer, 3)
    assert len(seeds) == 15  # five sampled attempts at each of three windows
    assert len(set(seeds)) == 15
    assert seeds_of(tokenizer, 3) == seeds
    assert seeds_of(tokenizer, 4) != seeds
    assert set(seeds_of(tokenizer, None)) == {None}


def test_a_window_of_no_progress_moves_on(tokenizer):
    session = LongFormSession(3000, TranscribeOptions(language="en"), tokenizer)
    take(session, result_of(tokenizer, "0 ab 0 0 cd"))
    assert session.seek == 2


PIECES = st.lists(st.one_of(st.integers(0, 1500), st.sampled_from(["ab", "cd", "ef"])), max_size=8)


@settings(max_examples=60, deadline=None)
@given(data=st.data(), n_frames=st.integers(0, 12_000))
def test_any_results_lead_to_the_end(tokenizer, data, n_frames):
    session = LongFormSession(n_frames, TranscribeOptions(seed=0, temperatures=(0.0, 0.8)), tokenizer)
    segments: list[Segment] = []
    seeks = []
    while (window := session.next_window()) is not None:
        seeks.append(window.seek)
        assert 0 < window.n_frames <= 3000
        assert window.seek + window.n_frames <= n_frames
        if len(seeks) > 30:
            break  # slow progress is allowed, and tested above; here it would only take long
        # As the timestamp rules have it, times never fall.
        parts = data.draw(PIECES)
        times = iter(sorted(part for part in parts if isinstance(part, int)))
        pattern = " ".join(str(next(times)) if isinstance(part, int) else part for part in parts)
        fields = {
            "avg_logprob": data.draw(st.sampled_from([-0.2, -1.2])),
            "no_speech_prob": data.draw(st.sampled_from([0.1, 0.7])),
            "temperature": window.options.strategy.temperature,
        }
        segments += session.accept(window, result_of(tokenizer, pattern, **fields))
    assert seeks == sorted(seeks)
    assert all(seeks.count(seek) <= 2 for seek in seeks)  # one visit for each temperature
    assert [segment.id for segment in segments] == list(range(len(segments)))
    assert [segment.seek for segment in segments] == sorted(segment.seek for segment in segments)
    for segment in segments:
        assert segment.text.strip()
        assert 0 <= segment.start < segment.end <= segment.seek / 100 + 30 <= n_frames / 100 + 30
