from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

WriteFiles = Callable[..., Path]


@pytest.fixture
def write_files(tmp_path: Path) -> WriteFiles:
    """Writes files of a corpus by their paths: bytes, a text, or rows of a tab-separated table."""

    def write(files: dict[str, bytes | str | Iterable[Iterable[str]]]) -> Path:
        for name, content in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(content, bytes):
                path.write_bytes(content)
            elif isinstance(content, str):
                path.write_text(content, encoding="utf-8")
            else:
                path.write_text("".join("\t".join(row) + "\n" for row in content), encoding="utf-8")
        return tmp_path

    return write
