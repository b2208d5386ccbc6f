"""The grammar of spelled numbers. In: words. Out: the number that begins at a word, and where it ends.

A number is read left to right: a part may follow if it is smaller than the last place filled (``room``), a scale
multiplies what came before it. That grammar is the same in every language of ``NUMBER_WORDS``; einundzwanzig is the one
turn. Knows no digits, punctuation or text.
"""

import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum, auto
from functools import cache

from eval.normalizers.number_words import HUNDREDS, NUMBER_WORDS, SCALE, TENS, NumberWords

__all__ = ["Kind", "Lexicon", "lexicon_for", "read_number"]

MAX_PARTS_IN_A_WORD = 12


class Kind(Enum):
    """What a number word does."""

    ZERO = auto()
    UNIT = auto()  # 1 … 9
    CLOSED = auto()  # 10 … 19, and 21 … 99 in one word: nothing below follows
    TENS = auto()
    HUNDREDS = auto()  # 100 … 900 in one word
    HUNDRED = auto()  # multiplies
    SCALE = auto()  # multiplies
    JOINER = auto()


@dataclass(frozen=True, slots=True)
class Part:
    """A number word, or a piece of one."""

    kind: Kind
    value: int


@dataclass(frozen=True, slots=True)
class Lexicon:
    """``NumberWords`` ready for look-up."""

    words: NumberWords
    parts: Mapping[tuple[str, ...], Part]
    """By word, or by the words of a numeral of several."""
    n_longest: int
    """Words of the longest such numeral."""
    joiners: frozenset[str]
    decimals: frozenset[str]
    ambiguous: frozenset[str]


@cache
def lexicon_for(language: str | None) -> Lexicon | None:
    """The numerals of a language; None where they are not known."""
    words = NUMBER_WORDS.get(language or "")
    if words is None:
        return None
    parts = {tuple(_nfc(name).split("_")): part for name, part in _parts(words)}
    return Lexicon(
        words=words,
        parts=parts,
        n_longest=max(map(len, parts)),
        joiners=_names(words.joiner),
        decimals=_names(words.decimal),
        ambiguous=frozenset(_nfc(words.ambiguous).split()) | _plurals(words),
    )


def _nfc(text: str) -> str:
    return unicodedata.normalize("NFC", text)


def _names(alternatives: str) -> frozenset[str]:
    return frozenset(_nfc(alternatives).split("/")) - {""}


def _plurals(words: NumberWords) -> frozenset[str]:
    """Thousands and millions: of people, a few, two; a number only where another one counts them."""
    scales = f"{words.thousand} {words.millions}".split()
    return frozenset(name for scale in scales for name in _nfc(scale).split("/")[1:])


def _parts(words: NumberWords) -> Iterator[tuple[str, Part]]:
    rows = (
        (words.units, range(20)),
        (words.tens, range(20, 100, 10)),
        (words.hundreds, range(200, 1000, 100)),
        (words.thousand, (1000,)),
        (words.millions, (10**6, 10**9)),
    )
    for row, values in rows:
        for names, value in zip(row.split(), values, strict=False):
            yield from ((name, Part(_kind(value), value)) for name in names.split("/"))
    yield from ((name, Part(_kind(value, irregular=True), value)) for name, value in words.more.items())
    hundred = Part(Kind.HUNDREDS if words.hundreds else Kind.HUNDRED, 100)
    yield from ((name, hundred) for name in words.hundred.split("/"))


def _kind(value: int, *, irregular: bool = False) -> Kind:
    if value == 0:
        return Kind.ZERO
    if value < 10:
        return Kind.UNIT
    if value < 100:
        return Kind.TENS if value % 10 == 0 and (value > 10 or irregular) else Kind.CLOSED
    return Kind.HUNDREDS if value < 1000 else Kind.SCALE


