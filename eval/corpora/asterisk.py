"""Asterisk's telephone prompts. In: the root of a file tree with Debian's packages, installed or unpacked.
Out: ``Corpus``.

``asterisk-core-sounds-es`` has the texts, ``usr/share/doc/asterisk-core-sounds-es/core-sounds-es.txt.gz``, a line
``prompt: text`` each; ``asterisk-core-sounds-es-g722`` has the speech at 16 kHz,
``usr/share/asterisk/sounds/VOICE/PROMPT.g722``; the packages ``-wav`` and ``-gsm`` have it at 8 kHz. Of one recording's
files the best is taken: WAV at 16 kHz, then G.722, then what is there. Without a header, it is decoded to a cache.
Texts and speech are of one origin but not of one day: some prompts were never recorded (no file, or an empty one), and
are no clips; for some recordings no text was written, and theirs is None.
"""

import re
import wave
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from asr.audio import SAMPLE_RATE
from eval.corpora.cache import cache_folder
from eval.corpora.headerless import headerless_to_wav
from eval.corpora.listing import Line, Listing, existing_folder
from eval.corpora.types import Corpus, Utterance, canonical_language
from eval.errors import CorpusError

__all__ = ["read_asterisk"]

LANGUAGES = ("en", "es", "fr", "it", "ru")
LAYOUT = "the root of a file tree, / or where packages were unpacked with `dpkg-deb -x PACKAGE.deb FOLDER`"
SHARE_FOLDERS = ("usr/share", "share", ".")
WHOLLY_BRACKETED = re.compile(r"[\[(<][^\])>]*[\])>]")
BRACKET = re.compile(r"[\[(<]")
SIGNALS = frozenset(
    {"ascending-2tone", "beep", "beeperr", "confbridge-join", "confbridge-leave", "descending-2tone", "tt-monkeys"}
)  # no speech in any language; not every language's list has them in brackets
WAV = "wav"
FORMATS = ("sln16", "g722", WAV, "sln", "ulaw", "alaw", "gsm")  # the better first; WAV is first when it is at 16 kHz


@dataclass(frozen=True, slots=True, kw_only=True)
class _Prompt:
    """What the list says about a prompt."""

    where: str
    text: str
    quality: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Recording:
    """One prompt as one voice speaks it."""

    files: Mapping[str, Path]
    """By format; none is empty."""
    name: str
    voice: Path

    @property
    def key(self) -> str:
        return _key(self.name)

    @property
    def is_signal(self) -> bool:
        return self.key in SIGNALS or self.key.startswith("silence/")

    @property
    def best(self) -> Path:
        """The file that keeps most of the speech."""
        if len(self.files) > 1 and WAV in self.files and _is_wideband(self.files[WAV]):
            return self.files[WAV]
        return next(self.files[name] for name in FORMATS if name in self.files)

    def audio(self, cache: Path) -> Path:
        """The best file, or what it was decoded to."""
        return self.best if self.best.suffix == f".{WAV}" else headerless_to_wav(self.best, cache)


def read_asterisk(path: Path, *, languages: Sequence[str] = (), cache: Path | None = None) -> Corpus:
    """Read the prompts of the languages named, or of all whose texts and recordings are there.

    ``translation_en`` is the English prompt of the same name, which is its counterpart rather than its translation. A
    prompt that is a signal or silence has text "" and kind "noise"; one whose text is partly in brackets, or was
    written twice, has quality "doubtful". ``cache`` defaults to ``cache_folder()``. Raises CorpusError, also for a
    recording that does not decode.
    """
    share = _share_folder(existing_folder(path, LAYOUT))
    cache = (cache or cache_folder()) / "asterisk"
    listing = Listing()
    wanted = languages or [code for code in LANGUAGES if _list_of(share, code) and _voice_of(share, code)]
    if not wanted:
        raise CorpusError(f"{path}: {_missing(share, 'LANGUAGE')}")
    english = _prompts(listing, share, "en") if _list_of(share, "en") else {}
    for code in wanted:
        prompts = english if code == "en" else _prompts(listing, share, code)
        voice = _voice_of(share, code)
        if voice is None:
            raise CorpusError(f"{path}: {_missing(share, code)}")
        for recording in _recordings(voice):
            prompt = prompts.get(recording.key)
            translation = english.get(recording.key) if code != "en" else None
            utterance = _utterance(recording, recording.audio(cache), code, prompt, translation)
            listing.add(utterance, prompt.where if prompt else str(recording.best))
    return listing.corpus(f"asterisk-core-sounds-{'+'.join(wanted)}", path)


