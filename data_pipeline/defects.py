"""What can be wrong with a talk. In: talks without a defect. Out: the same with one, whose place is known.

A defect that a talk cannot have (capitals where a script has none, a leak in a text that others say too) is not made of
it: ``fits`` says so. Knows no file.
"""

import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import compress
from typing import Final

import numpy as np
from numpy.typing import NDArray

from asr.audio import SAMPLE_RATE
from data_pipeline.stages.contamination import MIN_WORDS as MIN_WORDS_OF_TEXT
from data_pipeline.stages.contamination import N
from data_pipeline.stages.ngrams import ngrams, words_of
from data_pipeline.types import Cue
from eval.corpora import Utterance

__all__ = ["COPIES", "DEFECTS", "EXCHANGES", "MAKERS", "Fits", "Talk", "leakable", "sentence"]

DEFECTS: Final[Mapping[str, tuple[str, ...]]] = {
    "none": (),
    "long_pause": (),  # speech, 100 s of silence, speech: one in ten windows of silence is kept
    "translated": (),  # English captions: kept, as translation
    "upper_case": ("machine",),
    "lower_case": ("machine",),
    "no_punctuation": ("machine",),
    "recognizer_style": ("machine",),  # lower case and no marks
    "mostly_recognizer_style": ("machine",),  # but for the first cue
    "rolling_captions": ("repeats",),
    "looping_captions": ("repeats",),
    "captions_20_s_late": ("timing",),
    "captions_slightly_late": ("agreement",),
    "captions_slightly_early": ("agreement",),
    "captions_missing": ("segment", "agreement"),  # a clip in the middle has none; windows are dropped, not the talk
    "short_audio": ("timing",),  # a whole file, which ends at three fifths
    "truncated_audio": ("audio",),  # half a file
    "silent_audio": ("agreement", "language"),
    "duplicate": ("duplicates",),
    "near_duplicate": ("duplicates",),
    "evaluation_leak": ("contamination",),
    "wrong_language": ("language", "agreement"),
    "other_captions": ("agreement",),
}
"""Kind → the stages that should drop it; the first is the one that is asked to."""
COPIES: Final = ("duplicate", "near_duplicate")
EXCHANGES: Final = ("wrong_language", "other_captions")
"""Two talks have each other's captions."""

