"""Are captions where their words are heard? In: cues, and words with their times. Out: seconds, counts. Drops nothing.

The form that duplicates are compared in is enough here: words need not all be found, and where no spaces are written
characters are.
"""

import statistics
from collections.abc import Iterable, Sequence
from itertools import accumulate

from data_pipeline.stages.ngrams import words_of
from data_pipeline.types import Cue
from eval.wer import align_words, equal_positions

__all__ = ["caption_lag", "uncaptioned_words"]

FIRST_WORDS = 3  # of a cue: one of them must be found, or nothing is known of where the cue begins
MIN_CUES = 3  # that a median is taken of
SLACK_S = 0.5  # a word so far outside of a caption may be the caption's


def caption_lag(cues: Sequence[Cue], heard: Iterable[Cue]) -> float | None:
    """The median of the seconds by which cues begin after the words that they say, negative where before.

    None where fewer than three cues can be placed. Rounded to three digits, that a last bit decides nothing.
    """
    captions = [(number, *word) for number, cue in enumerate(cues) for word in enumerate(_timed(cue))]
    said = [word for each in heard for word in _timed(each)]
    alignment = align_words(" ".join(word for _, _, (word, _) in captions), " ".join(word for word, _ in said))
    lags: dict[int, float] = {}
    for in_captions, in_said in equal_positions(alignment):
        number, place, (_, start) = captions[in_captions]
        if place < FIRST_WORDS:
            lags.setdefault(number, start - said[in_said][1])
    return round(statistics.median(lags.values()), 3) if len(lags) >= MIN_CUES else None


def uncaptioned_words(cues: Sequence[Cue], heard: Iterable[Cue]) -> int:
    """The most words that are heard in a row where no cue is."""
    longest = run = 0
    for each in heard:
        middle = (each.start + each.end) / 2
        is_captioned = any(cue.start - SLACK_S <= middle <= cue.end + SLACK_S for cue in cues)
        run = 0 if is_captioned else run + len(words_of(each.text))
        longest = max(longest, run)
    return longest


def _timed(cue: Cue) -> list[tuple[str, float]]:
    """A cue's words and when they begin, if all characters take as long."""
    words = words_of(cue.text)
    lengths = [len(word) for word in words]
    step_s = cue.duration / max(sum(lengths), 1)
    return [(word, cue.start + step_s * before) for word, before in zip(words, accumulate([0, *lengths]), strict=False)]
