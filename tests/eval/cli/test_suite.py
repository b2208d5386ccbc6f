import json
from importlib import import_module
from pathlib import Path

import pytest
from typer.testing import CliRunner

from eval import cli
from eval.errors import ClipError

runner = CliRunner()

SUITE = """
[mine]
description = "What we answer for"
rows = [
  { name = "everything", corpus = "manifest.jsonl" },
  { name = "german", corpus = "manifest.jsonl", only = ["language=de"], normalizer = "auricle", unit = "character" },
  { name = "into-english", corpus = "manifest.jsonl", job = "translate" },
  { name = "english", corpus = "librispeech:LibriSpeech/test-clean" },
  { name = "swahili", corpus = "manifest.jsonl", only = ["language=sw"] },
]
"""


@pytest.fixture
def target(monkeypatch: pytest.MonkeyPatch, fake_target):
    fake = fake_target({"en-1": "the cat sat", "de-1": "guten tag", "silence": "", "zh-1": "你好吗"})
    monkeypatch.setattr(import_module("eval.cli.suite"), "make_target", lambda *_, **__: fake)
    return fake


@pytest.fixture
def run_suite(tmp_path: Path, write_manifest, target):
    (tmp_path / "suites.toml").write_text(SUITE, encoding="utf-8")

    def run(*options: str, data: Path | None = None):
        folders = ("--data", str(data or write_manifest().parent), "--out", str(tmp_path / "out"))
        return runner.invoke(cli.app, ["suite", "mine", "--suites", str(tmp_path / "suites.toml"), *folders, *options])

    return run


def test_every_row_whose_corpus_is_there_is_run(run_suite, tmp_path: Path) -> None:
    result = run_suite()
    assert result.exit_code == 0, result.output
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["everything", "german"]
    config = json.loads((tmp_path / "out/german/run.json").read_text("utf-8"))
    assert (config["corpus"], config["job"]) == ("corpus/manifest.jsonl", "transcribe")
    assert len((tmp_path / "out/german/hypotheses.jsonl").read_text("utf-8").splitlines()) == 1
    assert f"Next: auricle-eval report {tmp_path / 'out'}/*" in result.stderr


def test_rows_that_were_not_run_are_listed_with_the_reason(run_suite) -> None:
    output = " ".join(run_suite().stdout.replace("│", " ").split())
    assert "english – – not there:" in output
    assert "into-english – – not run: corpus/manifest.jsonl: got 5 clips without translation_en" in output
    assert (
        "swahili – – not run: --only language=sw: no clip of corpus/manifest.jsonl meets this; language is one of de,"
        in output
    )
    assert "score with --normalizer auricle --unit character" in output


def test_the_same_command_does_nothing_twice(run_suite, target) -> None:
    run_suite()
    n_asked = len(target.asked)
    again = run_suite()
    assert again.exit_code == 0
    assert len(target.asked) == n_asked
    assert "4 were there already" in " ".join(again.stdout.split())


def test_without_any_corpus_nothing_is_loaded_and_the_exit_code_says_so(run_suite, tmp_path: Path, target) -> None:
    (tmp_path / "empty").mkdir()
    result = run_suite(data=tmp_path / "empty")
    assert result.exit_code == 1
    assert "no row of mine could be run" in result.stderr
    assert target.asked == []


def test_all_clips_failing_is_a_failure(run_suite, target) -> None:
    target.answers = dict.fromkeys(("en-1", "de-1", "silence", "zh-1"), ClipError("internal_error", "IndexError"))
    assert run_suite().exit_code == 1


def test_an_endpoint_that_is_told_no_language_is_not_asked_to_translate(run_suite) -> None:
    output = " ".join(run_suite("--openai", "http://localhost:9/v1", "--model", "m").stdout.replace("│", " ").split())
    assert "into-english – – not run: with --openai" in output


def test_list_prints_what_comes_with_auricle() -> None:
    result = runner.invoke(cli.app, ["suite", "--list"])
    assert result.exit_code == 0
    for word in (
        "development",
        "librispeech:LibriSpeech/test-clean",
        "fleurs/de",
        "--only language=en",
        "language auto",
    ):
        assert word in result.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nothing"], "got nothing, expected one of development, paper-english"),
        ([], "got none, expected one of development"),
        (["development", "--out", "x"], "suite development: expected --data DIR"),
    ],
)
def test_a_wrong_option_is_explained(arguments: list[str], message: str) -> None:
    result = runner.invoke(cli.app, ["suite", *arguments])
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.replace("│", " ").split())
