"""Peers with our weights. In: a peer's name and interpreter, a packaged model. Out: what it loads, and ``PeerTarget``.

openai-whisper, transformers and whisper.cpp read files of their own, which are written once beside the models;
CTranslate2's engines read the model's folder as it was published. Knows no corpus.
"""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from asr.errors import AuricleError
from eval import engines
from eval.errors import EvaluationError, TargetUnavailableError
from eval.targets import PeerTarget

if TYPE_CHECKING:
    from asr.checkpoint import Checkpoint

__all__ = ["open_peer", "peer_model", "split_peer"]

OTHER_FILES = ("openai-whisper", "transformers", "openvino-int8", "whisper-cpp-q8")  # the rest reads what was published


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
    """What an engine loads for a packaged model: a path that is made at the first time.

    Raises EvaluationError for OpenVINO's form, which is made by a tool of its own, with the command that makes it.
    """
    from asr.checkpoint import ModelStore, read_checkpoint

    published = ModelStore().resolve(model)
    if engine not in OTHER_FILES:
        return str(published)
    checkpoint = read_checkpoint(published)
    stem = ModelStore().root.parent / "peers" / f"{published.name}-{checkpoint.source_sha256[:16]}"
    if engine == "openai-whisper":
        return str(_made(stem.with_name(f"{stem.name}.pt"), checkpoint))
    if engine == "whisper-cpp-q8":
        return str(_made(stem.with_name(f"{stem.name}-q8_0.bin"), checkpoint))
    folder = stem.with_name(f"{stem.name}-huggingface")
    if engine == "transformers":
        return str(_made(folder, checkpoint))
    path = stem.with_name(f"{stem.name}-openvino-int8")
    if not path.exists():
        source = _made(folder, checkpoint)
        raise EvaluationError(
            f"--peer openvino-int8: got no model at {path}; make it with optimum-cli export openvino --model {source} "
            f"--task automatic-speech-recognition-with-past --weight-format int8 {path}"
        )
    return str(path)


def _made(path: Path, checkpoint: "Checkpoint") -> Path:
    """The file or folder, written if it is not there."""
    from eval.peer_files import write_huggingface, write_openai
    from eval.whisper_cpp_file import write_whisper_cpp

    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            staged = Path(folder) / path.name
            if path.suffix == ".pt":
                write_openai(checkpoint, staged)
            elif path.suffix == ".bin":
                write_whisper_cpp(checkpoint, staged)
            else:
                staged.mkdir()
                write_huggingface(checkpoint, staged)
            staged.rename(path)  # a kill leaves no half of it
    return path
