"""A checkpoint to an engine: which backend computes, and how exactly, is decided here, once."""

from contextlib import suppress
from typing import Literal

import torch

from asr.checkpoint import SUMS, Checkpoint, load_model
from asr.decoding.alignment import alignment_heads
from asr.engine.backend import Backend
from asr.engine.engine import Engine
from asr.engine.native import NativeBackend
from asr.engine.static_backend import StaticBackend
from asr.engine.torch_backend import TorchBackend
from asr.errors import InvalidOptionError
from asr.native import NativeModel, PackedWeights, can_pack, kernels, load_packed, pack_state, save_packed
from asr.options import Quantization
from asr.tokenizer import Tokenizer

__all__ = ["DeviceName", "DtypeName", "load_backend", "load_engine"]

PACKED_NAME = "int8.safetensors"

DeviceName = Literal["auto", "cpu", "cuda"]
DtypeName = Literal["auto", "float32", "float16", "bfloat16"]


def load_engine(
    checkpoint: Checkpoint,
    tokenizer: Tokenizer,
    *,
    device: DeviceName = "auto",
    dtype: DtypeName = "auto",
    quantization: Quantization = Quantization.AUTO,
) -> Engine:
    """See Transcriber.load. Raises CheckpointError and InvalidOptionError."""
    target = torch.device("cuda" if device == "auto" and torch.cuda.is_available() else device.replace("auto", "cpu"))
    return Engine(load_backend(checkpoint, target, dtype, quantization), tokenizer)


def load_backend(checkpoint: Checkpoint, device: torch.device, dtype: DtypeName, quantization: Quantization) -> Backend:
    """What an engine computes with. Raises CheckpointError and InvalidOptionError."""
    heads = alignment_heads(checkpoint.alignment_heads, checkpoint.dims)
    library = kernels() if device.type == "cpu" and can_pack(checkpoint.dims) else None
    wants_int8 = quantization == Quantization.INT8 or (quantization == Quantization.AUTO and dtype == "auto")
    if wants_int8 and library is not None:
        return NativeBackend(NativeModel(_packed(checkpoint), checkpoint.dims), heads, library)
    if quantization == Quantization.INT8:
        message = "quantization: got 'int8', which takes built kernels, a CPU with AVX-512 VNNI and heads of width 64"
        raise InvalidOptionError(message, param="quantization")
    model = load_model(checkpoint, device=device, dtype=_dtype(dtype, device))
    return StaticBackend(model, heads) if device.type == "cuda" else TorchBackend(model, heads)


def _packed(checkpoint: Checkpoint) -> PackedWeights:
    """The int8 form of a checkpoint: of a pulled model kept beside it, since mapping a file is faster than packing."""
    folder = checkpoint.tokenizer_path.parent
    path = folder / PACKED_NAME
    packed = load_packed(path, source_sha256=checkpoint.source_sha256)
    if packed is not None:
        return packed
    fresh = pack_state(checkpoint.state_dict, checkpoint.dims)
    if (folder / SUMS).exists():  # nothing is written into folders that are not the store's
        with suppress(OSError):  # a read-only store only makes each start slower
            save_packed(fresh, path, source_sha256=checkpoint.source_sha256)
            return load_packed(path, source_sha256=checkpoint.source_sha256) or fresh
    return fresh


def _dtype(name: DtypeName, device: torch.device) -> torch.dtype:
    if name == "auto":
        if device.type == "cpu":
            return torch.float32
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    return {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}[name]
