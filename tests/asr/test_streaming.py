"""Streams driven by hypotheses written by hand, and by hypothesis."""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr.errors import AuricleError, InvalidOptionError, UnsupportedLanguageError
from asr.streaming import (
    Final,
    Hypothesis,
    Partial,
    SpeechStarted,
    SpeechStopped,
    StreamingEvent,
    StreamingOptions,
    StreamingSession,
    StreamingWindow,
    UtteranceEnded,
)
from asr.streaming.agreement import n_agreed, n_heard_before, normalized
from asr.streaming.turns import TurnTracker
from asr.tasks import Task
from asr.transcript import Word

SECOND = 16_000
FRAME = 512
NO_VAD = StreamingOptions(language="en", vad=False, settle_s=0)

Say = Callable[[StreamingWindow], Hypothesis]


def word(text: str, start: float, end: float | None = None) -> Word:
    return Word(word=" " + text, start=start, end=start + 0.5 if end is None else end, probability=0.9)


def said(*words: Word, language: str = "en", **fields) -> Hypothesis:
    return Hypothesis(words=words, language=language, **fields)


def sentence(text: str, start: float = 0.0, step: float = 0.5) -> list[Word]:
    return [word(part, start + i * step, start + (i + 1) * step) for i, part in enumerate(text.split())]


def hearing(truth: Sequence[Word]) -> Say:
    """A decoder that hears every word that is wholly inside its window, always the same."""

    def say(window: StreamingWindow) -> Hypothesis:
        start, end = window.start / SECOND - 1e-6, window.end / SECOND + 1e-6
        return said(*[w for w in truth if start <= w.start and w.end <= end])

    return say


def drain(session: StreamingSession, say: Say) -> list[StreamingEvent]:
    events = []
    while (window := session.next_window()) is not None:
        assert session.drop_before == window.start < window.end <= session.received
        events += session.accept(window, say(window))
    return events


def stream(session: StreamingSession, chunks: Sequence[int], say: Say) -> list[StreamingEvent]:
    events: list[StreamingEvent] = []
    for n_samples in chunks:
        events += session.push(n_samples)
        events += drain(session, say)
    events += session.finish()
    return events + drain(session, say)


def final_words(events: Sequence[StreamingEvent]) -> list[Word]:
    return [w for event in events if isinstance(event, Final) for w in event.words]


def text_of(events: Sequence[StreamingEvent]) -> str:
    return "".join(w.word for w in final_words(events)).strip()


def ask(session: StreamingSession, n_samples: int = SECOND) -> StreamingWindow:
    session.push(n_samples)
    window = session.next_window()
    assert window is not None
    return window


# --- agreement ---


def test_words_are_compared_without_case_and_outer_punctuation():
    assert normalized(" \"Don't!") == normalized(" don't") == "don't"
    assert normalized(" ÉTÉ,") == "été"
    assert normalized(" …") == "…"


def test_agreement_is_a_common_prefix_at_near_times():
    before = sentence("and so my fellow")
    assert n_agreed(before, sentence("And so, my yellow")) == 3
    assert n_agreed(before, sentence("and so", 0.9)) == 2
    assert n_agreed(before, sentence("and so", 1.1)) == 0  # the same words again, not the same words
    assert n_agreed(before, []) == n_agreed([], before) == 0


@pytest.mark.parametrize(
    ("final", "words", "expected"),
    [
        ("a b", "a b c", 2),
        ("a", "a a a", 1),  # said again: new
        ("a b a", "a b a b a", 3),
        ("the grey", "the gray cat", 2),  # another spelling: by time
        ("a b c d", "a b x c d e", 5),  # a word that was not heard before
        ("a x b c", "a b c d", 3),  # a word that is not heard any more
        ("a b", "", 0),
        ("", "a b", 0),
    ],
)
def test_what_was_heard_before_is_found_by_text_and_time(final, words, expected):
    assert n_heard_before(sentence(final, step=0.3), sentence(words, step=0.3)) == expected


