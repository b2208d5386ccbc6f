"""Cues → SubRip, WebVTT and lyrics. Knows how these files are written, nothing of transcripts or layouts."""

import re
from collections.abc import Iterable

from asr.formats.cues import Cue, Line, text_of

__all__ = ["to_lrc", "to_srt", "to_vtt"]

_ARROW = re.compile("--+>")  # every run of dashes, so that "--->" does not leave "-->" behind


def to_srt(cues: Iterable[Cue]) -> str:
    """SubRip; SubRip has no way to write ``-->`` in a text, which becomes ``->``."""
    blocks = []
    for index, cue in enumerate(cues, start=1):
        text = _ARROW.sub("->", cue.label + "\n".join(text_of(line) for line in cue.lines))
        blocks.append(f"{index}\n{_clock(cue.start_ms, ',')} --> {_clock(cue.end_ms, ',')}\n{text}\n")
    return "\n".join(blocks)


def to_vtt(cues: Iterable[Cue]) -> str:
    """WebVTT; the channel is the cue's voice, and words with times light up as they are spoken."""
    blocks = ["WEBVTT\n"]
    for cue in cues:
        voice = "" if cue.channel is None else f"<v Channel {cue.channel + 1}>"
        text = voice + _vtt_text(cue)
        blocks.append(f"{_clock(cue.start_ms, '.')} --> {_clock(cue.end_ms, '.')}\n{text}\n")
    return "\n".join(blocks)


def to_lrc(cues: Iterable[Cue]) -> str:
    """Lyrics: a line a cue, with its start; the words' starts in the enhanced form where they are known.

    Lyrics have no ends (a line stays until the next) and no hours (minutes go beyond 59).
    """
    return "".join(f"[{_lyric_clock(cue.start_ms)}]{_lyric(cue)}\n" for cue in cues)


def _vtt_text(cue: Cue) -> str:
    """The cue's lines; every word but the first in a span, behind the time from which it is spoken.

    The standard wants the times inside the cue and rising: one that is not is left out, its word lights up with the
    one before.
    """
    reached_ms = cue.start_ms
    lines = []
    for n_line, line in enumerate(cue.lines):
        text = ""
        for n_word, piece in enumerate(line):
            shown = _vtt_escaped(piece.text.lstrip() if n_word == 0 else piece.text)
            if piece.times_ms is None or (n_line == 0 and n_word == 0):
                text += shown
                continue
            if reached_ms < piece.times_ms[0] < cue.end_ms:
                reached_ms = piece.times_ms[0]
                text += f"<{_clock(reached_ms, '.')}>"
            text += f"<c>{shown}</c>"
        lines.append(text)
    return "\n".join(lines)


def _vtt_escaped(text: str) -> str:
    return _ARROW.sub("->", text).replace("&", "&amp;").replace("<", "&lt;")


def _lyric(cue: Cue) -> str:
    text = cue.label + " ".join(_lyric_line(line) for line in cue.lines)
    # A bracket right behind the time would be read as another tag.
    return f" {text}" if text.startswith("[") else text


def _lyric_line(line: Line) -> str:
    parts = []
    for piece in line:
        word = piece.text.lstrip()
        lead = piece.text[: len(piece.text) - len(word)]
        parts.append(f"{lead}<{_lyric_clock(piece.times_ms[0])}>{word}" if piece.times_ms else piece.text)
    return "".join(parts).strip()


def _clock(time_ms: int, decimal_mark: str) -> str:
    seconds, ms = divmod(time_ms, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{seconds:02}{decimal_mark}{ms:03}"


def _lyric_clock(time_ms: int) -> str:
    seconds, hundredths = divmod((time_ms + 5) // 10, 100)
    minutes, seconds = divmod(seconds, 60)
    return f"{minutes:02}:{seconds:02}.{hundredths:02}"
