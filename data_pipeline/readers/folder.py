"""Audio beside captions: ``talk.mp3`` and ``talk.vtt``, ``.srt``, ``.json`` or ``.txt``; ``talk.de.vtt`` too.

In: a folder. Out: an item for each recording and language, and one with its reason for what has no partner.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from data_pipeline.readers.captions import FORMATS
from data_pipeline.readers.finding import AUDIO_SUFFIXES, file_in, files_below, language_or_none, printable
from data_pipeline.types import AudioPlace, Blob, Drop, Item, Origin

__all__ = ["list_folder", "pair"]


def list_folder(root: Path, origin: Origin) -> Iterator[Item]:
    """Items by relative path; a link that leaves the folder is refused."""
    found = files_below(root)
    for name, drop in found.refused.items():
        yield origin.refuse(f"{origin.source}/{printable(name)}", drop)
    yield from pair({printable(name): file_in(root, name) for name in found.files}, origin, prefix=origin.source)


def pair(members: Mapping[str, Blob | Drop], origin: Origin, *, prefix: str) -> Iterator[Item]:
    """Match recordings and captions by name, in the order of the names; ids begin with ``prefix``."""
    captions: dict[str, dict[str | None, str]] = {}
    """Stem → language → name."""
    for name in sorted((name for name in members if _suffix(name) in FORMATS), key=_preference):
        stem = _stem(name)
        tag = stem.rpartition("/")[2].partition(".")[2].rpartition(".")[2]
        captions.setdefault(stem, {}).setdefault(None, name)
        if code := language_or_none(tag):
            captions.setdefault(_stem(stem), {}).setdefault(code, name)
    recordings = [name for name in members if f".{_suffix(name)}" in AUDIO_SUFFIXES]
    stems = {_stem(name) for name in recordings}
    for name in recordings:
        found = captions.get(_stem(name), {})
        for code, caption in found.items():
            identity = f"{prefix}/{name}" if code is None else f"{prefix}/{name}#{code}"
            language = code or origin.language
            yield _item(members[name], members[caption], _suffix(caption), identity, replace(origin, language=language))
        if not found:
            yield origin.refuse(f"{prefix}/{name}", Drop(reason="no_captions"))
    for name in members:
        if _suffix(name) in FORMATS and not {_stem(name), _stem(_stem(name))} & stems:
            yield origin.refuse(f"{prefix}/{name}", Drop(reason="missing_audio"))


def _item(audio: Blob | Drop, captions: Blob | Drop, format_: str, identity: str, origin: Origin) -> Item:
    if isinstance(audio, Drop):
        return origin.refuse(identity, audio)
    if isinstance(captions, Drop):
        return origin.refuse(identity, captions)
    return Item(
        id=identity,
        source=origin.source,
        licence=origin.licence,
        audio=AudioPlace(blob=audio),
        captions=captions,
        format=format_,
        language=origin.language,
    )


def _stem(name: str) -> str:
    """The name without its last suffix."""
    folder, slash, file = name.rpartition("/")
    return folder + slash + (file.rpartition(".")[0] or file)


def _suffix(name: str) -> str:
    return name.rpartition("/")[2].rpartition(".")[2].lower()


def _preference(name: str) -> tuple[int, str]:
    return FORMATS.index(_suffix(name)), name
