"""Which models are on this machine. In: a name or a path. Out: where it would lie, and whether anything does.

Reads no file and imports no torch: the service asks before it starts a worker.
"""

import os
from pathlib import Path

from asr.errors import UnknownModelError

__all__ = ["SUMS", "check_model_exists", "model_folder", "models_root"]

SUMS = "SHA256SUMS"  # the last file written to a model's folder


def models_root() -> Path:
    """Folder of all models: ``AURICLE_MODEL_DIR``, or one in the user's cache."""
    return Path(os.environ.get("AURICLE_MODEL_DIR") or Path.home() / ".cache" / "auricle" / "models")


def model_folder(root: Path, model: str) -> Path:
    """Where a model of this name lies once it was pulled."""
    return root / model.replace("/", "--")


def check_model_exists(model: str) -> None:
    """Raise UnknownModelError, telling how to get it, where there is neither a pulled model nor a path of this name."""
    if not (model_folder(models_root(), model) / SUMS).exists() and not Path(model).expanduser().exists():
        message = f"model: got {model!r}, expected a path or a model on this machine"
        raise UnknownModelError(f"{message}; `auricle models list` names those that `auricle models pull` fetches")
