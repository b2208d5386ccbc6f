"""Which measure a run is for. In: ``StoredRun``. Out: ``Scores`` of the kind that its job has. Counts nothing."""

from eval.errors import ResultsError
from eval.hypotheses import StoredRun
from eval.jobs import Job
from eval.normalizers import NormalizerName, Unit
from eval.scoring.error_rates import score_transcriptions
from eval.scoring.language_id import score_languages
from eval.scoring.translation import score_translations
from eval.scoring.types import Scores

__all__ = ["job_of", "score_run"]


def score_run(
    run: StoredRun, *, normalizer: NormalizerName = NormalizerName.WHISPER, unit: Unit | None = None
) -> Scores:
    """Score a run by its job; ``normalizer`` and ``unit`` are a transcription's.

    Raises ResultsError when there are no hypotheses, or an option is given that the job's measure has no use for.
    """
    job = job_of(run)
    if job is Job.TRANSCRIBE:
        return score_transcriptions(run, normalizer=normalizer, unit=unit)
    if normalizer is not NormalizerName.WHISPER or unit is not None:
        raise ResultsError(
            f"got --normalizer or --unit for a run of --task {job}, expected one of --task transcribe: "
            "no other measure normalizes or counts units; leave the option out"
        )
    return score_translations(run) if job is Job.TRANSLATE else score_languages(run)


def job_of(run: StoredRun) -> Job:
    """What the run's target was asked for. Raises ResultsError."""
    name = run.config.get("job", Job.TRANSCRIBE)
    try:
        return Job(name)
    except ValueError as error:
        raise ResultsError(f"run.json: got job {name!r}, expected one of {', '.join(Job)}") from error
