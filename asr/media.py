"""What a media file is, by its first bytes and its chunks. In: a seekable stream. Out: a demuxer's name, claimed sizes.

Names and extensions are never looked at. Knows no decoder and opens nothing.
"""

import io
from collections.abc import Iterator
from typing import BinaryIO, Literal

from asr.errors import CorruptAudioError, EmptyAudioError, UnsupportedMediaError

__all__ = ["READABLE", "MediaReader", "sniff", "walk_chunks", "wav_duration"]

READABLE = "wav, flac, ogg, opus, mp3, m4a, mp4, webm, aac, amr, aiff, caf or wma"
MAX_OVERHANG_BYTES = 1 << 20  # of a chunk; a file may have been cut in its last one
MAX_CHUNKS = 1_000


class MediaReader:
    """What FFmpeg sees of a file: bytes and positions. Without a ``name``, which would take part in the probing."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.read = file.read
        self.tell = file.tell

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """The new position; -1, FFmpeg's sign of failure, for one before the beginning, as damaged headers ask for."""
        return -1 if whence == io.SEEK_SET and offset < 0 else self._file.seek(offset, whence)

    def peek(self, offset: int, n_bytes: int) -> bytes:
        """Bytes at an offset; leaves the position at 0."""
        self.seek(offset)
        data = self.read(n_bytes)
        self.seek(0)
        return data


def sniff(reader: MediaReader) -> tuple[str, bool]:
    """The demuxer for these bytes, and whether an MP3 counts its frames (a Xing or Info tag in its first frame)."""
    head = reader.peek(0, 64)
    if not head:
        raise EmptyAudioError(f"got 0 bytes, expected {READABLE}")
    demuxer = _demuxer_of(head)
    if head[:3] == b"ID3" and len(head) >= 10:  # the tag may stand before mp3, aac and flac
        tag_bytes = sum((byte & 0x7F) << shift for byte, shift in zip(head[6:10], (21, 14, 7, 0), strict=True))
        head = reader.peek(10 + tag_bytes, 64)
        demuxer = _demuxer_of(head) or "mp3"  # padding after the tag is common, and the demuxer skips it
    if demuxer is None:
        raise UnsupportedMediaError(f"got no known audio or video container, expected {READABLE}")
    return demuxer, b"Xing" in head or b"Info" in head


def _demuxer_of(head: bytes) -> str | None:
    four, kind = head[:4], head[8:12]
    if four in (b"RIFF", b"RIFX", b"RF64", b"BW64") and kind == b"WAVE":
        return "wav"
    if four == b"FORM" and kind in (b"AIFF", b"AIFC"):
        return "aiff"
    if head[:8] == bytes.fromhex("3026b2758e66cf11"):
        return "asf"
    if head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip") and kind != b"iamf":
        return "mov"
    magics = {b"fLaC": "flac", b"OggS": "ogg", b"\x1a\x45\xdf\xa3": "matroska", b"caff": "caf", b"#!AM": "amr"}
    return magics.get(four) or _mpeg_demuxer_of(head)


def _mpeg_demuxer_of(head: bytes) -> str | None:
    """MPEG audio has no magic number: a frame header is eleven ones and fields with some values ruled out."""
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return None
    version, layer = head[1] >> 3 & 3, head[1] >> 1 & 3
    if layer == 0:
        return "aac" if version >= 2 else None
    # Layer I (3) is left out: nobody uses it, and its header is also how UTF-16 text begins.
    valid = version != 1 and layer != 3 and head[2] >> 4 != 15 and head[2] >> 2 & 3 != 3
    return "mp3" if valid else None


def walk_chunks(reader: MediaReader, order: Literal["little", "big"]) -> Iterator[tuple[bytes, int, int]]:
    """(name, offset of the content, claimed bytes) of the chunks of a RIFF or IFF file.

    Raises CorruptAudioError for the claim that makes FFmpeg allocate gigabytes, a large chunk beyond the file's end,
    and for more than MAX_CHUNKS.
    """
    offset = 12
    for _ in range(MAX_CHUNKS):
        head = reader.peek(offset, 8)
        if len(head) < 8:
            return
        name, n_bytes = head[:4], int.from_bytes(head[4:], order)
        end = offset + 8 + n_bytes
        if name not in (b"data", b"SSND") and n_bytes > MAX_OVERHANG_BYTES and not reader.peek(end - 1, 1):
            raise CorruptAudioError(f"got a chunk of {n_bytes} bytes at byte {offset}, which is more than the file has")
        yield name, offset + 8, n_bytes
        offset = end + n_bytes % 2
    raise CorruptAudioError(f"got more than {MAX_CHUNKS} chunks, expected a dozen")


def wav_duration(reader: MediaReader, chunks: list[tuple[bytes, int, int]]) -> float | None:
    """Seconds that a WAV header claims; None when it does not say, as when it was written to a pipe."""
    found = {name: (offset, n_bytes) for name, offset, n_bytes in reversed(chunks)}
    if b"fmt " not in found or b"data" not in found:
        return None
    bytes_per_s = int.from_bytes(reader.peek(found[b"fmt "][0] + 8, 4), "little")
    n_bytes = found[b"data"][1]
    # Writers that cannot seek back leave 0, 2 GiB or 4 GiB, less some header.
    return n_bytes / bytes_per_s if bytes_per_s and n_bytes < 0x7FFF0000 else None
