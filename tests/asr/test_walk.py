"""One walk over one stretch, driven by results written by hand."""

import itertools
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr.decoding import DecodingResult, TokenTime
from asr.errors import AuricleError
from asr.options import AudioContext, TranscribeOptions
from asr.quality import LOOP, LOW_PROBABILITY, NO_SPEECH, NO_TIME, NO_VOICE, PHANTOM, TOO_DENSE
from asr.stretches import Stretch
from asr.transcript import Attempt, Segment
from asr.voice import Voice
from asr.voice_activity import VoiceActivity
from asr.walk import MAX_CONTEXT_TOKENS, Context, Setup, Walk

LADDER_OF_TWO = (0.0, 0.8)


@pytest.fixture(scope="module")
def walk_over(tokenizer) -> Callable[..., Walk]:
    def build(
        begin: int,
        end: int,
        activity: VoiceActivity | None = None,
        *,
        context: Context | None = None,
        earlier: tuple[Attempt, ...] = (),
        audio_context: AudioContext = AudioContext.EXACT,
        **options,
    ) -> Walk:
        chosen = TranscribeOptions(context=audio_context, **options)
        voice = None if activity is None else Voice(activity, threshold=chosen.vad_threshold)
        setup = Setup(options=chosen, tokenizer=tokenizer, voice=voice)
        stretch = Stretch(begin=begin, end=end)
        return Walk(1, stretch, setup, context=context or Context(), language="en", earlier=earlier)

    return build


def take(walk: Walk, result: DecodingResult) -> list[Segment]:
    window = walk.next_window()
    assert window is not None
    return walk.accept(window, replace(result, temperature=window.options.strategy.temperature))


def texts(walk: Walk) -> list[str]:
    return [segment.text for segment in walk.segments]


def left_out(walk: Walk) -> list[tuple[str, str]]:
    return [(each.text, each.reason) for each in walk.suppressed]


def test_a_walk_stays_in_its_stretch(walk_over, result_of):
    walk = walk_over(1000, 5500)
    take(walk, result_of("0 ab 100 100"))
    assert (walk.seek, texts(walk), walk.segments[0].start) == (1200, [" ab"], 10.0)
    take(walk, result_of("0 cd 1500"))
    window = walk.next_window()
    assert (window.seek, window.n_frames) == (4200, 1300)
    take(walk, result_of("0 ef 1500"))
    assert walk.done
    assert walk.next_window() is None
    assert walk.segments[-1].end == 55.0


def test_the_result_of_another_window_is_refused(walk_over, result_of):
    walk = walk_over(0, 6000)
    window = walk.next_window()
    walk.accept(window, result_of())
    with pytest.raises(AuricleError, match="at frame 0, expected frame 3000"):
        walk.accept(window, result_of())


# --- evidence ---


def test_attempts_are_listed_in_order_with_why_they_failed(walk_over, result_of):
    fields = {"avg_logprob": -3.0, "compression_ratio": 1.0, "no_speech_prob": 0.0, "rejected": ()}
    earlier = (Attempt(temperature=0.0, with_context=False, heard_s=30.0, **fields),)
    walk = walk_over(0, 6000, earlier=earlier, temperatures=(0.0, 0.4, 0.8))
    take(walk, result_of(compression_ratio=3.0))
    take(walk, result_of(avg_logprob=-1.5))
    (segment,) = take(walk, result_of())
    assert segment.quality.attempts[0] == earlier[0]
    assert [(each.temperature, each.rejected) for each in segment.quality.attempts[1:]] == [
        (0.0, (LOOP,)),
        (0.4, (LOW_PROBABILITY,)),
        (0.8, ()),
    ]
    assert segment.quality.flags == ()
    (following,) = take(walk, result_of())
    assert len(following.quality.attempts) == 1


