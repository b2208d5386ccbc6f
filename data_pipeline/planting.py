"""Talks with planted defects, for measuring the filters. In: clips of real speech. Out: a heap, its truth, a recipe.

A talk is clips of one language, one after the other, with captions whose times are exact. Of each kind of defect so
many talks have one; ``truth.jsonl`` says which, and which stages should drop it. Deterministic from the seed.
"""

import io
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import pysubs2
import soundfile  # type: ignore[import-untyped]
from numpy.typing import NDArray

from asr.audio import SAMPLE_RATE, load_audio
from data_pipeline.errors import PipelineError
from data_pipeline.shards import encode_flac
from data_pipeline.stages.contamination import MIN_WORDS as MIN_WORDS_OF_TEXT
from data_pipeline.stages.contamination import N
from data_pipeline.stages.ngrams import ngrams, words_of
from data_pipeline.storage import write_lines
from data_pipeline.types import Cue
from eval.corpora import Utterance

__all__ = ["DEFECTS", "Planted", "plant"]

N_CLIPS = 8  # of a talk
PAUSE_S = 0.6
MIN_WORDS = 4
DEFECTS: dict[str, tuple[str, ...]] = {
    "none": (),
    "translated": (),  # English captions: kept, as translation
    "upper_case": ("machine",),
    "lower_case": ("machine",),
    "no_punctuation": ("machine",),
    "repeated_captions": ("repeats",),
    "late_captions": ("timing",),
    "duplicate": ("duplicates",),
    "near_duplicate": ("duplicates",),
    "evaluation_leak": ("contamination",),
    "wrong_language": ("language",),
    "other_captions": ("agreement",),
    "silent_audio": ("agreement", "language"),
    "truncated_audio": ("audio",),
}
"""Kind → the stages that should drop it."""
LATE_S = 20.0
Samples = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Planted:
    """A line of the truth."""

    id: str
    defect: str
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _Talk:
    clips: tuple[Utterance, ...]
    samples: Samples
    cues: tuple[Cue, ...]

    @property
    def language(self) -> str | None:
        return self.clips[0].language


def plant(clips: Sequence[Utterance], out: Path, *, seed: int, share: float) -> list[Planted]:
    """Write heap, ``truth.jsonl``, the evaluation that leaks, ``recipe.toml``; of each defect ``share`` of all talks.

    Raises PipelineError when the clips are too few for that.
    """
    rng = np.random.default_rng(seed)
    talks = list(_talks(clips, rng))
    n_each = round(share * len(talks))
    donors = talks[: 3 * n_each]  # their captions are given to others, so they are not in the heap themselves
    talks = talks[len(donors) :]
    kinds = [kind for kind in DEFECTS if kind != "none" for _ in range(n_each)]
    if n_each < 1 or len(kinds) > len(talks):
        raise PipelineError(f"got clips for {len(talks)} talks, expected more, or a smaller share than {share}")
    kinds += ["none"] * (len(talks) - len(kinds))
    texts = {clip.text or "" for clip in clips}
    n_clips = Counter(gram for text in texts for gram in set(ngrams(words_of(text), N)))
    materials = _Materials(donors=donors, originals=[], rng=rng, n_clips=n_clips)
    truth, leaked = [], []
    for number, (place, talk) in enumerate(zip(rng.permutation(len(kinds)), talks, strict=True)):
        kind = kinds[place]
        made = _MAKERS[kind](talk, materials)
        if made is None:  # there is nothing to make it of
            kind, made = "none", talk
        if kind == "none":
            materials.originals.append(made)
        if kind == "evaluation_leak" and (clip := _leakable(made, materials)):
            leaked.append(clip)
        name = f"{number:04d}.{'wav' if kind == 'duplicate' else 'flac'}"
        _write(out / "heap" / name, made, is_cut=kind == "truncated_audio")
        truth.append(Planted(id=f"talks/{name}", defect=kind, seconds=round(len(made.samples) / SAMPLE_RATE, 3)))
    write_lines(out / "truth.jsonl", [asdict(each) for each in truth])
    recipe = RECIPE
    if leaked:
        lines = [
            {"id": each.id, "path": str(each.path), "text": each.text, "language": each.language} for each in leaked
        ]
        write_lines(out / "evaluation/manifest.jsonl", lines)
        recipe += EVALUATION
    (out / "recipe.toml").write_text(recipe, encoding="utf-8")
    return truth


RECIPE = """\
[[sources]]
name = "talks"
kind = "folder"
path = "heap"
licence = "unknown"

[model]
name = "base"
"""
EVALUATION = """
[evaluation]
suites = ["development"]
data = "evaluation"
"""


def _talks(clips: Sequence[Utterance], rng: np.random.Generator) -> Iterator[_Talk]:
    """Talks of all languages, in a drawn order; each clip is in one of them."""
    by_language: dict[str | None, list[Utterance]] = {}
    seen: set[str] = set()
    for clip in clips:
        text = clip.text or ""
        if len(text.split()) >= MIN_WORDS and not clip.quality and text not in seen:
            seen.add(text)
            by_language.setdefault(clip.language, []).append(clip)
    groups = [
        [own[place] for place in order[first : first + N_CLIPS]]
        for own in by_language.values()
        for order in [rng.permutation(len(own))]
        for first in range(0, len(own) - N_CLIPS + 1, N_CLIPS)
    ]
    for place in rng.permutation(len(groups)):
        yield _talk(groups[place])


