"""FLEURS as google/fleurs has it. In: the folder of the languages, or of one language. Out: ``Corpus``.

``LANGUAGE/SPLIT.tsv`` (no header) lists id, file, raw transcription, transcription, characters, samples and gender;
the audio is ``LANGUAGE/audio/SPLIT/FILE``, or ``LANGUAGE/SPLIT/FILE`` where it was unpacked beside the table.
An id is that of a sentence, read by several people and the same in every language. Opens no audio.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from eval.corpora.listing import Line, Listing, existing_folder
from eval.corpora.types import Corpus, Utterance, canonical_language
from eval.errors import CorpusError

__all__ = ["read_fleurs"]

LAYOUT = "a folder with LANGUAGE/SPLIT.tsv, such as fleurs/data with de_de/test.tsv"
COLUMNS = "id, file, raw transcription, transcription, characters, number of samples and gender"
SAMPLE_RATE = 16_000  # of every clip, and of the table's number of samples
ENGLISH = "en_us"
CODE_OF_SUBTAG = {"cmn": "zh"}  # what is not the first part of Whisper's own code or of an alias of it


@dataclass(frozen=True, slots=True, kw_only=True)
class _Recording:
    """One line of a table."""

    where: str
    sentence: str
    file: str
    text: str
    duration: float


def read_fleurs(path: Path, *, languages: Sequence[str] = (), split: str = "test") -> Corpus:
    """Read a split in the languages named (``de_de``), or in all that are there; ``text`` is the raw transcription.

    ``translation_en`` is the English text of the same sentence where ``en_us/SPLIT.tsv`` stands beside and has it.
    Raises CorpusError.
    """
    folder = existing_folder(path, LAYOUT)
    if not languages and (folder / f"{split}.tsv").is_file():
        folder, languages = folder.resolve().parent, [folder.resolve().name]
    languages = list(languages) or sorted(table.parent.name for table in folder.glob(f"*/{split}.tsv"))
    if not languages:
        raise CorpusError(f"{folder}: got no language with {split}.tsv, expected {LAYOUT}")
    listing = Listing()
    english = _english_sentences(listing, folder / ENGLISH / f"{split}.tsv")
    for language in languages:
        for recording in _recordings(listing, folder / language / f"{split}.tsv"):
            utterance = _utterance(recording, folder / language, split, english)
            listing.add(utterance, recording.where)
    return listing.corpus(f"fleurs/{'+'.join(languages)}/{split}", folder)


def _english_sentences(listing: Listing, table: Path) -> Mapping[str, str]:
    if not table.is_file():
        return {}
    return {recording.sentence: recording.text for recording in _recordings(listing, table)}


def _recordings(listing: Listing, table: Path) -> list[_Recording]:
    return [_recording(line) for line in listing.lines(table)]


def _recording(line: Line) -> _Recording:
    fields = line.text.split("\t")
    if len(fields) != 7 or not fields[5].isdecimal():
        message = f"{line.where}: got {len(fields)} fields, expected 7 between tabs: {COLUMNS}"
        raise CorpusError(f"{message}; download the table again")
    sentence, file, text, _, _, n_samples, _ = fields
    duration = int(n_samples) / SAMPLE_RATE
    return _Recording(where=line.where, sentence=sentence, file=file, text=text.strip(), duration=duration)


def _utterance(recording: _Recording, folder: Path, split: str, english: Mapping[str, str]) -> Utterance:
    subtag = folder.name.split("_")[0]
    language = canonical_language(CODE_OF_SUBTAG.get(subtag, subtag))
    beside = folder / split / recording.file
    return Utterance(
        id=f"fleurs/{folder.name}/{split}/{Path(recording.file).stem}",
        path=beside if beside.is_file() else folder / "audio" / split / recording.file,
        text=recording.text or None,
        language=language,
        duration=recording.duration,
        translation_en=None if language == "en" else english.get(recording.sentence),
        dataset="fleurs",
    )
