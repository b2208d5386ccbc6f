"""What the README promises about the tree, and habits that no linter knows."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("asr", "server", "eval", "data_pipeline")


def tree_in_readme() -> set[str]:
    block = re.search(r"## The tree\n\n```text\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert block is not None
    paths: set[str] = set()
    parents: list[str] = []
    for line in block[1].splitlines():
        name, _, comment = line.strip().partition(" ")
        assert comment.strip(), f"{name} has no comment"
        depth = (len(line) - len(line.lstrip())) // 2
        parents[depth:] = [name]
        paths.add("".join(parents[: depth + 1]))
    return paths


def test_the_tree_in_the_readme_is_the_tree():
    written = tree_in_readme()
    modules = {
        path.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.py")
        if path.name != "__init__.py"
    }
    assert {path for path in written if path.endswith(".py")} == modules
    assert all((ROOT / path).exists() for path in written)


def test_every_module_says_what_it_is_for():
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            assert path.read_text().startswith('"""'), path
            assert len(path.read_text().splitlines()) <= 400, path


def test_light_modules_import_no_torch():
    # The API process of the service imports these.
    names = (
        "asr",
        "asr.errors",
        "asr.formats",
        "asr.languages",
        "asr.option_text",
        "asr.options",
        "asr.streaming",
        "asr.transcript",
        "asr.voice_activity",
        "asr.cli",
        "server.app",
    )
    code = f"import sys, {', '.join(names)}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
