"""The JSON files beside the weights. In: a path. Out: its content, checked. Knows no weights."""

import json
from pathlib import Path
from typing import Any

from asr.errors import CheckpointError

__all__ = ["read_alignment_heads", "read_json_object"]


def read_json_object(path: Path) -> dict[str, Any]:
    """A JSON object. Raises CheckpointError for anything else."""
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path.name}: cannot be read as JSON: {error}") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{path.name}: got {type(content).__name__}, expected a JSON object")
    return content


def read_alignment_heads(path: Path) -> tuple[tuple[int, int], ...]:
    """(layer, head) pairs under ``alignment_heads``; none when the file is not there or does not say."""
    heads = read_json_object(path).get("alignment_heads") if path.exists() else None
    try:
        return tuple((int(layer), int(head)) for layer, head in heads or ())
    except (TypeError, ValueError) as error:
        raise CheckpointError(
            f"{path.name}: alignment_heads: got {heads!r}, expected pairs of layer and head"
        ) from error
