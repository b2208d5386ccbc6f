"""What a machine can do at most, for engines to be held against. Run as a script, it prints one line of JSON.

    python ceilings.py THREADS

Matrix products of the shapes of Whisper base (1,500 positions, width 512), its encoder's attention, and reading memory.
Knows no engine.
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

__all__ = ["cpu_name", "measure_ceilings"]

SECONDS = 0.4  # of each kind of work
POSITIONS, WIDTH, HEADS = 1500, 512, 8
READ_BYTES = 256 << 20


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
    sys.stdout.write(json.dumps(measure_ceilings(int(sys.argv[1]))) + "\n")
