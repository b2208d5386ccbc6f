import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr.options import TranscribeOptions
from asr.quality import (
    LOOP,
    LOW_PROBABILITY,
    NO_SPEECH,
    NO_VOICE,
    PHANTOM,
    PHANTOM_PHRASES,
    TOO_DENSE,
    VoiceEvidence,
    failures,
    is_phantom,
    is_silence,
    segment_flags,
    suppression_reason,
    too_dense,
)
from asr.transcript import Segment, Word

OPTIONS = TranscribeOptions()
NOBODY = VoiceEvidence(max_probability=0.02, speech_s=0.0)
FAINT = VoiceEvidence(max_probability=0.3, speech_s=0.0)
SOMEBODY = VoiceEvidence(max_probability=0.9, speech_s=1.0)


def segment(text: str = " Hello there.", duration: float = 5.0, **fields) -> Segment:
    values = {
        "id": 0, "seek": 0, "start": 0.0, "end": duration, "text": text, "tokens": (), "temperature": 0.0,
        "avg_logprob": -0.3, "compression_ratio": 1.2, "no_speech_prob": 0.01,
    }  # fmt: skip
    return Segment(**values | fields)


# --- density ---


@pytest.mark.parametrize(
    ("text", "duration", "dense"),
    [
        ("", 0.0, False),
        (" Yes.", 0.0, False),
        (" The quick brown fox jumps over the lazy dog.", 2.0, False),
        (" The quick brown fox jumps over the lazy dog.", 0.2, True),
        (" Съешь же ещё этих мягких французских булок.", 2.0, False),
        (" Съешь же ещё этих мягких французских булок.", 0.2, True),
        ("我们今天一起去图书馆学习中文", 2.0, False),  # 14 characters: seven a second is fast
        ("我们今天一起去图书馆学习中文", 0.5, True),
        ("สวัสดีครับวันนี้อากาศดีมาก", 1.5, False),
        ("สวัสดีครับวันนี้อากาศดีมาก" * 3, 0.5, True),
        (" 1984 2001 2024", 1.5, False),
        (" " + "1234567890" * 8, 1.0, True),
        (" ... --- ... !!! " * 30, 1.0, False),  # signs are not said
    ],
)
def test_density(text, duration, dense):
    assert too_dense(text, duration) is dense


@given(st.text(max_size=200), st.floats(0, 30), st.floats(0, 30))
def test_more_time_never_makes_text_denser(text, duration, more):
    assert too_dense(text, duration) or not too_dense(text, duration + more)


# --- windows ---


@pytest.mark.parametrize(
    ("fields", "options", "expected"),
    [
        ({}, {}, ()),
        ({"compression_ratio": 2.4, "avg_logprob": -1.0}, {}, ()),  # at the thresholds
        ({"compression_ratio": 2.5}, {}, (LOOP,)),
        ({"avg_logprob": -1.1}, {}, (LOW_PROBABILITY,)),
        ({"compression_ratio": 2.5, "avg_logprob": -1.1}, {}, (LOOP, LOW_PROBABILITY)),
        ({"compression_ratio": 2.5}, {"compression_ratio_threshold": None}, ()),
        ({"avg_logprob": -1.1}, {"logprob_threshold": None}, ()),
        ({"text": " word" * 21}, {}, ()),  # 84 letters in 2 s
        ({"text": " word" * 22}, {}, (TOO_DENSE,)),
    ],
)
def test_failures(result_of, fields, options, expected):
    assert failures(result_of(**fields), TranscribeOptions(**options), 2.0) == expected


@pytest.mark.parametrize(
    ("fields", "options", "expected"),
    [
        ({"no_speech_prob": 0.7, "avg_logprob": -1.1}, {}, True),
        ({"no_speech_prob": 0.6, "avg_logprob": -1.1}, {}, False),
        ({"no_speech_prob": 0.7, "avg_logprob": -1.0}, {}, False),
        ({"no_speech_prob": 0.7, "avg_logprob": -0.1}, {"logprob_threshold": None}, True),
        ({"no_speech_prob": 0.9, "avg_logprob": -2.0}, {"no_speech_threshold": None}, False),
    ],
)
def test_silence(result_of, fields, options, expected):
    assert is_silence(result_of(**fields), TranscribeOptions(**options)) is expected


# --- segments ---


@pytest.mark.parametrize(
    ("each", "voice", "flags"),
    [
        (segment(), None, ()),
        (segment(), SOMEBODY, ()),
        (segment(), FAINT, (NO_VOICE,)),
        (segment(no_speech_prob=0.7), SOMEBODY, (NO_SPEECH,)),
        (segment(" The quick brown fox jumps over the lazy dog.", 0.2), SOMEBODY, (TOO_DENSE,)),
        (segment(" Thank you."), SOMEBODY, (PHANTOM,)),
        (segment(" Thank you.", no_speech_prob=0.7), NOBODY, (NO_SPEECH, NO_VOICE, PHANTOM)),
    ],
)
def test_flags(each, voice, flags):
    assert segment_flags(each, voice, OPTIONS) == flags


