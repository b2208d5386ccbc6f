"""What two hypotheses of a growing window agree on (local agreement). In: words. Out: how many of them.

LocalAgreement-2: text is stable once two successive decodings share it as a prefix (Liu et al. 2020,
arXiv:2005.11185; for Whisper: Macháček et al. 2023, arXiv:2307.14743, section 2). Words are compared without case and
outer punctuation, which a model changes its mind about to the last, and at near times, so that a loop is no agreement.
Pure functions: know no window, no audio and no model.
"""

from collections.abc import Sequence

from asr.transcript import Word

__all__ = ["n_agreed", "n_heard_before", "normalized"]

NEAR_S = 1.0  # times of one word in two decodings of a growing window differ by less


def normalized(word: str) -> str:
    """The word without case and outer punctuation; punctuation alone stays what it is."""
    folded = word.strip().casefold()
    inner = [place for place, character in enumerate(folded) if character.isalnum()]
    return folded[inner[0] : inner[-1] + 1] if inner else folded


def n_agreed(before: Sequence[Word], now: Sequence[Word]) -> int:
    """Length of the longest prefix that both hypotheses have, each word starting within NEAR_S of its counterpart."""
    for place, (old, new) in enumerate(zip(before, now, strict=False)):
        if normalized(old.word) != normalized(new.word) or abs(old.start - new.start) > NEAR_S:
            return place
    return min(len(before), len(now))


def n_heard_before(final: Sequence[Word], words: Sequence[Word]) -> int:
    """How many words at the front of a hypothesis are already final.

    ``final``: the final words that begin inside the window, in order; ``words``: all that was decoded of the window.
    Of the places within NEAR_S of the end of the final text, the one is taken before which most words in a row equal
    the last final ones; where several do, the nearest in time.
    """
    if not final:
        return 0
    end = final[-1].end
    distances = [_distance(words, place, end) for place in range(len(words) + 1)]
    near = [place for place, distance in enumerate(distances) if distance <= NEAR_S] or range(len(distances))
    return max(near, key=lambda place: (_n_equal_before(final, words, place), -distances[place], -place))


def _distance(words: Sequence[Word], place: int, time: float) -> float:
    """Seconds that ``time`` lies outside the gap before word ``place``."""
    too_early = words[place - 1].end - time if place else 0.0
    too_late = time - words[place].start if place < len(words) else 0.0
    return max(too_early, too_late, 0.0)


def _n_equal_before(final: Sequence[Word], words: Sequence[Word], place: int) -> int:
    """How many words in a row, ending before ``place``, equal the last final ones."""
    pairs = zip(reversed(final), reversed(words[:place]), strict=False)
    n_equal = 0
    for old, new in pairs:
        if normalized(old.word) != normalized(new.word):
            break
        n_equal += 1
    return n_equal
