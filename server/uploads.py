"""A request's body onto disk. In: a multipart form or a raw audio body, chunk by chunk. Out: ``Upload``.

Counts bytes as they come, holds at most one chunk of the file in memory, writes in threads, and deletes the file when
the request is over. Knows nothing of what the fields mean or what the bytes hold.
"""

import asyncio
import os
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import BinaryIO, Self

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header
from starlette.requests import Request

from asr.errors import EmptyAudioError
from server.errors import ApiError
from server.multipart import FormReader

__all__ = ["FILE_FIELDS", "Spool", "Upload"]

FILE_FIELDS = ("file", "audio_file")
FORM_ALLOWANCE_BYTES = 2**20  # what boundaries, headers and text fields may add to the file itself
WRITE_BYTES = 2**20  # one trip to a thread per MiB, not per network chunk


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """A spooled file and everything else that the request said, form and query alike."""

    path: Path
    fields: tuple[tuple[str, str], ...]
    """Name and value, in the order they came, repetitions kept."""


class Spool:
    """A private folder for uploads; a context manager, empty between requests and gone at the end."""

    def __init__(self, *, parent: Path | None, max_upload_bytes: int) -> None:
        self._directory = TemporaryDirectory(prefix="auricle-", dir=parent)
        self._max_upload_bytes = max_upload_bytes

    @property
    def path(self) -> Path:
        """The folder; readable by this user only."""
        return Path(self._directory.name)

    def __enter__(self) -> Self:
        """The spool itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Delete the folder."""
        self._directory.cleanup()

    @asynccontextmanager
    async def receive(self, request: Request, *, header: bytes = b"") -> AsyncIterator[Upload]:
        """Read the request's body into a file that lives until the context ends; ``header`` is put before it.

        Raises ApiError (400, 413, 415), EmptyAudioError, and Starlette's ClientDisconnect.
        """
        media_type, parameters = parse_options_header(request.headers.get("content-type"))
        is_form = media_type == b"multipart/form-data"
        self._check_declared(request, media_type.decode("latin-1"), is_form=is_form)
        path = self.path / uuid.uuid4().hex
        writer = _Writer(await asyncio.to_thread(_create, path), self._max_upload_bytes)
        try:
            try:
                await writer.write(header)
                if is_form:
                    boundary = parameters.get(b"boundary", b"")
                    fields = await _read_form(request, boundary, writer, self._max_upload_bytes)
                else:
                    fields = []
                    async for chunk in request.stream():
                        await writer.write(chunk)
            finally:
                await writer.close()
            if writer.n_bytes == len(header):
                raise EmptyAudioError("The file is empty.")
            yield Upload(path=path, fields=_with_query(fields, request.query_params.multi_items()))
        finally:
            await asyncio.to_thread(path.unlink)

    def _check_declared(self, request: Request, media_type: str, *, is_form: bool) -> None:
        if not is_form and not media_type.startswith(("audio/", "video/")) and media_type != "application/octet-stream":
            message = (
                f"Content-Type: got {media_type or 'none'!r}, expected multipart/form-data with a field 'file', or the "
                "file itself as audio/*, video/* or application/octet-stream. With curl: -F file=@clip.wav"
            )
            raise ApiError(415, "unsupported_media_type", message)
        length = request.headers.get("content-length", "")
        limit = self._max_upload_bytes + (FORM_ALLOWANCE_BYTES if is_form else 0)
        if length.isdecimal() and int(length) > limit:
            raise _too_large(self._max_upload_bytes)


class _Writer:
    """Appends to the spool file in threads and refuses what goes over the limit."""

    def __init__(self, file: BinaryIO, max_bytes: int) -> None:
        self._file = file
        self._max_bytes = max_bytes
        self._pending = bytearray()
        self.n_bytes = 0

    async def write(self, data: bytes) -> None:
        self.n_bytes += len(data)
        if self.n_bytes > self._max_bytes:
            raise _too_large(self._max_bytes)
        self._pending += data
        if len(self._pending) >= WRITE_BYTES:
            await self._flush()

    async def close(self) -> None:
        try:
            await self._flush()
        finally:
            await asyncio.to_thread(self._file.close)

    async def _flush(self) -> None:
        if self._pending:
            data, self._pending = self._pending, bytearray()
            await asyncio.to_thread(self._file.write, data)


async def _read_form(request: Request, boundary: bytes, writer: _Writer, max_bytes: int) -> list[tuple[str, str]]:
    n_body_bytes = 0
    try:
        reader = FormReader(boundary, file_fields=FILE_FIELDS)
        async for chunk in request.stream():
            n_body_bytes += len(chunk)
            if n_body_bytes > max_bytes + FORM_ALLOWANCE_BYTES:
                raise _too_large(max_bytes)
            await writer.write(reader.feed(chunk))
        reader.finish()
    except FormParserError as error:
        raise ApiError(400, "invalid_form", "The multipart form cannot be read.") from error
    if not reader.has_file:
        raise ApiError(400, "missing_file", "The form has no field 'file' with the audio.", param="file")
    return reader.fields


def _with_query(fields: list[tuple[str, str]], query: list[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """Form and query say the same things; one that speaks in both places is ambiguous and refused."""
    in_form = {name.removesuffix("[]") for name, _ in fields}
    for name, _ in query:
        if name.removesuffix("[]") in in_form:
            message = f"{name}: given in the form and in the query, expected one of them"
            raise ApiError(400, "conflicting_parameter", message, param=name)
    return (*fields, *query)


def _create(path: Path) -> BinaryIO:
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")


def _too_large(max_bytes: int) -> ApiError:
    return ApiError(413, "file_too_large", f"The upload is too large: at most {max_bytes} bytes.", param="file")
