"""What is asked of the servers. In: corpora. Out: ``LoadClip``s, their bytes in memory. Knows no server."""

from collections.abc import Iterable

from eval.corpora import Corpus, Utterance
from eval.errors import CorpusError
from eval.load.types import LoadClip
from eval.normalizers import Unit, unit_for

__all__ = ["long_recording", "short_clips"]

SHORT_S = (8.0, 15.0)  # the class of the 11 s clip that speeds are told for


def short_clips(corpus: Corpus) -> tuple[LoadClip, ...]:
    """The clips of 8 to 15 s in which something is said, in languages that are counted by words. Raises CorpusError."""
    low, high = SHORT_S
    clips = [clip for clip in _usable(corpus) if low <= (clip.duration or 0.0) <= high]
    if not clips:
        message = f"got {len(corpus.utterances)} clips, expected one of {low:g} to {high:g} s with a text"
        raise CorpusError(f"{corpus.name}: {message}; its manifest has to say how long each is")
    return tuple(_clip(clip, is_long=False) for clip in clips)


def long_recording(corpus: Corpus) -> LoadClip:
    """The longest recording of a corpus. Raises CorpusError."""
    clips = [clip for clip in _usable(corpus) if clip.duration]
    if not clips:
        raise CorpusError(f"--long: {corpus.name} has no recording with duration and text; auricle-eval join makes one")
    return _clip(max(clips, key=lambda clip: clip.duration or 0.0), is_long=True)


def _usable(corpus: Corpus) -> Iterable[Utterance]:
    return (
        clip for clip in corpus.utterances if clip.text and not clip.quality and unit_for(clip.language) is Unit.WORD
    )


def _clip(clip: Utterance, *, is_long: bool) -> LoadClip:
    try:
        data = clip.path.read_bytes()
    except OSError as error:
        raise CorpusError(f"{clip.path}: {error.strerror or error}; leave it out with --only") from error
    return LoadClip(
        id=clip.id,
        name=clip.path.name,
        data=data,
        text=clip.text or "",
        language=clip.language,
        duration=clip.duration or 0.0,
        is_long=is_long,
    )
