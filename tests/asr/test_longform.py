"""Sessions of every plan, driven by results written by hand."""

import dataclasses
import json
import random
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from asr.decoding import BeamSearch, DecodingResult, Greedy, Sampling
from asr.errors import AuricleError, InvalidOptionError
from asr.longform import LOOK_AHEAD_SLOTS, LongFormSession, Window
from asr.options import AudioContext, Plan, TranscribeOptions
from asr.quality import LOST_SPEECH
from asr.tasks import Task
from asr.tokenizer import Tokenizer
from asr.transcript import Segment, Word
from asr.voice_activity import VoiceActivity

LADDER = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)


@pytest.fixture(autouse=True)
def _words_fill_segments(monkeypatch) -> None:
    """Words of one length, so that speech in a segment has text; where words are placed has tests of its own."""

    def place(segments: Sequence[Segment], *args: object, **kwargs: object) -> list[tuple[Word, ...]]:
        placed = []
        for segment in segments:
            texts = re.findall(r"\s*\S+", segment.text)
            length = (segment.end - segment.start) / max(len(texts), 1)
            starts = [segment.start + i * length for i in range(len(texts))]
            placed.append(
                tuple(
                    Word(start=start, end=start + length, word=text, probability=0.9)
                    for start, text in zip(starts, texts, strict=True)
                )
            )
        return placed

    monkeypatch.setattr("asr.walk.words_of_segments", place)


@pytest.fixture(scope="module")
def session_of(tokenizer) -> Callable[..., LongFormSession]:
    def build(n_frames: int, activity: VoiceActivity | None = None, **options) -> LongFormSession:
        return LongFormSession(n_frames, TranscribeOptions(**{"language": "en"} | options), tokenizer, activity)

    return build


class One:
    """The sequential plan has one window at a time; ``take`` answers it and gives what became final."""

    def __init__(self, session: LongFormSession) -> None:
        self.session = session
        self._window: Window | None = None

    @property
    def window(self) -> Window | None:
        if self._window is None:
            windows = self.session.next_windows(8)
            self._window = windows[0] if windows else None
            assert len(windows) <= 1
        return self._window

    def take(self, result: DecodingResult) -> list[Segment]:
        """Accept a result as if decoded at the temperature that was asked for."""
        window, self._window = self.window, None
        self.session.accept(window, dataclasses.replace(result, temperature=window.options.strategy.temperature))
        return self.session.pop_segments()


@pytest.fixture(scope="module")
def sequential(session_of) -> Callable[..., One]:
    return lambda n_frames, **options: One(session_of(n_frames, plan=Plan.SEQUENTIAL, **options))


UNLIKELY = {"avg_logprob": -1.5}
LOOP = {"compression_ratio": 3.0}


def test_the_window_moves_to_the_last_timestamp(sequential, result_of):
    one = sequential(10_000)
    assert (one.window.seek, one.window.n_frames) == (0, 3000)
    assert [s.end for s in one.take(result_of("0 ab 100 120 cd 1400 1400 ef"))] == [2.0, 28.0]
    assert one.window.seek == one.session.done_frames == 2800
    segments = one.take(result_of("0 gh 500"))
    assert [(s.start, s.end, s.seek, s.id) for s in segments] == [(28.0, 38.0, 2800, 2)]
    assert one.window.seek == 5800
    one.take(result_of())
    assert (one.window.seek, one.window.n_frames) == (8800, 1200)
    one.take(result_of())
    assert one.window is None
    assert one.session.done_frames == 10_000


@pytest.mark.parametrize("plan", Plan)
@pytest.mark.parametrize("language", ["en", None])
def test_an_empty_recording_has_no_window(session_of, activity_of, plan, language):
    session = session_of(0, activity_of(), plan=plan, language=language)
    assert session.next_windows(8) == []
    assert (session.pop_segments(), session.suppressed, session.languages) == ([], [], ())


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
def test_silence_is_skipped_whole(sequential, result_of, options, fields, skipped):
    one = sequential(5000, **options)
    segments = one.take(result_of("0 ab 100 100", **fields))
    assert (segments == []) == skipped
    assert one.window.seek == (3000 if skipped else 200)


@pytest.mark.parametrize("fields", [UNLIKELY, LOOP])
def test_the_ladder_is_climbed_and_one_of_its_attempts_kept(sequential, result_of, fields):
    one = sequential(6000, seed=1)
    temperatures = []
    for _ in LADDER[:-1]:
        temperatures.append(one.window.options.strategy.temperature)
        assert one.take(result_of(**fields)) == []
        assert one.window.seek == 0
    temperatures.append(one.window.options.strategy.temperature)
    (segment,) = one.take(result_of(**fields))
    assert tuple(temperatures) == LADDER
    assert tuple(attempt.temperature for attempt in segment.quality.attempts) == LADDER
    assert one.window.options.strategy.temperature == 0.0


def test_a_good_result_ends_the_ladder(sequential, result_of):
    one = sequential(6000)
    assert one.take(result_of(**LOOP)) == []
    assert [segment.temperature for segment in one.take(result_of())] == [0.2]
    assert (one.window.seek, one.window.options.strategy.temperature) == (3000, 0.0)


@pytest.mark.parametrize(
    ("options", "fields"),
    [
        ({"compression_ratio_threshold": None}, LOOP),
        ({"logprob_threshold": None}, UNLIKELY),
        ({"temperatures": (0.0,)}, LOOP | UNLIKELY),
        ({}, {"compression_ratio": 2.4, "avg_logprob": -1.0}),  # at the thresholds
    ],
)
def test_no_fallback(sequential, result_of, options, fields):
    one = sequential(3000, **options)
    assert len(one.take(result_of(**fields))) == 1
    assert one.window is None


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
def test_strategies(sequential, options, expected):
    assert sequential(3000, **options).window.options.strategy == expected


