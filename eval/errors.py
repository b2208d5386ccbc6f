"""What can go wrong in an evaluation for a reason the user can act on.

Each message says what was got, what was expected and where, and ends with the next step. Knows no corpus and no target.
"""

__all__ = [
    "ClipError",
    "CorpusError",
    "EvaluationError",
    "ResultsError",
    "RunMismatchError",
    "TargetUnavailableError",
]


class EvaluationError(Exception):
    """Base of the errors that end a command."""


class CorpusError(EvaluationError):
    """The corpus cannot be read, or has nothing of what was asked; the message names file and line."""


class RunMismatchError(EvaluationError):
    """The folder holds the hypotheses of another configuration."""


class ResultsError(EvaluationError):
    """The folder of a run is missing, incomplete or damaged."""


class TargetUnavailableError(EvaluationError):
    """Nothing can be transcribed: the service does not answer, or the model cannot be loaded."""


class ClipError(Exception):
    """One clip could not be transcribed; the run goes on and keeps ``code`` and ``message`` as that clip's result."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
