"""What was left out where somebody speaks. In: scored clips. Out: ``SuppressedText`` by reason: was any of it said?

A unit of suppressed text counts as said when the alignment with the reference misses it: it is among the units of the
reference that were deleted or replaced, each of which answers for one. So it says what could have been lost by
suppressing, not what was. Knows no output format.
"""

from collections import Counter
from collections.abc import Iterable, Iterator

from eval.normalizers import NormalizerName, Unit, normalizer_for
from eval.scoring.evidence import SuppressedText
from eval.scoring.types import ClipScore
from eval.scoring.word_matching import split_units
from eval.wer import Edit, align_characters, align_words

__all__ = ["suppressed_speech"]


def suppressed_speech(clips: Iterable[ClipScore]) -> dict[str, SuppressedText]:
    """By reason, in clips with speech; empty where nothing was left out of them."""
    found: dict[str, list[tuple[str, int, int]]] = {}
    for clip in clips:
        if clip.reference.text and clip.hypothesis.suppressed:
            for reason, n_units, n_said in _each(clip):
                found.setdefault(reason, []).append((clip.id, n_units, n_said))
    return {
        reason: SuppressedText(
            n_clips=len({clip_id for clip_id, *_ in texts}),
            n_texts=len(texts),
            n_units=sum(n_units for _, n_units, _ in texts),
            n_said=sum(n_said for *_, n_said in texts),
        )
        for reason, texts in sorted(found.items())
    }


def _each(clip: ClipScore) -> Iterator[tuple[str, int, int]]:
    normalizer = normalizer_for(NormalizerName(clip.normalizer), clip.reference.language)
    missing = _missing(clip)
    for suppressed in clip.hypothesis.suppressed:
        text = normalizer.normalize(suppressed.text, clip.reference.language)
        units = Counter(split_units(text, clip.unit))
        said = units & missing
        missing -= said
        yield suppressed.reason, units.total(), said.total()


def _missing(clip: ClipScore) -> Counter[str]:
    align = align_characters if clip.unit is Unit.CHARACTER else align_words
    spans = align(clip.reference_text, clip.hypothesis_text)
    return Counter(unit for span in spans if span.kind in {Edit.DELETE, Edit.SUBSTITUTE} for unit in span.reference)