def test_options_reach_the_decoder(sequential):
    window = sequential(
        3000, language="de", task=Task.TRANSLATE, timestamps=False, max_initial_timestamp_s=0.5, suppress_tokens=(7,)
    ).window
    assert (window.prompt.language, window.prompt.task, window.prompt.timestamps) == ("de", Task.TRANSLATE, False)
    assert window.options.max_initial_timestamp_s == 0.5
    assert window.options.suppress_tokens == (7,)
    assert not window.options.token_times
    assert sequential(3000, word_timestamps=True).window.options.token_times


# --- context ---


def test_the_text_before_is_context(sequential, result_of):
    one = sequential(9000)
    assert one.window.prompt.context == ()
    first = one.take(result_of("0 ab 100 120 cd 200 200 ef"))
    assert one.window.prompt.context == first[0].tokens + first[1].tokens
    second = one.take(result_of("0 gh 300"))
    assert one.window.prompt.context == first[0].tokens + first[1].tokens + second[0].tokens


def test_the_prompt_is_the_first_context_and_carried(sequential, result_of, tokenizer):
    one = sequential(9000, prompt="  Tolkien. ")
    prompt = tuple(tokenizer.encode(" Tolkien."))
    assert one.window.prompt.context == prompt
    segments = one.take(result_of())
    assert one.window.prompt.context == prompt + segments[0].tokens


def test_a_prompt_too_long_for_the_model_is_said(session_of):
    assert session_of(9000, prompt="x" * 222).warnings == ()
    [warning] = session_of(9000, prompt="x" * 300, hotwords=("yz",)).warnings
    assert warning == "prompt: got 301 tokens, the model is told the last 220"


def test_without_conditioning_only_the_first_window_hears_the_prompt(sequential, result_of, tokenizer):
    one = sequential(9000, prompt="Tolkien", condition_on_previous_text=False)
    assert one.window.prompt.context == tuple(tokenizer.encode(" Tolkien"))
    one.take(result_of())
    assert one.window.prompt.context == ()


@pytest.mark.parametrize(("temperature", "kept"), [(0.0, True), (0.5, True), (0.6, False), (1.0, False)])
def test_text_sampled_above_half_is_no_context(sequential, result_of, tokenizer, temperature, kept):
    one = sequential(9000, temperatures=(temperature,), prompt="Tolkien")
    segments = one.take(result_of())
    expected = (*tokenizer.encode(" Tolkien"), *segments[0].tokens) if kept else ()
    assert one.window.prompt.context == expected


def test_silence_leaves_the_context(sequential, result_of):
    one = sequential(12_000)
    segments = one.take(result_of())
    assert one.take(result_of(no_speech_prob=0.9, **UNLIKELY)) == []
    assert one.window.prompt.context == segments[0].tokens


def test_a_carried_prompt_outlives_what_is_forgotten(sequential, result_of, tokenizer):
    one = sequential(9000, prompt="Tolkien", carry_prompt=True, hotwords=("Frodo", " Sam "), temperatures=(0.8,))
    told = (*tokenizer.encode(" Frodo, Sam"), *tokenizer.encode(" Tolkien"))
    assert one.window.prompt.context == told
    one.take(result_of())
    assert one.window.prompt.context == told


@pytest.mark.parametrize(
    ("options", "param"),
    [
        ({"hotwords": ("x" * 111,)}, "hotwords"),  # with the space before it, a byte too many
        ({"prompt": "x" * 111, "carry_prompt": True}, "carry_prompt"),
        ({"prompt": "x" * 60, "carry_prompt": True, "hotwords": ("x" * 60,)}, "carry_prompt"),
    ],
)
def test_too_much_to_carry(session_of, options, param):
    with pytest.raises(InvalidOptionError, match="expected at most 111") as caught:
        session_of(3000, **options)
    assert caught.value.param == param


def test_special_tokens_in_hotwords_name_hotwords(session_of):
    with pytest.raises(InvalidOptionError, match="hotwords") as caught:
        session_of(3000, hotwords=("<|endoftext|>",))
    assert caught.value.param == "hotwords"


# --- language ---


def test_a_given_language_stays(sequential, result_of):
    one = sequential(9000, language="es")
    (segment,) = one.take(result_of(language="de"))
    assert segment.language == "es"
    assert (one.session.language, one.session.language_probs, one.session.languages) == ("es", {}, ())


def test_the_vote_of_several_windows_names_the_language(session_of, result_of, drive):
    session = session_of(12_000, language=None, plan=Plan.SEQUENTIAL)
    assert (session.language, session.language_probs) == (None, {})
    # The first 30 s are in another language than the rest.
    done = drive(session, lambda _: result_of(), lambda w: {"en": 0.1, "de": 0.9} if w.seek else {"en": 0.7, "de": 0.3})
    assert len(done.heard) == 4
    assert (session.language, set(session.language_probs)) == ("de", {"de", "en"})
    assert {window.prompt.language for window in done.windows} == {"de"}
    assert {segment.language for segment in done.segments} == {"de"}


@pytest.mark.parametrize("plan", Plan)
def test_only_allowed_languages_are_decoded(session_of, activity_of, result_of, drive, plan):
    activity = activity_of(*[(12.8, 0.9), (0.64, 0.0)] * 12)
    session = session_of(int(activity.duration * 100), activity, plan=plan, language=None, languages=("de", "fr"))
    done = drive(session, lambda _: result_of(), lambda w: {"en": 0.9, "de": 0.04, "fr": 0.06 if w.seek else 0.0})
    assert {window.prompt.language for window in done.windows} <= {"de", "fr"}
    assert {segment.language for segment in done.segments} <= {"de", "fr"}
    assert set(session.language_probs) == {"de", "fr"}


