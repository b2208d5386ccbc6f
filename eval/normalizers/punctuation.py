"""Rules about what stands between letters. In: lower-case text in NFKC. Out: words between single spaces.

Asides, digits of every script, apostrophes, separators inside numbers, signs that are spoken, all punctuation. What is
kept is part of a word: apostrophes between letters, the language's decimal mark between digits, the Catalan middle dot.
Knows no words except those for %, $ and the like.
"""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from functools import cache

from eval.normalizers.rules import Edit, Rule, whitespace_edits
from eval.normalizers.sign_words import SCALES_AFTER_MONEY, SIGN_WORDS

__all__ = ["PUNCTUATION_RULES", "decimal_mark"]

# 3,5 and 1.000; the others write 3.5 and 1,000 (Unicode CLDR).
DECIMAL_COMMA = """
af az be bg br bs ca cs da de el es et eu fi fo fr gl hr hu hy id is it ka kk lb lt lv mk nl nn no oc pl pt ro ru sk sl
sq sr sv tg tk tr tt uk uz vi
"""
COMMA_LANGUAGES = frozenset(DECIMAL_COMMA.split())
ASIDE = re.compile(r"\[[^\[\]]*\]|\([^()]*\)|<[^<>\s]*>|【[^【】]*】")
APOSTROPHES = "’‘`´ʼʻʹ′‛＇ꞌ՚׳"
APOSTROPHE = re.compile(f"[{APOSTROPHES}]")
BLANKS = "\u00a0\u2009\u202f'"
GROUPED_BY_BLANK = re.compile(f"(?<![0-9.,])[0-9]{{1,3}}(?:[{BLANKS}][0-9]{{3}})+(?![0-9])")
GROUPED_BY_POINT = re.compile(r"[0-9]{1,3}(?:\.[0-9]{3})+")
GROUPED_BY_COMMA = re.compile("[0-9]{1,3}(?:,[0-9]{3})+|[0-9]{1,2}(?:,[0-9]{2})*,[0-9]{3}")  # and 12,34,567 in India
NUMBER = re.compile(rf"(?<![0-9])[0-9]+(?:[.,٫٬{BLANKS}][0-9]+)+(?![0-9])")
CANDIDATE = re.compile(r"[^\w\s]|_|ฯลฯ|[ฯຯ]")
ELISIONS = {
    "fr": re.compile("(?<![^\\W\\d_])(?:[cdjlmnst]|qu|jusqu|lorsqu|puisqu|quoiqu)(')(?=[^\\W\\d_])"),
    "it": re.compile("(?<=[^\\W\\d_])(')(?=[aeiouàèéìíòóùúh])"),
    "ca": re.compile("(?<![^\\W\\d_])[dlmnst](')(?=[^\\W\\d_])|(?<=[^\\W\\d_])(')(?=(?:l|ls|m|n|ns|s|t)(?!\\w))"),
    "oc": re.compile("(?<![^\\W\\d_])(?:[cdjlmnst]|qu)(')(?=[^\\W\\d_])"),
    "lb": re.compile("(?<![^\\W\\d_])[ds](')(?=[^\\W\\d_])"),
}
JOINED = {  # marks that stand inside a word and part nothing
    "tr": "'",
    "az": "'",
    "he": '"״',
    "yi": '"״',
    "fi": ":",
    "sv": ":",
    "hy": "՛՜՞՟",
}


def decimal_mark(language: str | None) -> str:
    """What stands before the tenths in that language; the point where it is not known."""
    return "," if language in COMMA_LANGUAGES else "."


@cache
def _decimal(mark: str) -> re.Pattern[str]:
    return re.compile(rf"(?<![0-9])(?<![0-9][.,])[0-9]+{re.escape(mark)}[0-9]+(?![0-9])(?![.,][0-9])")


def _is_letter(char: str) -> bool:
    return unicodedata.category(char)[:1] in {"L", "M"} if char else False


def _asides(text: str, language: str | None) -> Iterable[Edit]:  # noqa: ARG001  (every rule is told the language)
    return (Edit(match.start(), match.end(), " ") for match in ASIDE.finditer(text))


def _digits(text: str, language: str | None) -> Iterable[Edit]:  # noqa: ARG001
    for match in re.finditer(r"\d", text):
        yield Edit(match.start(), match.end(), str(unicodedata.digit(match[0])))


def _apostrophes(text: str, language: str | None) -> Iterable[Edit]:  # noqa: ARG001
    return (Edit(match.start(), match.end(), "'") for match in APOSTROPHE.finditer(text))


def _elisions(text: str, language: str | None) -> Iterable[Edit]:
    for match in ELISIONS[language or ""].finditer(text):
        group = match.lastindex or 0
        yield Edit(match.start(group), match.end(group), " ")


def _separators(text: str, language: str | None) -> Iterable[Edit]:
    mark = decimal_mark(language)
    return (Edit(match.start(), match.end(), _number(match[0], mark)) for match in NUMBER.finditer(text))


