"""Audio that readers write for themselves. In: bytes and where they go. Out: a file, which is whole or not there.

The cache is beside the models'. Knows no corpus, and not what the bytes are.
"""

import tempfile
from pathlib import Path

from eval.errors import CorpusError

__all__ = ["cache_folder", "write_cached"]


def cache_folder() -> Path:
    """The folder ``corpora`` beside that of the models, where a reader has a folder of its own."""
    from asr.checkpoint import ModelStore

    return ModelStore().root.parent / "corpora"


def write_cached(path: Path, data: bytes) -> None:
    """Write a file, and its folder before it. Raises CorpusError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Written beside and renamed, so that a kill leaves no half of a file.
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".write-", delete=False) as file:
            written = Path(file.name)
            try:
                file.write(data)
                file.flush()
                written.replace(path)
            except BaseException:
                written.unlink(missing_ok=True)
                raise
    except OSError as error:
        message = f"{path}: {error.strerror or error}; expected to write the corpus's audio there"
        raise CorpusError(f"{message}; make room, or set AURICLE_MODEL_DIR to a folder elsewhere") from error