@pytest.mark.parametrize("plan", Plan)
def test_one_allowed_language_is_as_if_it_were_named(session_of, activity_of, result_of, drive, plan):
    activity = activity_of(*[(12.8, 0.9), (0.64, 0.0)] * 12)

    def run(**options):
        session = session_of(int(activity.duration * 100), activity, plan=plan, **options)
        assert session.language == "de"
        done = drive(session, lambda _: result_of(), lambda _: {"en": 0.9, "de": 0.1})
        assert (done.heard, session.language, session.language_probs, session.languages) == ([], "de", {}, ())
        return done

    allowed, named = run(language=None, languages=("German",)), run(language="de")
    assert (allowed.windows, allowed.segments) == (named.windows, named.segments)
    assert {window.prompt.language for window in allowed.windows} == {"de"}
    assert {segment.language for segment in allowed.segments} == {"de"}


@pytest.mark.parametrize("plan", Plan)
def test_a_recording_in_two_languages_is_decoded_in_both(session_of, activity_of, result_of, drive, plan):
    activity = activity_of(*[(4.48, 0.9), (0.64, 0.0)] * 24)
    n_frames = int(activity.duration * 100)
    session = session_of(n_frames, activity, plan=plan, language=None)
    half = n_frames // 2
    done = drive(
        session,
        lambda _: result_of(),
        lambda w: {"en": 0.99, "de": 0.01} if w.seek < half else {"en": 0.01, "de": 0.99},
    )
    for window in done.windows:
        middle = window.seek + window.n_frames / 2
        assert window.prompt.language == ("en" if middle < half else "de")
    assert [span.language for span in session.languages] == ["en", "de"]
    assert session.languages[0].end == pytest.approx(half / 100, abs=6)


def test_context_is_forgotten_where_the_language_changes(session_of, activity_of, result_of, drive):
    activity = activity_of((20.8, 0.9), (1.6, 0.0), (20.8, 0.9))
    session = session_of(4320, activity, plan=Plan.SEQUENTIAL, language=None)
    done = drive(session, lambda _: result_of(), lambda w: {"en": 1.0} if w.seek < 2080 else {"de": 1.0})
    contexts = [window.prompt.context for window in done.windows if window.prompt.language == "de"]
    assert contexts
    assert contexts[0] == ()


def test_one_span_covers_a_recording_in_one_language(session_of, activity_of, result_of, drive):
    activity = activity_of(*[(16, 0.9), (0.96, 0.0)] * 40)
    session = session_of(67_840, activity, plan=Plan.SEQUENTIAL, language=None)
    drive(session, lambda _: result_of("0 ab 1500"))
    (span,) = session.languages
    assert (span.start, span.end) == (0, pytest.approx(678.4, abs=1))


@pytest.mark.parametrize("plan", Plan)
def test_an_english_only_model_is_asked_nothing(tokenizer_path, activity_of, result_of, drive, plan, tmp_path):
    english = Tokenizer(write_english_tokenizer(tmp_path / "tokenizer.json", tokenizer_path), n_vocab=51864)
    assert not english.is_multilingual
    activity = activity_of((12.8, 0.9))
    session = LongFormSession(1280, TranscribeOptions(plan=plan), english, activity)
    done = drive(session, lambda _: result_of(""))
    assert (done.heard, session.language, session.languages) == ([], "en", ())
    assert done.windows[0].prompt.language == "en"


def write_english_tokenizer(path: Path, multilingual: Path) -> Path:
    """The same tokens, the two specials one place earlier."""
    content = json.loads(multilingual.read_text())
    content["model"]["vocab"].pop("<unused50256>")
    for token in content["added_tokens"]:
        token["id"] -= 1
    path.write_text(json.dumps(content))
    return path


# --- robustness ---


@pytest.mark.parametrize("plan", Plan)
def test_what_was_not_asked_for_is_refused(session_of, activity_of, result_of, plan):
    session = session_of(1280, activity_of((12.8, 0.9)), plan=plan, language=None)
    (heard,) = session.next_windows(8)
    assert session.next_windows(8) == []
    session.accept_language(heard, {"en": 1.0})
    with pytest.raises(AuricleError, match="languages of frame 0"):
        session.accept_language(heard, {"en": 1.0})
    (window,) = session.next_windows(8)
    assert session.next_windows(8) == []
    session.accept(window, result_of("0 ab 600"))
    with pytest.raises(AuricleError, match="expected one that was asked for"):
        session.accept(window, result_of())


def seeds_of(session: LongFormSession, result_of, drive) -> list[int | None]:
    done = drive(session, lambda _: result_of(**UNLIKELY))
    return [each.options.strategy.seed for each in done.windows if isinstance(each.options.strategy, Sampling)]


def test_every_attempt_and_window_has_its_own_reproducible_seed(session_of, result_of, drive):
    seeds = seeds_of(session_of(9000, seed=3), result_of, drive)
    assert len(seeds) == 15  # five sampled attempts at each of three windows
    assert len(set(seeds)) == 15
    assert seeds_of(session_of(9000, seed=3), result_of, drive) == seeds
    assert seeds_of(session_of(9000, seed=4), result_of, drive) != seeds
    assert set(seeds_of(session_of(9000), result_of, drive)) == {None}


def test_a_window_of_no_progress_moves_on(sequential, result_of):
    one = sequential(3000)
    one.take(result_of("0 ab 0 0 cd"))
    assert one.window.seek == 2


# --- clips ---


@pytest.mark.parametrize("plan", Plan)
def test_clips_are_transcribed_in_order_and_nothing_else(session_of, activity_of, result_of, drive, plan):
    clips = ((10.0, 20.0), (20.0, 65.0), (100.0, None))
    activity = activity_of(*[(4.48, 0.9), (0.64, 0.0)] * 24)
    session = session_of(int(activity.duration * 100), activity, plan=plan, clip_timestamps=clips)
    done = drive(session, lambda w: result_of(f"0 ab {w.n_frames // 2}"))
    for window in done.windows:
        assert any(
            begin * 100 <= window.seek and window.seek + window.n_frames <= (end or 122.88) * 100
            for begin, end in clips
        )
    assert [segment.start for segment in done.segments] == sorted(segment.start for segment in done.segments)
    assert done.segments[0].start >= 10
    assert done.segments[-1].end == pytest.approx(122.88, abs=0.5)


