import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = [path for room in ("asr", "server", "eval", "data_pipeline", "tests") for path in (ROOT / room).rglob("*.py")]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_nobody_rebinds_the_builtin_eval(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            rebound = [alias.name for alias in node.names if alias.name.split(".")[0] == "eval" and not alias.asname]
            assert not rebound, f"line {node.lineno}: write `from eval.… import …`"
