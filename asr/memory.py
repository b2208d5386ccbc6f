"""Freed memory back to the operating system.

glibc keeps the holes between what lives, and each batch of windows frees tensors of other sizes: without this, three
hours of recording held 1.4 GB more than ten seconds (docs/results.md).
"""

import ctypes
import ctypes.util
from functools import lru_cache
from typing import Any

__all__ = ["release_freed_memory"]


def release_freed_memory() -> None:
    """By glibc's ``malloc_trim``; with another C library nothing happens."""
    trim = _malloc_trim()
    if trim is not None:
        trim(0)


@lru_cache(maxsize=1)
def _malloc_trim() -> Any:
    name = ctypes.util.find_library("c")
    return getattr(ctypes.CDLL(name), "malloc_trim", None) if name else None