@pytest.mark.parametrize(
    ("attempts", "kept"),
    [
        ([{"avg_logprob": -1.2}, {"avg_logprob": -1.8}], 0),
        ([{"avg_logprob": -1.8}, {"avg_logprob": -1.2}], 1),
        ([{"avg_logprob": -0.1, "compression_ratio": 9.0}, {"avg_logprob": -2.0}], 1),  # no loop, however unlikely
        ([{"avg_logprob": -0.1, "compression_ratio": 9.0}, {"avg_logprob": -0.2, "compression_ratio": 9.0}], 0),
    ],
)
def test_of_failed_attempts_the_best_is_kept(walk_over, result_of, attempts, kept):
    walk = walk_over(0, 3000, temperatures=LADDER_OF_TWO)
    for name, fields in zip(("first", "second"), attempts, strict=True):
        take(walk, result_of(f"0 {name} 500", **fields))
    assert texts(walk) == [" first" if kept == 0 else " second"]
    assert walk.failed == walk.segments[0].quality.flags != ()
    assert walk.segments[0].temperature == LADDER_OF_TWO[kept]


def test_a_walk_that_may_gives_up_and_climbs_on(walk_over, result_of):
    walk = walk_over(0, 6000, temperatures=(0.0, 0.4, 0.8))
    walk.gives_up = True
    assert take(walk, result_of(avg_logprob=-1.5)) == []
    assert (walk.gave_up, walk.done, walk.next_window()) == (True, True, None)
    walk.climb()
    assert walk.next_window().options.strategy.temperature == 0.4
    take(walk, result_of("0 ab 1500"))
    assert [each.temperature for each in walk.segments[0].quality.attempts] == [0.0, 0.4]
    take(walk, result_of(avg_logprob=-1.5))  # gives up no more
    assert not walk.done


def test_a_walk_without_more_temperatures_keeps_what_it_gave_up(walk_over, result_of):
    walk = walk_over(0, 3000, temperatures=(0.0,))
    walk.gives_up = True
    take(walk, result_of("0 ab 1500", avg_logprob=-1.5))
    assert texts(walk) == []
    walk.climb()
    assert (texts(walk), walk.done) == ([" ab"], True)


# --- voice ---


@pytest.mark.parametrize(
    ("voiced_s", "skipped"), [(0.0, True), (0.448, True), (0.64, False), (9.6, False)]
)  # fmt: skip
def test_silence_is_believed_only_where_nobody_is_heard(walk_over, result_of, activity_of, voiced_s, skipped):
    activity = activity_of((0.32, 0.3), (voiced_s, 0.9), (30.0, 0.0))
    walk = walk_over(0, 3000, activity, temperatures=(0.0,))
    take(walk, result_of("0 ab 1500", no_speech_prob=0.9, avg_logprob=-1.5))
    if skipped:
        assert (texts(walk), left_out(walk)) == ([], [("ab", NO_SPEECH)])
        assert (walk.suppressed[0].start, walk.suppressed[0].end) == (0.0, 30.0)
    else:
        assert texts(walk) == [" ab"]
        assert NO_SPEECH in walk.failed


def test_windows_without_a_voice_are_not_decoded(walk_over, result_of, activity_of):
    activity = activity_of((6.4, 0.9), (96.0, 0.0), (6.4, 0.9), (96.0, 0.0))
    walk = walk_over(0, 20480, activity)
    seeks = []
    while (window := walk.next_window()) is not None:
        seeks.append(window.seek)
        take(walk, result_of("0 ab 300"))
    assert seeks == [0, 10210]


def test_without_voice_detection_every_window_is_decoded(walk_over, result_of, activity_of):
    walk = walk_over(0, 9000, activity_of((90.0, 0.0)), vad=False)
    n_windows = 0
    while not walk.done:
        take(walk, result_of())
        n_windows += 1
    assert n_windows == 3
    assert left_out(walk) == []


def test_text_without_a_voice_is_left_out_with_its_reason(walk_over, result_of, activity_of):
    activity = activity_of((3.2, 0.9), (9.6, 0.0), (3.2, 0.9))
    walk = walk_over(0, 1600, activity)
    take(walk, result_of("0 ab 150 250 cd 400 450 thank you 550 650 ef 800"))
    assert texts(walk) == [" ab", " ef"]
    assert left_out(walk) == [("cd", NO_VOICE), ("thank you", PHANTOM)]
    assert (walk.suppressed[0].start, walk.suppressed[0].end) == (5.0, 8.0)
    ids = [token for segment in walk.segments for token in segment.tokens]
    assert walk.context.tokens() == tuple(ids)  # what was left out is no context


