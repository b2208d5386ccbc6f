"""Reader of the CTranslate2 container ``model.bin``, version 6. In: a folder. Out: ``Checkpoint``.

    header    u32 version = 6, string spec = "WhisperSpec", u32 revision = 3, u32 n_variables
    string    u16 length including a trailing NUL, then the bytes
    variable  string name, u8 rank, u32 × rank dimensions, u8 dtype, u32 n_bytes, row-major data
    tail      u32 n_aliases, then pairs of strings (alias, target)

Little-endian. Every length is checked against what is left of the file before anything is read or allocated; the
weights stay memory-mapped until they are copied into a model. Knows no hub and no store.
"""

import re
import struct
from math import prod
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from asr.checkpoint.types import Checkpoint, check_parameters, read_alignment_heads, sha256_of
from asr.errors import CheckpointError
from asr.model import ModelDimensions

__all__ = ["is_ctranslate2", "read_ctranslate2"]

VERSION = 6
SPEC = "WhisperSpec"
REVISION = 3
MAX_RANK = 4
DTYPES = {0: np.float32, 1: np.int8, 2: np.int16, 3: np.int32, 4: np.float16}

Array = NDArray[np.generic]

# Each CTranslate2 name pattern and OpenAI's names: one, or several whose rows are stacked in this order.
NAME_MAP: tuple[tuple[str, tuple[str, ...]], ...] = (
    (r"encoder/(conv[12])/(weight|bias)", (r"encoder.\1.\2",)),
    (r"encoder/layer_norm/(gamma|beta)", (r"encoder.ln_post.\1",)),
    (r"decoder/layer_norm/(gamma|beta)", (r"decoder.ln.\1",)),
    (r"decoder/embeddings/weight", (r"decoder.token_embedding.weight",)),
    (r"decoder/position_encodings/encodings", (r"decoder.positional_embedding",)),
    (
        r"(encoder|decoder)/layer_(\d+)/self_attention/linear_0/(weight|bias)",
        (r"\1.blocks.\2.attn.query.\3", r"\1.blocks.\2.attn.key.\3", r"\1.blocks.\2.attn.value.\3"),
    ),
    (r"(encoder|decoder)/layer_(\d+)/self_attention/linear_1/(weight|bias)", (r"\1.blocks.\2.attn.out.\3",)),
    (r"(encoder|decoder)/layer_(\d+)/self_attention/layer_norm/(gamma|beta)", (r"\1.blocks.\2.attn_ln.\3",)),
    (r"decoder/layer_(\d+)/attention/linear_0/(weight|bias)", (r"decoder.blocks.\1.cross_attn.query.\2",)),
    (
        r"decoder/layer_(\d+)/attention/linear_1/(weight|bias)",
        (r"decoder.blocks.\1.cross_attn.key.\2", r"decoder.blocks.\1.cross_attn.value.\2"),
    ),
    (r"decoder/layer_(\d+)/attention/linear_2/(weight|bias)", (r"decoder.blocks.\1.cross_attn.out.\2",)),
    (r"decoder/layer_(\d+)/attention/layer_norm/(gamma|beta)", (r"decoder.blocks.\1.cross_attn_ln.\2",)),
    (r"(encoder|decoder)/layer_(\d+)/ffn/linear_0/(weight|bias)", (r"\1.blocks.\2.mlp.0.\3",)),
    (r"(encoder|decoder)/layer_(\d+)/ffn/linear_1/(weight|bias)", (r"\1.blocks.\2.mlp.2.\3",)),
    (r"(encoder|decoder)/layer_(\d+)/ffn/layer_norm/(gamma|beta)", (r"\1.blocks.\2.mlp_ln.\3",)),
)
# Stored in fp16, within 3e-4: the model recomputes them in float32, as the reference does.
RECOMPUTED = "encoder/position_encodings/encodings"


class _Reader:
    """A cursor over the mapped file that never goes past its end."""

    def __init__(self, path: Path) -> None:
        self.where = path.name
        if path.stat().st_size == 0:
            raise CheckpointError(f"{self.where}: the file is empty")
        self._data = np.memmap(path, dtype=np.uint8, mode="r")
        self._offset = 0

    def take(self, n_bytes: int, what: str) -> NDArray[np.uint8]:
        left = len(self._data) - self._offset
        if n_bytes > left:
            raise CheckpointError(
                f"{self.where}: {what} at byte {self._offset} claims {n_bytes} bytes, but {left} are left; "
                "the file is truncated or damaged"
            )
        self._offset += n_bytes
        return self._data[self._offset - n_bytes : self._offset]

    def number(self, code: str, what: str) -> int:
        return int(struct.unpack("<" + code, self.take(struct.calcsize(code), what).tobytes())[0])

    def string(self, what: str) -> str:
        raw = self.take(self.number("H", f"length of {what}"), what).tobytes()
        try:
            return raw.rstrip(b"\0").decode()
        except UnicodeDecodeError as error:
            raise CheckpointError(f"{self.where}: {what} is not text; the file is damaged") from error

    def variable(self) -> tuple[str, Array]:
        name = self.string("a variable's name")
        rank = self.number("B", f"rank of {name}")
        if rank > MAX_RANK:
            raise CheckpointError(f"{self.where}: {name} has rank {rank}, expected at most {MAX_RANK}")
        shape = tuple(self.number("I", f"shape of {name}") for _ in range(rank))
        code = self.number("B", f"dtype of {name}")
        if code not in DTYPES:
            raise CheckpointError(f"{self.where}: {name} has dtype {code}, expected one of {sorted(DTYPES)}")
        dtype = np.dtype(DTYPES[code])
        n_bytes = self.number("I", f"size of {name}")
        if n_bytes != prod(shape) * dtype.itemsize:
            raise CheckpointError(f"{self.where}: {name} has {n_bytes} bytes, its shape {shape} needs another number")
        return name, self.take(n_bytes, name).view(dtype).reshape(shape)


