"""Raw samples, as whisper-asr-webservice's callers may send them. In: a request. Out: a wav's header."""

import struct

from fastapi import Request

from asr.assembling import SAMPLE_RATE
from asr.errors import InvalidOptionError

__all__ = ["ENCODE_DESCRIPTION", "check_encode", "raw_header"]

FALSE = frozenset({"false", "0", "no", "off"})
ENCODE_DESCRIPTION = "false: the file is raw 16-bit PCM, mono at 16 kHz; said in the query, not in the form."
UNKNOWN_LENGTH = 0xFFFFFFFF  # of a stream, as ffmpeg writes it


def _is_raw(request: Request) -> bool:
    """Whether the query says ``encode=false``: 16-bit PCM, mono at 16 kHz, without any header."""
    return request.query_params.get("encode", "true").lower() in FALSE


def check_encode(request: Request, encode: bool) -> None:
    """Raise InvalidOptionError where the form alone asks for raw samples: the upload is read before its end is seen."""
    if not encode and not _is_raw(request):
        raise InvalidOptionError("encode: got false in the form, expected it in the query", param="encode")


def raw_header(request: Request) -> bytes:
    """What to put before the upload: a wav's header, of any length; nothing where it has one of its own."""
    if not _is_raw(request):
        return b""
    n_bytes = 2
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, SAMPLE_RATE, n_bytes * SAMPLE_RATE, n_bytes, 8 * n_bytes)
    data = struct.pack("<4sI", b"data", UNKNOWN_LENGTH)
    return struct.pack("<4sI4s", b"RIFF", UNKNOWN_LENGTH, b"WAVE") + form + data