@pytest.mark.parametrize("plan", Plan)
def test_a_mixed_recording_is_heard_and_decoded_inside_its_clips(session_of, activity_of, result_of, drive, plan):
    clips = ((30.0, 60.0), (200.0, 230.0))
    activity = activity_of(*[(4.8, 0.9), (0.64, 0.0)] * 50)
    session = session_of(27_200, activity, plan=plan, language=None, clip_timestamps=clips)
    done = drive(session, lambda _: result_of(), lambda _: {"en": 0.55, "de": 0.45})
    for window in [*done.windows, *done.heard]:
        assert any(low * 100 <= window.seek and window.seek + window.n_frames <= high * 100 for low, high in clips)


def test_a_clip_past_the_end_is_refused(session_of):
    with pytest.raises(InvalidOptionError, match="clip_timestamps"):
        session_of(1000, clip_timestamps=((10.0, None),))


# --- parallel ---


@pytest.fixture(scope="module")
def six_turns(activity_of) -> VoiceActivity:
    """Six stretches of 16 s with pauses of 9.6 s, so that each is a window of its own."""
    return activity_of(*[(16.0, 0.9), (9.6, 0.0)] * 6)


@pytest.fixture(scope="module")
def six(session_of, six_turns) -> Callable[..., LongFormSession]:
    """A session over the six turns."""
    return lambda **options: session_of(15_360, six_turns, **options)


def told(window: Window, tokens: list[int]) -> bool:
    context = window.prompt.context
    return any(list(context[i : i + len(tokens)]) == tokens for i in range(len(context)))


def test_parallel_asks_for_all_windows_at_once(six, result_of, drive):
    session = six(plan=Plan.PARALLEL)
    done = drive(session, lambda _: result_of("0 ab 800"))
    assert [len(batch) for batch in done.batches] == [6]
    assert {window.prompt.context for window in done.windows} == {()}
    assert [window.seek for window in done.windows] == [0, 2460, 5020, 7580, 10_140, 12_700]


def test_a_limit_holds(six, result_of, drive):
    session = six(plan=Plan.PARALLEL)
    assert [len(batch) for batch in drive(session, lambda _: result_of("0 ab 800"), limit=4).batches] == [4, 2]


@pytest.mark.parametrize("plan", [Plan.PARALLEL, Plan.HYBRID])
@pytest.mark.parametrize("language", ["en", None])
def test_few_slots_are_begun_before_the_first_is_final(session_of, activity_of, result_of, plan, language):
    activity = activity_of(*[(16.0, 0.9), (9.6, 0.0)] * 50)
    session = session_of(128_000, activity, plan=plan, language=language)

    def ask() -> list[Window]:
        """All windows there are to decode now, once no window is left to listen to."""
        windows: list[Window] = []
        while batch := session.next_windows(1000):
            for each in batch:
                if isinstance(each, Window):
                    windows.append(each)
                else:
                    session.accept_language(each, {"en": 1.0})
        return windows

    first, *others = sorted(ask(), key=lambda window: window.seek)
    assert 1 + len(others) == LOOK_AHEAD_SLOTS < 50
    for window in others:
        session.accept(window, result_of("0 ab 800"))
    assert (ask(), session.pop_segments()) == ([], [])  # the first is not final yet
    session.accept(first, result_of("0 ab 800"))
    assert len(session.pop_segments()) >= 1
    rest = ask()
    assert len(rest) == 50 - LOOK_AHEAD_SLOTS
    for window in rest:
        session.accept(window, result_of("0 ab 800"))
    assert (ask(), session.done_frames) == ([], 128_000)


def test_parallel_climbs_the_ladder_in_each_stretch(six, result_of, drive):
    session = six(plan=Plan.PARALLEL, temperatures=(0.0, 0.8))
    done = drive(session, lambda w: result_of("0 ab 800", avg_logprob=-1.5 if w.seek == 2460 else -0.3))
    assert [len(batch) for batch in done.batches] == [6, 1]
    assert [len(segment.quality.attempts) for segment in done.segments] == [1, 2, 1, 1, 1, 1]
    assert {window.prompt.context for window in done.windows} == {()}


@pytest.mark.parametrize("carry", [False, True])
def test_the_prompt_is_for_the_first_window_and_hotwords_for_all(six, result_of, drive, tokenizer, carry):
    options = {"prompt": "Tolkien", "carry_prompt": carry, "hotwords": ("Frodo", "Sam")}
    session = six(plan=Plan.PARALLEL, **options)
    done = drive(session, lambda _: result_of("0 ab 800"))
    assert all(told(window, tokenizer.encode(" Frodo, Sam")) for window in done.windows)
    heard_prompt = [told(window, tokenizer.encode(" Tolkien")) for window in done.windows]
    assert heard_prompt == ([True] * 6 if carry else [True, *[False] * 5])


def test_segments_come_in_order_whatever_is_answered_first(six, result_of):
    session = six(plan=Plan.PARALLEL)
    windows = session.next_windows(8)
    assert session.next_windows(8) == []
    for window in reversed(windows[1:]):
        session.accept(window, result_of("0 ab 800"))
        assert session.pop_segments() == []
    session.accept(windows[0], result_of("0 ab 800"))
    segments = session.pop_segments()
    assert [segment.id for segment in segments] == list(range(6))
    assert [segment.start for segment in segments] == [window.seek / 100 for window in windows]


# --- hybrid ---


def weak_third(
    result_of, *, alone: dict[str, float], with_context: dict[str, float]
) -> Callable[[Window], DecodingResult]:
    """The third of six stretches is weak; its text tells who wrote it."""

    def answer(window: Window) -> DecodingResult:
        if window.seek != 5020:
            return result_of(f"0 turn{window.seek} 800")
        if window.prompt.context:
            return result_of("0 told 800", **with_context)
        return result_of("0 alone 800", **alone)

    return answer


