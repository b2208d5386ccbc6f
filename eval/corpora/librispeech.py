"""LibriSpeech as it is unpacked. In: the folder of splits, or of one split. Out: ``Corpus``.

``SPLIT/SPEAKER/CHAPTER/SPEAKER-CHAPTER.trans.txt`` has a line ``SPEAKER-CHAPTER-NUMBER TEXT`` for each
``SPEAKER-CHAPTER-NUMBER.flac`` beside it. Opens no audio.
"""

from pathlib import Path

from eval.corpora.listing import Line, Listing, existing_folder
from eval.corpora.types import Corpus, Utterance
from eval.errors import CorpusError

__all__ = ["read_librispeech"]

LAYOUT = "a folder SPLIT/SPEAKER/CHAPTER/SPEAKER-CHAPTER.trans.txt, such as LibriSpeech/test-clean"
TRANSCRIPTS_OF_A_SPLIT = "*/*/*.trans.txt"


def read_librispeech(path: Path) -> Corpus:
    """Read one split, or every split in a folder of them; the dataset is ``librispeech_`` and the split's name.

    Raises CorpusError when a line has no audio file, or an audio file no line.
    """
    folder = existing_folder(path, LAYOUT)
    splits = [folder] if any(folder.glob(TRANSCRIPTS_OF_A_SPLIT)) else _splits_in(folder)
    listing = Listing()
    for split in splits:
        for transcripts in sorted(split.glob(TRANSCRIPTS_OF_A_SPLIT)):
            _add_chapter(listing, transcripts, dataset=f"librispeech_{split.resolve().name}")
    return listing.corpus("+".join(f"librispeech_{split.resolve().name}" for split in splits), folder)


def _splits_in(folder: Path) -> list[Path]:
    splits = [entry for entry in sorted(folder.iterdir()) if any(entry.glob(TRANSCRIPTS_OF_A_SPLIT))]
    if splits:
        return splits
    unpacked = folder / "LibriSpeech"  # what the archives unpack to
    if unpacked.is_dir():
        return _splits_in(unpacked)
    raise CorpusError(f"{folder}: got a folder without *.trans.txt, expected {LAYOUT}")


def _add_chapter(listing: Listing, transcripts: Path, *, dataset: str) -> None:
    without_line = {audio.stem: audio for audio in transcripts.parent.glob("*.flac")}
    for line in listing.lines(transcripts):
        utterance = _utterance(line, transcripts.parent, dataset)
        without_line.pop(utterance.path.stem, None)
        listing.add(utterance, line.where)
    if without_line:
        audio = min(without_line.values())
        message = f"{transcripts}: got no line for {audio}, expected one for each audio file beside it"
        raise CorpusError(f"{message}; unpack the archive again, or move the audio away")


def _utterance(line: Line, chapter: Path, dataset: str) -> Utterance:
    name, _, text = line.text.partition(" ")
    if not text.strip():
        raise CorpusError(f"{line.where}: got {line.text!r}, expected SPEAKER-CHAPTER-NUMBER, a space and the text")
    return Utterance(
        id=f"{dataset}/{name}",
        path=chapter / f"{name}.flac",
        text=text.strip(),
        language="en",
        duration=None,
        speaker=chapter.parent.name,
        dataset=dataset,
    )
