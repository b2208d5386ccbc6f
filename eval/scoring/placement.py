"""Words in recordings joined from clips at known offsets. In: ``StoredRun``. Out: ``WordPlacement``, or None.

The texts of the parts, one after another, are aligned with the words of the hypothesis; a word that is found in a part
should start and end inside it. The alignment knows texts alone: of a sentence that is written twice it may take the
copy that stands elsewhere, and where the same word ends one part and begins the next, the wrong one. So stray words are
listed, that each can be looked at. Knows no output format.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from asr.transcript import Word
from eval.corpora import Part
from eval.hypotheses import Hypothesis, Reference
from eval.normalizers import NormalizerName, Unit, normalizer_for, unit_for
from eval.scoring.drift import drift
from eval.scoring.evidence import PlacedGroup, StrayWord, WordPlacement
from eval.scoring.word_matching import find_words, normalize_words, split_units

__all__ = ["TOLERANCES_S", "place_words"]

TOLERANCES_S = (0.0, 0.2)
ROUNDING_S = 0.0005  # times are written with three digits

Clips = Sequence[tuple[str, Reference, Hypothesis]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Placed:
    """One recording."""

    id: str
    n_words: int
    words: tuple[tuple[Word, Part], ...]
    """Matched ones in order, each with the part in which it is said."""
    complete: tuple[tuple[Part, Word, Word], ...]
    """Parts whose first and last word are matched, and these words."""


def place_words(clips: Clips, *, normalizer: NormalizerName) -> WordPlacement | None:
    """Place the words of joined recordings; None without one that has words."""
    placed = [
        _place(clip_id, reference, hypothesis.words, normalizer)
        for clip_id, reference, hypothesis in clips
        if reference.parts and hypothesis.words is not None
    ]
    if not placed:
        return None
    return WordPlacement(
        overall=_group(placed),
        clips={each.id: _group([each]) for each in placed},
        drift=drift(_middles(each) for each in placed),
        stray=_stray(placed),
    )


def _place(clip_id: str, reference: Reference, words: Sequence[Word], name: NormalizerName) -> _Placed:
    language, unit = reference.language, _unit(reference)
    normalizer = normalizer_for(name, language)
    units: list[str] = []
    owners: list[int] = []
    for number, part in enumerate(reference.parts):
        said = split_units(normalizer.normalize(part.text, language), unit)
        units += said
        owners += [number] * len(said)
    written = normalize_words([word.word for word in words], normalizer=normalizer, language=language, unit=unit)
    found = {
        number: places
        for number, places in sorted(find_words(written, units).items())
        if owners[places[0]] == owners[places[-1]]
    }
    return _Placed(
        id=clip_id,
        n_words=written.n_words,
        words=tuple((words[number], reference.parts[owners[places[0]]]) for number, places in found.items()),
        complete=_complete(reference.parts, owners, {places: words[number] for number, places in found.items()}),
    )


def _unit(reference: Reference) -> Unit:
    # One part without spaces between its words, and words are no unit of the whole.
    units = {unit_for(part.language or reference.language) for part in reference.parts}
    return Unit.CHARACTER if Unit.CHARACTER in units else Unit.WORD


def _complete(
    parts: Sequence[Part], owners: Sequence[int], words: dict[tuple[int, ...], Word]
) -> tuple[tuple[Part, Word, Word], ...]:
    starts = {places[0]: word for places, word in words.items()}
    ends = {places[-1]: word for places, word in words.items()}
    first: dict[int, int] = {}
    last: dict[int, int] = {}
    for position, number in enumerate(owners):
        first.setdefault(number, position)
        last[number] = position
    return tuple(
        (parts[number], starts[first[number]], ends[last[number]])
        for number in first
        if first[number] in starts and last[number] in ends
    )


def _middles(placed: _Placed) -> list[tuple[float, float]]:
    # What is silent before the first word and after the last is the clip's own, and has nothing to do with time.
    return [(part.start, (first.start + last.end - part.start - part.end) / 2) for part, first, last in placed.complete]


def _group(placed: Iterable[_Placed]) -> PlacedGroup:
    members = list(placed)
    words = [pair for each in members for pair in each.words]
    return PlacedGroup(
        n_clips=len(members),
        n_words=sum(each.n_words for each in members),
        n_matched=len(words),
        inside={
            tolerance: sum(_is_inside(word, part, tolerance) for word, part in words) for tolerance in TOLERANCES_S
        },
    )


def _is_inside(word: Word, part: Part, tolerance: float) -> bool:
    room = tolerance + ROUNDING_S
    return word.start >= part.start - room and word.end <= part.end + room


def _stray(placed: Iterable[_Placed]) -> tuple[StrayWord, ...]:
    stray = [
        StrayWord(
            clip_id=each.id,
            word=word.word.strip(),
            start=word.start,
            end=word.end,
            part_id=part.id,
            part_start=part.start,
            part_end=part.end,
        )
        for each in placed
        for word, part in each.words
        if not _is_inside(word, part, TOLERANCES_S[-1])
    ]
    return tuple(sorted(stray, key=lambda word: (-word.off_by, word.clip_id, word.start)))