@pytest.mark.parametrize("alone", [UNLIKELY, LOOP, {"avg_logprob": -0.8}])
def test_a_weak_stretch_is_walked_again_with_the_text_before_it(six, result_of, drive, alone):
    session = six(plan=Plan.HYBRID)
    done = drive(session, weak_third(result_of, alone=alone, with_context={}))
    third = [window for window in done.windows if window.seek == 5020]
    assert [window.options.strategy.temperature for window in third] == [0.0, 0.0]
    assert [window.prompt.context for window in third] == [(), done.segments[1].tokens]
    assert len(done.windows) == 7
    assert [segment.text for segment in done.segments][2] == " told"


@pytest.mark.parametrize(
    ("alone", "heard"),
    [
        ({"avg_logprob": -0.45}, [1576, 1576]),
        ({"avg_logprob": -0.8}, [1576, 3000, 3000]),
        (UNLIKELY, [1576, 3000]),
    ],
)
def test_a_second_walk_hears_as_much_as_the_first_and_all_where_that_failed(
    session_of, activity_of, result_of, drive, alone, heard
):
    session = session_of(7620, activity_of(*[(6.5, 0.9), (9.6, 0.0)] * 6), plan=Plan.HYBRID)
    third = 3119

    def answer(window: Window) -> DecodingResult:
        is_weak = window.seek == third and not window.prompt.context
        return result_of("0 ab 300", **alone if is_weak else {})

    done = drive(session, answer)
    assert [window.padded_to for window in done.windows if window.seek == third] == heard


@pytest.mark.parametrize(
    ("alone", "with_context", "kept"),
    [
        ({"avg_logprob": -0.8}, {"avg_logprob": -0.9}, " alone"),
        ({"avg_logprob": -0.8}, {"avg_logprob": -0.75}, " told"),
        ({"avg_logprob": -0.8}, {"avg_logprob": -0.2, "compression_ratio": 9.0}, " alone"),
        ({"avg_logprob": -1.5}, {"avg_logprob": -0.9}, " told"),
    ],
)
def test_the_better_of_two_walks_is_kept(six, result_of, drive, alone, with_context, kept):
    session = six(plan=Plan.HYBRID, temperatures=(0.0,))
    done = drive(session, weak_third(result_of, alone=alone, with_context=with_context))
    assert [segment.text for segment in done.segments][2] == kept
    assert len(done.segments) == 6
    assert session.suppressed == []


def test_attempts_of_a_failed_and_a_second_walk(six, result_of, drive):
    session = six(plan=Plan.HYBRID)
    done = drive(session, weak_third(result_of, alone=UNLIKELY, with_context={}))
    attempts = done.segments[2].quality.attempts
    assert [(each.temperature, each.with_context, bool(each.rejected)) for each in attempts] == [
        (0.0, False, True),
        (0.0, True, False),
    ]


def test_the_ladder_is_climbed_where_context_does_not_help(six, result_of, drive):
    session = six(plan=Plan.HYBRID, temperatures=(0.0, 0.4, 0.8))

    def answer(window: Window) -> DecodingResult:
        is_good = window.seek != 5020 or window.options.strategy.temperature == 0.4
        return result_of("0 ab 800", avg_logprob=-0.3 if is_good else -1.5)

    done = drive(session, answer)
    attempts = done.segments[2].quality.attempts
    assert [(each.temperature, each.with_context) for each in attempts] == [(0.0, False), (0.0, True), (0.4, True)]


@pytest.mark.parametrize(
    ("options", "failing"),
    [
        ({}, 0),  # the first stretch has nothing before it
        ({"condition_on_previous_text": False}, 5020),
    ],
)
def test_without_text_before_it_a_stretch_climbs_the_ladder(six, result_of, drive, options, failing):
    session = six(plan=Plan.HYBRID, context=AudioContext.EXACT, temperatures=(0.0, 0.8), **options)

    def answer(window: Window) -> DecodingResult:
        return result_of("0 ab 800", **UNLIKELY if window.seek == failing else {})

    done = drive(session, answer)
    assert [each.options.strategy.temperature for each in done.windows if each.seek == failing] == [0.0, 0.8]
    assert {window.prompt.context for window in done.windows} == {()}
    assert len(done.segments) == 6


def test_a_silent_stretch_before_it_gives_no_context(six, result_of, drive):
    session = six(plan=Plan.HYBRID, temperatures=(0.0, 0.8))

    def answer(window: Window) -> DecodingResult:
        if 2460 <= window.seek < 5000:
            return result_of("")
        return result_of("0 ab 800", **UNLIKELY if window.seek == 5020 else {})

    done = drive(session, answer)
    third = [window for window in done.windows if window.seek == 5020]
    assert [window.options.strategy.temperature for window in third] == [0.0, 0.8]
    assert {window.prompt.context for window in third} == {()}
    assert sum(segment.seek == 5020 for segment in done.segments) == 1


@pytest.mark.parametrize("plan", [Plan.PARALLEL, Plan.HYBRID])
@pytest.mark.parametrize(
    ("fields", "is_inserted"), [({}, True), ({"avg_logprob": -1.01}, False), ({"compression_ratio": 9.0}, False)]
)
def test_speech_without_text_is_walked_once_more(six, result_of, drive, plan, fields, is_inserted):
    session = six(plan=plan, context=AudioContext.EXACT, temperatures=(0.0,))

    def answer(window: Window) -> DecodingResult:
        if window.seek == 2460:
            return result_of("0 early 200 600 late 800")  # 8 s between them are lost
        if 2460 < window.seek < 5000:
            return result_of("0 found 400", **fields)
        return result_of("0 ab 800")

    done = drive(session, answer)
    (again,) = [window for window in done.windows if 2460 < window.seek < 5000]
    assert (again.seek, again.n_frames) == (2840, 840)  # 0.2 s more on both sides
    second = [segment.text for segment in done.segments if 20 < segment.start < 40]
    assert second == ([" early", " found", " late"] if is_inserted else [" early", " late"])
    assert [segment.id for segment in done.segments] == list(range(len(done.segments)))
    if not is_inserted:
        assert [(each.text, each.reason, each.start) for each in session.suppressed] == [("found", LOST_SPEECH, 28.4)]