@pytest.mark.parametrize(("end", "pattern"), [(3000, "0 ab 50 50 cd 50 50"), (1000, "0 ab 600 600 cd")])
def test_text_without_a_time_is_left_out_and_reported(walk_over, result_of, end, pattern):
    walk = walk_over(0, end)
    take(walk, result_of(pattern))
    assert (texts(walk), left_out(walk)) == ([" ab"], [("cd", NO_TIME)])


def test_a_phantom_among_other_text_over_a_voice_stays(walk_over, result_of, activity_of):
    walk = walk_over(0, 1600, activity_of((16.0, 0.9)), temperatures=(0.0,))
    take(walk, result_of("0 okay 50 50 then 800", avg_logprob=-1.1))
    assert texts(walk) == [" okay", " then"]


# --- how much is heard ---


def heard(walk: Walk, guess: DecodingResult) -> list[tuple[float, int]]:
    """Temperature and frames of each try at a window whose text never is good enough."""
    tries = []
    while (window := walk.next_window()) is not None and window.seek == walk.stretch.begin:
        tries.append((window.options.strategy.temperature, window.padded_to))
        walk.accept(window, guess)
    return tries


def test_a_short_window_is_heard_with_little_silence(walk_over, result_of):
    walk = walk_over(100, 1100, audio_context=AudioContext.AUTO)
    assert (walk.next_window().n_frames, walk.next_window().padded_to) == (1000, 1800)
    take(walk, result_of("0 word 500"))
    assert [attempt.heard_s for attempt in walk.segments[0].quality.attempts] == [18.0]


@pytest.mark.parametrize("audio_context", [AudioContext.AUTO, AudioContext.EXACT])
@pytest.mark.parametrize("n_frames", [1800, 2600, 3000])
def test_long_windows_are_heard_with_all_of_it(walk_over, audio_context, n_frames):
    assert walk_over(0, n_frames, audio_context=audio_context).next_window().padded_to == 3000


@pytest.mark.parametrize(("audio_context", "first"), [(AudioContext.AUTO, 1200), (AudioContext.FIT, 402)])
def test_doubtful_text_is_heard_again_in_full_before_the_ladder(walk_over, result_of, audio_context, first):
    walk = walk_over(0, 401, audio_context=audio_context, temperatures=(0.0, 0.4))
    assert heard(walk, result_of("0 word 100", avg_logprob=-1.5)) == [(0.0, first), (0.0, 3000), (0.4, 3000)]


@pytest.mark.parametrize(("in_full", "kept"), [(-0.8, " short"), (-0.4, " full"), (-1.4, " short")])
def test_unsure_text_is_heard_in_full_too_and_the_better_kept(walk_over, result_of, in_full, kept):
    walk = walk_over(0, 400, audio_context=AudioContext.AUTO)
    take(walk, result_of("0 short 200", avg_logprob=-0.6))
    take(walk, result_of("0 full 200", avg_logprob=in_full))
    assert texts(walk) == [kept]  # no ladder: one of the two passed


def test_exact_is_heard_in_full_at_once(walk_over, result_of):
    walk = walk_over(0, 400, temperatures=(0.0, 0.4))
    assert heard(walk, result_of("0 word 100", avg_logprob=-1.5)) == [(0.0, 3000), (0.4, 3000)]


@pytest.mark.parametrize(
    ("rejected", "heard_s", "padded_to"), [((), 12.0, 1200), ((LOOP,), 12.0, 3000), ((), 30.0, 3000)]
)
def test_after_an_earlier_failure_all_is_heard(walk_over, rejected, heard_s, padded_to):
    fields = {"avg_logprob": -0.5, "compression_ratio": 1.0, "no_speech_prob": 0.0}
    earlier = (Attempt(temperature=0.0, with_context=False, heard_s=heard_s, rejected=rejected, **fields),)
    walk = walk_over(0, 400, audio_context=AudioContext.AUTO, earlier=earlier)
    assert walk.next_window().padded_to == padded_to


@pytest.mark.parametrize(("in_full", "kept"), [(-1.4, " short"), (-1.2, " full")])
def test_of_two_doubtful_texts_the_better_is_kept(walk_over, result_of, in_full, kept):
    walk = walk_over(0, 400, audio_context=AudioContext.AUTO, temperatures=(0.0,))
    take(walk, result_of("0 short 200", avg_logprob=-1.3))
    take(walk, result_of("0 full 200", avg_logprob=in_full))
    assert texts(walk) == [kept]
    assert [attempt.heard_s for attempt in walk.segments[0].quality.attempts] == [12.0, 30.0]