def test_words_far_from_the_end_of_the_final_text_are_no_repetition():
    assert n_heard_before(sentence("yes no"), sentence("yes no x y z yes no w")) == 2


# --- partial and final ---


def test_two_hypotheses_agree_and_the_later_spelling_is_kept(tokenizer):
    session = StreamingSession(NO_VAD, tokenizer)
    assert session.accept(ask(session), said(*sentence("ask not"))) == [Partial(words=tuple(sentence("ask not")))]
    events = session.accept(ask(session), said(*sentence("Ask not. What")))
    assert [type(event) for event in events] == [Final, Partial]
    assert (events[0].text, events[0].start, events[0].end) == (" Ask not.", 0.0, 1.0)
    assert events[1].text == " What"


def test_text_becomes_final_by_whole_sentences(tokenizer):
    session = StreamingSession(NO_VAD, tokenizer)
    for _ in range(2):
        events = session.accept(ask(session), said(*sentence("one two. three four? five six", step=0.15)))
    assert [event.text for event in events] == [" one two. three four?", " five six"]


def test_agreed_text_becomes_final_once_it_has_settled(tokenizer):
    session = StreamingSession(StreamingOptions(language="en", vad=False, settle_s=1.5), tokenizer)
    session.accept(ask(session, 2 * SECOND), said(*sentence("and so my. fellow.")))
    [final, partial] = session.accept(ask(session), said(*sentence("and so my. fellow.")))
    assert (final.text, partial.text) == (" and so my.", " fellow.")  # which ends too near the window's end
    [final, partial] = session.accept(ask(session), said(*sentence("and so my. fellow. all")))
    assert (final.text, partial.text) == (" fellow.", " all")


def test_a_pause_ends_the_wait_for_text_to_settle(tokenizer):
    session = StreamingSession(StreamingOptions(language="en", vad=False, settle_s=5), tokenizer)
    say = hearing(sentence("and so my"))
    events = stream(session, [SECOND, SECOND], say)
    assert [type(event) for event in events[-2:]] == [Final, UtteranceEnded]
    assert text_of(events) == "and so my"


