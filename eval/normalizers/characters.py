"""Rules about single characters, before words are looked at. In: text as written. Out: one code for one letter.

Invisible characters, compatibility forms, case, optional vowel points, and letters that a language writes with several
code points. What distinguishes words stays: accents, tones, matras, ß, ё where another word has е. Knows no
punctuation, numeral or word list, save the short tables beside their rules.
"""

import re
import unicodedata

from eval.normalizers.rules import Rule, of_words

__all__ = ["CHARACTER_RULES"]

DOTLESS = {"tr", "az"}
CHILLUS = dict(zip("ണനരലളക", "ൺൻർൽൾൿ", strict=True))  # letter + virama + ZWJ, before Unicode 5.1
CHILLU = re.compile("([ണനരലളക])\u0d4d\u200d")
EYELASH_RA = re.compile("र\u094d\u200d")  # Marathi दर्‍या "valleys", not दर्या "sea"
FILLERS = "\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u3164\uffa0"  # blank, but no format characters
SPACING_MARKS = str.maketrans({"゛": "\u3099", "゜": "\u309a", "´": "'", "\u1fbf": "'", "\u1fbd": "'", "\u1ffd": "'"})
# NFKC takes sara am apart, two characters for one that everybody types, and turns ㅋㅋ into unattached jamo.
NOT_COMPATIBLE = re.compile("([ำຳ\u3131-\u318e])")
THAI_TONES = "\u0e48\u0e49\u0e4a\u0e4b"
THAI_VOWELS = "\u0e31\u0e34-\u0e39"
THAI_ORDER = re.compile(f"[{THAI_TONES}{THAI_VOWELS}]{{2,}}")
THAI_AM = re.compile(f"\u0e4d([{THAI_TONES}]?)\u0e32|\u0e33([{THAI_TONES}])")
LAO_AM = re.compile("\u0ecd([\u0ec8-\u0ecb]?)\u0eb2|\u0eb3([\u0ec8-\u0ecb])")
INITIALISM = re.compile(r"(?<!\w)(?:[^\W\d_]\.){2,}(?!\w)|(?<!\w)(?:[^\W\d_]\.)+[^\W\d_](?![\w.])")
DOT_OVER_I = re.compile("i\u0307+")
ARABIC_MARKS = re.compile(
    "[\u0610-\u061a\u0640\u064b-\u0652\u0656-\u065f\u0670\u06d6-\u06dc\u06df-\u06e8\u06ea-\u06ed]"
)
HEBREW_POINTS = re.compile("[\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7]")
LETTERS_BY_CATEGORY_ALONE = "ฯຯ"  # Thai and Lao signs of abbreviation: punctuation that Unicode calls letters


def _visible(word: str, language: str | None) -> str:
    word = CHILLU.sub(lambda match: CHILLUS[match[1]], word)
    word = EYELASH_RA.sub("ऱ\u094d", word)
    if language == "fa":
        word = word.replace("\u200c", " ")
    return "".join(char for i, char in enumerate(word) if not _is_invisible(word, i))


def _is_invisible(word: str, i: int) -> bool:
    char = word[i]
    if char == "\u200d" and word[i - 1 : i] == "র":
        return False  # Bengali র‍্য, another spelling than র্য
    return not char.isascii() and (
        unicodedata.category(char) in {"Cf", "Me"} or "\ufe00" <= char <= "\ufe0f" or char in FILLERS
    )


def _compatible(word: str, language: str | None) -> str:  # noqa: ARG001  (every rule is told the language)
    word = "".join(_apart(char) for char in word.translate(SPACING_MARKS))
    pieces = NOT_COMPATIBLE.split(word)
    pieces[::2] = [unicodedata.normalize("NFKC", piece) for piece in pieces[::2]]
    word = "".join(pieces).replace("เเ", "แ").replace("\u0ec0\u0ec0", "\u0ec1")
    word = THAI_ORDER.sub(lambda match: "".join(sorted(match[0], key=lambda char: char in THAI_TONES)), word)
    word = THAI_AM.sub(lambda match: f"{match[1] or match[2] or ''}\u0e33", word)
    return LAO_AM.sub(lambda match: f"{match[1] or match[2] or ''}\u0eb3", word)


def _apart(char: str) -> str:
    # 10² is not 102, 5½ not 51/2: a superscript, circled number or fraction stands by itself.
    if unicodedata.category(char) == "No" and (plain := unicodedata.normalize("NFKC", char)) != char:
        return f" {plain} "
    return char


def _initialism(word: str, language: str | None) -> str:  # noqa: ARG001
    return INITIALISM.sub(lambda match: match[0].replace(".", "") if match[0].isupper() else match[0], word)


def _lower(word: str, language: str | None) -> str:
    if language in DOTLESS:
        word = word.replace("I\u0307", "i").replace("İ", "i").replace("I", "ı")
    # Georgian Mtavruli have small letters too. Not casefold: it would make Maße and Masse one word.
    return DOT_OVER_I.sub("i", word.lower()).replace("ς", "σ")


def _unpointed(word: str, language: str | None) -> str:
    word = ARABIC_MARKS.sub("", word)
    return word if language == "yi" else HEBREW_POINTS.sub("", word)


def _attached(word: str, language: str | None) -> str:  # noqa: ARG001
    kept: list[str] = []
    for char in word:
        before = kept[-1] if kept else " "
        is_letter = unicodedata.category(before)[0] in "LM" and before not in LETTERS_BY_CATEGORY_ALONE
        if unicodedata.category(char)[0] != "M" or is_letter:
            kept.append(char)
    return "".join(kept)


CHARACTER_RULES = (
    Rule(
        name="invisible",
        reason="Soft hyphens, joiners, direction marks and variation selectors are not heard. Persian's ZWNJ, which "
        "many type as a space, becomes one; Malayalam chillus and the Marathi eyelash ra are given their own letters.",
        find=of_words(_visible),
    ),
    Rule(
        name="compatibility",
        reason="Full width, ligatures, presentation forms: Unicode NFKC, without taking Thai and Lao sara am apart.",
        find=of_words(_compatible),
    ),
    Rule(
        name="initialisms",
        reason="U.S.A. and USA are read alike; not in small letters, as Russian т.е. is not те.",
        find=of_words(_initialism),
    ),
    Rule(name="case", reason="Not heard. Turkish and Azeri I is ı; a final sigma is a sigma.", find=of_words(_lower)),
    Rule(
        name="vowel points",
        reason="Arabic harakat and tatweel, Hebrew points: optional in writing. Yiddish points make letters and stay.",
        find=of_words(_unpointed),
    ),
    Rule(name="stray marks", reason="A mark that is on no letter has no sound.", find=of_words(_attached)),
)
