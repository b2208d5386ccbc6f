"""The compiled kernels through ctypes: structures, signatures, and whether this machine has them. Knows no model."""

import ctypes
from ctypes import POINTER, Structure, c_int32, c_int64, c_void_p
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "CHOICE",
    "MAX_RANGES",
    "NEW_TOKEN",
    "CDecoder",
    "CDecoderLayer",
    "CEncoder",
    "CEncoderLayer",
    "CLinear",
    "CNorm",
    "CRowCache",
    "CWatch",
    "CWindowCache",
    "address",
    "kernels",
]

MAX_RANGES = 3


class CNorm(Structure):
    """Layer norm: weight and bias."""

    _fields_ = [("weight", c_void_p), ("bias", c_void_p)]


class CLinear(Structure):
    """Packed int8 weights (src/gemm.hpp)."""

    _fields_ = [
        ("weights", c_void_p),
        ("scales", c_void_p),
        ("sums", c_void_p),
        ("bias", c_void_p),
        ("n_out", c_int32),
        ("n_in", c_int32),
    ]


class CEncoderLayer(Structure):
    """See src/encoder.hpp."""

    _fields_ = [
        ("attention_norm", CNorm),
        ("qkv", CLinear),
        ("out", CLinear),
        ("mlp_norm", CNorm),
        ("expand", CLinear),
        ("shrink", POINTER(CLinear)),
    ]


class CEncoder(Structure):
    """See src/encoder.hpp."""

    _fields_ = [
        ("conv1", CLinear),
        ("conv2", CLinear),
        ("positions", c_void_p),
        ("layers", POINTER(CEncoderLayer)),
        ("final_norm", CNorm),
        ("cross_keys_values", POINTER(CLinear)),
        ("n_layers", c_int32),
        ("n_text_layers", c_int32),
        ("width", c_int32),
        ("n_mels", c_int32),
    ]


class CDecoderLayer(Structure):
    """See src/decoder.hpp."""

    _fields_ = [
        ("attention_norm", CNorm),
        ("qkv", CLinear),
        ("out", CLinear),
        ("cross_norm", CNorm),
        ("cross_query", CLinear),
        ("cross_out", CLinear),
        ("mlp_norm", CNorm),
        ("expand", CLinear),
        ("shrink", POINTER(CLinear)),
    ]


class CDecoder(Structure):
    """See src/decoder.hpp."""

    _fields_ = [
        ("embedding", CLinear),
        ("positions", c_void_p),
        ("layers", POINTER(CDecoderLayer)),
        ("final_norm", CNorm),
        ("n_layers", c_int32),
        ("width", c_int32),
        ("n_text_positions", c_int32),
    ]


class CRowCache(Structure):
    """See src/decoder.hpp."""

    _fields_ = [("cells", c_void_p), ("ancestors", c_void_p), ("n_text_positions", c_int32)]


class CWindowCache(Structure):
    """See src/decoder.hpp."""

    _fields_ = [("cross", c_void_p), ("n_positions", c_int32)]


class CWatch(Structure):
    """See src/decoder.hpp."""

    _fields_ = [
        ("layers", c_void_p),
        ("heads", c_void_p),
        ("weights", c_void_p),
        ("n_heads", c_int32),
        ("stride", c_int32),
        ("targets", c_void_p),
        ("probabilities", c_void_p),
        ("vocabulary_end", c_int32),
    ]


NEW_TOKEN = np.dtype([(name, np.int32) for name in ("token", "position", "row", "window", "wants_logits")])
"""One new token of ``extend``; ``wants_logits`` is the place of its logits, or -1."""

CHOICE = np.dtype(
    [
        ("suppressed", np.uintp),
        ("n_suppressed", np.int32),
        ("ranges", np.int32, (MAX_RANGES, 2)),
        ("timestamp_begin", np.int32),
        ("n_best", np.int32),
        ("temperature", np.float32),
        ("draw", np.float32),
    ],
    align=True,
)
"""How one row chooses its next token (src/selection.hpp)."""


@lru_cache(maxsize=1)
def kernels() -> Any | None:
    """The library; None where it was not built or the processor lacks AVX-512 VNNI."""
    path = next(Path(__file__).parent.glob("_kernels*.so"), None)
    if path is None:
        return None
    library = ctypes.CDLL(str(path))
    if not library.auricle_is_supported():
        return None
    library.auricle_cross_cache_bytes.argtypes = [POINTER(CEncoder), c_int32]
    library.auricle_cross_cache_bytes.restype = c_int64
    library.auricle_encode.argtypes = [POINTER(CEncoder), c_void_p, c_int32, c_void_p, c_void_p]
    library.auricle_extend.argtypes = [
        POINTER(CDecoder), c_void_p, c_int32, POINTER(CRowCache), POINTER(CWindowCache), c_void_p,
        POINTER(CWatch),
    ]  # fmt: skip
    library.auricle_choose.argtypes = [c_void_p, c_int32, c_int64, c_int32, c_void_p, c_int32, c_void_p, c_void_p]
    library.auricle_align.argtypes = [c_void_p, c_int32, c_int32, c_int64, c_int32, c_int32, c_void_p]
    library.auricle_set_threads.argtypes = [c_int32]
    return library


def address(array: NDArray[Any]) -> int:
    """Where an array's memory begins; the caller keeps the array alive."""
    return array.ctypes.data
