"""Words written where nobody speaks. In: counted clips. Out: ``InventedWords`` by kind of clip. Knows no normalizer."""

from collections.abc import Iterable, Sequence

from eval.corpora.types import canonical_language
from eval.normalizers import Unit, unit_for
from eval.scoring.bootstrap import intervals, ratio, sum_by_cluster
from eval.scoring.clips import duration_of, grouped
from eval.scoring.types import ClipScore, InventedWords

__all__ = ["ALL_KINDS", "invented_words"]

ALL_KINDS = "all"
NO_KIND = "other"  # the row of clips whose corpus does not say what is heard in them
SECONDS_PER_HOUR = 3600


def invented_words(clips: Iterable[ClipScore]) -> dict[str, InventedWords]:
    """By kind, and all of them; clips that failed were not heard, and those of unknown length have no rate."""
    silent = [
        clip
        for clip in clips
        if not clip.reference.text and not clip.failed and duration_of(clip.reference, clip.hypothesis)
    ]
    if not silent:
        return {}
    kinds = grouped(silent, lambda clip: clip.reference.kind or NO_KIND)
    return {name: _add_up(members) for name, members in {**kinds, ALL_KINDS: silent}.items()}


def _add_up(clips: Sequence[ClipScore]) -> InventedWords:
    words = [_n_words(clip) for clip in clips]
    hours = [(duration_of(clip.reference, clip.hypothesis) or 0.0) / SECONDS_PER_HOUR for clip in clips]
    by_clip = sum_by_cluster((clip.id for clip in clips), list(zip(words, hours, strict=True)))
    return InventedWords(
        n_clips=len(clips),
        n_clips_with_words=sum(count > 0 for count in words),
        hours=sum(hours),
        n_words=sum(words),
        per_hour=sum(words) / sum(hours),
        interval=intervals(by_clip, ratio(0, 1))[0],
    )


def _n_words(clip: ClipScore) -> int:
    # Nobody speaks, so the clip mostly has no language; what the target took it for says how its words are written.
    language = clip.reference.language or canonical_language(clip.hypothesis.language)
    counts = clip.characters if unit_for(language) is Unit.CHARACTER else clip.words
    return counts.insertions
