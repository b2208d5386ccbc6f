"""Repairs captions and takes out what nobody says: markup, entities, speaker labels, descriptions of sounds.

In: a record. Out: the record with clean cues; cues without text are gone, and what is said nowhere is a gap. Drops:
``no_text``.
"""

import html
import re
import unicodedata
from dataclasses import replace

import ftfy

from data_pipeline.types import Cue, Drop, Record

__all__ = ["clean_captions", "clean_text"]

MARKUP = re.compile(r"</?[a-zA-Z][^<>]{0,200}>|<\d\d:\d\d[\d:.]*>|\{\\[^{}]{0,200}\}")
SOUND = re.compile(r"\[[^\[\]]{0,120}\]|\([^()]{0,120}\)|（[^（）]{0,120}）|【[^【】]{0,120}】|\*[^*\n]{1,60}\*")
SOUND_NAMES = (
    r"music|applause|laugh\w*|cheer\w*|inaudible|crosstalk|silence|sighs?|coughs?|noise|static|beep\w*|gasps?|chuckles?",
    r"musik|applaus|gelächter|musique|rires|applaudissements|música|risas|aplausos|musica|risate|applausi",
    "音楽|拍手|笑|музыка|аплодисменты|смех",
)
SOUND_WORDS = re.compile(rf"(?i)^[\[(（【*\s]*(?:[\w' ]{{0,40}}\b)?(?:{'|'.join(SOUND_NAMES)})\b.{{0,40}}$", re.DOTALL)
NOTES = re.compile("(?<![♩♪♫♬#])[♩♪♫♬#]*[♩♪♫♬][♩♪♫♬#]*")  # without the first part, the square of many #
CHEVRONS = re.compile(r"^(?:>{2,}|-{1,2}(?=\s|\w)|[–—](?=\s))\s*")
LABEL = re.compile(
    r"^(?:\[[^\[\]:]{1,40}\]|(?:(?:Mr|Mrs|Ms|Dr)\.? )?[A-Z][A-Z0-9 .'’-]{1,30}"
    r"|(?i:speaker|sprecher|locuteur|hablante) ?\w{0,3}|[A-Z][a-z]+(?: [A-Z][a-z]+)?(?= ?:\s[A-Z]))\s?:\s+"
)
NO_CHARACTER = re.compile(r"&#\d{8,};?")  # html.unescape raises on 4,300 digits
SURROGATE = re.compile("[\ud800-\udfff]")
CONTROL = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x9f\u200b\u200e\u200f\u2028\u2029\u202a-\u202e\u2060\ufeff]")


def clean_captions(record: Record) -> Record | Drop:
    """The stage."""
    cues = tuple(Cue(start=cue.start, end=cue.end, text=text) for cue in record.cues if (text := clean_text(cue.text)))
    return replace(record, cues=cues) if cues else Drop(reason="no_text", value=len(record.cues))


def clean_text(text: str) -> str:
    """One cue's text on one line; empty where it describes only sounds."""
    text = NO_CHARACTER.sub(" ", SURROGATE.sub(" ", text))
    text = html.unescape(html.unescape(text))  # caption files are often escaped twice
    text = "\n".join(line for line in text.split("\n") if line.strip())  # ftfy takes its time for every line
    text = ftfy.fix_text(text, uncurl_quotes=False)
    text = CONTROL.sub(" ", MARKUP.sub("", text))
    lines = (_clean_line(line) for line in text.splitlines())
    return unicodedata.normalize("NFC", " ".join(line for line in lines if line))


def _clean_line(line: str) -> str:
    line = NOTES.sub(" ", CHEVRONS.sub("", line.strip()))
    line = LABEL.sub("", line.strip())
    line = SOUND.sub(lambda match: " " if _is_no_speech(match.group()) else match.group(), line)
    return " ".join(CHEVRONS.sub("", line.strip()).split())


def _is_no_speech(bracketed: str) -> bool:
    """Square brackets hold no speech in captions; round ones may, unless they name a sound or shout."""
    inner = bracketed[1:-1].strip()
    return bracketed[0] in "[【*" or not inner or inner.isupper() or SOUND_WORDS.match(bracketed) is not None
