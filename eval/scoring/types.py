"""What scoring finds, as plain frozen data: one type for what was said, one for translations, one for languages named.

Rates are unrounded fractions, hours and seconds are what they say. Knows no normalizer, model or output format.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from eval.hypotheses import Hypothesis, Reference
from eval.normalizers import Unit
from eval.scoring.evidence import LanguageTimeline, LostText, SuppressedText, WordConfidence, WordPlacement
from eval.scoring.interval import Interval
from eval.wer import ErrorCounts

__all__ = [
    "ClipScore",
    "ErrorGroup",
    "Interval",
    "InventedWords",
    "LanguageIdentification",
    "LanguageScores",
    "NormalizerUse",
    "RealTime",
    "Scores",
    "TranscriptionScores",
    "TranslatedClip",
    "TranslationGroup",
    "TranslationScores",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class NormalizerUse:
    """A normalizer that texts went through; equal digests, equal rewriting."""

    name: str
    version: str
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipScore:
    """One transcribed clip, counted by word and by character."""

    id: str
    reference: Reference
    hypothesis: Hypothesis
    reference_text: str
    """Normalized, as it was counted."""
    hypothesis_text: str
    """Normalized, as it was counted."""
    unit: Unit
    """What the clip's language, or its corpus, is counted in."""
    words: ErrorCounts
    characters: ErrorCounts
    normalizer: str

    @property
    def counts(self) -> ErrorCounts:
        """Errors in the clip's own unit."""
        return self.characters if self.unit is Unit.CHARACTER else self.words

    @property
    def failed(self) -> bool:
        """Whether there is no transcript; all of the reference then counts as deleted."""
        return self.hypothesis.error is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorGroup:
    """Some clips, their counts added."""

    n_clips: int
    n_failed: int
    n_clusters: int
    """Speakers, and clips whose speaker is not known."""
    few_voices: bool = False
    """Whether they are so few that the intervals are over clips, and speak for these voices alone."""
    unit: str
    """"word", "character", or "mixed" where clips of both kinds are pooled, each counted in its own."""
    counts: ErrorCounts
    """Each clip in its own unit."""
    interval: Interval | None
    """Of ``counts.rate``; None without reference units or with a single clip."""
    words: ErrorCounts
    """Every clip by word; the rate is the WER."""
    words_interval: Interval | None
    characters: ErrorCounts
    """Every clip by character; the rate is the CER."""
    characters_interval: Interval | None


@dataclass(frozen=True, slots=True, kw_only=True)
class InventedWords:
    """Words written where nobody speaks."""

    n_clips: int
    n_clips_with_words: int
    hours: float
    n_words: int
    """By whitespace, after normalization; one character is one word in languages counted by character."""
    per_hour: float | None
    interval: Interval | None
    """Of ``per_hour``."""
    n_suppressed: int = 0
    """Words that the target decoded and left out of the text, counted likewise; 0 also where it does not say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LanguageIdentification:
    """Languages named against languages spoken."""

    n_clips: int
    n_correct: int
    accuracy: float | None
    interval: Interval | None
    by_language: Mapping[str, tuple[int, int]]
    """Language spoken → clips, and of them those named right."""
    confusion: Mapping[str, Mapping[str, int]]
    """Language spoken → language named → clips; "none" where the target abstained, "failed" where it gave no answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RealTime:
    """Speed of the run, over clips that did not fail."""

    audio_s: float
    wall_s: float
    """From request to text, added over clips."""
    x_real_time: float | None
    """Seconds of audio for each second of wall clock."""
    phases_s: Mapping[str, float]
    """``audio``, ``encode`` and ``decode``, added over the clips whose target told them; empty where none did."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TranscriptionScores:
    """Error rates of one run; every group is summed from the same clips."""

    config: Mapping[str, Any]
    """What was run."""
    n_missing: int
    """Clips with a reference but no hypothesis: the run is not finished, and they are in no group."""
    normalizers: tuple[NormalizerUse, ...]
    overall: ErrorGroup
    """Every clip with a transcript, each in its own unit."""
    headline: ErrorGroup
    """``overall`` without doubtful transcripts, spelled-out corpora and single words."""
    words: ErrorGroup
    """The clips of ``overall`` that are counted by word."""
    characters: ErrorGroup
    """The clips of ``overall`` that are counted by character."""
    languages: Mapping[str, ErrorGroup]
    """By code; ``none``: nobody speaks, ``several``: joined of clips in several languages."""
    datasets: Mapping[str, ErrorGroup]
    dataset_languages: Mapping[str, ErrorGroup]
    """By dataset and language, ``fleurs/de``."""
    lengths: Mapping[str, ErrorGroup]
    """By length of the audio, shortest first, clips with speech only."""
    apart: Mapping[str, ErrorGroup]
    """What ``headline`` leaves out, by reason; a clip can have more than one."""
    invented: Mapping[str, InventedWords]
    """By kind of clip (noise, music, …) in which nobody speaks, and ``all`` of them but babble and impulse responses;
    empty where there are none."""
    invented_datasets: Mapping[str, InventedWords]
    """The same clips by dataset."""
    language_id: LanguageIdentification | None
    """None where the target was told the languages."""
    confidence: WordConfidence | None
    """Of the clips of the headline; None where no word has a probability."""
    placement: WordPlacement | None
    """None without joined recordings whose words have times."""
    lost: LostText | None
    """None without long clips."""
    suppressed: Mapping[str, SuppressedText]
    """By reason, in clips with speech; empty where nothing was left out of them."""
    timeline: LanguageTimeline | None
    """None without joined recordings of known languages, or where the target says nothing of languages over time."""
    real_time: RealTime
    clips: tuple[ClipScore, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TranslatedClip:
    """One translated clip."""

    id: str
    reference: Reference
    hypothesis: Hypothesis
    chrf: float
    """Sentence chrF, 0 to 100."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TranslationGroup:
    """Corpus scores over some translated clips, both 0 to 100."""

    n_clips: int
    n_failed: int
    n_clusters: int
    few_voices: bool = False
    """As in ErrorGroup."""
    n_reference_words: int
    bleu: float
    bleu_interval: Interval | None
    chrf: float
    chrf_interval: Interval | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TranslationScores:
    """BLEU and chrF of one run, on texts as they are: sacrebleu's own tokenization, no normalizer."""

    config: Mapping[str, Any]
    n_missing: int
    bleu_signature: str
    chrf_signature: str
    overall: TranslationGroup
    languages: Mapping[str, TranslationGroup]
    datasets: Mapping[str, TranslationGroup]
    dataset_languages: Mapping[str, TranslationGroup]
    real_time: RealTime
    clips: tuple[TranslatedClip, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LanguageScores:
    """Languages named by a run of ``--task detect-language``."""

    config: Mapping[str, Any]
    n_missing: int
    language_id: LanguageIdentification
    real_time: RealTime


Scores = TranscriptionScores | TranslationScores | LanguageScores
"""What ``score_run`` returns, by the run's job."""
