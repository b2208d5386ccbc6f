"""The rule that writes Chinese and Japanese numerals as digits. In: text. Out: the same, well-formed numbers in digits.

A run of numerals is read only as a whole, and only if it cannot be taken for anything else: 二十三, 一百零五, 3万, and
four digits in a row or three with a 〇 (二〇一一). Left alone are single characters (一般, 十分; not after 百分之,
percent), about-numbers (三四个, 十七八岁), colloquial ends (三万五 is 35,000) and units without a number (万一, 千万).
Knows no other numerals.
"""

import re
from collections.abc import Iterable

from eval.normalizers.rules import Edit, Rule

__all__ = ["CJK_NUMBER_RULES"]

DIGITS = {
    char: i
    for i, chars in enumerate(("〇零", "一", "二两兩", "三", "四", "五", "六", "七", "八", "九"))
    for char in chars
}
TENS = {"十": 10, "百": 100, "千": 1000}
MYRIADS = {"万": 10**4, "萬": 10**4, "亿": 10**8, "億": 10**8, "兆": 10**12}
NUMERALS = "".join((*DIGITS, *TENS, *MYRIADS))
RUN = re.compile(rf"(?<![0-9.,])(?:[0-9]++(?:\.[0-9]++)?)?[{NUMERALS}][0-9{NUMERALS}]*+(?![0-9.,])")
DECIMAL = re.compile(
    rf"(?<![0-9.,])([0-9{NUMERALS}]++)[点點]([〇零一二三四五六七八九]++)(?![0-9.,{NUMERALS}分刻])"
)  # not o'clock
PERCENT = "百分之"
DIGIT_BY_DIGIT = re.compile("[〇零一二三四五六七八九]+")
ONES = "一二两兩三四五六七八九1-9"
SECTION = re.compile(f"(?:([{ONES}]?)千)?[零〇]?(?:([{ONES}]?)百)?(?:[零〇]?([{ONES}]?)十|[零〇])?([{ONES}]?)")
PARTS = re.compile("(?:([^兆]+)兆)?(?:([^亿億]+)[亿億])?(?:([^万萬]+)[万萬])?([^兆亿億万萬]*)")


def _numerals(text: str, language: str | None) -> Iterable[Edit]:
    for match in RUN.finditer(text):
        if text.endswith(PERCENT, 0, match.start()):
            value = _whole(match[0], bare=True)
        else:
            value = _value(match[0], bare=language == "ja")
        if value is not None:
            yield Edit(match.start(), match.end(), value)


def _decimals(text: str, language: str | None) -> Iterable[Edit]:  # noqa: ARG001
    for match in DECIMAL.finditer(text):
        whole = _whole(match[1], bare=text.endswith(PERCENT, 0, match.start()))
        if whole is not None:
            tenths = "".join(str(DIGITS[char]) for char in match[2])
            yield Edit(match.start(), match.end(), f"{whole}.{tenths}")


def _whole(run: str, *, bare: bool) -> str | None:
    """Where only a number can stand, so that one character is enough."""
    if run.isdecimal():
        return run
    return str(DIGITS[run]) if run in DIGITS else "100" if run == "百" and bare else _value(run, bare=bare)


def _value(run: str, *, bare: bool) -> str | None:
    if len(run) < 2:
        return None
    if DIGIT_BY_DIGIT.fullmatch(run):
        is_code = len(run) >= 4 or (len(run) == 3 and not {"〇", "零"}.isdisjoint(run))
        return "".join(str(DIGITS[char]) for char in run) if is_code else None
    if scaled := re.fullmatch(r"([0-9]+)\.([0-9]+)([万萬亿億])", run):
        zeros = len(str(MYRIADS[scaled[3]])) - 1
        return f"{scaled[1]}{scaled[2].ljust(zeros, '0')}".lstrip("0") if len(scaled[2]) <= zeros else None
    return _sum(run, bare=bare)


def _sum(run: str, *, bare: bool) -> str | None:
    """The sections before 兆, 亿, 万 and at the end added up, each below 10,000."""
    sections = PARTS.fullmatch(run)
    total = 0
    for text, myriad in zip(sections.groups() if sections else (), (10**12, 10**8, 10**4, 1), strict=False):
        if not text:
            continue
        value = _section(text, bare=bare, after_myriad=total > 0)
        if value is None:
            return None
        total += value * myriad
    return str(total) if total else None


def _section(text: str, *, bare: bool, after_myriad: bool) -> int | None:
    if text.isdecimal():
        return int(text) if len(text) <= 4 or not after_myriad else None
    match = SECTION.fullmatch(text)
    if match is None or not _is_plain(text, bare=bare, after_myriad=after_myriad):
        return None
    thousands, hundreds, tens, ones = match.groups()
    places = (("千", 1000, thousands), ("百", 100, hundreds), ("十", 10, tens))
    return sum(value * (_digit(digit) or 1) for char, value, digit in places if char in text) + _digit(ones)


def _is_plain(text: str, *, bare: bool, after_myriad: bool) -> bool:
    """Whether nobody could mean another number: 一百五 is 150, 三万五 is 35,000."""
    zero = not {"〇", "零"}.isdisjoint(text)
    ends_in_one = text[-1] in DIGITS or text[-1].isdecimal()
    follows_unit = after_myriad or not {"千", "百"}.isdisjoint(text)
    return (
        text[-1] not in "〇零"
        and (after_myriad or text[0] not in "〇零")
        and (bare or text[0] not in "百千")
        and (zero or not ends_in_one or not follows_unit or "十" in text)
    )


def _digit(char: str | None) -> int:
    return 0 if not char else DIGITS[char] if char in DIGITS else int(char)


CJK_NUMBER_RULES = (
    Rule(
        name="chinese decimals",
        reason="九十九点九 and 99.9 are read alike; 三点五分 is a time of day.",
        find=_decimals,
        languages=("zh", "yue"),
    ),
    Rule(
        name="chinese numerals",
        reason="二十三 and 23 are read alike; words that only contain a numeral are left alone.",
        find=_numerals,
        languages=("zh", "yue", "ja"),
    ),
)
