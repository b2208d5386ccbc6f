"""What scoring finds beyond counts of errors: words in time, their probabilities, text lost, languages over time.

Plain frozen data. Times are seconds unless a name says otherwise, shares are unrounded fractions. Knows no normalizer,
model or output format.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from eval.scoring.interval import Interval

__all__ = [
    "ConfidenceBin",
    "Drift",
    "LabelledSpan",
    "LanguageTimeline",
    "LostRun",
    "LostText",
    "LostTextClip",
    "PlacedGroup",
    "RecordingTimeline",
    "StrayWord",
    "SuppressedText",
    "TimeErrors",
    "WordConfidence",
    "WordConfidenceGroup",
    "WordPlacement",
    "WordTimeGroup",
    "WordTimes",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeErrors:
    """How far the same words lie apart in two runs."""

    median: float
    """Of the absolute differences."""
    mean: float
    p95: float
    bias: float
    """Median of B less A, signed."""
    within: Mapping[float, float]
    """Tolerance → share of words whose absolute difference is at most that."""
    percentiles: tuple[float, ...]
    """Of the absolute differences, from the 0th to the 100th."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """By how much times run away from the recording's clock."""

    ms_per_hour: float
    """Median of the slopes between all pairs of points of a recording (Theil-Sen)."""
    interval: Interval
    n_points: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WordTimeGroup:
    """Word times of B against A, over some clips."""

    n_clips: int
    n_words_a: int
    """Words with text left after normalization."""
    n_words_b: int
    n_unclear_a: int
    """Of them, those that normalization merges with their neighbours; they are in no match."""
    n_unclear_b: int
    n_matched: int
    """Words that both runs have in the same place of the text."""
    starts: TimeErrors | None
    """None without matched words."""
    ends: TimeErrors | None


@dataclass(frozen=True, slots=True, kw_only=True)
class WordTimes:
    """Word times of B against A, on the clips for which both runs have words."""

    overall: WordTimeGroup
    languages: Mapping[str, WordTimeGroup]
    drift: Drift | None
    """Of B's starts against A's; None where no clip is long enough to show any."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StrayWord:
    """A word that lies outside the part of the recording in which it is said."""

    clip_id: str
    word: str
    start: float
    end: float
    part_id: str
    part_start: float
    part_end: float

    @property
    def off_by(self) -> float:
        """Seconds by which it sticks out, on the side where that is more."""
        return max(self.part_start - self.start, self.end - self.part_end)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedGroup:
    """Words held against the parts that they are said in."""

    n_clips: int
    n_words: int
    """Words of the hypotheses with text left after normalization."""
    n_matched: int
    """Of them, those that the alignment finds in the text of a part."""
    inside: Mapping[float, int]
    """Tolerance → matched words that start and end inside their part, widened by that on both sides."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WordPlacement:
    """Words in recordings joined from clips at known offsets."""

    overall: PlacedGroup
    clips: Mapping[str, PlacedGroup]
    """By recording."""
    drift: Drift | None
    """Of the parts' middles, as their first and last words have it; None where no recording can show any."""
    stray: tuple[StrayWord, ...]
    """Matched words outside their part by more than the widest tolerance, the farthest first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfidenceBin:
    """Words whose probability is in ``[low, high)``; the last bin holds 1 too."""

    low: float
    high: float
    n: int
    n_correct: int
    probability: float | None
    """Mean; None for an empty bin."""

    @property
    def accuracy(self) -> float | None:
        """Share of the words that are right; None for an empty bin."""
        return self.n_correct / self.n if self.n else None


@dataclass(frozen=True, slots=True, kw_only=True)
class WordConfidenceGroup:
    """Probabilities of words against whether they are right, over some clips."""

    n_clips: int
    n_words: int
    """Words that were judged."""
    n_unclear: int
    """Words that normalization merges with their neighbours, so that nobody can say which of them is right."""
    n_correct: int
    probability: float
    """Mean."""
    ece: float
    """Expected calibration error: mean distance of a bin's accuracy from its probability, by words."""
    brier: float
    """Mean squared distance of probability from 1 for a right word, from 0 for a wrong one."""
    auc: float | None
    """Chance that a right word has the greater probability than a wrong one; None without words of both kinds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WordConfidence:
    """How far the probabilities of words can be trusted."""

    overall: WordConfidenceGroup
    languages: Mapping[str, WordConfidenceGroup]
    bins: tuple[ConfidenceBin, ...]
    """Of ``overall``, ten of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LostRun:
    """Consecutive units of a reference with nothing in their place."""

    n_units: int
    position: int
    """Of the first one, in units of the reference from 0."""
    before: str
    """The last units before it."""
    text: str
    """The first of what is lost."""
    after: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LostTextClip:
    """Text lost in one long clip."""

    id: str
    language: str | None
    duration: float | None
    unit: str
    """"word" or "character"."""
    n_ref: int
    longest: int
    """Units of the longest run, 0 where nothing is lost."""
    runs: tuple[LostRun, ...]
    """Of at least ``LostText.min_units``, the longest first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LostText:
    """Text lost in long clips."""

    min_units: int
    """A run of fewer is an ordinary error."""
    n_runs: int
    longest: int
    clips: tuple[LostTextClip, ...]
    """Every long clip, the one with the longest run first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SuppressedText:
    """Text that was decoded where somebody speaks and left out, for one reason."""

    n_clips: int
    n_texts: int
    n_units: int
    """Words, or characters where no spaces are written."""
    n_said: int
    """Of them, those that the reference has and the text has not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledSpan:
    """A stretch of a recording in one language."""

    start: float
    end: float
    language: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingTimeline:
    """Languages over the time of one recording."""

    id: str
    truth: tuple[LabelledSpan, ...]
    found: tuple[LabelledSpan, ...]
    seconds: float
    """Of speech whose language is known."""
    seconds_right: float
    n_parts: int
    n_parts_right: int
    """Parts most of whose labelled time has the right label; a part without any label is wrong."""
    n_switches: int
    n_switches_found: int
    confusion: Mapping[str, Mapping[str, float]]
    """Language spoken → language found → seconds; "none" where no language was found."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LanguageTimeline:
    """Languages over time, over joined recordings."""

    seconds: float
    seconds_right: float
    n_parts: int
    n_parts_right: int
    n_switches: int
    n_switches_found: int
    confusion: Mapping[str, Mapping[str, float]]
    clips: tuple[RecordingTimeline, ...]

    @property
    def share_right(self) -> float:
        """Of the time of speech."""
        return self.seconds_right / self.seconds
