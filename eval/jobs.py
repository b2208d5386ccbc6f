"""What a target is asked to do with a clip. Knows no target and no corpus."""

from enum import StrEnum

from asr.tasks import Task

__all__ = ["Job"]


class Job(StrEnum):
    """One of the things that a corpus can judge."""

    TRANSCRIBE = "transcribe"
    TRANSLATE = "translate"
    DETECT_LANGUAGE = "detect-language"

    @property
    def task(self) -> Task:
        """The decoder's task; a language is detected before any task is named."""
        return Task.TRANSLATE if self is Job.TRANSLATE else Task.TRANSCRIBE
