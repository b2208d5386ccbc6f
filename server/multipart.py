"""A multipart form, chunk by chunk. In: body bytes. Out: the file's bytes as they come, and the text fields.

Knows nothing of disks, sockets or what the fields mean. Starlette's own reader is not used because it writes a second
copy of the file and cannot stop at a byte limit.
"""

from collections.abc import Collection

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from server.errors import ApiError

__all__ = ["FormReader"]

MAX_FIELDS = 128
MAX_FIELD_BYTES = 16 * 2**10  # a prompt is a few hundred tokens


class FormReader:
    """Feed it the body; it gives back the bytes of the one file part and collects the others as text.

    Raises ApiError (400) for a second file, an unknown file field, too many or too long fields; python-multipart's
    FormParserError for a malformed body.
    """

    def __init__(self, boundary: bytes, *, file_fields: Collection[str]) -> None:
        if not boundary:
            raise FormParserError("no boundary")
        self.fields: list[tuple[str, str]] = []
        self.has_file = False
        self._file_fields = file_fields
        self._n_parts = 0
        self._header_name = b""
        self._header_value = b""
        self._disposition = b""
        self._field_name: str | None = None  # None: inside the file part
        self._text = bytearray()
        self._file = bytearray()
        self._ended = False
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._on_part_begin,
                "on_header_field": self._on_header_field,
                "on_header_value": self._on_header_value,
                "on_header_end": self._on_header_end,
                "on_headers_finished": self._on_headers_finished,
                "on_part_data": self._on_part_data,
                "on_part_end": self._on_part_end,
                "on_end": self._on_end,
            },
        )

    def feed(self, chunk: bytes) -> bytes:
        """Take the next part of the body; returns the bytes in it that belong to the file."""
        if chunk:
            self._parser.write(chunk)
        data, self._file = bytes(self._file), bytearray()
        return data

    def finish(self) -> None:
        """Check that the body was whole."""
        self._parser.finalize()
        if not self._ended:
            raise FormParserError("the closing boundary is missing")

    def _on_part_begin(self) -> None:
        self._n_parts += 1
        if self._n_parts > MAX_FIELDS:
            raise ApiError(400, "too_many_fields", f"The form has more than {MAX_FIELDS} fields.")
        self._disposition = b""
        self._text.clear()

    def _on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._header_name += data[start:end]

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._header_value += data[start:end]

    def _on_header_end(self) -> None:
        if self._header_name.lower() == b"content-disposition":
            self._disposition = self._header_value
        self._header_name = self._header_value = b""

    def _on_headers_finished(self) -> None:
        _, parameters = parse_options_header(self._disposition)
        name = _text_of(parameters.get(b"name", b""), "a field's name")
        if not name:
            raise FormParserError("a part has no name")
        if name not in self._file_fields:
            if b"filename" in parameters:
                message = f"{name}: a file is not expected in this field, only in 'file'"
                raise ApiError(400, "unsupported_parameter", message, param=name)
            self._field_name = name
            return
        if self.has_file:
            message = "The form has more than one file; send one recording a request."
            raise ApiError(400, "too_many_files", message, param=name)
        self.has_file = True
        self._field_name = None

    def _on_part_data(self, data: bytes, start: int, end: int) -> None:
        if self._field_name is None:
            self._file += data[start:end]
            return
        self._text += data[start:end]
        if len(self._text) > MAX_FIELD_BYTES:
            message = f"{self._field_name}: longer than {MAX_FIELD_BYTES} bytes"
            raise ApiError(400, "invalid_value", message, param=self._field_name)

    def _on_part_end(self) -> None:
        if self._field_name is not None:
            self.fields.append((self._field_name, _text_of(bytes(self._text), self._field_name)))

    def _on_end(self) -> None:
        self._ended = True


def _text_of(data: bytes, where: str) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise ApiError(400, "invalid_value", f"{where}: not UTF-8 text", param=where) from error