# --- impossible density ---


def test_text_that_nobody_can_say_in_the_window_is_tried_again(walk_over, result_of):
    walk = walk_over(0, 200, temperatures=(0.0, 0.4))
    take(walk, result_of("0 " + "word " * 30 + "100"))
    assert texts(walk) == []
    take(walk, result_of("0 word 100", temperature=0.4, avg_logprob=-0.9))
    assert texts(walk) == [" word"]
    assert [attempt.rejected for attempt in walk.segments[0].quality.attempts] == [(TOO_DENSE,), ()]


def test_text_that_nobody_can_say_is_left_out_at_last(walk_over, result_of):
    walk = walk_over(0, 200, temperatures=(0.0,))
    take(walk, result_of("0 " + "word " * 30 + "100"))
    assert (texts(walk), left_out(walk)) == ([], [(("word " * 30).strip(), TOO_DENSE)])


def test_a_dense_loop_keeps_what_can_be_said(walk_over, result_of):
    walk = walk_over(0, 200, temperatures=(0.0,))
    take(walk, result_of("0 " + "word " * 30 + "100", compression_ratio=9.0))
    assert (texts(walk), left_out(walk)) == ([" word"], [(("word " * 29).strip(), LOOP)])


# --- loops ---


def test_copies_beyond_the_first_are_left_out(walk_over, result_of):
    walk = walk_over(0, 3000, temperatures=(0.0,))
    loop = "so it goes " * 6
    take(walk, result_of(f"0 well {loop} then 1500", compression_ratio=5.0))
    assert texts(walk) == [" well so it goes then"]
    assert left_out(walk) == [("so it goes " * 4 + "so it goes", LOOP)]
    assert walk.segments[0].quality.flags == (LOOP,)


def test_a_loop_within_a_word_leaves_the_words_that_the_text_has(walk_over, result_of):
    walk = walk_over(0, 3000, temperatures=(0.0,), word_timestamps=True)
    take(walk, result_of("0 well " + "ha" * 20 + " 750", compression_ratio=9.0))
    assert texts(walk) == [" well ha"]
    assert [word.word for word in walk.segments[0].words] == [" well", " ha"]


def test_a_loop_over_several_segments(walk_over, result_of):
    walk = walk_over(0, 3000, temperatures=(0.0,))
    pattern = " ".join(f"{100 * i} so it goes {100 * i + 100}" for i in range(8))
    take(walk, result_of(f"{pattern} 900 end 1000", compression_ratio=5.0))
    assert texts(walk) == [" so it goes", " end"]
    assert left_out(walk) == [("so it goes", LOOP)] * 7
    assert [each.start for each in walk.suppressed] == [2.0 * i for i in range(1, 8)]


def test_copies_are_counted_from_the_pieces_that_have_text(walk_over, result_of):
    walk = walk_over(0, 3000, temperatures=(0.0,))
    loop = "la " * 12
    take(walk, result_of(f"0 _ 50 50 bb {loop} 1500", compression_ratio=5.0))
    assert texts(walk) == [" bb la"]


def test_a_repetition_that_passes_stays(walk_over, result_of):
    walk = walk_over(0, 3000, temperatures=(0.0,))
    take(walk, result_of("0 " + "no " * 30 + "1500", compression_ratio=2.3))
    assert texts(walk) == [" no" * 30]


