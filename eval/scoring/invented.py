"""Words written where nobody speaks. In: counted clips. Out: ``InventedWords`` by kind of clip, and by dataset.

What is heard in a clip is its corpus' kind, and for noise a finer one where the clip's name or dataset has it: silence,
white and pink noise, babble, impulse responses. The last two stand apart: in babble people do speak, and an impulse
response is the sound of a room, of which a second or less is known. Words that the target suppressed are counted
beside, as they would have been counted in the text.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence

from eval.corpora.types import canonical_language
from eval.normalizers import NormalizerName, Unit, normalizer_for, unit_for
from eval.scoring.bootstrap import intervals, ratio, sum_by_cluster
from eval.scoring.clips import NO_DATASET, duration_of, grouped
from eval.scoring.types import ClipScore, InventedWords
from eval.scoring.word_matching import split_units

__all__ = ["ALL_KINDS", "APART_KINDS", "invented_by_dataset", "invented_words"]

ALL_KINDS = "all"
NO_KIND = "other"  # the row of clips whose corpus does not say what is heard in them
NOISE = "noise"
SECONDS_PER_HOUR = 3600
BABBLE, IMPULSE_RESPONSE = "babble", "impulse response"
APART_KINDS = frozenset({BABBLE, IMPULSE_RESPONSE})  # in no total
NAMED_SOUNDS: Mapping[str, str] = {
    "babble": BABBLE,
    "rir": IMPULSE_RESPONSE,
    "impulse": IMPULSE_RESPONSE,
    "silence": "silence",
    "white": "white noise",
    "pink": "pink noise",
}


def invented_words(clips: Iterable[ClipScore]) -> dict[str, InventedWords]:
    """By kind, and all of them but those apart; clips that failed were not heard, those of unknown length have no rate.

    A run of nothing but kinds apart has no ``all``.
    """
    silent = _silent(clips)
    together = [clip for clip in silent if _kind(clip) not in APART_KINDS]
    return {**_groups(silent, _kind), **({ALL_KINDS: _add_up(together)} if together else {})}


def invented_by_dataset(clips: Iterable[ClipScore]) -> dict[str, InventedWords]:
    """The clips of every kind by dataset."""
    return _groups(_silent(clips), lambda clip: clip.reference.dataset or NO_DATASET)


def _silent(clips: Iterable[ClipScore]) -> list[ClipScore]:
    return [
        clip
        for clip in clips
        if not clip.reference.text and not clip.failed and duration_of(clip.reference, clip.hypothesis)
    ]


def _groups(clips: Iterable[ClipScore], key: Callable[[ClipScore], str]) -> dict[str, InventedWords]:
    return {name: _add_up(members) for name, members in grouped(clips, key).items()}


def _kind(clip: ClipScore) -> str:
    kind = clip.reference.kind or NO_KIND
    if kind not in {NOISE, NO_KIND}:
        return kind
    names = re.findall("[a-z]+", f"{clip.id} {clip.reference.dataset}".lower())
    return next((NAMED_SOUNDS[name] for name in names if name in NAMED_SOUNDS), kind)


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
        n_suppressed=sum(_n_suppressed(clip) for clip in clips),
    )


def _n_words(clip: ClipScore) -> int:
    counts = clip.characters if _unit(clip) is Unit.CHARACTER else clip.words
    return counts.insertions


def _n_suppressed(clip: ClipScore) -> int:
    language = clip.reference.language
    normalizer = normalizer_for(NormalizerName(clip.normalizer), language)
    texts = (normalizer.normalize(each.text, language) for each in clip.hypothesis.suppressed)
    return sum(len(split_units(text, _unit(clip))) for text in texts)


def _unit(clip: ClipScore) -> Unit:
    # Nobody speaks, so the clip mostly has no language; what the target took it for says how its words are written.
    return unit_for(clip.reference.language or canonical_language(clip.hypothesis.language))
