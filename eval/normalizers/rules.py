"""What a rule of a normalizer is. In: text and language. Out: edits, applied to the text or told word by word.

A rule says which stretches of a text it replaces; everything else follows from that, so that what a rule does and what
it says it did cannot differ. Knows no rule.
"""

import re
import unicodedata
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass

from eval.normalizers.types import Rewrite

__all__ = [
    "WORD",
    "Edit",
    "Phrase",
    "Rule",
    "apply_edits",
    "of_words",
    "phrase_edits",
    "rewrites",
    "whitespace_edits",
]

WORD = re.compile(r"\S+")
SPACES = re.compile(r"\s+")

Find = Callable[[str, str | None], Iterable["Edit"]]
Phrase = tuple[int, int, str]
"""Words [i, j) of a text and what replaces them; "" removes them, and i == j inserts."""


@dataclass(frozen=True, slots=True)
class Edit:
    """Characters [start, end) of a text and what replaces them."""

    start: int
    end: int
    replacement: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One named step of a normalizer."""

    name: str
    reason: str
    """Why what it removes is no error of a recognizer, or where the practice comes from."""
    find: Find
    """Edits in order, not overlapping; those that change nothing are left out by ``edits``."""
    languages: Collection[str] | None = None
    """The languages it is for; None for all, also where the language is not known."""

    def edits(self, text: str, language: str | None) -> list[Edit]:
        """What the rule changes in this text."""
        if self.languages is not None and language not in self.languages:
            return []
        return [edit for edit in self.find(text, language) if text[edit.start : edit.end] != edit.replacement]


def of_words(rewrite: Callable[[str, str | None], str]) -> Find:
    """A rule that looks at one word at a time, words being what whitespace separates; the outcome is put into NFC."""

    def find(text: str, language: str | None) -> Iterable[Edit]:
        for match in WORD.finditer(text):
            after = unicodedata.normalize("NFC", rewrite(match.group(), language))
            yield Edit(match.start(), match.end(), after)

    return find


def phrase_edits(text: str, phrases: Iterable[Phrase]) -> Iterable[Edit]:
    """Edits for words of a text whose words are separated by single spaces; it is so again afterwards."""
    spans = [match.span() for match in WORD.finditer(text)]
    for i, j, replacement in _removals_joined(phrases):
        if i == j:
            at, gap = (spans[i][0], f"{replacement} ") if i < len(spans) else (len(text), f" {replacement}")
            yield Edit(at, at, gap if spans else replacement)
        elif replacement:
            yield Edit(spans[i][0], spans[j - 1][1], replacement)
        elif j < len(spans):
            yield Edit(spans[i][0], spans[j][0], "")
        else:
            yield Edit(spans[i - 1][1] if i else 0, len(text), "")


def _removals_joined(phrases: Iterable[Phrase]) -> Iterable[Phrase]:
    joined: list[Phrase] = []
    for i, j, replacement in phrases:
        if joined and not replacement and joined[-1][1:] == (i, ""):
            joined[-1] = (joined[-1][0], j, "")
        else:
            joined.append((i, j, replacement))
    return joined


def whitespace_edits(text: str) -> list[Edit]:
    """One space between words, none around the text."""
    return [
        Edit(start, end, " " if start > 0 and end < len(text) else "")
        for start, end in (match.span() for match in SPACES.finditer(text))
        if text[start:end] != " " or start == 0 or end == len(text)
    ]


def apply_edits(text: str, edits: Iterable[Edit]) -> str:
    """The text with all edits made."""
    pieces: list[str] = []
    at = 0
    for edit in edits:
        pieces += (text[at : edit.start], edit.replacement)
        at = edit.end
    return "".join((*pieces, text[at:]))


def rewrites(rule: str, text: str, edits: Sequence[Edit]) -> Iterable[Rewrite]:
    """The edits, each with the rest of the words that it begins and ends in; several in one word are one rewrite."""
    shift = 0
    for start, end, members in _by_word(text, edits):
        after = apply_edits(text[:end], members)[start:]
        yield Rewrite(rule=rule, start=start + shift, before=text[start:end], after=after)
        shift += len(after) - (end - start)


def _by_word(text: str, edits: Sequence[Edit]) -> Iterable[tuple[int, int, list[Edit]]]:
    groups: list[tuple[int, int, list[Edit]]] = []
    for edit in edits:
        start, end = edit.start, edit.end
        if start < end:  # an insertion stands between words
            while start and not text[start].isspace() and not text[start - 1].isspace():
                start -= 1
            while end < len(text) and not text[end - 1].isspace() and not text[end].isspace():
                end += 1
        if groups and start < groups[-1][1]:
            first, last, members = groups[-1]
            groups[-1] = (first, max(last, end), [*members, edit])
        else:
            groups.append((start, end, [edit]))
    return groups