@pytest.mark.parametrize("plan", [Plan.PARALLEL, Plan.HYBRID])
@pytest.mark.parametrize(
    ("found", "is_inserted"),
    [("early bird sings", False), ("EARLY, bird. sings", False), ("early sings bird", True), ("early bird", True)],
)
def test_what_is_already_said_is_not_inserted_again(six, result_of, drive, plan, found, is_inserted):
    session = six(plan=plan)

    def answer(window: Window) -> DecodingResult:
        if window.seek == 2460:
            return result_of("0 the early, 100 100 bird sings 200 600 late 800")
        if 2460 < window.seek < 5000:
            return result_of(f"0 {found} 400")
        return result_of("0 ab 800")

    done = drive(session, answer)
    second = [segment.text.strip() for segment in done.segments if 20 < segment.start < 40]
    assert second == ["the early,", "bird sings", *([found] if is_inserted else []), "late"]
    left_out = [(each.text, each.reason, each.start) for each in session.suppressed]
    assert left_out == ([] if is_inserted else [(found, LOST_SPEECH, 28.4)])


@pytest.mark.parametrize("word_timestamps", [True, False])
def test_what_is_found_within_a_segment_cuts_it(
    session_of, activity_of, result_of, drive, monkeypatch, word_timestamps
):
    """The model wrote one segment over all of it, its last word late: what was said before that word is inserted."""

    def place(segments: Sequence[Segment], *args: object, **kwargs: object) -> list[tuple[Word, ...]]:
        first = Word(start=0.0, end=1.5, word=" early", probability=0.9)
        last = Word(start=14.0, end=15.0, word=" late", probability=0.9)
        found = Word(start=2.0, end=13.5, word=" found", probability=0.9)
        return [(first, last) if segment.text == " early late" else (found,) for segment in segments]

    monkeypatch.setattr("asr.walk.words_of_segments", place)
    session = session_of(
        1504, activity_of((15.04, 0.9)), plan=Plan.HYBRID, word_timestamps=word_timestamps, language="en"
    )
    done = drive(session, lambda window: result_of("0 found 610" if window.seek else "0 early late 750"))
    assert [(each.text, each.start, each.end) for each in done.segments] == [
        (" early", 0.0, 1.5),
        (" found", 1.5, 13.5),
        (" late", 14.0, 15.0),
    ]
    assert [len(each.words) for each in done.segments] == [int(word_timestamps)] * 3
    assert session.suppressed == []


def word(text: str, start: float, end: float) -> Word:
    return Word(start=start, end=end, word=text, probability=0.9)


ALL_LOST_FIRST = [word(" late", 9, 11), word(" words", 11, 15)]
SHORT_WORD_BEFORE = [word(" one", 0, 1.5), word(" of", 1.5, 1.62), word(" late", 14, 15)]
ALL_LOST_LAST = [word(" one", 0, 1.5), word(" two", 1.5, 2.0)]


@pytest.mark.parametrize(
    ("said", "found_at", "pieces"),
    [
        (ALL_LOST_FIRST, (0.0, 9.2), [(" found", 0.0, 9.0), (" late words", 9.0, 15.0)]),
        (SHORT_WORD_BEFORE, (1.42, 14.2), [(" one of", 0.0, 1.62), (" found", 1.62, 14.0), (" late", 14.0, 15.0)]),
        (ALL_LOST_LAST, (1.8, 15.04), [(" one two", 0.0, 2.0), (" found", 2.0, 15.04)]),
    ],
)
def test_what_is_found_stands_where_it_was_said(
    session_of, activity_of, result_of, drive, monkeypatch, *, said, found_at, pieces
):
    """The predicted times of the segment are those of the whole window: only its words tell."""
    begin, end = found_at

    def place(segments: Sequence[Segment], *args: object, **kwargs: object) -> list[tuple[Word, ...]]:
        found = (word(" found", begin + 0.3, min(end, 15.0) - 0.3),)
        return [found if segment.text == " found" else tuple(said) for segment in segments]

    monkeypatch.setattr("asr.walk.words_of_segments", place)
    session = session_of(1504, activity_of((15.04, 0.9)), plan=Plan.HYBRID)
    text = "".join(each.word for each in said)

    def answer(window: Window) -> DecodingResult:
        if window.n_frames == 1504:
            return result_of(f"0{text} 750")
        assert (window.seek, window.seek + window.n_frames) == (round(100 * begin), round(100 * end))
        return result_of(f"0 found {window.n_frames // 2}")

    segments = drive(session, answer).segments
    found = [(each.text, round(each.start, 2), round(each.end, 2)) for each in segments]
    assert found == pieces


def test_speech_that_is_found_only_partly_is_reported(session_of, activity_of, result_of, drive):
    session = session_of(1504, activity_of((15.04, 0.9)), plan=Plan.HYBRID)
    done = drive(session, lambda window: result_of("0 found 50" if window.seek else "0 one 100"))
    assert [each.text for each in done.segments] == [" one", " found"]
    assert [(each.text, each.reason, each.start) for each in session.suppressed] == [("", LOST_SPEECH, 2.6)]


def test_repetition_is_found_in_scripts_without_spaces(session_of, activity_of, result_of, drive):
    session = session_of(1504, activity_of((15.04, 0.9)), plan=Plan.HYBRID, language="zh")
    done = drive(session, lambda _: result_of("0 今天天气很好 100", language="zh"))
    assert [each.text for each in done.segments] == [" 今天天气很好"]