@dataclass(frozen=True, slots=True)
class _Sum:
    """A number so far."""

    total: int = 0
    """What scales have closed."""
    group: int = 0
    """What the next scale will multiply."""
    room: int = 1000
    """The next part is smaller than this."""
    limit: int = 10**18
    """The next scale is smaller than this."""
    last: Kind | None = None
    room_before: int = 1000
    """``room`` before the last part."""

    @property
    def value(self) -> int:
        return self.total + self.group

    def plus(self, part: Part, words: NumberWords, *, joined: bool) -> "_Sum | None":
        """With one more part; None where it belongs to another number."""
        if self.last is Kind.ZERO:
            return None
        if part.kind is Kind.ZERO:
            return _Sum(last=Kind.ZERO) if self.last is None else None
        if part.kind is Kind.HUNDRED:
            return self._hundred(words)
        if part.kind is Kind.SCALE:
            return self._scale(part.value)
        return self._add(part, words, joined=joined)

    def _add(self, part: Part, words: NumberWords, *, joined: bool) -> "_Sum | None":
        tens_after_unit = joined and words.solid and self.last is Kind.UNIT and part.kind is Kind.TENS
        if part.value >= (self.room_before if tens_after_unit else self.room):
            return None
        room = {Kind.HUNDREDS: 100, Kind.TENS: 10}.get(part.kind, 1)
        if part.value in words.teens_after:
            room = 20
        group = self.group + part.value
        room = 1 if tens_after_unit else room
        return replace(self, group=group, room=room, last=part.kind, room_before=self.room)

    def _hundred(self, words: NumberWords) -> "_Sum | None":
        if self.group >= 20 or self.group == 10 or (self.group == 1 and not words.one_multiplies):
            return None
        return replace(self, group=(self.group or 1) * 100, room=100, last=Kind.HUNDREDS, room_before=1000)

    def _scale(self, scale: int) -> "_Sum | None":
        if scale < self.limit:
            if not self.group and self.total:
                return None
            total = self.total + (self.group or 1) * scale
        elif self.limit == 1000 and 0 < self.value < scale:  # mil millones
            total = self.value * scale
        else:
            return None
        return _Sum(total=total, limit=scale, last=Kind.SCALE)


JOINS = {TENS: (Kind.TENS,), HUNDREDS: (Kind.HUNDREDS,), SCALE: (Kind.SCALE,)}


def read_number(lexicon: Lexicon, words: Sequence[str], start: int) -> tuple[int, int] | None:
    """The longest number that begins at a word: its value and the place after its last word."""
    state = _Sum()
    end = start
    while end < len(words):
        joined = end > start and not lexicon.words.solid and words[end] in lexicon.joiners and _may_join(lexicon, state)
        following = _next(lexicon, words, end + joined)
        after = _all_added(state, following[0], lexicon.words, joined=joined) if following else None
        if following is None or after is None:
            break
        state, end = after, following[1]
    return (state.value, end) if end > start else None


def _may_join(lexicon: Lexicon, state: _Sum) -> bool:
    return any(state.last in JOINS[place] for place in lexicon.words.joins_after)


def _next(lexicon: Lexicon, words: Sequence[str], at: int) -> tuple[tuple[Part, ...], int] | None:
    for n in range(min(lexicon.n_longest, len(words) - at), 0, -1):
        part = lexicon.parts.get(tuple(words[at : at + n]))
        if part is not None:
            return (part,), at + n
    if lexicon.words.solid and at < len(words):
        for parts in _pieces(lexicon, words[at], 0):
            if _all_added(_Sum(), parts, lexicon.words, joined=False):
                return parts, at + 1
    return None


def _all_added(state: _Sum, parts: Sequence[Part], words: NumberWords, *, joined: bool) -> _Sum | None:
    now: _Sum | None = state
    for part in parts:
        if part.kind is Kind.JOINER:
            joined = True
        elif now is not None:
            now, joined = now.plus(part, words, joined=joined), False
    return now


def _pieces(lexicon: Lexicon, word: str, depth: int) -> Iterator[tuple[Part, ...]]:
    """Every way to take a word apart into numerals, the longest first; joiners stand between two of them."""
    if depth > MAX_PARTS_IN_A_WORD:
        return
    for n in range(len(word), 1, -1):
        piece, rest = word[:n], word[n:]
        part = lexicon.parts.get((piece,))
        if part is None and piece in lexicon.joiners and depth and rest:
            part = Part(Kind.JOINER, 0)
        if part is not None:
            yield from (((part, *others) for others in _pieces(lexicon, rest, depth + 1)) if rest else ((part,),))
