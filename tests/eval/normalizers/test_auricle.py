import json
import re
from importlib.resources import files
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from eval.normalizers import NormalizerName, normalizer_for
from eval.normalizers.auricle import SOURCES, AuricleNormalizer
from eval.normalizers.number_parser import lexicon_for
from eval.normalizers.number_words import NUMBER_WORDS
from eval.normalizers.rules import apply_edits
from eval.normalizers.types import Rewrite
from eval.normalizers.word_tables import ABBREVIATIONS, COMPOUNDS, FILLERS, SPELLINGS
from eval.normalizers.words import spellings_of

AURICLE = normalizer_for(NormalizerName.AURICLE, None)
CODES = """
en es fr de it pt nl ca gl oc pl ru cs sk ro tr az fi hu et lt lv sv no da is lb el he yi ar fa ur hi mr ne bn pa gu ta
te kn ml si th lo km my bo zh yue ja ko ka hy mn kk tt uz uk be bg sr hr vi id sw am eu br cy haw mt
"""
LANGUAGES = [None, *CODES.split()]
NUMBERS = [name for names in NUMBER_WORDS.values() for name in re.split(r"[\s/_]+", f"{names.units} {names.tens}")]
SIGNS_AND_WORDS = """
hundred thousand million mille cents hundert und e y et i bin yüz point komma virgule oh um uh won't can't i'm l'eau
d'un po' c'h o'g' e mail web site per cent por ciento so dass mr. U.S. t.e. İ I ß ẞ Σ ё œ 三 十 百 万 〇 五 3 1 1.5 2,5
1,000 1.000 1,25,000 12 345 000 10² 5½ ① ٣ ٫ ٬ ३ ३ $ € % & ° ' ’ ʻ - – . , : · … ( ) [ ] < > « » । ؟ 、 ՞ ־ ״ ़ ् ำ ํา ้
เเ ฯ \u200b \u200c \u200d \u00ad \u00a0 \u202f \u0301 \u0307 \u20e3 が ゙ ㅋ ﷺ ﬁ
"""
PIECES = SIGNS_AND_WORDS.split(" ")
words_and_signs = st.lists(
    st.tuples(st.sampled_from(PIECES) | st.sampled_from(NUMBERS), st.sampled_from(["", " ", " ", "-"])), max_size=12
).map(lambda pairs: "".join(f"{piece.strip()}{gap}" for piece, gap in pairs))
texts = st.text(max_size=30) | st.text(st.characters(max_codepoint=0x3100), max_size=20) | words_and_signs


@settings(max_examples=400, deadline=None)
@given(text=texts, language=st.sampled_from(LANGUAGES))
@example(text="ฯ\u0300", language=None)  # a mark on what is taken away
def test_normalizing_twice_is_normalizing_once(text: str, language: str | None) -> None:
    once = AURICLE.normalize(text, language)
    assert AURICLE.normalize(once, language) == once
    assert AURICLE.explain(once, language) == ()
    assert once == " ".join(once.split())


@settings(max_examples=400, deadline=None)
@given(text=texts, language=st.sampled_from(LANGUAGES))
def test_the_explanation_made_step_by_step_is_the_normalized_text(text: str, language: str | None) -> None:
    explanation = AURICLE.explain(text, language)
    assert all(rewrite.before != rewrite.after for rewrite in explanation)
    assert made(text, explanation) == AURICLE.normalize(text, language)


@settings(max_examples=200, deadline=None)
@given(text=texts, language=st.sampled_from(LANGUAGES))
def test_edits_of_a_rule_are_in_order_and_apart(text: str, language: str | None) -> None:
    for rule in AuricleNormalizer().rules:
        edits = rule.edits(text, language)
        assert all(left.end <= right.start for left, right in pairwise(edits)), rule.name
        text = apply_edits(text, edits)


@settings(max_examples=100, deadline=None)
@given(text=texts)
@pytest.mark.parametrize("name", [NormalizerName.WHISPER_BASIC, NormalizerName.WHISPER_ENGLISH])
def test_whispers_normalizers_are_explained_as_completely(name: NormalizerName, text: str) -> None:
    whisper = normalizer_for(name, None)
    assert made(text, whisper.explain(text, None)) == whisper.normalize(text, None)


def made(text: str, explanation: tuple[Rewrite, ...]) -> str:
    for rewrite in explanation:
        end = rewrite.start + len(rewrite.before)
        assert text[rewrite.start : end] == rewrite.before
        text = text[: rewrite.start] + rewrite.after + text[end:]
    return text


def test_a_rewrite_is_as_long_as_the_words_that_changed() -> None:
    told = [
        (rewrite.rule, rewrite.before, rewrite.after) for rewrite in AURICLE.explain("He won’t pay twenty-one.", "en")
    ]
    assert told == [
        ("case", "He", "he"),
        ("apostrophes", "won’t", "won't"),
        ("punctuation", "twenty-one.", "twenty one"),
        ("contractions", "won't", "will not"),
        ("numbers", "twenty one", "21"),
    ]


def test_every_rule_has_one_name_and_a_reason() -> None:
    rules = AuricleNormalizer().rules
    assert all(rule.reason.endswith(".") for rule in rules)
    assert len({rule.name for rule in rules}) == len({id(rule) for rule in rules})


def test_the_digest_is_over_every_module_that_rewrites() -> None:
    modules = {path.name for path in files("eval.normalizers").iterdir() if path.name.endswith(".py")}
    assert modules - set(SOURCES) == {"__init__.py", "types.py", "whisper.py"}
    assert re.fullmatch("[0-9a-f]{64}", AURICLE.sha256)
    assert (AURICLE.name, AURICLE.version) == ("auricle", "1")


@pytest.mark.parametrize("language", sorted({*FILLERS, *ABBREVIATIONS, *SPELLINGS, *COMPOUNDS}))
def test_no_table_makes_a_word_that_a_table_changes(language: str) -> None:
    tables = [ABBREVIATIONS.get(language, {}), spellings_of(language) if language in SPELLINGS else {}]
    compounds = COMPOUNDS.get(language, {})
    made_words = {word for table in (*tables, compounds) for new in table.values() for word in new.split()}
    parts = {word for old in compounds for word in old.split()}
    changed = {*FILLERS.get(language, ()), *(old for table in tables for old in table)}
    assert not made_words & changed
    assert not {word for new in compounds.values() for word in new.split()} & parts


@pytest.mark.parametrize("language", NUMBER_WORDS)
def test_every_number_word_reaches_the_parser_as_it_stands_in_the_table(language: str) -> None:
    lexicon = lexicon_for(language)
    assert lexicon is not None
    for words, part in lexicon.parts.items():
        if len(words) > 1 or words[0] not in lexicon.ambiguous:
            assert AURICLE.normalize(" ".join(words), language) == str(part.value)


def test_references_of_the_corpora_are_normalized_once_and_for_all(shared: Path) -> None:
    lines = (shared / "data" / "manifest.jsonl").read_text(encoding="utf-8").splitlines()
    for clip in map(json.loads, lines):
        once = AURICLE.normalize(clip["text"] or "", clip["language"])
        assert AURICLE.normalize(once, clip["language"]) == once


def test_marks_that_whisper_basic_tears_out_stay() -> None:
    hindi = "मेरा फ़ोन खराब है।"
    assert len(AURICLE.normalize(hindi, "hi").split()) == 4
    assert len(normalizer_for(NormalizerName.WHISPER_BASIC, "hi").normalize(hindi, "hi").split()) > 4
