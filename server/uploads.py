"""A request's body onto disk. In: a multipart form or a raw audio body, chunk by chunk. Out: ``Upload``.

Counts bytes and seconds as they come, holds at most one chunk of the file in memory, writes in threads, and deletes the
file when the request is over. Knows nothing of what the fields mean or what the bytes hold.

Names of a request's own files are plain strings, here and wherever they go: Python 3.11 enters each part of a ``Path``
into its table of interned strings, which a few thousand names that come once and go double (1 MB a process).
"""

import asyncio
import errno
import logging
import os
import shutil
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import BinaryIO, Self

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header
from starlette.requests import Request

from asr.errors import EmptyAudioError
from server.errors import ApiError, insufficient_storage, storage_unavailable
from server.multipart import FormReader

__all__ = ["FILE_FIELDS", "Spool", "SpoolWriter", "Upload", "UploadLimits", "storage_errors"]

logger = logging.getLogger("auricle.uploads")

FILE_FIELDS = ("file", "audio_file")
FORM_ALLOWANCE_BYTES = 2**20  # what boundaries, headers and text fields may add to the file itself
# A disk that was mounted read-only, a folder that was deleted or given to somebody else, a broken disk, no descriptors.
UNUSABLE = frozenset({errno.EROFS, errno.ENOENT, errno.EACCES, errno.EPERM, errno.EIO, errno.EMFILE, errno.ENFILE})
WRITE_BYTES = 2**20  # one trip to a thread per MiB, not per network chunk


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadLimits:
    """What a request's body may take."""

    max_bytes: int
    """Of the file itself."""
    idle_timeout_s: float
    """Between two chunks."""
    timeout_s: float
    """From the first byte to the last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """A spooled file and everything else that the request said, form and query alike."""

    path: str
    """In a folder of the request's own, which is deleted when the request is over."""
    has_file: bool
    """Else the request names a url in place of a file, whose bytes are still to be appended."""
    fields: tuple[tuple[str, str], ...]
    """Name and value, in the order they came, repetitions kept."""


class Spool:
    """A private folder for uploads; a context manager, empty between requests and gone at the end."""

    def __init__(self, *, parent: Path | None, limits: UploadLimits) -> None:
        self._directory = TemporaryDirectory(prefix="auricle-", dir=parent)
        self.path = Path(self._directory.name)
        """The folder; readable by this user only."""
        self.limits = limits

    def __enter__(self) -> Self:
        """The spool itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Delete the folder."""
        self._directory.cleanup()

    @asynccontextmanager
    async def receive(self, request: Request, *, header: bytes = b"", or_url: bool = False) -> AsyncIterator[Upload]:
        """Read the request's body into a file that lives until the context ends; ``header`` is put before it.

        ``or_url``: a form may name a ``url`` in place of a file. Raises ApiError (400, 408, 413, 415, 507),
        EmptyAudioError, and Starlette's ClientDisconnect.
        """
        media_type, parameters = parse_options_header(request.headers.get("content-type"))
        is_form = media_type == b"multipart/form-data"
        self._check_declared(request, media_type.decode("latin-1"), is_form=is_form)
        folder = f"{self.path}/{uuid.uuid4().hex}"
        try:
            with storage_errors():
                await asyncio.to_thread(os.mkdir, folder, 0o700)
                boundary = parameters.get(b"boundary", b"") if is_form else None
                yield await self._spool(request, f"{folder}/upload", boundary, header=header, or_url=or_url)
        finally:
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)

    async def _spool(
        self, request: Request, path: str, boundary: bytes | None, *, header: bytes, or_url: bool
    ) -> Upload:
        writer = SpoolWriter(await asyncio.to_thread(_create, path), self.limits.max_bytes)
        form_fields: list[tuple[str, str]] = []
        has_file = True
        try:
            await writer.write(header)
            if boundary is None:
                async for chunk in _chunks(request, self.limits):
                    await writer.write(chunk)
            else:
                form_fields, has_file = await _read_form(request, boundary, writer, self.limits)
        finally:
            await writer.close()
        fields = _with_query(form_fields, request.query_params.multi_items())
        if not has_file and not (or_url and any(name == "url" for name, _ in fields)):
            raise ApiError(400, "missing_file", "The form has no field 'file' with the audio.", param="file")
        if has_file and writer.n_bytes == len(header):
            raise EmptyAudioError("The file is empty.")
        return Upload(path=path, has_file=has_file, fields=fields)

    def _check_declared(self, request: Request, media_type: str, *, is_form: bool) -> None:
        if not is_form and not media_type.startswith(("audio/", "video/")) and media_type != "application/octet-stream":
            message = (
                f"Content-Type: got {media_type or 'none'!r}, expected multipart/form-data with a field 'file', or the "
                "file itself as audio/*, video/* or application/octet-stream. With curl: -F file=@clip.wav"
            )
            raise ApiError(415, "unsupported_media_type", message)
        encoding = request.headers.get("content-encoding", "identity")
        if encoding.strip().lower() != "identity":
            message = f"Content-Encoding: got {encoding[:64]!r}, expected none; send the body as it is"
            raise ApiError(415, "unsupported_content_encoding", message)
        length = request.headers.get("content-length", "")
        limit = self.limits.max_bytes + (FORM_ALLOWANCE_BYTES if is_form else 0)
        if length.isdecimal() and int(length) > limit:
            raise _too_large(self.limits.max_bytes)


