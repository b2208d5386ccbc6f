"""Any model file to ``Checkpoint``, ``Checkpoint`` to a ready model, and our own cached form. Knows no store.

Our own form is one ``model.safetensors`` under OpenAI's names, memory-mapped at load, whose header carries dimensions,
alignment heads and the digest of the published file.
"""

import json
import shutil
from dataclasses import asdict
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from asr.checkpoint.ctranslate2 import is_ctranslate2, read_ctranslate2
from asr.checkpoint.huggingface import read_huggingface
from asr.checkpoint.openai import read_openai
from asr.checkpoint.types import Checkpoint, check_parameters
from asr.errors import CheckpointError, UnknownModelError
from asr.model import ModelDimensions, Whisper, sinusoids

__all__ = ["load_model", "read_checkpoint", "save_checkpoint"]

FORMAT = "auricle-1"


def _metadata(path: Path) -> dict[str, str]:
    try:
        with safe_open(path, framework="pt") as file:
            return dict(file.metadata() or {})
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{path.name}: not a safetensors file: {error}") from error


def _read_own(path: Path, metadata: dict[str, str]) -> Checkpoint:
    try:
        dims = ModelDimensions(**json.loads(metadata["dims"]))
        heads = tuple((layer, head) for layer, head in json.loads(metadata["alignment_heads"]))
        source_sha256 = metadata["source_sha256"]
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path.name}: its header does not describe the model: {error}") from error
    with safe_open(path, framework="pt") as file:
        state_dict = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
    check_parameters(state_dict, dims, path.name)
    return Checkpoint(
        dims=dims,
        state_dict=state_dict,
        tokenizer_path=path.with_name("tokenizer.json"),
        alignment_heads=heads,
        source_sha256=source_sha256,
    )


def save_checkpoint(checkpoint: Checkpoint, folder: Path) -> None:
    """Write ``model.safetensors`` and ``tokenizer.json`` into ``folder``, in the precision the weights came in."""
    folder.mkdir(parents=True, exist_ok=True)
    if not checkpoint.tokenizer_path.exists():
        raise CheckpointError(
            f"no tokenizer.json beside the weights; copy the one of a model with {checkpoint.dims.n_vocab} tokens there"
        )
    metadata = {
        "format": FORMAT,
        "dims": json.dumps(asdict(checkpoint.dims)),
        "alignment_heads": json.dumps(checkpoint.alignment_heads),
        "source_sha256": checkpoint.source_sha256,
    }
    state_dict = {name: tensor.contiguous() for name, tensor in checkpoint.state_dict.items()}
    # Under another name first: a reader sees the whole file or none.
    partial = folder / "model.safetensors.partial"
    save_file(state_dict, partial, metadata=metadata)
    partial.rename(folder / "model.safetensors")
    if checkpoint.tokenizer_path.resolve() != (folder / "tokenizer.json").resolve():
        shutil.copyfile(checkpoint.tokenizer_path, folder / "tokenizer.json")


def read_checkpoint(path: Path, *, expected_sha256: str | None = None) -> Checkpoint:
    """Read a model folder or file of any known format, telling the formats apart by content.

    ``expected_sha256`` is for ``.pt`` files alone. Raises UnknownModelError when nothing is there and CheckpointError,
    or DigestMismatchError, when it cannot be used.
    """
    if not path.exists():
        raise UnknownModelError(f"{path}: no such file or folder")
    if path.is_file():
        if path.suffix == ".pt":
            return read_openai(path, expected_sha256=expected_sha256)
        path = path.parent
    safetensors = path / "model.safetensors"
    if safetensors.exists():
        metadata = _metadata(safetensors)
        if metadata.get("format") == FORMAT:
            return _read_own(safetensors, metadata)
    if (path / "model.bin").exists() and is_ctranslate2(path / "model.bin"):
        return read_ctranslate2(path)
    if (path / "config.json").exists():
        return read_huggingface(path)
    expected = "model.safetensors (Auricle or Hugging Face), a CTranslate2 model.bin, or an OpenAI .pt file"
    raise CheckpointError(f"{path.name}: no model found here, expected {expected}")


def load_model(checkpoint: Checkpoint, *, device: torch.device, dtype: torch.dtype) -> Whisper:
    """A model in evaluation mode with the checkpoint's weights, converted to ``dtype`` on ``device``."""
    with torch.device("meta"):  # no memory for weights that are replaced at once
        model = Whisper(checkpoint.dims)
    state_dict = {name: tensor.to(device=device, dtype=dtype) for name, tensor in checkpoint.state_dict.items()}
    model.load_state_dict(state_dict, assign=True)
    positions = sinusoids(checkpoint.dims.n_audio_ctx, checkpoint.dims.n_audio_state)
    model.encoder.positional_embedding = positions.to(device)
    return model.eval().requires_grad_(False)
