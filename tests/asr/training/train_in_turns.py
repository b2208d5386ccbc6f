"""``auricle train`` with DDP, then with FSDP, as one of two processes.

Arguments: rank, two ports, a folder, the recipe.
What torchrun says in the environment is said here, so that one start of Python serves for both.
"""

import os
import sys
from pathlib import Path

from typer.testing import CliRunner

from asr.cli import app

rank, *ports, folder = sys.argv[1:5]
os.environ |= {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1"}
for parallel, port in zip(("ddp", "fsdp"), ports, strict=True):
    os.environ["MASTER_PORT"] = port
    options = ["--micro-batch", "1", "--parallel", parallel, "--out", str(Path(folder) / parallel)]
    result = CliRunner().invoke(app, ["train", *sys.argv[5:], *options], catch_exceptions=False)
    if result.exit_code:
        sys.exit(result.stderr)
