"""Where a line of text may end. In: text. Out: the parts that stay whole. Knows no times and no limits.

Goes by the script of the characters, not by the language: a Japanese transcript holds Latin words too, and the
translation of a Japanese recording is English.
"""

import re
import unicodedata
from collections.abc import Iterator

__all__ = ["may_break", "unbreakable_parts"]

# Thai and Lao; Tibetan; Myanmar; Khmer; CJK radicals to kana; ideographs; Yi; compatibility and full-width forms; old
# kana; planes 2 and 3
_WITHOUT_SPACES = re.compile(
    "[\u0e00-\u0eff\u0f00-\u0fff\u1000-\u109f\u1780-\u17ff\u2e80-\u30ff\u31f0-\u9fff\ua000-\ua4cf\uf900-\ufaff"
    "\uff00-\uff9f\U0001b000-\U0001b16f\U00020000-\U0003ffff]"
)
_OPENING = {"Ps", "Pi"}  # Unicode categories: brackets and quotes that open
_TIED_TO_THE_LEFT = {"Mn", "Mc", "Me", "Pe", "Pf", "Po"}  # vowel signs and tones; what closes; marks such as 。
# Small kana, the length mark, iteration marks; Thai and Lao vowels and marks that are written after their consonant.
_NEVER_FIRST = frozenset("ぁぃぅぇぉっゃゅょゎァィゥェォッャュョヮヵヶー々ゝゞヽヾ〜ะาำๅๆຯະາຳໆ")
_NEVER_LAST = frozenset("เแโใไເແໂໃໄ")  # Thai and Lao vowels that are written before their consonant


def may_break(before: str, after: str) -> bool:
    """Whether a line may end between two texts, neither of them empty."""
    left, right = before[-1], after[0]
    if left.isspace() or right.isspace():
        return True
    if not (_WITHOUT_SPACES.match(left) or _WITHOUT_SPACES.match(right)):
        return False
    if left in _NEVER_LAST or unicodedata.category(left) in _OPENING:
        return False
    return right not in _NEVER_FIRST and unicodedata.category(right) not in _TIED_TO_THE_LEFT


def unbreakable_parts(text: str) -> Iterator[str]:
    """The text cut wherever a line may end; a part begins with a space where there was white space before it."""
    for token in text.split():
        begin, lead = 0, " "
        for place in range(1, len(token)):
            if may_break(token[place - 1], token[place]):
                yield lead + token[begin:place]
                begin, lead = place, ""
        yield lead + token[begin:]
