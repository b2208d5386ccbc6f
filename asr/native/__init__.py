"""Compiled int8 kernels for CPUs with AVX-512 VNNI, and the form of the weights that they read."""

from asr.native.library import kernels
from asr.native.packing import PackedWeights, can_pack, load_packed, pack_state, save_packed
from asr.native.structures import NativeModel

__all__ = ["NativeModel", "PackedWeights", "can_pack", "kernels", "load_packed", "pack_state", "save_packed"]