def _share_folder(root: Path) -> Path:
    for folder in SHARE_FOLDERS:
        if (root / folder / "asterisk/sounds").is_dir():
            return root / folder
    raise CorpusError(f"{root}: got no usr/share/asterisk/sounds, expected {LAYOUT}")


def _list_of(share: Path, code: str) -> Path | None:
    stem = share / f"doc/asterisk-core-sounds-{code}/core-sounds-{code}.txt"
    return next((path for path in (stem.with_name(f"{stem.name}.gz"), stem) if path.is_file()), None)


def _voice_of(share: Path, code: str) -> Path | None:
    """The folder of the recordings; of several voices the first that has some which can be read."""
    voices = [voice for voice in sorted((share / "asterisk/sounds").glob(f"{code}_*")) if voice.is_dir()]
    return next((voice for voice in voices if _recordings(voice)), None)


def _recordings(voice: Path) -> list[_Recording]:
    files: dict[str, dict[str, Path]] = {}
    for path in sorted(voice.rglob("*")):
        suffix = path.suffix.removeprefix(".")
        if suffix in FORMATS and path.is_file() and path.stat().st_size:
            name = path.relative_to(voice).with_suffix("").as_posix()
            files.setdefault(name, {})[suffix] = path
    return [_Recording(files=formats, name=name, voice=voice) for name, formats in files.items()]


def _is_wideband(path: Path) -> bool:
    """Whether a WAV file is at 16 kHz or more; False too where its header cannot be read."""
    try:
        with path.open("rb") as file, wave.open(file) as reader:
            return bool(reader.getframerate() >= SAMPLE_RATE)
    except (wave.Error, EOFError, OSError):
        return False


def _prompts(listing: Listing, share: Path, code: str) -> Mapping[str, _Prompt]:
    path = _list_of(share, code)
    if path is None:
        raise CorpusError(f"{share}: {_missing(share, code)}")
    prompts: dict[str, _Prompt] = {}
    for line in listing.lines(path):
        if line.text.startswith(";"):
            continue
        name, prompt = _prompt(line)
        first = prompts.get(name)
        prompts[name] = replace(first, quality="doubtful") if first else prompt
    return prompts


def _prompt(line: Line) -> tuple[str, _Prompt]:
    name, colon, text = line.text.partition(":")
    if not colon:
        raise CorpusError(f"{line.where}: got {line.text!r}, expected `prompt: text`, or ; and a remark")
    text = text.strip()
    quality = "doubtful" if BRACKET.search(text) else None
    return _key(name), _Prompt(where=line.where, text=text, quality=quality)


def _key(name: str) -> str:
    return name.strip().lower()  # lists and recordings differ in case: digits/1f.txt, digits/1F.wav


def _utterance(
    recording: _Recording, audio: Path, code: str, prompt: _Prompt | None, english: _Prompt | None
) -> Utterance:
    name, dataset = f"asterisk-core-sounds-{code}/{recording.name}", f"asterisk-core-sounds-{code}"
    if recording.is_signal or (prompt and WHOLLY_BRACKETED.fullmatch(prompt.text)):
        return Utterance(id=name, path=audio, text="", language=None, duration=None, dataset=dataset, kind="noise")
    return Utterance(
        id=name,
        path=audio,
        text=(prompt.text if prompt else "") or None,
        language=canonical_language(code),
        duration=None,
        translation_en=(english.text if english else "") or None,
        speaker=recording.voice.name,
        dataset=dataset,
        quality=prompt.quality if prompt else None,
    )


def _missing(share: Path, code: str) -> str:
    """What is missing for a language, and how it is got."""
    if _list_of(share, code) is None:
        message = f"got no texts for {code}, expected the package asterisk-core-sounds-{code}; install it, or unpack it"
        return f"{message} (in containers dpkg often leaves out usr/share/doc, where they are: unpack it there)"
    package = f"asterisk-core-sounds-{code}-g722"
    return (
        f"got no recordings for {code} ({', '.join(FORMATS)}), expected the package {package}; install it, or unpack it"
    )
