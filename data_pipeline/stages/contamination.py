"""Evaluation texts in training data. In: the texts of the suites. Out: an index, and a stage that drops what it finds.

A 10-gram in common is contamination; a shorter evaluation text counts where a whole cue is that text. Drops:
``contaminated`` (value: the words in common, limit: whose they are).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from data_pipeline.stages.ngrams import hash64, ngrams, words_of
from data_pipeline.types import Drop, Record

__all__ = ["EvaluationIndex", "EvaluationText", "Match", "build_index", "drop_contaminated", "find_match"]

N = 10
MIN_WORDS = 5  # of an evaluation text: below, what it says is said everywhere


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationText:
    """What an evaluation holds a hypothesis against."""

    where: str
    """Corpus and clip."""
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationIndex:
    """Hashes of n-grams, and of texts too short to have one."""

    grams: Mapping[int, str]
    """Hash of N words → whose."""
    whole: Mapping[int, str]
    """Hash of MIN_WORDS … N - 1 words that are a whole text → whose."""
    n_too_short: int
    """Texts below MIN_WORDS, which are looked for nowhere."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """Words of a text that an evaluation has too."""

    words: str
    where: str


def build_index(texts: Iterable[EvaluationText]) -> EvaluationIndex:
    """Index every text; of n-grams in several, the first is named."""
    grams: dict[int, str] = {}
    whole: dict[int, str] = {}
    n_too_short = 0
    for each in texts:
        words = words_of(each.text)
        if len(words) < MIN_WORDS:
            n_too_short += 1
        elif len(words) < N:
            whole.setdefault(hash64(" ".join(words)), each.where)
        else:
            for gram in ngrams(words, N):
                grams.setdefault(hash64(gram), each.where)
    return EvaluationIndex(grams=grams, whole=whole, n_too_short=n_too_short)


def find_match(texts: Iterable[str], index: EvaluationIndex) -> Match | None:
    """The first words in common; of the texts, each alone for short ones, and one after the other for n-grams."""
    cues = [words_of(text) for text in texts]
    for cue in cues:
        joined = " ".join(cue)
        if MIN_WORDS <= len(cue) < N and (where := index.whole.get(hash64(joined))):
            return Match(words=joined, where=where)
    for gram in ngrams([word for cue in cues for word in cue], N):
        if where := index.grams.get(hash64(gram)):
            return Match(words=gram, where=where)
    return None


def drop_contaminated(record: Record, index: EvaluationIndex) -> Record | Drop:
    """The stage."""
    match = find_match((cue.text for cue in record.cues), index)
    return Drop(reason="contaminated", value=match.words, limit=match.where) if match else record
