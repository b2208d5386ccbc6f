"""A checkpoint of a run → a model folder that the service and the evaluation load. Knows no training.

Only checkpoints of one's own runs: torch's format holds pickled parts.
"""

import pickle
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.distributed.checkpoint.filesystem import FileSystemReader
from torch.distributed.checkpoint.metadata import TensorStorageMetadata

from asr.checkpoint import Checkpoint, save_checkpoint
from asr.checkpoint.training_record import TrainingRecord, write_training_record
from asr.draft_head import DRAFT_HEAD, save_draft_head
from asr.errors import TrainingError
from asr.model import ModelDimensions, Whisper
from asr.training.building import TOKENIZER, chosen_parts
from asr.training.lora import adapt, merged
from asr.training.options import Parts
from asr.training.run_folder import RunFolder, load_state, read_facts

__all__ = ["export", "find_checkpoint"]

PREFIX = "whisper."  # where every objective has the model
HEAD = "head."  # and one of them its head


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
    """Write ``model.safetensors``, ``tokenizer.json`` and ``training.json``, and a draft head where one was trained.

    Raises TrainingError, OSError.
    """
    run = checkpoint.parents[1]
    facts = read_facts(run)
    dims = ModelDimensions(**facts["model"]["dims"])
    recipe = facts["recipe"]
    state: dict[str, Any] = {
        "step": 0,
        "audio_s": 0.0,
        "model": _empty(dims, lora=recipe["lora"], parts=Parts(recipe["parts"])) | _empty_head(checkpoint),
    }
    load_state(checkpoint, state, alone=True)
    weights = merged(_below(PREFIX, state["model"]))
    model = Checkpoint(
        dims=dims,
        state_dict=weights,
        tokenizer_path=run / TOKENIZER,
        alignment_heads=tuple((layer, head) for layer, head in facts["model"]["alignment_heads"]),
        source_sha256=_digest(weights),
    )
    save_checkpoint(model, out)
    write_training_record(_record(facts, step=state["step"], audio_s=state["audio_s"]), out)
    head = _below(HEAD, state["model"])
    if head:
        save_draft_head(head, out / DRAFT_HEAD)


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


def _empty_head(checkpoint: Path) -> dict[str, Tensor]:
    """Room for a draft head, if the checkpoint has one; its sizes depend on the shards that it learned from."""
    try:
        stored = FileSystemReader(checkpoint).read_metadata().state_dict_metadata
    except (OSError, EOFError, pickle.UnpicklingError) as error:
        raise TrainingError(f"{checkpoint}: not a checkpoint of a run: {error}") from error
    return {
        name.removeprefix("model."): torch.empty(each.size, dtype=each.properties.dtype)
        for name, each in stored.items()
        if isinstance(each, TensorStorageMetadata) and name.startswith(f"model.{HEAD}")
    }


def _below(prefix: str, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}


def _digest(weights: dict[str, Tensor]) -> str:
    """What tells one model from another where answers are remembered."""
    digest = sha256()
    for name in sorted(weights):
        digest.update(name.encode())
        digest.update(weights[name].contiguous().numpy().data)
    return digest.hexdigest()