def test_nothing_is_listened_to_for_no_time(session_of, activity_of, result_of, drive):
    """The clip begins 2 ms before the first utterance ends: less than a frame."""
    activity = activity_of((16.032, 0.9), (3.2, 0.0), (16.0, 0.9), (3.2, 0.0), (16.0, 0.9))
    session = session_of(5443, activity, language=None, clip_timestamps=((16.03, None),))
    done = drive(session, lambda _: result_of("0 ab 100"), lambda _: {"en": 0.55, "de": 0.45})
    assert len(done.heard) > 3
    assert all(window.n_frames > 0 for window in done.heard)


@pytest.mark.parametrize("n_silent", [LOOK_AHEAD_SLOTS - 1, LOOK_AHEAD_SLOTS, 3 * LOOK_AHEAD_SLOTS])
@pytest.mark.parametrize("plan", Plan)
def test_many_silent_clips_do_not_end_the_recording(session_of, activity_of, result_of, drive, plan, n_silent):
    activity = activity_of((96.0, 0.0), (9.6, 0.9))
    clips = (*((float(i), i + 1.0) for i in range(n_silent)), (96.0, None))
    session = session_of(10_560, activity, plan=plan, clip_timestamps=clips)
    assert [each.text for each in drive(session, lambda _: result_of("0 ab 480")).segments] == [" ab"]
    assert session.done_frames == 10_560


@pytest.mark.parametrize(("doubted", "kept"), [("0 second 74", [" first", " second"]), ("0 okay 74", [" first"])])
def test_an_empty_second_walk_does_not_erase_what_was_doubted(session_of, activity_of, result_of, drive, doubted, kept):
    session = session_of(2608, activity_of((16, 0.9), (9.6, 0.0), (0.48, 0.9)), plan=Plan.HYBRID, temperatures=(0.0,))

    def answer(window: Window) -> DecodingResult:
        if window.seek < 1500:
            return result_of("0 first 800")
        return result_of("", avg_logprob=-0.1) if window.prompt.context else result_of(doubted, avg_logprob=-1.05)

    assert [each.text for each in drive(session, answer).segments] == kept


@pytest.mark.parametrize(("with_context", "is_kept"), [("0 told told told 800", True), ("0 told told told 700", False)])
def test_a_second_walk_that_loses_more_speech_replaces_none(six, result_of, drive, with_context, is_kept):
    session = six(plan=Plan.HYBRID)

    def answer(window: Window) -> DecodingResult:
        if window.prompt.context:
            return result_of(with_context, avg_logprob=-0.1)
        return result_of("0 alone alone alone 800", avg_logprob=-0.8 if window.seek == 5020 else -0.3)

    kept = [segment.text.split()[0] for segment in drive(session, answer).segments if 50 < segment.start < 66]
    assert kept == (["told"] if is_kept else ["alone"])


@pytest.mark.parametrize("second", [{"avg_logprob": -0.1}, {"avg_logprob": -1.5, "no_speech_prob": 0.9}])
def test_a_second_walk_without_text_replaces_none(session_of, activity_of, result_of, drive, second):
    activity = activity_of((16, 0.9), (9.6, 0.0), (0.48, 0.9))
    session = session_of(2608, activity, plan=Plan.HYBRID)

    def answer(window: Window) -> DecodingResult:
        if window.seek < 1500:
            return result_of("0 first 800")
        return result_of("", **second) if window.prompt.context else result_of("0 second 74", avg_logprob=-0.8)

    assert [segment.text for segment in drive(session, answer).segments] == [" first", " second"]


@pytest.mark.parametrize(("told", "is_kept"), [("abcde", True), ("abcd", False), ("abcdefghijkl", True)])
def test_a_second_walk_keeps_most_of_the_text(six, result_of, drive, told, is_kept):
    session = six(plan=Plan.HYBRID)

    def answer(window: Window) -> DecodingResult:
        if window.seek != 5020:
            return result_of("0 ab 800")
        if window.prompt.context:
            return result_of(f"0 {told} 800")
        return result_of("0 abcdefghi 800", avg_logprob=-0.8)  # ten letters, with the space: 60 % are six

    done = drive(session, answer)
    assert [segment.text for segment in done.segments][2] == (f" {told}" if is_kept else " abcdefghi")
    assert [attempt.avg_logprob for attempt in done.segments[2].quality.attempts] == [-0.8, -0.3]
    assert len(done.segments) == 6


def test_the_better_of_two_failed_walks_is_kept(six, result_of, drive):
    session = six(plan=Plan.HYBRID, temperatures=(0.0,))
    loop = {"avg_logprob": -2.5, "compression_ratio": 9.0}
    done = drive(session, weak_third(result_of, alone={"avg_logprob": -1.05}, with_context=loop))
    assert [segment.text for segment in done.segments][2] == " alone"
    assert [attempt.avg_logprob for attempt in done.segments[2].quality.attempts] == [-1.05, -2.5]


@pytest.mark.parametrize("second_logprob", [-0.5, -0.9])
def test_attempts_of_a_weak_and_a_second_walk(six, result_of, drive, second_logprob):
    session = six(plan=Plan.HYBRID)
    answer = weak_third(result_of, alone={"avg_logprob": -0.8}, with_context={"avg_logprob": second_logprob})
    attempts = drive(session, answer).segments[2].quality.attempts
    assert [attempt.avg_logprob for attempt in attempts] == [-0.8, second_logprob]


def test_text_sampled_hot_is_no_context_for_the_next_stretch(six, result_of, drive):
    session = six(plan=Plan.HYBRID)
    # The hotter the better: the attempts at 1.0 are kept.
    done = drive(session, lambda w: result_of("0 ab 800", avg_logprob=-1.5 + 0.1 * w.options.strategy.temperature))
    assert {segment.temperature for segment in done.segments} == {1.0}
    assert {window.prompt.context for window in done.windows} == {()}


