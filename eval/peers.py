"""Peers with our weights. In: a peer's name and interpreter, a packaged model. Out: what it loads, and ``PeerTarget``.

openai-whisper reads a file of its own, which is written once beside the models; CTranslate2's engines read the model's
folder as it was published. Knows no corpus.
"""

import os
import tempfile
from pathlib import Path

from asr.errors import AuricleError
from eval import engines
from eval.errors import EvaluationError, TargetUnavailableError
from eval.targets import PeerTarget

__all__ = ["open_peer", "peer_model", "split_peer"]


def split_peer(named: str) -> tuple[str, Path]:
    """NAME=PYTHON taken apart. Raises EvaluationError."""
    name, equals, interpreter = named.partition("=")
    if not equals:
        raise EvaluationError(f"--peer: got {named!r}, expected NAME=PYTHON")
    return name, Path(interpreter)


def open_peer(name: str, interpreter: Path, model: str) -> PeerTarget:
    """Start a peer with a packaged model. Raises TargetUnavailableError."""
    from asr.checkpoint import ModelStore, read_checkpoint

    if name not in engines.PEERS:
        raise TargetUnavailableError(f"--peer: got {name!r}, expected {', '.join(engines.PEERS)}")
    try:
        published = ModelStore().resolve(model)
        command = [str(interpreter), str(engines.__file__), "serve", name, peer_model(name, model), model]
        return PeerTarget(name, command, model=model, model_hash=read_checkpoint(published).source_sha256)
    except AuricleError as error:
        raise TargetUnavailableError(f"--model {model}: {error}") from error


def peer_model(engine: str, model: str) -> str:
    """What an engine loads for a packaged model: a path that is made at the first time."""
    from asr.checkpoint import ModelStore, read_checkpoint

    published = ModelStore().resolve(model)
    if engine != "openai-whisper":
        return str(published)
    digest = read_checkpoint(published).source_sha256
    path = ModelStore().root.parent / "peers" / f"{published.name}-{digest[:16]}.pt"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
            _write_openai(published, Path(file.name))
        os.replace(file.name, path)  # a kill leaves no half of a file
    return str(path)


def _write_openai(published: Path, target: Path) -> None:
    """Our weights as openai-whisper reads them, in float32."""
    import torch

    from asr.checkpoint import load_model, read_checkpoint

    checkpoint = read_checkpoint(published)
    loaded = load_model(checkpoint, device=torch.device("cpu"), dtype=torch.float32)
    weights = dict(loaded.state_dict()) | {"encoder.positional_embedding": loaded.encoder.positional_embedding}
    dims = {name: getattr(checkpoint.dims, name) for name in checkpoint.dims.__slots__}
    torch.save({"dims": dims, "model_state_dict": weights}, target)
