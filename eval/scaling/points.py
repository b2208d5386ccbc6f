"""What is known of each model. In: folders of runs, the models that made them. Out: ``ScalingPoint``s of one corpus.

Sizes are those of the weights, hours those of ``training.json`` beside them: nothing is typed by hand. What a law may
not mix (other clips, other texts, other decoding, unfinished runs) is refused. Knows no law.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asr.checkpoint import ModelStore, read_checkpoint
from asr.checkpoint.training_record import TrainingRecord, read_training_record
from asr.errors import AuricleError
from eval.errors import ResultsError
from eval.hypotheses import StoredRun, config_differences, read_run
from eval.jobs import Job
from eval.normalizers import NormalizerName
from eval.scaling.amounts import Axis
from eval.scoring.error_rates import score_transcriptions
from eval.scoring.jobs import job_of
from eval.scoring.types import TranscriptionScores

__all__ = ["ModelSize", "ScalingPoint", "read_points"]

OF_THE_MODEL = frozenset({"model", "model_hash", "corpus_sha256"})  # free to differ, as are versions
EMBEDDING = "decoder.token_embedding.weight"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSize:
    """Parameters that are learned; the token embedding, which is the last layer as well, counts once."""

    parameters: int
    embedding: int
    """Of them, those of the token embedding: the vocabulary's size and the width decide it, not the depth."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalingPoint:
    """One model on the corpus."""

    folder: Path
    """Of its run."""
    config: Mapping[str, Any]
    size: ModelSize
    training: TrainingRecord
    scores: TranscriptionScores

    @property
    def name(self) -> str:
        """What it is called in tables and messages."""
        return self.folder.name

    @property
    def rate(self) -> float:
        """Errors for each reference unit, of all clips."""
        return self.scores.overall.counts.n_errors / self.scores.overall.counts.n_ref

    def amount(self, axis: Axis) -> float:
        """Parameters, or hours of different audio."""
        return float(self.size.parameters if axis is Axis.PARAMETERS else self.training.audio_hours)


def read_points(
    folders: Sequence[Path], *, normalizer: NormalizerName = NormalizerName.WHISPER
) -> tuple[ScalingPoint, ...]:
    """Read and score each run, in the order given. Raises ResultsError."""
    runs = [(folder, read_run(folder)) for folder in folders]
    for folder, run in runs:
        _check_finished(folder, run)
        _check_comparable(*runs[0], folder, run)
    points = tuple(_point(folder, run, normalizer) for folder, run in runs)
    _check_different(points)
    return points


def _check_finished(folder: Path, run: StoredRun) -> None:
    job = job_of(run)
    if job is not Job.TRANSCRIBE:
        raise ResultsError(f"{folder}: got a run of --task {job}, expected transcribe, whose errors are counted")
    n_missing = len(run.references) - len(run.hypotheses)
    if n_missing:
        raise ResultsError(
            f"{folder}: {n_missing} of {len(run.references)} clips have no hypothesis, expected a finished run; "
            "repeat its `auricle-eval run` command"
        )


def _check_comparable(first_folder: Path, first: StoredRun, folder: Path, run: StoredRun) -> None:
    said = {clip_id: (clip.text, clip.language) for clip_id, clip in first.references.items()}
    other = {clip_id: (clip.text, clip.language) for clip_id, clip in run.references.items()}
    if said != other:
        n_other = sum(said.get(clip_id) != other.get(clip_id) for clip_id in said.keys() | other.keys())
        raise ResultsError(
            f"{folder}: {n_other} clips are not those of {first_folder}, or their texts differ; expected one corpus"
        )
    for entry in config_differences(first.config, run.config):
        if entry.key not in OF_THE_MODEL and not entry.key.startswith("versions."):
            raise ResultsError(
                f"{folder}: {entry.key}: got {entry.b!r}, {first_folder} has {entry.a!r}; "
                "expected runs that differ in their model alone: repeat one with the options of the other"
            )


def _point(folder: Path, run: StoredRun, normalizer: NormalizerName) -> ScalingPoint:
    size, training = _read_model(folder, run.config)
    scores = score_transcriptions(run, normalizer=normalizer)
    point = ScalingPoint(folder=folder, config=run.config, size=size, training=training, scores=scores)
    counts = scores.overall.counts
    if not counts.rate:
        got = f"{counts.n_errors} errors in {counts.n_ref} units"
        raise ResultsError(
            f"{folder}: got {got}, expected some of both: the law is of logarithms; give a larger corpus"
        )
    return point


def _read_model(folder: Path, config: Mapping[str, Any]) -> tuple[ModelSize, TrainingRecord]:
    """Size and training of the model that a run used, still the same one. Raises ResultsError."""
    model = config.get("model")
    if config.get("target", "local") != "local" or not isinstance(model, str):
        raise ResultsError(
            f"{folder}: got a run of {config.get('target')}, expected one of `auricle-eval run --model DIR`, "
            "whose folder says how large the model is and how much it was trained"
        )
    try:
        path = ModelStore().resolve(model)
        checkpoint = read_checkpoint(path)
        training = read_training_record(path)
    except AuricleError as error:
        raise ResultsError(
            f"{folder}: its model: {error}; relative paths begin in the folder where `auricle-eval run` was called"
        ) from error
    if checkpoint.source_sha256 != config.get("model_hash"):
        raise ResultsError(
            f"{folder}: {path} has the digest {checkpoint.source_sha256[:12]}, the run used "
            f"{str(config.get('model_hash'))[:12]}; expected the same weights: run it anew in another folder"
        )
    n_of_each = {name: tensor.numel() for name, tensor in checkpoint.state_dict.items()}
    return ModelSize(parameters=sum(n_of_each.values()), embedding=n_of_each[EMBEDDING]), training


def _check_different(points: Sequence[ScalingPoint]) -> None:
    seen: dict[Any, ScalingPoint] = {}
    for point in points:
        before = seen.setdefault(point.config["model_hash"], point)
        if before is not point:
            raise ResultsError(f"{point.folder}: got the weights of {before.folder} again, expected each model once")