def test_lost_sentences_with_pauses_are_walked_again(session_of, activity_of, result_of, drive):
    activity = activity_of(*[(1.6, 0.9), (0.32, 0.0)] * 14)
    session = session_of(2688, activity, plan=Plan.HYBRID)
    done = drive(session, lambda w: result_of("0 found 900") if w.seek else result_of("0 ab 100"))
    assert [segment.text for segment in done.segments] == [" ab", " found"]


def test_speech_that_stays_without_text_is_reported(session_of, activity_of, result_of, drive):
    session = session_of(1600, activity_of((16, 0.9)), plan=Plan.HYBRID)
    drive(session, lambda w: result_of("", avg_logprob=-0.9) if w.seek else result_of("0 ab 100"))
    (lost,) = session.suppressed
    assert (lost.text, lost.reason, lost.start, lost.end) == ("", LOST_SPEECH, 1.8, 16.0)


def test_when_done_everything_is_final(session_of, activity_of, result_of, drive):
    session = session_of(3200, activity_of((16, 0.9), (16, 0.0)), plan=Plan.PARALLEL)
    drive(session, lambda _: result_of("0 ab 800"))
    assert session.done_frames == 3200


def test_windows_of_odd_length_end_inside(session_of, result_of, drive):
    done = drive(session_of(1235), lambda _: result_of("0 ab 1000"))
    assert done.segments[-1].end == 12.35


# --- any results, any plan, any voice ---

PIECES = st.lists(st.one_of(st.integers(0, 1500), st.sampled_from(["ab", "cd", "ef"])), max_size=6)
RUNS = st.lists(st.tuples(st.floats(0.1, 40.0), st.sampled_from([0.0, 0.3, 0.9])), min_size=1, max_size=8)
FIELDS = st.fixed_dictionaries({
    "avg_logprob": st.sampled_from([-0.2, -0.65, -0.8, -1.2]),
    "no_speech_prob": st.sampled_from([0.1, 0.7]),
    "compression_ratio": st.sampled_from([1.2, 9.0]),
})  # fmt: skip
OPTIONS = st.fixed_dictionaries({
    "plan": st.sampled_from(Plan),
    "language": st.sampled_from(["en", None]),
    "vad": st.booleans(),
    "temperatures": st.sampled_from([(0.0,), (0.0, 0.8)]),
    "condition_on_previous_text": st.booleans(),
    "timestamps": st.booleans(),
    "hotwords": st.sampled_from([(), ("Frodo", "Sam")]),
})  # fmt: skip


def written(seed: int, window: Window, fields: dict[str, float], parts: list[int | str], result_of) -> DecodingResult:
    """The same answer whenever the same is asked; times never fall, as the timestamp rules have it."""
    draw = random.Random(f"{seed} {window.seek} {window.n_frames} {window.options.strategy.temperature}")  # noqa: S311
    times = iter(sorted(part + draw.randrange(100) for part in parts if isinstance(part, int)))
    pattern = " ".join(str(min(next(times), 1500)) if isinstance(part, int) else part for part in parts)
    if draw.random() < 0.5:
        pattern = f"0 ok {max(window.n_frames // 2, 1)}"  # else slow progress would take long
    if draw.random() < 0.5:
        fields = {}
    return result_of(pattern, **fields)


@settings(max_examples=100, deadline=None)
@given(recording=st.tuples(RUNS, OPTIONS), answers=st.tuples(FIELDS, PIECES, st.integers(0, 99)))
@example(  # what is found within a stretch begins before what stands before its middle
    recording=(
        [(8.0, 0.9), (21.0, 0.3)],
        {
            "plan": Plan.PARALLEL,
            "language": "en",
            "vad": False,
            "temperatures": (0.0,),
            "condition_on_previous_text": False,
            "timestamps": True,
            "hotwords": (),
        },
    ),
    answers=({"avg_logprob": -0.2, "no_speech_prob": 0.1, "compression_ratio": 1.2}, [0, 2, "ab", 0, 0], 53),
)
def test_any_results_lead_to_the_end(session_of, activity_of, result_of, drive, recording, answers):
    (runs, options), (fields, parts, seed) = recording, answers
    activity = activity_of(*runs)
    n_frames = int(activity.duration * 100)
    languages = ({"en": 0.9, "de": 0.1}, {"en": 0.2, "de": 0.8}, {"en": 0.5, "de": 0.5})

    def run(order: Callable[[list], list]) -> tuple:
        session = session_of(n_frames, activity, **options)
        done = drive(
            session,
            lambda window: written(seed, window, fields, parts, result_of),
            lambda window: languages[(window.seek + seed) % 3],
            order=order,
        )
        return session, done

    session, done = run(list)
    for window in done.windows:
        assert 0 < window.n_frames <= 3000
        assert 0 <= window.seek < window.seek + window.n_frames <= n_frames
        assert len(window.prompt.context) <= 223
    for heard in done.heard:
        assert 0 < heard.n_frames <= 3000
    assert [segment.id for segment in done.segments] == list(range(len(done.segments)))
    assert [segment.start for segment in done.segments] == sorted(segment.start for segment in done.segments)
    for segment in done.segments:
        assert segment.text.strip()
        assert segment.quality.attempts
        assert 0 <= segment.start <= segment.end <= n_frames / 100
    # Answers in another order make the same transcript.
    other_session, other = run(lambda batch: random.Random(seed).sample(batch, len(batch)))  # noqa: S311
    assert other.segments == done.segments
    assert other_session.suppressed == session.suppressed
    assert other_session.languages == session.languages


def test_an_hour_takes_few_windows_and_little_time(session_of, activity_of, result_of, drive):
    activity = activity_of(*[(5.12, 0.9), (0.64, 0.0)] * 625)
    for plan in (Plan.PARALLEL, Plan.HYBRID):
        session = session_of(360_000, activity, plan=plan)
        done = drive(session, lambda w: result_of(f"0 ab {w.n_frames // 2}"), max_windows=240)
        assert len(done.windows) > 120