def _talk(clips: Sequence[Utterance]) -> _Talk:
    pause = np.zeros(round(PAUSE_S * SAMPLE_RATE), np.float32)
    sounds, cues, position = [pause], [], len(pause)
    for clip in clips:
        samples = load_audio(clip.path).samples
        end = position + len(samples)
        cues.append(Cue(start=position / SAMPLE_RATE, end=end / SAMPLE_RATE, text=_sentence(clip.text or "")))
        sounds += [samples, pause]
        position = end + len(pause)
    return _Talk(clips=tuple(clips), samples=np.concatenate(sounds), cues=tuple(cues))


def _sentence(text: str) -> str:
    """As a person would write it: prompts often lack the stop, some the capital."""
    text = text[:1].upper() + text[1:]
    return text if text[-1] in ".?!…" else f"{text}."


@dataclass(slots=True)
class _Materials:
    """What defects are made of."""

    donors: list[_Talk]
    originals: list[_Talk]
    """Talks without a defect so far, each to be copied once."""
    rng: np.random.Generator
    n_clips: Counter[str]
    """In how many clips a run of words is said."""


Maker = Callable[[_Talk, _Materials], _Talk | None]


def _write(path: Path, talk: _Talk, *, is_cut: bool) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    data = encode_flac(talk.samples)
    if path.suffix == ".wav":
        soundfile.write(path, soundfile.read(io.BytesIO(data), dtype="int16")[0], SAMPLE_RATE, subtype="PCM_16")
    else:
        path.write_bytes(data[: len(data) * 3 // 5] if is_cut else data)
    subtitles = pysubs2.SSAFile()
    subtitles.events = [
        pysubs2.SSAEvent(start=round(1000 * cue.start), end=round(1000 * cue.end), text=cue.text) for cue in talk.cues
    ]
    path.with_suffix(".vtt").write_text(subtitles.to_string("vtt"), encoding="utf-8")


def _retold(change: Callable[[str], str]) -> Maker:
    return lambda talk, _: replace(talk, cues=tuple(replace(cue, text=change(cue.text)) for cue in talk.cues))


def _with_texts(talk: _Talk, texts: Iterable[str]) -> _Talk:
    return replace(talk, cues=tuple(replace(cue, text=text) for cue, text in zip(talk.cues, texts, strict=True)))


def _without_marks(text: str) -> str:
    return "".join(character for character in text if character.isalnum() or character in " '’-")


def _translated(talk: _Talk, _: _Materials) -> _Talk | None:
    texts = [_sentence(clip.translation_en) for clip in talk.clips if clip.translation_en]
    return _with_texts(talk, texts) if len(texts) == len(talk.clips) else None


def _rolling(talk: _Talk, _: _Materials) -> _Talk:
    """Each cue says the one before again, as captions that roll over two lines do."""
    texts = [cue.text for cue in talk.cues]
    return _with_texts(talk, [f"{before} {text}".strip() for before, text in zip(["", *texts], texts, strict=False)])


def _late(talk: _Talk, _: _Materials) -> _Talk:
    cues = (replace(cue, start=cue.start + LATE_S, end=cue.end + LATE_S) for cue in talk.cues)
    return replace(talk, cues=tuple(cues))


def _copy(_: _Talk, materials: _Materials) -> _Talk | None:
    return materials.originals.pop() if materials.originals else None


def _near_copy(talk: _Talk, materials: _Materials) -> _Talk | None:
    """Recorded again, with one word of the text in forty another."""
    rng, original = materials.rng, _copy(talk, materials)
    if original is None:
        return None
    samples = original.samples + rng.normal(0, 1e-3, len(original.samples)).astype(np.float32)
    texts = [
        " ".join("perhaps" if rng.random() < 1 / 40 else word for word in cue.text.split()) for cue in original.cues
    ]
    return _with_texts(replace(original, samples=samples), texts)


def _leak(talk: _Talk, materials: _Materials) -> _Talk | None:
    """As it is. Not in English, which translations of other talks may say too."""
    return talk if talk.language != "en" and _leakable(talk, materials) else None


def _leakable(talk: _Talk, materials: _Materials) -> Utterance | None:
    """The longest clip that shares no run of N words with any other; None where all are short, or do."""
    for clip in sorted(talk.clips, key=lambda clip: -len(words_of(clip.text or ""))):
        words = words_of(clip.text or "")
        if len(words) >= MIN_WORDS_OF_TEXT and all(materials.n_clips[gram] == 1 for gram in ngrams(words, N)):
            return clip
    return None


def _in_another_language(talk: _Talk, materials: _Materials) -> _Talk | None:
    return _donated(talk, materials, lambda donor: donor.language not in (talk.language, "en"))


def _of_another_talk(talk: _Talk, materials: _Materials) -> _Talk | None:
    return _donated(talk, materials, lambda donor: donor.language == talk.language)


def _donated(talk: _Talk, materials: _Materials, fits: Callable[[_Talk], bool]) -> _Talk | None:
    place = next((place for place, donor in enumerate(materials.donors) if fits(donor)), None)
    return None if place is None else _with_texts(talk, [cue.text for cue in materials.donors.pop(place).cues])


_MAKERS: dict[str, Maker] = {
    "none": lambda talk, _: talk,
    "translated": _translated,
    "upper_case": _retold(str.upper),
    "lower_case": _retold(str.lower),
    "no_punctuation": _retold(_without_marks),
    "repeated_captions": _rolling,
    "late_captions": _late,
    "duplicate": _copy,
    "near_duplicate": _near_copy,
    "evaluation_leak": _leak,
    "wrong_language": _in_another_language,
    "other_captions": _of_another_talk,
    "silent_audio": lambda talk, _: replace(talk, samples=np.zeros_like(talk.samples)),
    "truncated_audio": lambda talk, _: talk,
}
