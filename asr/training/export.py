"""A checkpoint of a run → a model folder that the service and the evaluation load. Knows no training.

Only checkpoints of one's own runs: torch's format holds pickled parts.
"""

from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from asr.checkpoint import Checkpoint, save_checkpoint
from asr.checkpoint.training_record import TrainingRecord, write_training_record
from asr.errors import TrainingError
from asr.model import ModelDimensions, Whisper
from asr.training.building import TOKENIZER, chosen_parts
from asr.training.lora import adapt, merged
from asr.training.options import Parts
from asr.training.run_folder import RunFolder, load_state, read_facts

__all__ = ["export", "find_checkpoint"]

PREFIX = "whisper."  # where every objective has the model


def find_checkpoint(path: Path) -> Path:
    """A checkpoint itself, or the last one of a run's folder. Raises TrainingError."""
    if (path / ".metadata").exists():
        return path
    read_facts(path)
    found = RunFolder(path).checkpoints()
    if not found:
        raise TrainingError(f"{path}: the run has no checkpoint yet")
    return found[-1][1]


def export(checkpoint: Path, out: Path) -> None:
    """Write ``model.safetensors``, ``tokenizer.json`` and ``training.json``. Raises TrainingError, OSError."""
    run = checkpoint.parents[1]
    facts = read_facts(run)
    dims = ModelDimensions(**facts["model"]["dims"])
    recipe = facts["recipe"]
    state: dict[str, Any] = {
        "step": 0,
        "audio_s": 0.0,
        "model": _empty(dims, lora=recipe["lora"], parts=Parts(recipe["parts"])),
    }
    load_state(checkpoint, state, alone=True)
    weights = merged({name.removeprefix(PREFIX): tensor for name, tensor in state["model"].items()})
    model = Checkpoint(
        dims=dims,
        state_dict=weights,
        tokenizer_path=run / TOKENIZER,
        alignment_heads=tuple((layer, head) for layer, head in facts["model"]["alignment_heads"]),
        source_sha256=_digest(weights),
    )
    save_checkpoint(model, out)
    write_training_record(_record(facts, step=state["step"], audio_s=state["audio_s"]), out)


def _record(facts: Mapping[str, Any], *, step: int, audio_s: float) -> TrainingRecord:
    recipe, examples = facts["recipe"], facts["examples"]
    return TrainingRecord(
        preset=recipe["start"].get("preset"),
        updates=step,
        examples=examples["number"],
        examples_seen=step * recipe["batch"],
        audio_hours=examples["audio_s"] / 3600,
        audio_hours_seen=audio_s / 3600,
        context=recipe["context"],
    )


def _empty(dims: ModelDimensions, *, lora: int, parts: Parts) -> dict[str, Tensor]:
    """Room for the parameters of a run, adapters too."""
    with torch.device("meta"):
        whisper = Whisper(dims)
        for part in chosen_parts(whisper, parts) if lora else ():
            adapt(part, lora)
    return {PREFIX + name: torch.empty_like(tensor, device="cpu") for name, tensor in whisper.state_dict().items()}


def _digest(weights: dict[str, Tensor]) -> str:
    """What tells one model from another where answers are remembered."""
    digest = sha256()
    for name in sorted(weights):
        digest.update(name.encode())
        digest.update(weights[name].contiguous().numpy().data)
    return digest.hexdigest()
