import pytest
from hypothesis import given
from hypothesis import strategies as st

from eval.report.alignment_view import MAX_PAIRS, Mark, align_for_view
from eval.report.worst import worst_transcriptions, worst_translations
from eval.wer import align_characters, align_words

WORDS = st.lists(st.sampled_from(["a", "b", "c", "d", "eins", "ج"]), max_size=30).map(" ".join)


def clip(clip_id: str, language: str, n_errors: int, n_words: int = 10) -> tuple[str, str, str, str, str]:
    words = [f"{clip_id}{chr(97 + index // 26)}{chr(97 + index % 26)}" for index in range(n_words)]
    return clip_id, language, "x", " ".join(words), " ".join(["wrong"] * n_errors + words[n_errors:])


def test_what_the_language_does_not_predict_comes_first(write_run, scored):
    # "long" has most errors, "short" the highest rate; "odd" goes unusually wrong for its language.
    clips = (clip("long", "mn", 30, 40), clip("short", "mn", 1, 1), clip("odd", "en", 9), clip("good", "en", 0, 90))
    found = worst_transcriptions(scored(write_run(clips=clips)).scores, 10)
    assert [each.id for each in found] == ["odd", "short", "long"]
    assert found[0].summary == "WER 90.0 %: 9 substituted, of 10 words"


def test_no_language_takes_all_the_room(write_run, scored):
    clips = (*(clip("abcdef"[index], "en", 9 - index) for index in range(6)), clip("x", "de", 1), clip("y", "de", 0))
    scores = scored(write_run(clips=clips)).scores
    assert [each.language for each in worst_transcriptions(scores, 4)].count("de") == 1
    assert len(worst_transcriptions(scores, 7)) == 7
    assert worst_transcriptions(scores, 0) == ()


def test_invented_words_are_errors(write_run, scored):
    silence = ("silence", None, "noise", "", "thank you")
    (worst,) = worst_transcriptions(scored(write_run(clips=(silence, clip("good", "en", 0)))).scores, 5)
    assert (worst.id, worst.language, worst.summary) == ("silence", None, "2 words invented")


def test_translations_go_by_chrf(write_run, scored):
    clips = (
        ("near", "fr", "x", "the cat is black", "the cat is dark"),
        ("far", "fr", "x", "the cat is black", "quite something else"),
    )
    found = worst_translations(scored(write_run("translate", clips)).scores, 5)
    assert [each.id for each in found] == ["far", "near"]


@given(WORDS, WORDS)
def test_a_short_alignment_is_shown_whole(reference, hypothesis):
    pairs = align_for_view(align_words(reference, hypothesis), by_character=False)
    assert " ".join(pair.reference for pair in pairs if pair.reference) == reference
    assert " ".join(pair.hypothesis for pair in pairs if pair.hypothesis) == hypothesis
    assert all((pair.reference == pair.hypothesis) == (pair.mark is Mark.EQUAL) for pair in pairs)


def test_characters_stand_together_where_they_are_right():
    pairs = align_for_view(align_characters("你好吗朋友们大家好", "你好妈朋友们大家好"), by_character=True)
    assert [(pair.mark, pair.reference) for pair in pairs] == [
        (Mark.EQUAL, "你好"),
        (Mark.SUBSTITUTE, "吗"),
        (Mark.EQUAL, "朋友们大家好"),
    ]


def test_long_correct_stretches_are_left_out():
    words = [f"w{index}" for index in range(200)]
    wrong = [*words[:100], "wrong", *words[101:]]
    pairs = align_for_view(align_words(" ".join(words), " ".join(wrong)), by_character=False)
    assert [pair.reference for pair in pairs if pair.mark is Mark.SKIP] == ["90 correct", "89 correct"]
    assert [pair.hypothesis for pair in pairs if pair.mark is Mark.SUBSTITUTE] == ["wrong"]


@pytest.mark.parametrize(("n_words", "is_cut"), [(MAX_PAIRS, False), (MAX_PAIRS + 1, True)])
def test_an_endless_loop_is_cut(n_words, is_cut):
    pairs = align_for_view(align_words("", "no " * n_words), by_character=False)
    assert len(pairs) == MAX_PAIRS + is_cut
    assert (pairs[-1].mark is Mark.SKIP) == is_cut
