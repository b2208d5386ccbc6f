"""What the decoder can be asked to do. In: nothing. Out: ``Task``. Knows no tokenizer."""

from enum import StrEnum

__all__ = ["Task"]


class Task(StrEnum):
    """The two tasks that a ``<|task|>`` token selects (Whisper 2.3)."""

    TRANSCRIBE = "transcribe"
    TRANSLATE = "translate"  # into English, from any language
