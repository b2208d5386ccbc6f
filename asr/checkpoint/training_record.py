"""What a trained model's folder says of its training. In: numbers of a run. Out: ``training.json`` beside the weights.

Published models have no such file. Knows no trainer and no weights.
"""

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from asr.checkpoint.types import read_json_object
from asr.errors import CheckpointError
from asr.options import AudioContext

__all__ = ["TrainingRecord", "hears_bare_windows", "read_training_record", "write_training_record"]

FILE = "training.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingRecord:
    """How much a model was trained, up to the checkpoint that was exported."""

    preset: str | None
    """The size that was trained from scratch; None: the run began with weights that were there."""
    updates: int
    examples: int
    """Different ones in the shards."""
    examples_seen: int
    """With repetitions."""
    audio_hours: float
    """Of the different examples."""
    audio_hours_seen: float
    """With repetitions."""
    context: str = "exact"
    """How much silence followed a short example: exact, auto or fit."""

    def __post_init__(self) -> None:
        """Raise ValueError for what no run can have."""
        if self.context not in set(AudioContext):
            raise ValueError(f"context: got {self.context!r}, expected one of {', '.join(AudioContext)}")
        for field in fields(self)[1:-1]:
            value = getattr(self, field.name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < float("inf"):
                raise ValueError(f"{field.name}: got {value!r}, expected a positive number")


def write_training_record(record: TrainingRecord, folder: Path) -> None:
    """Write ``training.json`` beside the weights. Raises OSError."""
    (folder / FILE).write_text(json.dumps(asdict(record), indent=1) + "\n")


def hears_bare_windows(model: Path) -> bool:
    """Whether a model was trained to hear windows without silence after them. Raises CheckpointError."""
    return _place(model).exists() and read_training_record(model).context == AudioContext.FIT


def read_training_record(model: Path) -> TrainingRecord:
    """Read that of a model's folder, or of a file in it. Raises CheckpointError."""
    path = _place(model)
    if not path.exists():
        raise CheckpointError(
            f"{path}: no such file; expected a model of `auricle train`, which says there how much it was trained"
        )
    try:
        return TrainingRecord(**read_json_object(path))
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"{path}: {error}; `auricle export` writes it anew from the run") from error


def _place(model: Path) -> Path:
    return (model if model.is_dir() else model.parent) / FILE
