"""Rules about whole words. In: words between single spaces. Out: the same, one spelling a word.

Fillers, English contractions, and the tables of ``word_tables``, with the British spellings of the whisper-normalizer
package. No rule makes a word that an earlier one would change. Knows no numbers and no punctuation.
"""

import json
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib.resources import files

from eval.normalizers.rules import WORD, Edit, Phrase, Rule, phrase_edits
from eval.normalizers.word_tables import ABBREVIATIONS, COMPOUNDS, FILLERS, SPELLINGS

__all__ = ["WORD_RULES", "british_spellings", "spellings_of"]

NOT = {"won't": "will not", "can't": "can not", "shan't": "shall not", "ain't": "ain't"}
WHOLE = {"let's": "let us", "i'm": "i am", "y'all": "you all"}
ENDINGS = {"'re": " are", "'ll": " will", "'ve": " have"}  # 's and 'd have two readings each, and stay


def _fillers(text: str, language: str | None) -> Iterable[Edit]:
    fillers = FILLERS[language or ""]
    words = text.split()
    return phrase_edits(
        text, ((i, i + 1, "") for i, word in enumerate(words) if word in fillers and not _is_unit(words, i))
    )


def _is_unit(words: Sequence[str], i: int) -> bool:
    """5 mm are millimetres."""
    return words[i] == "mm" and i > 0 and words[i - 1][-1].isdecimal()


def _contractions(text: str, language: str | None) -> Iterable[Edit]:  # noqa: ARG001  (every rule is told the language)
    return (
        Edit(match.start(), match.end(), _in_full(match.group()))
        for match in WORD.finditer(text)
        if "'" in match.group()
    )


def _in_full(word: str) -> str:
    if word in WHOLE:
        return WHOLE[word]
    for ending, full in ENDINGS.items():
        if word.endswith(ending):
            return _in_full(word.removesuffix(ending)) + full
    if word in NOT or not word.endswith("n't"):
        return NOT.get(word, word)
    return word.removesuffix("n't") + " not" if len(word) > len("n't") else word


def _abbreviations(text: str, language: str | None) -> Iterable[Edit]:
    return _replaced(text, ABBREVIATIONS[language or ""])


def _spellings(text: str, language: str | None) -> Iterable[Edit]:
    return _replaced(text, spellings_of(language))


def _replaced(text: str, table: Mapping[str, str]) -> Iterable[Edit]:
    return (Edit(match.start(), match.end(), table.get(match[0], match[0])) for match in WORD.finditer(text))


@cache
def spellings_of(language: str | None) -> Mapping[str, str]:
    """Spelling → the spelling that is compared."""
    table = {_nfc(old): _nfc(new) for old, new in SPELLINGS[language or ""].items()}
    if language == "en":
        british = json.loads(british_spellings()).items()
        table |= {old: new for old, new in british if new.isalpha() and new not in FILLERS["en"]}
    return table


def british_spellings() -> bytes:
    """The table of the whisper-normalizer package, from OpenAI's Whisper: British → American."""
    return (files("whisper_normalizer") / "normalizers/english.json").read_bytes()


def _nfc(text: str) -> str:
    return unicodedata.normalize("NFC", text)


def _compounds(text: str, language: str | None) -> Iterable[Edit]:
    table = COMPOUNDS[language or ""]
    n_longest = max(len(old.split()) for old in table)
    words = text.split()
    phrases: list[Phrase] = []
    at = 0
    while at < len(words):
        ends = range(min(at + n_longest, len(words)), at + 1, -1)
        end = next((end for end in ends if " ".join(words[at:end]) in table), None)
        if end is not None:
            phrases.append((at, end, table[" ".join(words[at:end])]))
        at = end or at + 1
    return phrase_edits(text, phrases)


WORD_RULES = (
    Rule(
        name="fillers",
        reason="Transcribers write uh and um or leave them out (Whisper paper, appendix C); only in English.",
        find=_fillers,
        languages=FILLERS,
    ),
    Rule(
        name="contractions",
        reason="They're and they are; 's and 'd have two readings and stay (Whisper paper, appendix C).",
        find=_contractions,
        languages=("en",),
    ),
    Rule(
        name="abbreviations",
        reason="Mr is read mister; only where nothing else is meant.",
        find=_abbreviations,
        languages=ABBREVIATIONS,
    ),
    Rule(
        name="spelling",
        reason="One word, two spellings: colour and color, daß and dass, हां and हाँ.",
        find=_spellings,
        languages=SPELLINGS,
    ),
    Rule(
        name="compounds",
        reason="Web site and website; hyphens have become spaces by now.",
        find=_compounds,
        languages=COMPOUNDS,
    ),
)