class SpoolWriter:
    """Appends to a spool file in threads and refuses what goes over the limit."""

    def __init__(self, file: BinaryIO, max_bytes: int) -> None:
        self._file = file
        self._max_bytes = max_bytes
        self._pending = bytearray()
        self.n_bytes = 0

    async def write(self, data: bytes) -> None:
        """Take some bytes. Raises ApiError (413) beyond the limit."""
        self.n_bytes += len(data)
        if self.n_bytes > self._max_bytes:
            raise _too_large(self._max_bytes)
        self._pending += data
        if len(self._pending) >= WRITE_BYTES:
            await self._flush()

    async def close(self) -> None:
        """Write what is left."""
        try:
            await self._flush()
        finally:
            await asyncio.to_thread(self._file.close)

    async def _flush(self) -> None:
        if self._pending:
            data, self._pending = self._pending, bytearray()
            await asyncio.to_thread(self._file.write, data)


async def _read_form(
    request: Request, boundary: bytes, writer: SpoolWriter, limits: UploadLimits
) -> tuple[list[tuple[str, str]], bool]:
    """The text fields, and whether there was a file."""
    n_body_bytes = 0
    try:
        reader = FormReader(boundary, file_fields=FILE_FIELDS)
        async for chunk in _chunks(request, limits):
            n_body_bytes += len(chunk)
            if n_body_bytes > limits.max_bytes + FORM_ALLOWANCE_BYTES:
                raise _too_large(limits.max_bytes)
            await writer.write(reader.feed(chunk))
        reader.finish()
    except FormParserError as error:
        raise ApiError(400, "invalid_form", "The multipart form cannot be read.") from error
    return reader.fields, reader.has_file


async def _chunks(request: Request, limits: UploadLimits) -> AsyncIterator[bytes]:
    """The body as it comes. Raises ApiError (408) for a pause that is too long, or an end that is too late."""
    clock = asyncio.get_running_loop().time
    deadline = clock() + limits.timeout_s
    stream = request.stream()
    while True:
        try:
            async with asyncio.timeout_at(min(clock() + limits.idle_timeout_s, deadline)):
                chunk = await anext(stream)
        except StopAsyncIteration:
            return
        except TimeoutError:
            is_late = clock() >= deadline
            why = f"it took more than {limits.timeout_s:g} s" if is_late else f"nothing for {limits.idle_timeout_s:g} s"
            raise ApiError(408, "upload_timeout", f"The upload did not arrive: {why}.", param="file") from None
        yield chunk


def _with_query(fields: list[tuple[str, str]], query: list[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """Form and query say the same things; one that speaks in both places is ambiguous and refused."""
    in_form = {name.removesuffix("[]") for name, _ in fields}
    for name, _ in query:
        if name.removesuffix("[]") in in_form:
            message = f"{name}: given in the form and in the query, expected one of them"
            raise ApiError(400, "conflicting_parameter", message, param=name)
    return (*fields, *query)


@contextmanager
def storage_errors() -> Iterator[None]:
    """A full disk as ApiError (507), one that cannot be used as ApiError (503)."""
    try:
        yield
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise insufficient_storage() from error
        if error.errno in UNUSABLE:
            logger.error("uploads cannot be stored: %s", error)
            raise storage_unavailable("Recordings") from error
        raise


def _create(path: str) -> BinaryIO:
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")


def _too_large(max_bytes: int) -> ApiError:
    return ApiError(413, "file_too_large", f"The upload is too large: at most {max_bytes} bytes.", param="file")
