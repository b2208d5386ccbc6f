"""The rule that writes spelled numbers as digits. In: words between single spaces. Out: the same, numbers in digits.

Digits are the one form of all readings of a number: nineteen hundred, one thousand nine hundred; dois, duas. Where
a word is a numeral and something else, it stays a word unless it is part of a longer number, on both sides of a
comparison: French neuf, new, is not 9, but vingt-neuf is 29.
Knows no grammar of numbers and no punctuation.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from eval.normalizers.number_parser import Kind, Lexicon, lexicon_for, read_number
from eval.normalizers.number_words import NUMBER_WORDS
from eval.normalizers.punctuation import decimal_mark
from eval.normalizers.rules import WORD, Edit, Phrase, Rule, phrase_edits

__all__ = ["NUMBER_RULES"]

DIGITS = re.compile(r"[0-9]+(?:[.,][0-9]+)?")
# Thousands apart by a plain space; English and the languages of 1.000 write no such numbers.
GROUPED = re.compile(r"(?<!\S)[0-9]{1,3}(?: [0-9]{3})+(?:,[0-9]+)?(?!\S)")
GROUPING_LANGUAGES = frozenset(
    {"fr", "ru", "uk", "be", "bg", "pl", "cs", "sk", "sv", "no", "fi", "et", "lv", "lt", "hu"}
)
CENTURIES = frozenset(map(str, range(13, 21)))  # of years that are read as two numbers; up to 12 it may be the hour
N_SPOKEN_DIGITS = 3  # so many digits in a row are a code; two may be two numbers


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """A number among the words [start, end)."""

    start: int
    end: int
    digits: str
    spelled: bool
    firm: bool = True
    """Whether it is a number by itself; else it is one only beside others."""
    is_open: bool = False
    """Whether more decimals may follow, read digit by digit."""

    @property
    def is_digit(self) -> bool:
        return len(self.digits) == 1


def _numbers(text: str, language: str | None) -> Iterable[Edit]:
    lexicon = lexicon_for(language)
    if lexicon is None:
        return ()
    words = [match.group() for match in WORD.finditer(text)]
    items = list(_items(lexicon, words))
    items = _with_decimals(lexicon, words, items, decimal_mark(language))
    if language == "en":
        items = _years(items)
    items = _codes(items)
    return phrase_edits(text, _phrases(lexicon, items))


def _items(lexicon: Lexicon, words: Sequence[str]) -> Iterable[Item]:
    at = 0
    previous: Item | None = None
    while at < len(words):
        item = _item(lexicon, words, at, after_number=previous is not None and previous.firm and previous.end == at)
        if item is not None:
            yield item
        previous = item
        at = item.end if item else at + 1


def _item(lexicon: Lexicon, words: Sequence[str], at: int, *, after_number: bool) -> Item | None:
    if DIGITS.fullmatch(words[at]):
        return _scaled(lexicon, words, at)
    read = read_number(lexicon, words, at)
    if read is None:
        return None
    value, end = read
    firm = end > at + 1 or words[at] not in lexicon.ambiguous or (after_number and value >= 1000)
    return Item(start=at, end=end, digits=str(value), spelled=True, firm=firm)


def _scaled(lexicon: Lexicon, words: Sequence[str], at: int) -> Item:
    """Digits, and the thousands or millions in words that follow them: 2.5 million."""
    digits, end = words[at], at + 1
    while end < len(words) and (zeros := _zeros(lexicon, words[end])):
        digits, end = _shifted(digits, zeros), end + 1
    return Item(start=at, end=end, digits=digits, spelled=False)


def _zeros(lexicon: Lexicon, word: str) -> int:
    part = lexicon.parts.get((word,))
    scales = {Kind.SCALE, Kind.HUNDRED} if lexicon.words.digits_before_hundred else {Kind.SCALE}
    return len(str(part.value)) - 1 if part is not None and part.kind in scales else 0


def _shifted(digits: str, zeros: int) -> str:
    whole, mark, tenths = re.fullmatch(r"([0-9]+)([.,]?)([0-9]*)", digits).groups()  # type: ignore[union-attr]
    moved = whole + tenths[:zeros].ljust(zeros, "0")
    rest = tenths[zeros:]
    return (moved.lstrip("0") or "0") + (mark + rest if rest else "")


def _with_decimals(lexicon: Lexicon, words: Sequence[str], items: Sequence[Item], mark: str) -> list[Item]:
    joined: list[Item] = []
    for item in items:
        left = joined[-1] if joined else None
        if left and item.start == left.end + 1 and words[left.end] in lexicon.decimals and _are_whole(left, item):
            joined[-1] = _one([left, item], mark, is_open=item.is_digit)
        elif left and item.start == left.end and item.is_digit and left.is_open:
            joined[-1] = _one([left, item], is_open=True)
        else:
            joined.append(item)
    return joined


def _are_whole(*items: Item) -> bool:
    return all(item.digits.isdecimal() and (item.firm or item.is_digit) for item in items)


def _one(items: Sequence[Item], between: str = "", *, is_open: bool = False) -> Item:
    digits = between.join(item.digits for item in items)
    return Item(start=items[0].start, end=items[-1].end, digits=digits, spelled=True, is_open=is_open)


def _years(items: Sequence[Item]) -> list[Item]:
    """Nineteen ninety five, twenty twenty, nineteen oh five."""
    years: list[Item] = []
    at = 0
    while at < len(items):
        n = next((n for n in (3, 2) if _is_year(items[at : at + n], n)), 1)
        years.append(_one(items[at : at + n]) if n > 1 else items[at])
        at += n
    return years


def _is_year(items: Sequence[Item], n: int) -> bool:
    if (
        len(items) < n
        or not _are_adjacent(items)
        or not all(item.spelled and item.digits.isdecimal() for item in items)
    ):
        return False
    rest = "".join(item.digits for item in items[1:])
    pair = (n == 2 and items[1].is_digit is False) or (n == 3 and items[1].digits == "0" and items[2].is_digit)
    return items[0].digits in CENTURIES and len(rest) == 2 and pair


def _are_adjacent(items: Sequence[Item]) -> bool:
    return all(left.end == right.start for left, right in pairwise(items))


def _codes(items: Sequence[Item]) -> list[Item]:
    """Digits read one by one."""
    codes: list[Item] = []
    run: list[Item] = []
    for item in [*items, None]:
        if item is None or not (item.is_digit and _are_adjacent([*run[-1:], item])):
            codes += [_one(run)] if len(run) >= N_SPOKEN_DIGITS else run
            run = []
        if item is not None:
            (run if item.is_digit else codes).append(item)
    return codes


def _phrases(lexicon: Lexicon, items: Sequence[Item]) -> Iterable[Phrase]:
    for before, item, after in zip([None, *items], items, [*items[1:], None], strict=False):
        if not item.firm:
            continue
        alone = not (before and before.end == item.start) and not (after and item.end == after.start)
        is_lone_one = alone and not item.spelled and item.digits == "1"
        yield item.start, item.end, (lexicon.words.lone_one or "1") if is_lone_one else item.digits


def _thousands(text: str, language: str | None) -> Iterable[Edit]:  # noqa: ARG001  (every rule is told the language)
    return (Edit(match.start(), match.end(), match[0].replace(" ", "")) for match in GROUPED.finditer(text))


# On both sides of the spelled numbers, which need whole digits and may make some.
THOUSANDS = Rule(
    name="thousands",
    reason="12 000 is 12000 in languages that part thousands by a space.",
    find=_thousands,
    languages=GROUPING_LANGUAGES,
)
NUMBER_RULES = (
    THOUSANDS,
    Rule(
        name="numbers",
        reason="A recognizer may write twenty one or 21; digits are the one form of both (Whisper paper, appendix C).",
        find=_numbers,
        languages=NUMBER_WORDS,
    ),
    THOUSANDS,
)
