"""What ends a run for a reason the user can mend. What is wrong with one recording is a ``Drop``, never an error."""

from asr.errors import AuricleError

__all__ = ["PipelineError"]


class PipelineError(AuricleError):
    """A recipe, a folder or a source that cannot be used; says what was got, what was expected and where."""

    code = "pipeline_error"
