"""Loops: a few words over and over, what a stuck decoder writes. In: tokens, segments. Out: the same with one copy.

Pure functions: knows no model and no audio.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from asr.quality import LOOP
from asr.tokenizer import Tokenizer
from asr.transcript import Segment, Suppressed, Word

__all__ = ["Repetition", "find_repetition", "without_loop"]

MAX_NGRAM_TOKENS = 48
MIN_REPETITIONS = 4
MIN_REPEATED_TOKENS = 16  # a short "no, no, no, no" is speech


@dataclass(frozen=True, slots=True, kw_only=True)
class Repetition:
    """``count`` copies of ``n`` tokens, the first at ``begin``."""

    begin: int
    n: int
    count: int

    @property
    def end(self) -> int:
        """After the last copy."""
        return self.begin + self.n * self.count


def find_repetition(tokens: Sequence[int]) -> Repetition | None:
    """The longest run of one n-gram repeated; None when nothing is repeated often enough to be a stuck loop."""
    best: Repetition | None = None
    for n in range(1, min(MAX_NGRAM_TOKENS, len(tokens) // MIN_REPETITIONS) + 1):
        n_equal = 0  # tokens so far that equal the one n places before
        for i in range(n, len(tokens) + 1):
            if i < len(tokens) and tokens[i] == tokens[i - n]:
                n_equal += 1
                continue
            found = Repetition(begin=i - n_equal - n, n=n, count=n_equal // n + 1)
            n_equal = 0
            is_loop = found.count >= MIN_REPETITIONS and found.n * found.count >= MIN_REPEATED_TOKENS
            if is_loop and (best is None or found.n * found.count > best.n * best.count):
                best = found
    return best


def without_loop(segments: Sequence[Segment], tokenizer: Tokenizer) -> tuple[list[Segment], list[Suppressed]]:
    """The segments with one copy of what is repeated, and the other copies with their reason."""
    found = find_repetition([token for segment in segments for token in segment.tokens if token < tokenizer.eot])
    if found is None:
        return list(segments), []
    place = 0
    kept: list[Segment] = []
    removed: list[Suppressed] = []
    for segment in segments:
        text = [token for token in segment.tokens if token < tokenizer.eot]
        cut = range(max(found.begin + found.n - place, 0), min(max(found.end - place, 0), len(text)))
        place += len(text)
        if not cut:
            kept.append(segment)
            continue
        copies = tokenizer.decode(text[cut.start : cut.stop])
        removed.append(Suppressed.of(segment, LOOP, text=copies))
        rest = (*text[: cut.start], *text[cut.stop :])
        if tokenizer.decode(rest).strip():
            times = [token for token in segment.tokens if token >= tokenizer.eot]
            tokens = (*times[:1], *rest, *times[1:])
            words = _words_around(segment.words, len(tokenizer.decode(text[: cut.start])), len(copies))
            kept.append(replace(segment, text=tokenizer.decode(rest), tokens=tokens, words=words))
    return kept, removed


def _words_around(words: Sequence[Word], n_before: int, n_removed: int) -> tuple[Word, ...]:
    """The words without the ``n_removed`` characters after the first ``n_before``; joined, they are still the text."""
    kept, place = [], 0
    for word in words:
        head = word.word[: max(n_before - place, 0)]
        tail = word.word[max(n_before + n_removed - place, 0) :]
        place += len(word.word)
        if head + tail:
            kept.append(replace(word, word=head + tail))
    return tuple(kept)
