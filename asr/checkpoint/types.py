"""What a checkpoint is, and the checks that its readers share. Knows no format of weights."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from torch import Tensor

from asr.errors import CheckpointError
from asr.model import ModelDimensions

__all__ = ["Checkpoint", "check_parameters", "read_alignment_heads", "read_json_object", "sha256_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """Dimensions, weights under OpenAI's names, and the tokenizer that travels with them."""

    dims: ModelDimensions
    state_dict: Mapping[str, Tensor]
    tokenizer_path: Path
    alignment_heads: tuple[tuple[int, int], ...] = ()
    """(layer, head) pairs whose cross-attention follows the audio; empty when the file does not say."""
    source_sha256: str
    """Digest of the file that the weights were published in."""


def sha256_of(path: Path) -> str:
    """Hexadecimal digest of a file."""
    digest = sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def read_json_object(path: Path) -> dict[str, Any]:
    """A JSON object. Raises CheckpointError for anything else."""
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path.name}: cannot be read as JSON: {error}") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{path.name}: got {type(content).__name__}, expected a JSON object")
    return content


def read_alignment_heads(path: Path) -> tuple[tuple[int, int], ...]:
    """(layer, head) pairs under ``alignment_heads``; none when the file is not there or does not say."""
    heads = read_json_object(path).get("alignment_heads") if path.exists() else None
    try:
        return tuple((int(layer), int(head)) for layer, head in heads or ())
    except (TypeError, ValueError) as error:
        raise CheckpointError(
            f"{path.name}: alignment_heads: got {heads!r}, expected pairs of layer and head"
        ) from error


def check_parameters(state_dict: Mapping[str, Tensor], dims: ModelDimensions, where: str) -> None:
    """Raise CheckpointError unless the names and shapes are exactly those of a model with these dimensions."""
    expected = _expected_shapes(dims)
    missing = sorted(expected.keys() - state_dict.keys())
    unknown = sorted(state_dict.keys() - expected.keys())
    if missing or unknown:
        raise CheckpointError(
            f"{where}: {len(missing)} parameters missing {missing[:3]}, {len(unknown)} unknown {unknown[:3]}"
        )
    for name, shape in expected.items():
        if tuple(state_dict[name].shape) != shape:
            raise CheckpointError(f"{where}: {name} has shape {tuple(state_dict[name].shape)}, expected {shape}")


def _expected_shapes(dims: ModelDimensions) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {
        "decoder.token_embedding.weight": (dims.n_vocab, dims.n_text_state),
        "decoder.positional_embedding": (dims.n_text_ctx, dims.n_text_state),
        "encoder.conv1.weight": (dims.n_audio_state, dims.n_mels, 3),
        "encoder.conv1.bias": (dims.n_audio_state,),
        "encoder.conv2.weight": (dims.n_audio_state, dims.n_audio_state, 3),
        "encoder.conv2.bias": (dims.n_audio_state,),
        **_pair("encoder.ln_post", dims.n_audio_state),
        **_pair("decoder.ln", dims.n_text_state),
    }
    for layer in range(dims.n_audio_layer):
        shapes |= _block_shapes(f"encoder.blocks.{layer}", dims.n_audio_state, attentions=("attn",))
    for layer in range(dims.n_text_layer):
        shapes |= _block_shapes(f"decoder.blocks.{layer}", dims.n_text_state, attentions=("attn", "cross_attn"))
    return shapes


def _pair(prefix: str, n_out: int, n_in: int | None = None) -> dict[str, tuple[int, ...]]:
    weight = (n_out,) if n_in is None else (n_out, n_in)
    return {f"{prefix}.weight": weight, f"{prefix}.bias": (n_out,)}


def _block_shapes(prefix: str, width: int, *, attentions: tuple[str, ...]) -> dict[str, tuple[int, ...]]:
    shapes = _pair(f"{prefix}.mlp.0", 4 * width, width) | _pair(f"{prefix}.mlp.2", width, 4 * width)
    shapes |= _pair(f"{prefix}.mlp_ln", width)
    for attention in attentions:
        shapes |= _pair(f"{prefix}.{attention}_ln", width)
        for projection in ("query", "value", "out"):
            shapes |= _pair(f"{prefix}.{attention}.{projection}", width, width)
        shapes[f"{prefix}.{attention}.key.weight"] = (width, width)
    return shapes