def is_ctranslate2(path: Path) -> bool:
    """Whether the file begins like a CTranslate2 Whisper container of any version."""
    with path.open("rb") as file:
        head = file.read(6 + len(SPEC))
    return head[6:] == SPEC.encode()


def _read_variables(path: Path) -> dict[str, Array]:
    reader = _Reader(path)
    header = (reader.number("I", "version"), reader.string("spec"), reader.number("I", "revision"))
    if header != (VERSION, SPEC, REVISION):
        raise CheckpointError(f"{path.name}: header says {header}, expected {(VERSION, SPEC, REVISION)}")
    variables = dict(reader.variable() for _ in range(reader.number("I", "number of variables")))
    for _ in range(reader.number("I", "number of aliases")):
        alias, target = reader.string("an alias"), reader.string("an alias's target")
        if (alias, target) != ("decoder/projection/weight", "decoder/embeddings/weight"):
            raise CheckpointError(f"{path.name}: unknown alias {alias} → {target}; only tied embeddings are known")
    return variables


def _to_tensor(array: Array) -> Tensor:
    # The map is read-only and torch has no such tensors: the copy is where the weights enter memory.
    return torch.from_numpy(np.array(array))


def _openai_names(name: str, where: str) -> list[str]:
    """The parameters that a variable holds, in the order in which their rows are stacked."""
    for pattern, templates in NAME_MAP:
        if match := re.fullmatch(pattern, name):
            names = [match.expand(template) for template in templates]
            return [name.replace(".gamma", ".weight").replace(".beta", ".bias") for name in names]
    raise CheckpointError(f"{where}: unknown variable {name}")


def _to_openai(variables: dict[str, Array], where: str) -> dict[str, Tensor]:
    state_dict: dict[str, Tensor] = {}
    for name, array in variables.items():
        if array.ndim == 0 or array.size == 1 or name == RECOMPUTED or name.endswith("alignment_heads"):
            continue  # settings of CTranslate2's own engine, or read elsewhere
        if name.endswith("_scale") or array.dtype == np.int8:
            message = f"{where}: {name} is quantized to int8; convert the model with float16 or float32 weights"
            raise CheckpointError(message)
        targets = _openai_names(name, where)
        if array.shape[0] % len(targets):
            raise CheckpointError(f"{where}: {name} has {array.shape[0]} rows, expected a multiple of {len(targets)}")
        for target, part in zip(targets, np.split(array, len(targets)), strict=True):
            if target.endswith(".key.bias"):
                if np.any(part):
                    raise CheckpointError(f"{where}: {name} stores a key bias that is not zero; Whisper has none")
                continue
            state_dict[target] = _to_tensor(part)
    return state_dict


def _dimensions(variables: dict[str, Array], where: str) -> ModelDimensions:
    def shape(name: str, rank: int) -> tuple[int, ...]:
        if name not in variables:
            raise CheckpointError(f"{where}: no variable {name}; this is not a Whisper model")
        if variables[name].ndim != rank:
            raise CheckpointError(f"{where}: {name} has shape {variables[name].shape}, expected rank {rank}")
        return variables[name].shape

    def scalar(name: str) -> int:
        shape(name, 0)
        return int(variables[name])

    def n_layers(part: str) -> int:
        return len({m[1] for name in variables if (m := re.match(rf"{part}/layer_(\d+)/", name))})

    n_audio_state, n_mels, _ = shape("encoder/conv1/weight", 3)
    n_audio_ctx, _ = shape(RECOMPUTED, 2)
    n_vocab, n_text_state = shape("decoder/embeddings/weight", 2)
    n_text_ctx, _ = shape("decoder/position_encodings/encodings", 2)
    audio_heads, text_heads = scalar("encoder/num_heads"), scalar("decoder/num_heads")
    return ModelDimensions(
        n_mels, n_audio_ctx, n_audio_state, audio_heads, n_layers("encoder"),
        n_vocab, n_text_ctx, n_text_state, text_heads, n_layers("decoder"),
    )  # fmt: skip


def read_ctranslate2(folder: Path) -> Checkpoint:
    """Read ``model.bin`` and ``config.json`` of a CTranslate2 folder. Raises CheckpointError."""
    path = folder / "model.bin"
    variables = _read_variables(path)
    dims = _dimensions(variables, path.name)
    state_dict = _to_openai(variables, path.name)
    check_parameters(state_dict, dims, path.name)
    return Checkpoint(
        dims=dims,
        state_dict=state_dict,
        tokenizer_path=folder / "tokenizer.json",
        alignment_heads=read_alignment_heads(folder / "config.json"),
        source_sha256=sha256_of(path),
    )
