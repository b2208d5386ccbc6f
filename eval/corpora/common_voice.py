"""Common Voice as it is unpacked. In: the folder of a release, or of one of its languages. Out: ``Corpus``.

``LOCALE/SPLIT.tsv`` has client_id, path and sentence, and columns that differ by release; audio is in
``LOCALE/clips``; ``LOCALE/clip_durations.tsv`` comes with newer releases. Opens no audio.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from eval.corpora.listing import Listing, Row, existing_folder
from eval.corpora.types import Corpus, Utterance, canonical_language
from eval.errors import CorpusError

__all__ = ["locale_language", "read_common_voice", "spoken_text"]

LAYOUT = "a folder with LOCALE/SPLIT.tsv and LOCALE/clips, such as cv-corpus-9.0-2022-04-27 with de/test.tsv"
REQUIRED = ("client_id", "path", "sentence")
RELEASE = re.compile(r"cv-corpus-(\d+(?:\.\d+)?)")
CODE_OF_LOCALE = {"zh-hk": "yue"}  # Hong Kong's speakers read Cantonese; zh-CN and zh-TW are Mandarin


def read_common_voice(path: Path, *, languages: Sequence[str] = (), split: str = "test") -> Corpus:
    """Read a split in the locales named (``sv-SE``), or in all that are there.

    The dataset is ``common_voice_9.0`` where the folder says the release, else ``common_voice``. An empty sentence is
    a text that is not known. Raises CorpusError.
    """
    folder = existing_folder(path, LAYOUT)
    if not languages and (folder / f"{split}.tsv").is_file():
        folder, languages = folder.resolve().parent, [folder.resolve().name]
    languages = list(languages) or sorted(table.parent.name for table in folder.glob(f"*/{split}.tsv"))
    if not languages:
        raise CorpusError(f"{folder}: got no locale with {split}.tsv, expected {LAYOUT}")
    release = RELEASE.search(folder.resolve().name)
    dataset = f"common_voice_{release[1]}" if release else "common_voice"
    listing = Listing()
    for locale in languages:
        durations = _durations(listing, folder / locale / "clip_durations.tsv")
        for row in listing.rows(folder / locale / f"{split}.tsv", REQUIRED):
            listing.add(_utterance(row, folder / locale, dataset, durations), row.where)
    return listing.corpus(f"{dataset}/{'+'.join(languages)}/{split}", folder)


def locale_language(locale: str) -> str | None:
    """Whisper's code of a Common Voice locale; what Whisper does not know is kept as written."""
    return canonical_language(CODE_OF_LOCALE.get(locale.lower(), locale))


def spoken_text(field: str) -> str | None:
    """The text of a ``sentence`` field; None when it is empty.

    A field that was quoted for having quotation marks, which doubled ones inside give away, is unquoted.
    """
    inner = field[1:-1]
    is_quoted = len(field) > 1 and field[0] == field[-1] == '"' and '""' in inner and '"' not in inner.replace('""', "")
    text = inner.replace('""', '"') if is_quoted else field
    return text.strip() or None


def _durations(listing: Listing, table: Path) -> Mapping[str, float]:
    """Seconds by file name; empty where the release has none."""
    if not table.is_file():
        return {}
    durations = {}
    for row in listing.rows(table, ("clip", "duration[ms]")):
        written = row["duration[ms]"]
        if not written.isdecimal():
            raise CorpusError(f"{row.where}: got the duration {written!r}, expected milliseconds")
        durations[row["clip"]] = int(written) / 1000
    return durations


def _utterance(row: Row, folder: Path, dataset: str, durations: Mapping[str, float]) -> Utterance:
    file = row["path"] if Path(row["path"]).suffix else f"{row['path']}.mp3"  # some releases leave it out
    return Utterance(
        id=f"{dataset}/{folder.name}/{Path(file).stem}",
        path=folder / "clips" / file,
        text=spoken_text(row["sentence"]),
        language=locale_language(folder.name),
        duration=durations.get(file),
        speaker=row["client_id"] or None,
        dataset=dataset,
    )
