"""One stretch on its way: the walks over it, and whose text stands. In: walks. Out: segments, and what was left out."""

from dataclasses import dataclass, field, replace

from asr.features import FRAMES_PER_SECOND
from asr.quality import LOST_SPEECH, plain_text
from asr.segments import split_at
from asr.stretches import Stretch
from asr.tokenizer import Tokenizer
from asr.transcript import Segment, Suppressed
from asr.voice_activity import SpeechStretch
from asr.walk import Walk
from asr.words import LANGUAGES_WITHOUT_SPACES

__all__ = ["Slot", "lost_speech"]

MIN_REPEATED_WORDS = 3
MIN_REPEATED_CHARACTERS = 6  # of languages without spaces


@dataclass(slots=True)
class Slot:
    """One stretch on its way."""

    stretch: Stretch
    language: str | None
    walk: Walk | None = None
    """The walk whose text stands, so far."""
    second: Walk | None = None
    """The walk with context, while it is under way."""
    walked_again: bool = False
    lost: list[Suppressed] = field(default_factory=list)
    """Speech without text that was not walked again."""
    rescues: list[Walk] | None = None
    """Walks over speech that got no text; None before they are looked for."""

    def walks(self) -> list[Walk]:
        """Those under way."""
        all_of_them = (self.walk, self.second, *(self.rescues or ()))
        return [walk for walk in all_of_them if walk is not None and not walk.done]

    def _kept(self) -> list[Walk]:
        """Walks whose text stands: what is found where the first found nothing must be convincing, and new."""
        if self.walk is None:
            return []
        if not self.rescues:
            return [self.walk]
        said = _plain_words(self.walk)
        found = [walk for walk in self.rescues if not walk.failed and not _is_part(_plain_words(walk), said)]
        return [self.walk, *found]

    def text(self, tokenizer: Tokenizer) -> list[Segment]:
        """All segments in order of time; one that reaches over what was found within it is cut there."""
        kept = self._kept()
        segments = list(kept[0].segments) if kept else []
        for found in kept[1:]:
            if found.segments:
                segments = _inserted(found, segments, tokenizer)
        return segments

    def suppressed(self) -> list[Suppressed]:
        """What the walks left out, the text of those that did not convince, and speech that stays without text."""
        kept = self._kept()
        left_out = [each for walk in kept for each in walk.suppressed] + self.lost
        for walk in self.rescues or ():
            if not walk.segments and not walk.suppressed:
                begin, end = walk.stretch.begin / FRAMES_PER_SECOND, walk.stretch.end / FRAMES_PER_SECOND
                left_out.append(lost_speech(SpeechStretch(begin, end)))
            elif walk.segments:
                left_out += [lost_speech(each) for each in walk.lost()]
            left_out += walk.suppressed if walk not in kept else []
            left_out += [Suppressed.of(each, LOST_SPEECH) for each in walk.segments if walk not in kept]
        return sorted(left_out, key=lambda each: each.start)


def lost_speech(speech: SpeechStretch) -> Suppressed:
    """Somebody speaks here, and the model has nothing to write."""
    return Suppressed(
        start=round(speech.start, 2),
        end=round(speech.end, 2),
        text="",
        reason=LOST_SPEECH,
        avg_logprob=0.0,
        compression_ratio=1.0,
        no_speech_prob=0.0,
    )


def _inserted(walk: Walk, segments: list[Segment], tokenizer: Tokenizer) -> list[Segment]:
    """``segments`` with those of ``walk`` at their place: nothing else is heard in the middle of its stretch."""
    middle = (walk.stretch.begin + walk.stretch.end) / 2 / FRAMES_PER_SECOND
    pieces = [piece for each in segments for piece in split_at(each, middle, tokenizer)]
    place = next((i for i, piece in enumerate(pieces) if _middle(piece) >= middle), len(pieces))
    before, found, after = pieces[:place], list(walk.segments), pieces[place:]
    # Predicted times reach over the text that was left out; those of words do not.
    if before and before[-1].words and before[-1].end > found[0].start:
        before[-1] = replace(before[-1], end=before[-1].words[-1].end)
    if after and after[0].words and after[0].start < found[-1].end:
        after[0] = replace(after[0], start=after[0].words[0].start)
    # The stretch has a margin on both sides, so that no word is cut.
    if before and found[0].start < before[-1].end <= _first_heard(found[0]):
        found[0] = replace(found[0], start=before[-1].end)
    if after and _last_heard(found[-1]) <= after[0].start < found[-1].end:
        found[-1] = replace(found[-1], end=after[0].start)
    return sorted([*before, *found, *after], key=lambda segment: segment.start)


def _first_heard(segment: Segment) -> float:
    return segment.words[0].start if segment.words else segment.end


def _last_heard(segment: Segment) -> float:
    return segment.words[-1].end if segment.words else segment.start


def _middle(segment: Segment) -> float:
    return (segment.words[0].start + segment.words[-1].end if segment.words else segment.start + segment.end) / 2


def _plain_words(walk: Walk) -> list[str]:
    """Words, or characters of a language without spaces."""
    words = [word for segment in walk.segments for word in plain_text(segment.text).split()]
    return [*"".join(words)] if walk.language in LANGUAGES_WITHOUT_SPACES else words


def _is_part(words: list[str], whole: list[str]) -> bool:
    """Whether ``words`` were said already; a few words may well be said twice."""
    n = len(words)
    least = MIN_REPEATED_CHARACTERS if all(len(word) == 1 for word in words) else MIN_REPEATED_WORDS
    return n >= least and any(whole[i : i + n] == words for i in range(len(whole) - n + 1))
