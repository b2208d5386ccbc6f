from hypothesis import given
from hypothesis import strategies as st

from eval.normalizers import NormalizerName, Unit, normalizer_for
from eval.scoring.word_matching import find_words, match_words, normalize_words, split_units

WORDS = ["the", "cat", "twenty", "-one", "don't", "don’t", "21", "Mr.", "—", "uh", "and", "a", "hundred", "colour"]


def english(*words: str):
    normalizer = normalizer_for(NormalizerName.WHISPER, "en")
    return normalize_words(words, normalizer=normalizer, language="en", unit=Unit.WORD)


def chinese(*words: str):
    normalizer = normalizer_for(NormalizerName.WHISPER, "zh")
    return normalize_words(words, normalizer=normalizer, language="zh", unit=Unit.CHARACTER)


def test_words_that_normalization_merges_belong_to_nobody() -> None:
    words = english(" I", " have", " twenty", "-one", " cats,", " don't", " I?", " —")
    assert words.units == ("i", "have", "21", "cats", "do", "not", "i")
    assert words.positions == {0: (0,), 1: (1,), 4: (3,), 5: (4, 5), 6: (6,)}
    assert words.n_unclear == 2  # twenty, -one
    assert words.n_words == 7  # the dash is no word


def test_words_are_found_whole_or_not_at_all() -> None:
    words = english(" He", " don't", " know")
    assert find_words(words, ("he", "do", "not", "know")) == {0: (0,), 1: (1, 2), 2: (3,)}
    assert find_words(words, ("he", "do", "know")) == {0: (0,), 2: (2,)}
    assert find_words(words, ()) == {}


def test_the_same_word_in_the_same_place() -> None:
    a = english(" The", " cat", " sat", " on", " the", " mat.")
    b = english(" the", " big", " cat", " sat", " the", " mat")
    assert match_words(a, b) == ((0, 0), (1, 2), (2, 3), (4, 4), (5, 5))


def test_words_without_spaces_before_them() -> None:
    assert english("the", "cat").units == ("the", "cat")


def test_by_character_where_no_spaces_are_written() -> None:
    a, b = chinese("你好", "吗", "?"), chinese("你", "好", "吗")
    assert (a.units, a.positions) == (("你", "好", "吗"), {0: (0, 1), 1: (2,)})
    assert match_words(a, b) == ((1, 2),)  # 你好 is no word of b


@given(st.lists(st.sampled_from(WORDS), max_size=12))
def test_a_transcript_matches_itself_but_for_the_unclear(words: list[str]) -> None:
    normalized = english(*(f" {word}" for word in words))
    assert match_words(normalized, normalized) == tuple((number, number) for number in sorted(normalized.positions))
    taken = [position for positions in normalized.positions.values() for position in positions]
    assert len(taken) == len(set(taken)) <= len(normalized.units)
    assert normalized.n_words <= len(words)
    assert split_units(" ".join(normalized.units), Unit.WORD) == normalized.units