def test_a_window_says_whether_it_ends_an_utterance(tokenizer):
    session = StreamingSession(NO_VAD, tokenizer)
    window = ask(session)
    assert not window.ends_utterance
    session.accept(window, said())
    session.push(SECOND // 2)
    session.finish()
    assert session.next_window().ends_utterance


def test_a_partial_is_sent_when_it_changes(tokenizer):
    session = StreamingSession(NO_VAD, tokenizer)
    session.accept(ask(session), said(word("may", 0)))
    assert session.accept(ask(session), said(word("be", 0))) == [Partial(words=(word("be", 0),))]
    assert session.accept(ask(session), said()) == [Partial(words=())]  # taken back
    assert session.accept(ask(session), said()) == []


def test_final_text_stays_though_the_model_changes_its_mind(tokenizer):
    session = StreamingSession(NO_VAD, tokenizer)
    for text in ("ice cream.", "ice cream."):
        session.accept(ask(session), said(*sentence(text)))
    events = session.accept(ask(session), said(*sentence("I scream every day")))
    assert [type(event) for event in events] == [Partial]
    assert events[0].text == " every day"


def test_nothing_is_decoded_before_a_step(tokenizer):
    session = StreamingSession(replace(NO_VAD, step_s=2.0), tokenizer)
    session.push(2 * SECOND - 1)
    assert session.next_window() is None
    session.push(1)
    window = session.next_window()
    assert window is not None
    assert (window.start, window.end) == (0, 2 * SECOND)
    session.push(10 * SECOND)
    assert session.next_window() is window  # until its result is here
    session.accept(window, said())
    assert (session.next_window().start, session.next_window().end) == (0, 12 * SECOND)


def test_finish_flushes_all_without_decoding_twice(tokenizer):
    session = StreamingSession(NO_VAD, tokenizer)
    session.accept(ask(session), said(word("hello", 0)))
    events = session.finish()
    assert [type(event) for event in events] == [Final, UtteranceEnded]
    assert session.next_window() is None
    assert session.finish() == []


def test_finish_decodes_the_rest(tokenizer):
    session = StreamingSession(NO_VAD, tokenizer)
    events = stream(session, [SECOND // 4], hearing([word("hi", 0, 0.2)]))
    assert [type(event) for event in events] == [Final, UtteranceEnded]
    assert stream(StreamingSession(NO_VAD, tokenizer), [], hearing([])) == []


# --- windows that move ---


def test_a_long_window_moves_to_the_last_end_of_a_sentence(tokenizer):
    truth = sentence("one two. three four five six seven eight nine ten. " * 8)
    session = StreamingSession(NO_VAD, tokenizer)
    starts = []

    def say(window: StreamingWindow) -> Hypothesis:
        starts.append(window.start / SECOND)
        return hearing(truth)(window)

    events = stream(session, [SECOND] * 40, say)
    assert final_words(events) == truth
    assert sorted(set(starts)) == [0.0, 11.0, 25.0]


def test_the_text_before_the_window_is_its_context(tokenizer):
    truth = sentence("one two three four five six. " * 6)
    session = StreamingSession(replace(NO_VAD, prompt="Tolkien", hotwords=("Ent", "Orc")), tokenizer)
    told = {}

    def say(window: StreamingWindow) -> Hypothesis:
        told[window.start / SECOND] = tokenizer.decode(window.prompt.context)
        return hearing(truth)(window)

    stream(session, [SECOND] * 18, say)
    assert told == {0.0: " Ent, Orc Tolkien", 12.0: " Ent, Orc Tolkien" + " one two three four five six." * 4}


def test_the_context_is_bounded_and_hotwords_stay(tokenizer):
    truth = sentence("supercalifragilistic. " * 600)
    session = StreamingSession(replace(NO_VAD, hotwords=("Ent",)), tokenizer)
    contexts = []

    def say(window: StreamingWindow) -> Hypothesis:
        contexts.append(window.prompt.context)
        return hearing(truth)(window)

    assert final_words(stream(session, [SECOND] * 300, say)) == truth
    assert max(map(len, contexts)) == 223
    assert all(tokenizer.decode(context).startswith(" Ent") for context in contexts)


@pytest.mark.parametrize(("text", "longest"), [("la " * 200, 28.0), ("la la la la. " * 50, 15.0)])
def test_running_speech_is_cut_after_sentences_or_else_between_words_with_anchors(tokenizer, text, longest):
    truth = sentence(text, step=0.3)
    session = StreamingSession(NO_VAD, tokenizer)
    lengths = []

    def say(window: StreamingWindow) -> Hypothesis:
        lengths.append((window.end - window.start) / SECOND)
        return hearing(truth)(window)

    assert final_words(stream(session, [SECOND] * 60, say)) == truth
    assert max(lengths) == longest


def test_a_window_that_never_agrees_is_forced(tokenizer):
    session = StreamingSession(NO_VAD, tokenizer)
    delays = []
    for second in range(1, 200):
        window = ask(session)
        events = session.accept(
            window, said(*[word(f"x{second}", t) for t in range(-(-window.start // SECOND), second)])
        )
        delays += [second - w.end for w in final_words(events)]
    assert delays
    assert max(delays) <= 28


@pytest.mark.parametrize("say", [lambda _: said(), lambda w: said(word("aah", w.start / SECOND, w.end / SECOND))])
def test_windows_go_on_whatever_is_said(tokenizer, say):
    session = StreamingSession(NO_VAD, tokenizer)
    session.push(300 * SECOND)
    session.finish()
    for _ in range(400):
        if (window := session.next_window()) is None:
            break
        session.accept(window, say(window))
    assert session.next_window() is None


def test_audio_that_piled_up_is_decoded_in_full_windows(tokenizer):
    truth = sentence("one two three four five six seven. " * 60)
    session = StreamingSession(NO_VAD, tokenizer)
    windows = []

    def say(window: StreamingWindow) -> Hypothesis:
        windows.append(window)
        return hearing(truth)(window)

    assert final_words(stream(session, [215 * SECOND], say)) == truth
    assert len(windows) < 14
    assert max(window.end - window.start for window in windows) == 28 * SECOND


def test_nothing_drifts_after_days(tokenizer):
    session = StreamingSession(NO_VAD, tokenizer)
    offset = 3 * 24 * 3600
    session.push(offset * SECOND)
    while session.received - session.drop_before > 20 * SECOND:
        window = session.next_window()
        session._start = session._decoded = offset * SECOND  # the days before, in one leap
        session._asked = None
        assert window is not None
    truth = sentence("one two three four five six seven. " * 10, start=float(offset))
    assert final_words(stream(session, [1_600] * 360, hearing(truth))) == truth


# --- turns ---


def frames(*runs: tuple[float, float]) -> list[float]:
    return [probability for seconds, probability in runs for _ in range(round(seconds * SECOND / FRAME))]


def push_frames(session: StreamingSession, probabilities: Sequence[float], say: Say) -> list[StreamingEvent]:
    events: list[StreamingEvent] = []
    for probability in probabilities:
        events += session.push(FRAME, [probability])
        events += drain(session, say)
    return events


def test_a_pause_makes_everything_final(tokenizer):
    session = StreamingSession(StreamingOptions(language="en"), tokenizer)
    truth = sentence("hello there", 1.28) + sentence("bye", 6.4)
    windows = []

    def say(window: StreamingWindow) -> Hypothesis:
        windows.append((window.start / SECOND, window.end / SECOND))
        return hearing(truth)(window)

    events = push_frames(session, frames((1.28, 0), (1.024, 0.9), (4.096, 0.1), (0.512, 0.9), (3.2, 0)), say)
    kinds = [event for event in events if not isinstance(event, Partial)]
    assert kinds == [
        SpeechStarted(time=1.28),
        Final(words=tuple(truth[:2])),
        SpeechStopped(time=2.304),
        UtteranceEnded(start=1.28, end=2.304),
        SpeechStarted(time=6.4),
        SpeechStopped(time=6.912),
        Final(words=tuple(truth[2:])),
        UtteranceEnded(start=6.4, end=6.912),
    ] or kinds[1] == SpeechStopped(time=2.304)
    assert final_words(events) == truth
    assert windows[0][0] == pytest.approx(0.98)
    assert windows[-1] == pytest.approx((6.1, 7.212))
    assert sum(end - start for start, end in windows) < 5  # neither silence nor the pause is decoded
    assert session.finish() == []


def test_a_short_pause_does_not_end_an_utterance(tokenizer):
    session = StreamingSession(StreamingOptions(language="en", max_pause_s=1.0), tokenizer)
    events = push_frames(session, frames((1, 0.9), (0.9, 0), (1, 0.9), (1.5, 0)), hearing([]))
    assert [type(event) for event in events] == [SpeechStarted, SpeechStopped, UtteranceEnded]


def test_silence_is_neither_decoded_nor_kept(tokenizer):
    session = StreamingSession(StreamingOptions(), tokenizer)
    assert push_frames(session, frames((60, 0.1), (0.064, 0.9), (60, 0.2)), hearing([])) == []  # one click
    assert session.received - session.drop_before <= 0.4 * SECOND


def test_the_end_of_the_stream_ends_the_turn(tokenizer):
    session = StreamingSession(StreamingOptions(language="en"), tokenizer)
    events = push_frames(session, frames((0.64, 0.9)), hearing([]))
    session.push(100)
    events += session.finish()
    events += drain(session, hearing([word("yes", 0, 0.5)]))
    assert events == [
        SpeechStarted(time=0.0),
        SpeechStopped(time=(round(0.64 * SECOND) + 100) / SECOND),
        Final(words=(word("yes", 0, 0.5),)),
        UtteranceEnded(start=0.0, end=(round(0.64 * SECOND) + 100) / SECOND),
    ]


def test_turns_that_piled_up_are_decoded_one_by_one(tokenizer):
    session = StreamingSession(StreamingOptions(language="en"), tokenizer)
    probabilities = frames(*[(1.024, 0.9), (1.984, 0.0)] * 10)
    truth = [w for i in range(10) for w in sentence("one two", i * 94 * FRAME / SECOND)]
    session.push(len(probabilities) * FRAME, probabilities)
    events = drain(session, hearing(truth))
    assert final_words(events) == truth
    assert sum(isinstance(event, UtteranceEnded) for event in events) == 10


def test_speech_goes_on_below_the_threshold_that_starts_it():
    tracker = TurnTracker(threshold=0.5, max_pause_s=0.3, uses_voice_activity=True)
    assert tracker.hear([0.4] * 20) == []
    assert len(tracker.hear([0.6, 0.4, 0.4, *[0.4] * 20])) == 1
    assert len(tracker.hear([0.3] * 20)) == 1


def test_close_turns_share_no_audio():
    tracker = TurnTracker(threshold=0.5, max_pause_s=0.3, uses_voice_activity=True)
    tracker.hear([0.9] * 10 + [0.0] * 10 + [0.9] * 10)
    first, second = tracker.take(), tracker.take()
    assert first is not None
    assert second is not None
    assert first.audible_end == second.start
    assert tracker.take() is None


# --- language ---


def test_the_language_is_a_vote_over_the_first_speech(tokenizer):
    session = StreamingSession(StreamingOptions(vad=False), tokenizer)
    answers = [("cy", {"cy": 0.6, "en": 0.4}), ("cy", {"cy": 0.5, "en": 0.5}), ("en", {"cy": 0.1, "en": 0.9})]
    for place, (language, probabilities) in enumerate(answers):
        window = ask(session)
        assert window.prompt.language is None
        events = session.accept(window, said(word("yes.", 0), language=language, language_probs=probabilities))
        assert len(final_words(events)) == (place == 2)  # no text is final before its language
    assert session.language == "en"
    assert session.language_probs == pytest.approx({"cy": 1.9 / 6, "en": 4.1 / 6})
    assert ask(session).prompt.language == "en"


def test_a_short_utterance_decides_too(tokenizer):
    session = StreamingSession(StreamingOptions(vad=False), tokenizer)
    answer = said(word("ja", 0), language="de", language_probs={"de": 0.9, "en": 0.1})
    events = stream(session, [SECOND], lambda _: answer)
    assert text_of(events) == "ja"


def test_a_given_language_stays(tokenizer):
    session = StreamingSession(StreamingOptions(language="Spanish", task=Task.TRANSLATE, vad=False), tokenizer)
    window = ask(session)
    assert (window.prompt.language, window.prompt.task) == ("es", Task.TRANSLATE)
    session.accept(window, said(language="de"))
    assert session.language == "es"


# --- silence and loops ---


def test_what_is_likely_silence_says_nothing(tokenizer):
    session = StreamingSession(NO_VAD, tokenizer)
    assert session.accept(ask(session), said(word("Thanks", 0), no_speech_prob=0.9, avg_logprob=-1.5)) == []
    assert session.accept(ask(session), said(word("Thanks", 0), no_speech_prob=0.9, avg_logprob=-0.2)) != []


def test_a_loop_is_decoded_again_without_context(tokenizer):
    session = StreamingSession(replace(NO_VAD, prompt="Tolkien"), tokenizer)
    window = ask(session)
    assert session.accept(window, said(*sentence("no no"), compression_ratio=3.0)) == []
    again = session.next_window()
    assert again is not None
    assert (again.start, again.end, again.prompt.context) == (window.start, window.end, ())
    assert session.accept(again, said(word("no", 0))) == [Partial(words=(word("no", 0),))]


def test_a_loop_does_not_replace_a_good_hypothesis(tokenizer):
    session = StreamingSession(NO_VAD, tokenizer)
    session.accept(ask(session), said(word("no", 0)))
    assert session.accept(ask(session), said(*sentence("no no"), compression_ratio=3.0)) == []
    assert text_of(session.finish()) == "no"


def test_a_model_that_stops_short_hears_the_rest_apart(tokenizer):
    truth = sentence("one two three four five six seven eight", step=1.0)
    session = StreamingSession(NO_VAD, tokenizer)
    session.push(8 * SECOND)
    session.finish()
    windows = []

    def say(window: StreamingWindow) -> Hypothesis:
        windows.append((window.start / SECOND, window.end / SECOND))
        return said(*hearing(truth)(window).words[:5])

    assert final_words(drain(session, say)) == truth
    assert windows == [(0.0, 8.0), (5.0, 8.0)]


def test_a_model_that_says_nothing_of_speech_is_asked_again_without_context(tokenizer):
    session = StreamingSession(StreamingOptions(language="en", prompt="Tolkien"), tokenizer)
    truth = [word("yes", 2, 2.5)]
    contexts = []

    def say(window: StreamingWindow) -> Hypothesis:
        contexts.append(bool(window.prompt.context))
        return said() if window.prompt.context else hearing(truth)(window)

    events = push_frames(session, frames((2.72, 0.9), (2, 0)), say)
    assert final_words(events) == truth
    assert contexts[:3] == [True, True, False]
    assert not any(contexts[3:])


# --- bad input ---


def test_bad_input(tokenizer):
    session = StreamingSession(NO_VAD, tokenizer)
    window = ask(session)
    with pytest.raises(AuricleError, match="samples 0 to 1, expected samples 0 to 16000"):
        session.accept(replace(window, end=1), said())
    for words in (sentence("a b")[::-1], [word("a", 0.8)], [word("a", 0.5, 0.4)], [word("a", float("nan"))]):
        with pytest.raises(AuricleError, match="expected times that go on"):
            session.accept(window, said(*words))
    session.accept(window, said())
    with pytest.raises(AuricleError, match="expected none"):
        session.accept(window, said())
    with pytest.raises(AuricleError, match="got -1 samples"):
        session.push(-1)
    with pytest.raises(AuricleError, match="vad=False"):
        session.push(FRAME, [0.5])
    session.finish()
    with pytest.raises(AuricleError, match="after finish"):
        session.push(1)
    with pytest.raises(AuricleError, match="up to sample 1024, expected at most 512"):
        StreamingSession(StreamingOptions(), tokenizer).push(FRAME, [0.5, 0.5])


@pytest.mark.parametrize(
    "fields",
    [
        {"step_s": 0.0}, {"step_s": float("nan")}, {"max_pause_s": 0.2}, {"max_window_s": 31}, {"max_window_s": 14},
        {"vad_threshold": 1.0}, {"hotwords": ("Ent", " ")},
    ],
)  # fmt: skip
def test_options_out_of_range(fields):
    with pytest.raises(InvalidOptionError) as caught:
        StreamingOptions(**fields)
    assert caught.value.param in fields


def test_an_unknown_language():
    with pytest.raises(UnsupportedLanguageError):
        StreamingOptions(language="Klingon")


# --- whatever comes ---


@st.composite
def transcripts(draw) -> list[Word]:
    """Words in a row on a grid of 20 ms, with pauses and repetitions."""
    words, time = [], 0
    for _ in range(draw(st.integers(0, 60))):
        time += draw(st.sampled_from([0, 0, 0, 5, 40, 400]))
        length = draw(st.sampled_from([1, 5, 10, 20, 50]))
        text = draw(st.sampled_from(["a", "b", "a", "c.", "Dog"]))
        words.append(word(text, time * 0.02, (time + length) * 0.02))
        time += length
    return words


@settings(max_examples=80, deadline=None)
@given(truth=transcripts(), data=st.data())
def test_a_stable_hypothesis_is_emitted_once_however_it_is_pushed(tokenizer, truth, data):
    n_samples = round((truth[-1].end if truth else 0.0) * SECOND) + data.draw(st.sampled_from([1, SECOND, 3 * SECOND]))
    sizes = data.draw(st.lists(st.sampled_from([1_600, SECOND, 50_001, 700_000]), min_size=1, max_size=5))
    chunks: list[int] = []
    for size in itertools.cycle(sizes):
        chunks.append(min(size, n_samples - sum(chunks)))
        if sum(chunks) == n_samples:
            break
    options = replace(NO_VAD, step_s=data.draw(st.sampled_from([0.5, 1.0, 3.0])))
    got = final_words(stream(StreamingSession(options, tokenizer), chunks, hearing(truth)))
    assert [w.word for w in got] == [w.word for w in truth]
    assert [w.start for w in got] == pytest.approx([w.start for w in truth])
    assert [w.end for w in got] == pytest.approx([w.end for w in truth])


@st.composite
def any_hypothesis(draw, window: StreamingWindow) -> Hypothesis:
    start, end = window.start / SECOND, window.end / SECOND
    times = sorted(draw(st.lists(st.floats(0, 1), max_size=24)))
    places = [min(start + time * (end - start), end) for time in times]
    words = [
        word(draw(st.sampled_from(["a", "b", "c."])), first, last)
        for first, last in zip(places[::2], places[1::2], strict=False)
    ]
    return said(
        *words,
        language_probs=draw(st.sampled_from([{}, {"en": 0.7, "de": 0.3}])),
        compression_ratio=draw(st.sampled_from([1.0, 1.0, 1.0, 3.0])),
        no_speech_prob=draw(st.sampled_from([0.1, 0.1, 0.9])),
        avg_logprob=draw(st.sampled_from([-0.3, -1.5])),
    )


@settings(max_examples=80, deadline=None)
@given(data=st.data(), vad=st.booleans())
def test_any_stream_is_append_only_and_ends(tokenizer, data, vad):
    options = StreamingOptions(vad=vad, max_pause_s=0.3, max_window_s=15)
    session = StreamingSession(options, tokenizer)
    events: list[StreamingEvent] = []
    n_heard, dropped = 0, 0

    def step() -> None:
        nonlocal dropped
        window = session.next_window()
        assert session.drop_before >= dropped
        dropped = session.drop_before
        if window is not None:
            assert dropped <= window.start < window.end <= min(session.received, window.start + 15 * SECOND)
            events.extend(session.accept(window, data.draw(any_hypothesis(window))))

    for _ in range(data.draw(st.integers(0, 12))):
        n_samples = data.draw(st.sampled_from([0, 100, 8_000, SECOND, 5 * SECOND, 20 * SECOND]))
        n_frames = (session.received + n_samples) // FRAME - n_heard if vad else 0
        n_heard += n_frames
        loudness = data.draw(st.sampled_from([(0.0,), (0.9,), (0.9, 0.0, 0.0), (0.9,) * 20 + (0.0,) * 20]))
        events += session.push(n_samples, [loudness[i % len(loudness)] for i in range(n_frames)])
        step()
    events += session.finish()
    for _ in range(300):
        step()
        if session.next_window() is None:
            break
    assert session.next_window() is None
    words = final_words(events)
    reached = 0.0
    for w in words:
        assert reached <= w.start <= w.end <= session.received / SECOND + 1e-4
        reached = w.end
    assert all(event.words for event in events if isinstance(event, Final))
    turns = [event for event in events if isinstance(event, SpeechStarted | SpeechStopped)]
    assert [type(event) for event in turns] == [SpeechStarted, SpeechStopped] * (len(turns) // 2)
    assert [event.time for event in turns] == sorted(event.time for event in turns)
    ended = [event for event in events if isinstance(event, UtteranceEnded)]
    assert len(ended) == (len(turns) // 2 if vad else min(session.received, 1))
