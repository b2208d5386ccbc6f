"""Rules about the letters of one language. In: lower-case words. Out: one spelling where keyboards or schools have two.

Each is for languages in which the two spellings cannot be two words. Knows no punctuation and no numerals.
"""

import re
from collections.abc import Mapping

from eval.normalizers.rules import Rule, of_words

__all__ = ["LETTER_RULES"]

LETTERS: Mapping[str, Mapping[int, str]] = {
    "ar": str.maketrans({"ک": "ك", "ی": "ي", "ٱ": "ا"}),
    "fa": str.maketrans({"ك": "ک", "ي": "ی", "ى": "ی", "ۀ": "ه", "ە": "ه", "ہ": "ه", "\u0654": ""}),
    "ur": str.maketrans({"ك": "ک", "ي": "ی", "ى": "ی", "ه": "ہ"}),
    "fr": str.maketrans({"œ": "oe", "æ": "ae"}),
    "en": str.maketrans({"œ": "oe", "æ": "ae"}),
    "ro": str.maketrans({"ş": "ș", "ţ": "ț"}),
    "sr": str.maketrans(
        dict(zip("абвгдђежзијклмнопрстћуфхцчш", "abvgdđežzijklmnoprstćufhcčš", strict=True))
        | {"љ": "lj", "њ": "nj", "џ": "dž"}
    ),
}
# Without its dots each of these is another word or another form.
YO_WORDS = """
всё нёбо осёл чём моём твоём своём нём узнаём признаём поём передохнём берёг мёл сёл слёз слёзы чёрт чёрта падёж
крёстный совершённый совершённая совершённое совершённые истёкший сёстры звёзды жёны сёла озёра вёсла стёкла вёдра
зёрна гнёзда колёса рёбра бёдра
"""
KEEPS_YO = frozenset(YO_WORDS.split())
# hoà and hòa: the tone on the second or the first vowel of a final oa, oe, uy; the u of qu is no vowel.
TONE_SECOND = "oà oá oả oã oạ oè oé oẻ oẽ oẹ uỳ uý uỷ uỹ uỵ"
TONE_FIRST = "òa óa ỏa õa ọa òe óe ỏe õe ọe ùy úy ủy ũy ụy"
TONE_PLACES = dict(zip(TONE_SECOND.split(), TONE_FIRST.split(), strict=True))
TONE_LAST = re.compile("o[àáảãạèéẻẽẹ]$|(?<!q)u[ỳýỷỹỵ]$")
NASAL = re.compile("ङ\u094d(?=[क-घ])|ञ\u094d(?=[च-झ])|ण\u094d(?=[ट-ढ])|न\u094d(?=[त-ध])|म\u094d(?=[प-भ])")


def _letters(word: str, language: str | None) -> str:
    return word.translate(LETTERS[language or ""])


def _without_yo(word: str, language: str | None) -> str:  # noqa: ARG001  (every rule is told the language)
    return word if word in KEEPS_YO else word.replace("ё", "е")


def _tone_first(word: str, language: str | None) -> str:  # noqa: ARG001
    return TONE_LAST.sub(lambda match: TONE_PLACES[match[0]], word)


def _anusvara(word: str, language: str | None) -> str:  # noqa: ARG001
    return NASAL.sub("\u0902", word)


LETTER_RULES = (
    Rule(
        name="letters",
        reason="One letter, several code points or scripts: Arabic and Persian kaf and yeh, Romanian ș with a cedilla, "
        "French œ, Serbian in both alphabets. Hamza carriers, and ى beside ي in Arabic, tell words apart and stay.",
        find=of_words(_letters),
        languages=LETTERS,
    ),
    Rule(
        name="yo",
        reason="Russian print leaves out the dots of ё; they stay where the word without them is another (все, всё).",
        find=of_words(_without_yo),
        languages=("ru",),
    ),
    Rule(
        name="tone place",
        reason="Vietnamese schools put the tone of a final oa, oe, uy on either vowel: hoà, hòa.",
        find=of_words(_tone_first),
        languages=("vi",),
    ),
    Rule(
        name="anusvara",
        reason="A nasal before a stop of its own row may be written as anusvara: हिन्दी, हिंदी (Central Hindi "
        "Directorate, Devanagari standard).",
        find=of_words(_anusvara),
        languages=("hi", "mr", "ne"),
    ),
)
