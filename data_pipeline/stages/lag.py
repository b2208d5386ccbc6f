"""Are captions where their words are heard? In: cues, and words with their times. Out: seconds, counts. Drops nothing.

The form that duplicates are compared in is enough here: words need not all be found, and where no spaces are written
characters are.
"""

import statistics
from collections.abc import Iterable, Sequence
from itertools import accumulate, groupby

from data_pipeline.stages.ngrams import words_of
from data_pipeline.types import Cue
from eval.wer import align_words, equal_positions

__all__ = ["caption_lag", "uncaptioned_words"]

FIRST_WORDS = 3  # of a cue: one of them must be found, or nothing is known of where the cue begins
MIN_CUES = 3  # that a median is taken of
AROUND_S = 15.0  # of a window
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


def uncaptioned_words(cues: Sequence[Cue], heard: Sequence[Cue], start: float, end: float) -> int:
    """The most words that are heard in a row where no cue is, of the rows with a word between start and end.

    A window's end is no end of a row, so that words and cues around the window are looked at too.
    """
    near = [each for each in heard if start - AROUND_S <= each.middle < end + AROUND_S]
    beside = [cue for cue in cues if cue.end > start - 2 * AROUND_S and cue.start < end + 2 * AROUND_S]

    def is_captioned(word: Cue) -> bool:
        return any(cue.start - SLACK_S <= word.middle <= cue.end + SLACK_S for cue in beside)

    rows = [list(row) for captioned, row in groupby(near, is_captioned) if not captioned]
    touching = [row for row in rows if any(start <= word.middle < end for word in row)]
    return max((sum(len(words_of(word.text)) for word in row) for row in touching), default=0)


def _timed(cue: Cue) -> list[tuple[str, float]]:
    """A cue's words and when they begin, if all characters take as long."""
    words = words_of(cue.text)
    lengths = [len(word) for word in words]
    step_s = cue.duration / max(sum(lengths), 1)
    return [(word, cue.start + step_s * before) for word, before in zip(words, accumulate([0, *lengths]), strict=False)]
