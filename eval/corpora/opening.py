"""A corpus as the command line names it. In: a text. Out: ``Corpus``, by the reader of its kind.

Knows no layout: the readers do.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from eval.corpora.asterisk import read_asterisk
from eval.corpora.common_voice import read_common_voice
from eval.corpora.covost import read_covost
from eval.corpora.fleurs import read_fleurs
from eval.corpora.hub import read_hub
from eval.corpora.librispeech import read_librispeech
from eval.corpora.manifest import read_manifest
from eval.corpora.types import Corpus
from eval.errors import CorpusError

__all__ = ["CorpusSpec", "open_corpus"]

HUB = "hub"
READERS: Mapping[str, tuple[Callable[..., Corpus], tuple[str, ...]]] = {
    "librispeech": (read_librispeech, ()),
    "fleurs": (read_fleurs, ("language", "split")),
    "common-voice": (read_common_voice, ("language", "split")),
    "covost": (read_covost, ("language", "split")),
    "asterisk": (read_asterisk, ("language",)),
    HUB: (read_hub, ("config", "split", "language")),
}
"""By kind: the reader and the settings that may follow its path."""
EXPECTED = f"the path of a JSONL manifest, or KIND:PATH with KIND one of {', '.join(READERS)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class CorpusSpec:
    """A corpus as it was named, taken apart."""

    kind: str | None
    """One of READERS; None: a JSONL manifest."""
    location: str
    """A path, or a name on the hub."""
    settings: Mapping[str, str]

    @classmethod
    def parse(cls, spec: str) -> "CorpusSpec":
        """Take ``KIND:PATH?setting=value&setting=value`` or the path of a manifest apart. Raises CorpusError."""
        kind, colon, rest = spec.partition(":")
        if not colon or not kind.isascii() or not kind.replace("-", "").isalpha():  # ./a:b.jsonl is a path
            return cls(kind=None, location=spec, settings={})
        location, _, query = rest.partition("?")
        if kind not in READERS:
            raise CorpusError(f"{spec}: got {kind!r} before the colon, expected {EXPECTED}")
        try:
            pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query))
        except ValueError as error:
            raise CorpusError(f"{spec}: got {query!r} after ?, expected setting=value&setting=value") from error
        settings = dict(pairs)
        if len(settings) < len(pairs):
            message = f"{spec}: got a setting twice, expected each once; several languages have commas between them"
            raise CorpusError(message)
        known = READERS[kind][1]
        unknown = sorted(settings.keys() - set(known))
        if unknown:
            expected = f"expected {', '.join(known)}" if known else "expected none"
            raise CorpusError(f"{spec}: got the setting {unknown[0]!r} for {kind}, {expected}")
        return cls(kind=kind, location=location, settings=settings)

    def path(self, root: Path) -> Path:
        """Where the corpus is, relative paths being in ``root``; nothing is there for a name on the hub."""
        return root / Path(self.location).expanduser()


def open_corpus(spec: str, *, root: Path = Path()) -> Corpus:
    """Open a corpus named by the path of its JSONL manifest, or by ``KIND:PATH?setting=value&setting=value``.

      corpus/manifest.jsonl
      librispeech:LibriSpeech/test-clean
      fleurs:fleurs/data?language=de_de,fr_fr&split=test      split: test if not given; language: all that are there
      common-voice:cv-corpus-9.0-2022-04-27?language=sv-SE
      covost:covost2?language=de
      asterisk:/?language=es
      hub:facebook/multilingual_librispeech?config=german&split=test

    A ``PATH`` is relative to ``root``; for FLEURS and Common Voice it may also be the folder of one language. The
    hub's ``language`` is for datasets that have no column for it. Raises CorpusError.
    """
    parsed = CorpusSpec.parse(spec)
    path = parsed.path(root)
    if parsed.kind is None:
        if not path.is_file():
            got = "a folder" if path.is_dir() else "nothing"
            raise CorpusError(f"{path}: got {got}, expected {EXPECTED}")
        return read_manifest(path)
    settings: dict[str, Any] = dict(parsed.settings)
    if parsed.kind == HUB:
        return read_hub(str(path) if path.is_dir() else parsed.location, **settings)
    if "language" in settings:
        settings["languages"] = settings.pop("language").split(",")
    return READERS[parsed.kind][0](path, **settings)
