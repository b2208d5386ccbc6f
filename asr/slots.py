"""One stretch on its way: the walks over it, and whose text stands. In: walks. Out: segments, and what was left out."""

from dataclasses import dataclass, field

from asr.features import FRAMES_PER_SECOND
from asr.quality import LOST_SPEECH, plain_text
from asr.segments import split_at
from asr.stretches import Stretch
from asr.tokenizer import Tokenizer
from asr.transcript import Segment, Suppressed
from asr.walk import Walk

__all__ = ["Slot", "lost_speech"]

RESCUE_LOGPROB = -0.8  # text is found where there was none only if it is more probable than this
MIN_REPEATED_WORDS = 3


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
        said = _plain_words(self.walk)
        found = [
            walk
            for walk in self.rescues or ()
            if not walk.failed and walk.avg_logprob >= RESCUE_LOGPROB and not _is_part(_plain_words(walk), said)
        ]
        return [self.walk, *found]

    def text(self, tokenizer: Tokenizer) -> list[Segment]:
        """All segments in order of time; one that reaches over what was found within it is cut there."""
        segments: list[Segment] = []
        for walk in self._kept():
            if segments and walk.segments:
                start = walk.segments[0].start
                segments = [piece for each in segments for piece in split_at(each, start, tokenizer)]
            segments += walk.segments
        return sorted(segments, key=lambda each: each.start)

    def suppressed(self) -> list[Suppressed]:
        """What the walks left out, and the text of those that did not convince."""
        kept = self._kept()
        left_out = [each for walk in kept for each in walk.suppressed] + self.lost
        for walk in self.rescues or ():
            if not walk.segments and not walk.suppressed:
                left_out.append(lost_speech(walk.stretch))
            left_out += walk.suppressed if walk not in kept else []
            left_out += [Suppressed.of(each, LOST_SPEECH) for each in walk.segments if walk not in kept]
        return sorted(left_out, key=lambda each: each.start)


def lost_speech(stretch: Stretch) -> Suppressed:
    """Somebody speaks here, and the model has nothing to write."""
    return Suppressed(
        start=stretch.begin / FRAMES_PER_SECOND,
        end=stretch.end / FRAMES_PER_SECOND,
        text="",
        reason=LOST_SPEECH,
        avg_logprob=0.0,
        compression_ratio=1.0,
        no_speech_prob=0.0,
    )


def _plain_words(walk: Walk) -> list[str]:
    return [word for segment in walk.segments for word in plain_text(segment.text).split()]


def _is_part(words: list[str], whole: list[str]) -> bool:
    """Whether ``words`` were said already; a few words may well be said twice."""
    n = len(words)
    return n >= MIN_REPEATED_WORDS and any(whole[i : i + n] == words for i in range(len(whole) - n + 1))