def _number(written: str, mark: str) -> str:
    group = "." if mark == "," else ","
    plain = GROUPED_BY_BLANK.sub(lambda match: re.sub("[^0-9]", "", match[0]), written)
    plain = plain.replace("٬", group).replace("٫", mark)
    whole, _, tenths = plain.partition(mark)
    grouped = GROUPED_BY_POINT if mark == "," else GROUPED_BY_COMMA
    if grouped.fullmatch(whole) and (not tenths or tenths.isdecimal()):
        return plain.replace(group, "")
    if mark == "," and re.fullmatch(r"[0-9]+\.[0-9]+", plain):  # Latin America writes 3.5, and so do machines
        return plain.replace(".", ",")
    return plain


def _signs(text: str, language: str | None) -> Iterable[Edit]:
    words = SIGN_WORDS[language or ""]
    number = r"[0-9]+(?:[.,][0-9]+)?"
    scales = "|".join(SCALES_AFTER_MONEY.get(language or "", ()))
    scale = rf"(?:\s(?:{scales})(?!\w))?" if scales else ""
    signs = "".join(re.escape(sign) for sign in words if sign != "&")
    pattern = (
        rf"(?P<before>[{signs}])\s?(?P<count>{number}{scale})|(?P<number>{number}{scale})\s?(?P<after>[{signs}])|&"
    )
    for match in re.finditer(pattern, text):
        if match[0] == "&":
            yield Edit(match.start(), match.end(), f" {words['&'][0]} " if "&" in words else "&")
            continue
        count = match["count"] or match["number"]
        word = _form(words[match["before"] or match["after"]], count)
        yield Edit(match.start(), match.end(), f" {word.format(count)} " if "{}" in word else f" {count} {word} ")


def _form(forms: Sequence[str], count: str) -> str:
    if len(forms) < 3 or not count.isdecimal():
        return forms[0] if count == "1" else forms[1]
    tens = count[-2:-1] == "1"
    return forms[0 if count[-1] == "1" and not tens else 1 if count[-1] in "234" and not tens else 2]


def _punctuation(text: str, language: str | None) -> Iterable[Edit]:
    kept = {i for match in _decimal(decimal_mark(language)).finditer(text) for i in range(*match.span())}
    joined = JOINED.get(language or "", "")
    removed: dict[int, str] = {}
    for match in CANDIDATE.finditer(text):
        i, mark = match.start(), match[0]
        before, after = text[i - 1 : i], text[i + 1 : i + 2]
        inside = _is_letter(before) and _is_letter(after)
        if (inside and mark in joined) or (mark == "'" and before.isdecimal() and _is_letter(after)):
            removed[i] = ""
        elif i not in kept and not _is_part(text, i, mark, language):
            removed[i] = " "
    for run in _runs(removed):
        at_edge = run.start == 0 or run.stop == len(text) or text[run.start - 1].isspace() or text[run.stop].isspace()
        yield Edit(run.start, run.stop, "" if at_edge or not removed[run.start] else " ")


def _is_part(text: str, i: int, mark: str, language: str | None) -> bool:
    before, after = text[i - 1 : i], text[i + 1 : i + 2]
    if mark == "'":
        if language == "uz" and before in {"o", "g"}:
            return True
        return _is_letter(after) and (_is_letter(before) or (language == "haw" and not before.strip()))
    if mark == "·":
        return language == "ca" and before == after == "l"
    return mark == "ฯลฯ" or unicodedata.category(mark[0]).startswith("M")


def _runs(places: Iterable[int]) -> list[range]:
    runs: list[range] = []
    for place in places:
        if runs and runs[-1].stop == place:
            runs[-1] = range(runs[-1].start, place + 1)
        else:
            runs.append(range(place, place + 1))
    return runs


def _whitespace(text: str, language: str | None) -> Iterable[Edit]:  # noqa: ARG001
    return whitespace_edits(text)


PUNCTUATION_RULES = (
    Rule(
        name="asides",
        reason="[laughter], (applause), <unk>: notes, not speech (Whisper paper, appendix C).",
        find=_asides,
    ),
    Rule(name="digits", reason="A digit is the same number in every script.", find=_digits),
    Rule(name="apostrophes", reason="Eight characters are typed for one apostrophe.", find=_apostrophes),
    Rule(
        name="elision",
        reason="An elided word is a word: l'eau is l eau, so an error in the noun leaves the article right.",
        find=_elisions,
        languages=ELISIONS,
    ),
    Rule(
        name="separators",
        reason="1,000 is 1.000 or 1 000 elsewhere; thousands are joined, the language's decimal mark stays.",
        find=_separators,
    ),
    Rule(name="signs", reason="5 % and five percent are read alike.", find=_signs, languages=SIGN_WORDS),
    Rule(
        name="punctuation",
        reason="Not heard, in no script. Apostrophes inside words stay (Breton c'h and Uzbek o' are letters).",
        find=_punctuation,
    ),
    Rule(name="whitespace", reason="Words are separated by single spaces.", find=_whitespace),
)
