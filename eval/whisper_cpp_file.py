"""Our weights in the file that whisper.cpp reads. In: a checkpoint. Out: its model file, weights in q8_0.

The layout is that of its ``convert-pt-to-ggml.py``: sizes, Mel filters, the vocabulary as bytes, then tensors. Matrices
are stored in blocks of 32 numbers with a float16 scale each, convolutions in float16, the rest in float32.
"""

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from numpy.typing import NDArray

from asr.checkpoint import Checkpoint, load_model
from asr.features import mel_filters

__all__ = ["write_whisper_cpp"]

MAGIC = 0x67676D6C  # "ggml"
FLOAT32, FLOAT16, Q8_0 = 0, 1, 8  # types of tensors
FILE_TYPE = 2007  # most tensors in q8_0 (7), of the second version of the quantized forms (2000)
BLOCK = 32
SIZES = (
    "n_vocab", "n_audio_ctx", "n_audio_state", "n_audio_head", "n_audio_layer", "n_text_ctx", "n_text_state",
    "n_text_head", "n_text_layer", "n_mels",
)  # fmt: skip


def write_whisper_cpp(checkpoint: Checkpoint, target: Path) -> None:
    """As whisper.cpp reads them."""
    model = load_model(checkpoint, device=torch.device("cpu"), dtype=torch.float32)
    weights = dict(model.state_dict()) | {"encoder.positional_embedding": model.encoder.positional_embedding}
    filters = mel_filters(checkpoint.dims.n_mels, torch.device("cpu")).numpy()
    tokens = list(_tokens(checkpoint.tokenizer_path))
    with target.open("wb") as file:
        file.write(struct.pack("i", MAGIC))
        file.write(struct.pack("10i", *(getattr(checkpoint.dims, name) for name in SIZES)))
        file.write(struct.pack("i", FILE_TYPE))
        file.write(struct.pack("2i", *filters.shape) + filters.astype("<f4").tobytes())
        file.write(struct.pack("i", len(tokens)))
        for token in tokens:
            file.write(struct.pack("i", len(token)) + token)
        for name, tensor in weights.items():
            _write_tensor(file, name, tensor.numpy())


def _tokens(tokenizer_path: Path) -> Iterator[bytes]:
    """Of text, in order of their ids."""
    vocabulary = json.loads(tokenizer_path.read_text(encoding="utf-8"))["model"]["vocab"]
    byte_of = _byte_of_letter()
    for token in sorted(vocabulary, key=vocabulary.__getitem__):
        if not token.startswith("<|"):
            yield bytes(byte_of[letter] for letter in token)


def _byte_of_letter() -> dict[str, int]:
    """GPT-2's alphabet: printable bytes stand for themselves, the others for letters from U+0100 on, in order."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(0x100 + i): byte for i, byte in enumerate(others)}


def _write_tensor(file: BinaryIO, name: str, values: NDArray[np.float32]) -> None:
    if name.endswith(("conv1.bias", "conv2.bias")):
        values = values[:, None]
    if values.ndim == 3:
        kind, data = FLOAT16, values.astype("<f2").tobytes()
    elif values.ndim == 2 and name.endswith("weight"):
        kind, data = Q8_0, _blocks(values)
    else:
        kind, data = FLOAT32, values.astype("<f4").tobytes()
    encoded = name.encode()
    file.write(struct.pack("3i", values.ndim, len(encoded), kind))
    file.write(struct.pack(f"{values.ndim}i", *reversed(values.shape)) + encoded + data)


def _blocks(values: NDArray[np.float32]) -> bytes:
    """q8_0: of every 32 numbers a float16 scale, then the numbers as int8."""
    rows = values.reshape(-1, BLOCK)
    scales = np.abs(rows).max(axis=1, keepdims=True) / 127
    inverse = np.divide(1, scales, out=np.zeros_like(scales), where=scales > 0)
    packed = np.empty(len(rows), np.dtype([("scale", "<f2"), ("numbers", "i1", BLOCK)]))
    packed["scale"] = scales[:, 0]
    packed["numbers"] = np.rint(rows * inverse)
    return packed.tobytes()
