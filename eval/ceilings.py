"""What a machine can do at most, for engines to be held against. Run as a script, it prints one line of JSON.

    python ceilings.py THREADS
    python ceilings.py cuda

Of a CPU matrix products of the shapes of Whisper base (1,500 positions, width 512), its encoder's attention, and
reading memory; of a GPU those of large-v3, in float16, eight windows at a time. Knows no engine.
"""

import json
import os
import platform
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

__all__ = ["cpu_name", "measure_ceilings", "measure_device_ceilings"]

SECONDS = 0.4  # of each kind of work
POSITIONS, WIDTH, HEADS = 1500, 512, 8
READ_BYTES = 256 << 20
DEVICE_WINDOWS, DEVICE_WIDTH, DEVICE_HEADS = 8, 1280, 20
DEVICE_READ_BYTES = 4 << 30


def measure_ceilings(threads: int) -> dict[str, Any]:
    """The machine's name, and its best rates with so many threads."""
    import torch
    from torch.nn.functional import scaled_dot_product_attention

    torch.set_num_threads(threads)
    rows, wide = torch.randn(POSITIONS, WIDTH), torch.randn(WIDTH, 4 * WIDTH)
    small_rows = torch.randint(-127, 127, rows.shape, dtype=torch.int8)
    small_wide = torch.randint(-127, 127, wide.shape, dtype=torch.int8)
    heads = torch.randn(1, HEADS, POSITIONS, WIDTH // HEADS)
    block = torch.ones(READ_BYTES // 4)
    product = 2 * POSITIONS * WIDTH * 4 * WIDTH
    attention = 4 * POSITIONS * POSITIONS * WIDTH
    with torch.inference_mode():
        return {
            "cpu": cpu_name(),
            "cores": os.cpu_count(),
            "threads": threads,
            "torch": torch.__version__,
            "float32_gflops": _rate(lambda: rows @ wide, product),
            "int8_gops": _rate(lambda: torch._int_mm(small_rows, small_wide), product),
            "attention_gflops": _rate(lambda: scaled_dot_product_attention(heads, heads, heads), attention),
            "read_gb_a_second": _rate(block.sum, READ_BYTES),
        }


def measure_device_ceilings(
    device: str, *, windows: int = DEVICE_WINDOWS, read_bytes: int = DEVICE_READ_BYTES
) -> dict[str, Any]:
    """The device's name, and its best rates in float16; on a CPU, where only this code is tried, in float32."""
    import torch
    from torch.nn.functional import scaled_dot_product_attention

    is_cuda = device == "cuda"
    settings: dict[str, Any] = {"device": device, "dtype": torch.float16 if is_cuda else torch.float32}
    rows = torch.randn(windows * POSITIONS, DEVICE_WIDTH, **settings)
    wide = torch.randn(DEVICE_WIDTH, 4 * DEVICE_WIDTH, **settings)
    heads = torch.randn(windows, DEVICE_HEADS, POSITIONS, DEVICE_WIDTH // DEVICE_HEADS, **settings)
    block = torch.ones(read_bytes // settings["dtype"].itemsize, **settings)

    def rate(work: Callable[[], object], size: int) -> float:
        def finish() -> None:
            work()
            if is_cuda:
                torch.cuda.synchronize()

        return _rate(finish, size)

    with torch.inference_mode():
        return {
            "device": torch.cuda.get_device_name() if is_cuda else cpu_name(),
            "cuda": torch.version.cuda if is_cuda else None,
            "memory_gb": torch.cuda.get_device_properties(0).total_memory / 1e9 if is_cuda else None,
            "torch": torch.__version__,
            "product_gflops": rate(lambda: rows @ wide, 2 * rows.numel() * wide.shape[1]),
            "attention_gflops": rate(
                lambda: scaled_dot_product_attention(heads, heads, heads), 4 * POSITIONS * rows.numel()
            ),
            "read_gb_a_second": rate(block.amax, read_bytes),
        }


def _rate(work: Callable[[], object], size: int) -> float:
    """Billions a second, in the fastest of the calls: what else runs on the machine only slows them."""
    best = float("inf")
    end = time.perf_counter() + SECONDS
    while time.perf_counter() < end:
        started = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - started)
    return round(size / best / 1e9, 1)


def cpu_name() -> str:
    """As the processor calls itself."""
    try:
        found = re.search(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(encoding="utf-8"), re.MULTILINE)
    except OSError:
        found = None
    return found[1] if found else platform.processor() or platform.machine()


if __name__ == "__main__":
    asked = sys.argv[1]
    found = measure_ceilings(int(asked)) if asked.isdigit() else measure_device_ceilings(asked)
    sys.stdout.write(json.dumps(found) + "\n")
