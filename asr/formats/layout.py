"""How long lines and cues may be. In: plain values. Out: one validated, frozen object. Knows no transcript."""

from dataclasses import dataclass, fields

from asr.errors import InvalidOptionError

__all__ = ["FORMATS", "Layout"]

# The limits that mean something in each format: a table and JSON have no lines, plain text and lyrics have no cues.
LIMITS_OF_FORMAT: dict[str, tuple[str, ...]] = {
    "txt": ("max_line_width", "max_words_per_line"),
    "json": (),
    "srt": ("max_line_width", "max_line_count", "max_words_per_line"),
    "vtt": ("max_line_width", "max_line_count", "max_words_per_line"),
    "tsv": (),
    "lrc": ("max_line_width", "max_words_per_line"),
}
FORMATS = tuple(LIMITS_OF_FORMAT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Limits of lines and cues; None is no limit, and without any a segment is one cue.

    A line ends between two words; in scripts without spaces, between two characters, or between two words where their
    times are known. Raises InvalidOptionError, naming the field, for a limit below 1 or one without effect.
    """

    max_line_width: int | None = None
    """Characters in a line. A word that is longer has a line to itself, whole."""
    max_line_count: int | None = None
    """Lines in a cue; what does not fit becomes a cue of its own. Needs one of the others, which make the lines."""
    max_words_per_line: int | None = None
    """Words in a line; in scripts without spaces a character is a word, unless the words' times are known."""

    def __post_init__(self) -> None:
        """Validate."""
        for name, limit in self._given().items():
            if limit < 1:
                raise InvalidOptionError(f"{name}: got {limit}, expected at least 1", param=name)
        if self.max_line_count is not None and not self.breaks_lines:
            message = "max_line_count: needs max_line_width or max_words_per_line, which make the lines"
            raise InvalidOptionError(message, param="max_line_count")

    @property
    def breaks_lines(self) -> bool:
        """Whether a segment may become several lines."""
        return self.max_line_width is not None or self.max_words_per_line is not None

    def check_format(self, format: str) -> None:  # noqa: A002  (the word of the command line and the service)
        """Raise InvalidOptionError for a format that does not exist, or that has no use for one of the limits."""
        if format not in LIMITS_OF_FORMAT:
            raise InvalidOptionError(f"format: got {format!r}, expected one of {', '.join(FORMATS)}", param="format")
        for name in self._given():
            if name not in LIMITS_OF_FORMAT[format]:
                having = [other for other, limits in LIMITS_OF_FORMAT.items() if name in limits]
                message = f"{name}: has no meaning in {format}, only in {', '.join(having)}"
                raise InvalidOptionError(message, param=name)

    def _given(self) -> dict[str, int]:
        limits = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: limit for name, limit in limits.items() if limit is not None}