@pytest.mark.parametrize(
    "text",
    [
        " Thank you.", " THANK YOU!", " thank  you", "Thanks for watching!", " Don't forget to like and subscribe!",
        " I'll see you in the next video.", " I’ll see you next time!", "[Music]",
        "Subtitles by the Amara.org community",
        " Sous-titres réalisés par la communauté d'Amara.org", " Untertitel im Auftrag des ZDF für funk, 2017",
        " Субтитры сделал DimaTorzok", " Продолжение следует...", "ご視聴ありがとうございました。",
        "字幕由Amara.org社区提供",
        "请不吝点赞 订阅 转发 打赏支持明镜与点点栏目", " İzlediğiniz için teşekkür ederim.",
    ],
)  # fmt: skip
def test_phantom_phrases_whatever_their_punctuation_and_case(text):
    assert PHANTOM in segment_flags(segment(text), None, OPTIONS)


@pytest.mark.parametrize(
    "text", [" Thank you for coming to my office.", " You know what?", " So what happened?", " 42"]
)
def test_phrases_that_only_resemble_phantoms(text):
    assert PHANTOM not in segment_flags(segment(text), None, OPTIONS)


@pytest.mark.parametrize("phrase", sorted(PHANTOM_PHRASES))
def test_every_phantom_phrase_is_found_as_it_is_written(phrase):
    assert PHANTOM in segment_flags(segment(" " + phrase.capitalize() + "."), None, OPTIONS)


ALL_FLAGS = (NO_SPEECH, NO_VOICE, TOO_DENSE, PHANTOM)


@pytest.mark.parametrize(
    ("voice", "flags", "avg_logprob", "reason"),
    [
        (None, ALL_FLAGS, -2.0, None),  # no evidence, no verdict
        (SOMEBODY, (NO_SPEECH, TOO_DENSE), -0.5, None),
        (SOMEBODY, (NO_SPEECH, TOO_DENSE), -0.7, TOO_DENSE),
        (SOMEBODY, (TOO_DENSE, PHANTOM), -2.0, None),
        (SOMEBODY, (NO_SPEECH, PHANTOM), -0.5, None),
        (SOMEBODY, (NO_SPEECH, PHANTOM), -0.7, PHANTOM),  # music: neither model nor text speak for the voice
        (NOBODY, (NO_VOICE,), -0.1, NO_VOICE),  # however sure the model is
        (NOBODY, (NO_VOICE, PHANTOM), -0.1, PHANTOM),
        (FAINT, (NO_VOICE,), -0.3, None),
        (FAINT, (NO_VOICE,), -0.7, NO_VOICE),
        (FAINT, (NO_VOICE, NO_SPEECH), -0.3, NO_VOICE),
        (FAINT, (NO_VOICE, TOO_DENSE), -0.3, NO_VOICE),
        (FAINT, (NO_VOICE, PHANTOM), -0.1, PHANTOM),
    ],
)
def test_what_is_left_out(voice, flags, avg_logprob, reason):
    assert suppression_reason(segment(avg_logprob=avg_logprob), flags, voice) == reason


@given(
    flags=st.sets(st.sampled_from([*ALL_FLAGS, LOOP, LOW_PROBABILITY])),
    avg_logprob=st.floats(-5, 0),
    no_speech_prob=st.floats(0, 1),
)
def test_nothing_is_left_out_without_evidence(flags, avg_logprob, no_speech_prob):
    each = segment(avg_logprob=avg_logprob, no_speech_prob=no_speech_prob)
    assert suppression_reason(each, sorted(flags), None) is None


@pytest.mark.parametrize("doubt", [NO_SPEECH, TOO_DENSE])
@given(flags=st.sets(st.sampled_from([LOOP, LOW_PROBABILITY])), avg_logprob=st.floats(-5, 0))
def test_one_doubt_is_not_enough_over_a_voice(doubt, flags, avg_logprob):
    assert suppression_reason(segment(avg_logprob=avg_logprob), [doubt, *sorted(flags)], SOMEBODY) is None


@pytest.mark.parametrize(("word_s", "is_dense"), [(0.2, False), (0.0, True)])
def test_words_tell_how_long_a_text_is_heard(word_s, is_dense):
    """The segment's own times may be as long as its window."""
    words = tuple(Word(start=i * 0.3, end=i * 0.3 + word_s, word=" hollow", probability=0.5) for i in range(9))
    flags = segment_flags(segment(" hollow" * 9, words=words), SOMEBODY, OPTIONS)
    assert flags == ((TOO_DENSE,) if is_dense else ())


@pytest.mark.parametrize(
    "text",
    [
        " Thank you so much for watching, and I'll see you in the next video.",
        " Bye. Bye.",
        " Thank you. Thank you.",
    ],
)
def test_phantoms_that_follow_on_each_other(text):
    assert is_phantom(text)
    assert not is_phantom(text + " Press seven.")
    assert not is_phantom("And then " + text)