LATE_S = 20.0
SHIFT_S = (2.0, 3.0)  # of captions that stay inside the recording
SILENCE_S = 100.0
KEPT_OF_SHORT_AUDIO = 3 / 5
Samples = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Talk:
    """Clips of one language, one after the other."""

    language: str | None
    samples: Samples
    """At SAMPLE_RATE, (n_samples,)."""
    cues: tuple[Cue, ...]
    translations: tuple[str | None, ...]
    """Of the cues, into English."""
    stretches: tuple[tuple[float, float], ...] = ()
    """Seconds in which nobody speaks, or no caption is, where that is the talk's kind."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fits:
    """Which clips a defect can be made of."""

    n_clips: Mapping[str, int]
    """In how many clips a run of N words is said."""

    @classmethod
    def of(cls, clips: Iterable[Utterance]) -> "Fits":
        """Count."""
        texts = (clip.text or "" for clip in clips)
        return cls(n_clips=Counter(gram for text in texts for gram in set(ngrams(words_of(text), N))))

    def __call__(self, kind: str, clips: Sequence[Utterance]) -> bool:
        """Whether a talk of these clips can have it."""
        match kind:
            case "translated":
                return clips[0].language != "en" and all(clip.translation_en for clip in clips)
            case "upper_case" | "lower_case" | "recognizer_style" | "mostly_recognizer_style":
                return all(_is_cased(sentence(clip.text or "")) for clip in clips)
            case "evaluation_leak":  # not in English, which translations of other talks may say too
                return clips[0].language != "en" and leakable(clips, self.n_clips) is not None
            case "wrong_language" | "other_captions":  # English captions of other speech are a translation
                return kind == "other_captions" or clips[0].language != "en"
        return True


def leakable(clips: Sequence[Utterance], n_clips: Mapping[str, int]) -> Utterance | None:
    """The longest clip that shares no run of N words with any other; None where all are short, or do."""
    for clip in sorted(clips, key=lambda clip: -len(words_of(clip.text or ""))):
        words = words_of(clip.text or "")
        if len(words) >= MIN_WORDS_OF_TEXT and all(n_clips[gram] == 1 for gram in ngrams(words, N)):
            return clip
    return None


def sentence(text: str) -> str:
    """As a person would write it: prompts often lack the stop, some the capital; some corpora shout."""
    text = text.lower() if text.isupper() else text
    text = text[:1].upper() + text[1:]
    return f"{text}." if text[-1].isalnum() else text


def _is_cased(text: str) -> bool:
    return text.upper() != text and text.lower() != text


Maker = Callable[[Talk, np.random.Generator], Talk]


def _retold(change: Callable[[str], str]) -> Maker:
    return lambda talk, _: _with_texts(talk, [change(cue.text) for cue in talk.cues])


def _with_texts(talk: Talk, texts: Iterable[str]) -> Talk:
    return replace(talk, cues=tuple(replace(cue, text=text) for cue, text in zip(talk.cues, texts, strict=True)))


def _without_marks(text: str) -> str:
    """Letters with their vowel signs, figures and spaces alone."""
    is_kept = (character in " '’-" or unicodedata.category(character)[0] in "LMN" for character in text)
    return "".join(compress(text, is_kept))


def _as_recognized(text: str) -> str:
    return _without_marks(text).lower()


def _mostly_as_recognized(talk: Talk, _: np.random.Generator) -> Talk:
    first, *others = (cue.text for cue in talk.cues)
    return _with_texts(talk, [first, *map(_as_recognized, others)])


def _translated(talk: Talk, _: np.random.Generator) -> Talk:
    return _with_texts(talk, [sentence(text or "") for text in talk.translations])


def _rolling(talk: Talk, _: np.random.Generator) -> Talk:
    """Each cue says the one before again, as captions that roll over two lines do."""
    texts = [cue.text for cue in talk.cues]
    return _with_texts(talk, [f"{before} {text}".strip() for before, text in zip(["", *texts], texts, strict=False)])


def _looping(talk: Talk, _: np.random.Generator) -> Talk:
    """A recognizer that is stuck: after the first cue one line again and again, a second each."""
    first, second, *_rest = talk.cues
    end = talk.cues[-1].end
    starts = np.arange(second.start, end - 1.0, 1.0)
    return replace(talk, cues=(first, *(replace(second, start=float(s), end=float(s) + 1.0) for s in starts)))


def _late(talk: Talk, _: np.random.Generator) -> Talk:
    return _shifted(talk, LATE_S)


def _slightly(sign: int) -> Maker:
    """Inside the recording: there is room before and after."""

    def make(talk: Talk, rng: np.random.Generator) -> Talk:
        room = np.zeros(round(SHIFT_S[1] * SAMPLE_RATE), np.float32)
        roomy = replace(_shifted(talk, SHIFT_S[1]), samples=np.concatenate([room, talk.samples, room]))
        return _shifted(roomy, sign * rng.uniform(*SHIFT_S))

    return make


def _shifted(talk: Talk, seconds: float) -> Talk:
    cues = (replace(cue, start=cue.start + seconds, end=cue.end + seconds) for cue in talk.cues)
    return replace(talk, cues=tuple(cues))


def _paused(talk: Talk, _: np.random.Generator) -> Talk:
    """In the middle of the pause between two clips."""
    place = len(talk.cues) // 2
    start = (talk.cues[place - 1].end + talk.cues[place].start) / 2
    cut = round(start * SAMPLE_RATE)
    silence = np.zeros(round(SILENCE_S * SAMPLE_RATE), np.float32)
    samples = np.concatenate([talk.samples[:cut], silence, talk.samples[cut:]])
    after = _shifted(talk, SILENCE_S).cues[place:]
    return replace(talk, samples=samples, cues=(*talk.cues[:place], *after), stretches=((start, start + SILENCE_S),))


def _with_a_gap(talk: Talk, _: np.random.Generator) -> Talk:
    place = len(talk.cues) // 2
    gone = talk.cues[place]
    return replace(talk, cues=(*talk.cues[:place], *talk.cues[place + 1 :]), stretches=((gone.start, gone.end),))


def _short(talk: Talk, _: np.random.Generator) -> Talk:
    return replace(talk, samples=talk.samples[: round(KEPT_OF_SHORT_AUDIO * len(talk.samples))])


def _near_copy(talk: Talk, rng: np.random.Generator) -> Talk:
    """Recorded again, with one word of the text in forty another."""
    samples = talk.samples + rng.normal(0, 1e-3, len(talk.samples)).astype(np.float32)
    texts = (" ".join("perhaps" if rng.random() < 1 / 40 else word for word in cue.text.split()) for cue in talk.cues)
    return _with_texts(replace(talk, samples=samples), texts)


MAKERS: Final[Mapping[str, Maker]] = {
    "long_pause": _paused,
    "translated": _translated,
    "upper_case": _retold(str.upper),
    "lower_case": _retold(str.lower),
    "no_punctuation": _retold(_without_marks),
    "recognizer_style": _retold(_as_recognized),
    "mostly_recognizer_style": _mostly_as_recognized,
    "rolling_captions": _rolling,
    "looping_captions": _looping,
    "captions_20_s_late": _late,
    "captions_slightly_late": _slightly(1),
    "captions_slightly_early": _slightly(-1),
    "captions_missing": _with_a_gap,
    "short_audio": _short,
    "silent_audio": lambda talk, _: replace(talk, samples=np.zeros_like(talk.samples)),
    "near_duplicate": _near_copy,
}
"""How a talk gets its defect; what is not named here, its clips, its file or its captions' donor makes."""
