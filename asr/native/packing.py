"""Float32 weights to the int8 form that the kernels read. In: OpenAI's state dict. Out: packed arrays by name.

The packed form is a safetensors file of its own beside the model, memory-mapped at load: a process that starts reads
only the pages it touches, and several share them.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from asr.model import ModelDimensions, sinusoids

__all__ = ["PackedWeights", "can_pack", "load_packed", "pack_state", "pack_weights", "save_packed", "smooth"]

PANEL = 64  # output channels that lie together (src/gemm.hpp)
HEAD = 64  # channels of every head (src/attention.hpp)
QUARTERS = 4  # of a feed-forward's hidden channels, each with scales of its own
LANES = 16
ALIGNMENT = 64  # bytes of a vector: one that crosses two cache lines costs twice
FORMAT = "auricle-int8-1"
SMOOTHING = 0.8  # of 0.65, 0.8 and 0.9 the one with the least error in the encoder's output (docs/performance.md)
TINY = 1e-6

PackedWeights = Mapping[str, Tensor]
Array = NDArray[Any]


def can_pack(dims: ModelDimensions) -> bool:
    """Whether the kernels know this shape: heads of 64 channels, as in every published size."""
    widths = ((dims.n_audio_state, dims.n_audio_head), (dims.n_text_state, dims.n_text_head))
    return (
        all(width == HEAD * heads for width, heads in widths)
        and dims.n_audio_state == dims.n_text_state
        and 3 * dims.n_mels % LANES == 0
    )


def pack_weights(weights: Array) -> tuple[Array, Array, Array]:
    """(N, K) float32 → int8 panels [N / 64][K / 4][64][4], float32 scales and int32 sums of N channels.

    Symmetric, one scale an output channel; N is filled up with zeros to whole panels.
    """
    n_out, n_in = weights.shape
    padded = np.zeros((-(-n_out // PANEL) * PANEL, n_in), np.float32)
    padded[:n_out] = weights
    peak = np.abs(padded).max(axis=1)
    scales = (peak / 127).astype(np.float32)
    inverse = np.divide(127.0, peak, out=np.zeros_like(peak), where=peak > 0)
    quantized = np.rint(padded * inverse[:, None]).astype(np.int8)
    sums = quantized.sum(axis=1, dtype=np.int32)
    panels = quantized.reshape(-1, PANEL, n_in // 4, 4).transpose(0, 2, 1, 3)
    return np.ascontiguousarray(panels), scales, sums


def _layers(name: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The products of one block: our name, and the layers over the same input that become one."""
    yield f"{name}.qkv", tuple(f"{name}.attn.{part}" for part in ("query", "key", "value"))
    yield f"{name}.out", (f"{name}.attn.out",)
    yield f"{name}.expand", (f"{name}.mlp.0",)


def _products(dims: ModelDimensions) -> Iterator[tuple[str, tuple[str, ...]]]:
    for i in range(dims.n_audio_layer):
        yield from _layers(f"encoder.blocks.{i}")
    for i in range(dims.n_text_layer):
        name = f"decoder.blocks.{i}"
        yield from _layers(name)
        yield f"{name}.cross_query", (f"{name}.cross_attn.query",)
        yield f"{name}.cross_out", (f"{name}.cross_attn.out",)
        yield f"{name}.cross_keys_values", (f"{name}.cross_attn.key", f"{name}.cross_attn.value")


def smooth(state: Mapping[str, Tensor], dims: ModelDimensions) -> dict[str, Tensor]:
    """Move the difficulty of quantizing from activations to weights (SmoothQuant, arXiv:2211.10438), uncalibrated.

    A layer norm's output is large where its weight and bias are: dividing those, and multiplying the columns that read
    them, changes nothing in the product but lets a row's small channels keep their digits.
    """
    smoothed = dict(state)
    readers = {"attn_ln": ("attn.query", "attn.key", "attn.value"), "mlp_ln": ("mlp.0",)}
    blocks = [(f"encoder.blocks.{i}", readers) for i in range(dims.n_audio_layer)]
    blocks += [
        (f"decoder.blocks.{i}", {**readers, "cross_attn_ln": ("cross_attn.query",)}) for i in range(dims.n_text_layer)
    ]
    for block, norms in blocks:
        for norm, layers in norms.items():
            names = [f"{block}.{layer}.weight" for layer in layers]
            weights, bias = (state[f"{block}.{norm}.{part}"].float() for part in ("weight", "bias"))
            activation = weights.abs() + bias.abs()
            column = torch.stack([state[name].float().abs().amax(dim=0) for name in names]).amax(dim=0)
            factor = activation.clamp(min=TINY) ** SMOOTHING / column.clamp(min=TINY) ** (1 - SMOOTHING)
            factor = factor / factor.log().mean().exp()
            smoothed[f"{block}.{norm}.weight"] = weights / factor
            smoothed[f"{block}.{norm}.bias"] = bias / factor
            smoothed.update({name: state[name].float() * factor for name in names})
    return smoothed