@settings(max_examples=150, deadline=None)
@given(
    words=st.lists(
        st.tuples(st.lists(st.sampled_from(["ab", "cde", "é", "中文"]), min_size=1, max_size=4), st.integers(1, 8)),
        min_size=1,
        max_size=4,
    ),
    cuts=st.sets(st.integers(1, 40), max_size=4),
)
def test_a_loop_loses_nothing(walk_over, result_of, words, cuts):
    """What stays and what is left out together are all that was decoded, and the words of a segment are its text."""
    said = [word for ngram, count in words for word in ngram * count]
    pieces, rest = [], said
    for cut in sorted(cuts):
        head, rest = rest[: cut - (len(said) - len(rest))], rest[max(cut - (len(said) - len(rest)), 0) :]
        pieces += [head] if head else []
    pieces += [rest] if rest else []
    pattern = " ".join(f"{50 * i} {' '.join(piece)} {50 * i + 50}" for i, piece in enumerate(pieces))
    result = result_of(pattern, compression_ratio=5.0)
    n_text = sum(token < 50257 for token in result.tokens)
    times = tuple(TokenTime(start=0.01 * i, end=0.01 * i + 0.01, probability=0.5) for i in range(n_text))
    walk = walk_over(0, 3000, temperatures=(0.0,), word_timestamps=True)
    take(walk, replace(result, token_times=times))
    letters = sorted("".join(said))
    kept = "".join(texts(walk) + [each.text for each in walk.suppressed])
    assert sorted(kept.replace(" ", "")) == letters
    for segment in walk.segments:
        assert "".join(word.word for word in segment.words) == segment.text


# --- context ---


def test_hotwords_alone_are_no_context(walk_over, result_of):
    walk = walk_over(0, 3000, context=Context(carried=(65, 66)))
    (segment,) = take(walk, result_of())
    assert not segment.quality.attempts[0].with_context


@given(
    carried=st.lists(st.integers(0, 9), max_size=111),
    parts=st.lists(st.lists(st.integers(10, 99), max_size=150), max_size=6),
)
def test_context_is_what_is_carried_and_the_latest_text(carried, parts):
    context = Context(carried=tuple(carried))
    for part in parts:
        context.add(part)
    text = list(itertools.chain(*parts))
    room = MAX_CONTEXT_TOKENS - len(carried)
    assert context.tokens() == (*carried, *text[-room:])
    assert len(context.tokens()) <= 223
    context.forget()
    assert context.tokens() == tuple(carried)


# --- any results ---

LENGTHS = st.lists(st.tuples(st.floats(0.1, 50.0), st.sampled_from([0.0, 0.3, 0.9])), min_size=1, max_size=8)


@settings(max_examples=150, deadline=None)
@given(data=st.data(), n_frames=st.integers(1, 6000).map(lambda n: 2 * n), runs=st.none() | LENGTHS)
def test_nothing_that_was_kept_vanishes(walk_over, result_of, activity_of, data, n_frames, runs):
    """One attempt a window: each text before the last pair is in a segment or among what was left out, once."""
    activity = None if runs is None else activity_of(*runs)
    walk = walk_over(100, 100 + n_frames, activity, temperatures=(0.0,), vad=data.draw(st.booleans()))
    names = (f"w{i:04d}" for i in itertools.count())
    expected: list[str] = []
    n_windows = 0
    while (window := walk.next_window()) is not None:
        n_windows += 1
        assert n_windows <= n_frames
        assert 100 <= window.seek < window.seek + window.n_frames <= 100 + n_frames
        assert window.n_frames <= 3000
        last = max(window.n_frames // 2, 1)
        times = sorted(data.draw(st.sets(st.integers(0, last), max_size=6)))
        if n_windows > 15:
            times = []  # slow progress is allowed; here it would only take long
        pairs = list(zip(times[::2], times[1::2], strict=False))
        said = [next(names) for _ in pairs] if last > 1 else []
        expected += said
        pattern = " ".join(f"{start} {name} {end}" for (start, end), name in zip(pairs, said, strict=False))
        tail = data.draw(st.sampled_from(["", str(times[-1])])) if times and said and times[-1] < last else ""
        fields = {
            "avg_logprob": data.draw(st.sampled_from([-0.2, -0.65, -1.5])),
            "no_speech_prob": data.draw(st.sampled_from([0.1, 0.9])),
            "compression_ratio": data.draw(st.sampled_from([1.2, 9.0])),
        }
        before = walk.seek
        walk.accept(window, result_of(f"{pattern} {tail}".strip(), **fields))
        assert walk.seek > before
    found = [*texts(walk), *(" " + each.text for each in walk.suppressed)]
    assert sorted(" ".join(found).split()) == expected
    for each in (*walk.segments, *walk.suppressed):
        assert 1.0 <= each.start <= each.end <= (100 + n_frames) / 100 + 1e-6
