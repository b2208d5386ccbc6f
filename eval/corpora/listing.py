"""The files that list a corpus's clips. In: their paths, then the clips that a reader makes of their lines.
Out: checked lines and rows, and ``Corpus`` with the digest of everything read.

Holds what every reader must check: text is UTF-8, columns are there, ids are unique, every clip has its audio file.
Opens no audio. Knows no corpus's layout.
"""

import gzip
import hashlib
import zlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from eval.corpora.types import Corpus, Utterance
from eval.errors import CorpusError

__all__ = ["Line", "Listing", "Row", "existing_folder"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A line of a listing that is not blank."""

    where: str
    """File and number, for messages."""
    text: str
    """Without the line's end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A line of a table with a header."""

    where: str
    fields: Mapping[str, str]
    """By the header's names; "" where the column is missing or empty."""

    def __getitem__(self, column: str) -> str:
        """The field of a column; "" where the table has no such column."""
        return self.fields.get(column, "")


class Listing:
    """Reads the files that list a corpus and collects the clips; ``corpus`` is called last."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256()
        self._utterances: dict[str, Utterance] = {}
        self._where: dict[str, str] = {}

    def lines(self, path: Path) -> list[Line]:
        """The lines of a text file, also of a gzipped one. Raises CorpusError when it cannot be read."""
        try:
            data = path.read_bytes()
            self._digest.update(data)
            text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise CorpusError(f"{path}: got byte {error.start} that is not UTF-8, expected a text in UTF-8") from error
        except (OSError, EOFError, zlib.error) as error:
            raise CorpusError(
                f"{path}: {getattr(error, 'strerror', None) or error}; expected a list of clips"
            ) from error
        # Not str.splitlines, which also ends lines at characters that stand inside sentences (U+2028, U+0085).
        numbered = enumerate(text.replace("\r\n", "\n").split("\n"), start=1)
        return [Line(where=f"{path}, line {number}", text=line) for number, line in numbered if line.strip()]

    def rows(self, path: Path, required: Collection[str]) -> list[Row]:
        """The rows of a tab-separated table with a header; quotation marks mean themselves.

        Raises CorpusError when a required column is missing, or a row has not as many fields as the header.
        """
        lines = self.lines(path)
        header = lines[0].text.split("\t") if lines else []
        missing = [column for column in required if column not in header]
        if missing:
            raise CorpusError(
                f"{path}, line 1: got the columns {', '.join(header) or 'none'}; expected also {', '.join(missing)}"
            )
        rows = []
        for line in lines[1:]:
            fields = line.text.split("\t")
            if len(fields) != len(header):
                message = f"{line.where}: got {len(fields)} fields, expected {len(header)} as in the header"
                raise CorpusError(f"{message}; unpack the file again, or take the line out")
            rows.append(Row(where=line.where, fields=dict(zip(header, fields, strict=True))))
        return rows

    def add(self, utterance: Utterance, where: str) -> None:
        """Collect a clip. Raises CorpusError when its id was there before."""
        first = self._where.setdefault(utterance.id, where)
        if utterance.id in self._utterances:
            message = f"{where}: clip {utterance.id!r} was there before ({first}), expected each clip once"
            raise CorpusError(f"{message}; take one of the two lines out")
        self._utterances[utterance.id] = utterance

    def corpus(self, name: str, where: Path) -> Corpus:
        """The corpus of the collected clips. Raises CorpusError when there are none, or audio files are missing."""
        if not self._utterances:
            raise CorpusError(f"{where}: got no clips, expected at least one line with a clip")
        missing = [clip for clip in self._utterances.values() if not clip.path.is_file()]
        if missing:
            first = missing[0]
            message = f"{self._where[first.id]}: expected the audio file {first.path}, got nothing there"
            share = f"{len(missing)} of {len(self._utterances)} clips have none"
            raise CorpusError(f"{message}; {share}: unpack the audio beside the texts, or take the lines out")
        clips = tuple(self._utterances.values())
        return Corpus(name=name, sha256=self._digest.hexdigest(), utterances=clips)


def existing_folder(path: Path, expected: str) -> Path:
    """The path, if it is a folder. Raises CorpusError, saying what was expected there."""
    if not path.is_dir():
        got = "a file" if path.exists() else "nothing"
        raise CorpusError(f"{path}: got {got}, expected {expected}")
    return path