def _blocks(dims: ModelDimensions) -> tuple[tuple[str, int], ...]:
    return (("encoder", dims.n_audio_layer), ("decoder", dims.n_text_layer))


def pack_state(state: Mapping[str, Tensor], dims: ModelDimensions) -> dict[str, Tensor]:
    """Quantize and pack a whole checkpoint: products as NAME.panels, .scales, .sums, .bias, all else float32."""
    state = smooth(state, dims)
    packed: dict[str, Tensor] = {}

    def add(name: str, weights: Array, bias: Array | None) -> None:
        panels, scales, sums = pack_weights(weights)
        parts = {"panels": panels, "scales": scales, "sums": sums}
        if bias is not None:
            parts["bias"] = bias
        packed.update({f"{name}.{part}": torch.from_numpy(array) for part, array in parts.items()})

    def bias_of(name: str) -> Array:
        weights = state[f"{name}.weight"]
        return _numpy(state.get(f"{name}.bias", torch.zeros(len(weights))))  # the key projection has none

    for block in [f"{part}.blocks.{i}" for part, n in _blocks(dims) for i in range(n)]:
        weights = _numpy(state[f"{block}.mlp.2.weight"])
        bias = bias_of(f"{block}.mlp.2")
        for part, quarter in enumerate(np.split(weights, QUARTERS, axis=1)):
            add(f"{block}.shrink.{part}", quarter, bias if part == 0 else None)
    for name, sources in _products(dims):
        weights = np.concatenate([_numpy(state[f"{source}.weight"]) for source in sources])
        add(name, weights, np.concatenate([bias_of(source) for source in sources]))
    for name in ("encoder.conv1", "encoder.conv2"):
        # (out, in, 3) → rows of three frames side by side
        weights = _numpy(state[f"{name}.weight"]).transpose(0, 2, 1)
        add(name, weights.reshape(len(weights), -1), bias_of(name))
    add("decoder.token_embedding", _numpy(state["decoder.token_embedding.weight"]), None)
    packed["encoder.positional_embedding"] = sinusoids(dims.n_audio_ctx, dims.n_audio_state)
    packed["decoder.positional_embedding"] = state["decoder.positional_embedding"].float().contiguous()
    packed |= {
        name: tensor.float().contiguous()
        for name, tensor in state.items()
        if "_ln." in name or ".ln." in name or ".ln_post." in name
    }
    return packed


def _numpy(tensor: Tensor) -> Array:
    array: Array = tensor.float().numpy()
    return array


def save_packed(packed: PackedWeights, path: Path, *, source_sha256: str) -> None:
    """Write the packed form; every array begins at a multiple of 64 bytes of the file. Raises OSError."""
    file = save(dict(packed), metadata={"format": FORMAT, "source_sha256": source_sha256})
    # The file is the header's length in 8 bytes, the header, which may end in spaces, and the arrays.
    end = 8 + int.from_bytes(file[:8], "little")
    padding = -end % ALIGNMENT
    # Under another name first: a reader sees the whole file or none, and of two writers each has its own.
    with NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}-", delete=False) as partial:
        try:
            partial.write((end - 8 + padding).to_bytes(8, "little"))
            partial.write(file[8:end] + b" " * padding)
            partial.write(memoryview(file)[end:])
            partial.close()
            Path(partial.name).rename(path)
        except OSError:
            Path(partial.name).unlink(missing_ok=True)
            raise


def load_packed(path: Path, *, source_sha256: str) -> dict[str, Tensor] | None:
    """The packed form of a checkpoint, mapped; None when there is none of this checkpoint and version."""
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            if (metadata.get("format"), metadata.get("source_sha256")) != (FORMAT, source_sha256):
                return None
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
    except (OSError, SafetensorError):
        return None
