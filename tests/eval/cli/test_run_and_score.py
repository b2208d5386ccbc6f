import json
from importlib import import_module
from pathlib import Path

import pytest
from typer.testing import CliRunner

from asr.options import Plan
from eval import cli
from eval.errors import ClipError

runner = CliRunner()


@pytest.fixture
def target(monkeypatch: pytest.MonkeyPatch, fake_target):
    """The target that the command makes, whatever it is told."""
    fake = fake_target({"en-1": "the cat sat", "de-1": "guten tag", "silence": "", "zh-1": "你好吗"})
    monkeypatch.setattr(import_module("eval.cli.run"), "make_target", lambda *_, **__: fake)
    return fake


def run_it(manifest: Path, out: Path, *options: str):
    return runner.invoke(cli.app, ["run", str(manifest), "--out", str(out), *options])


def test_help_teaches_by_example() -> None:
    assert "auricle-eval run corpus/manifest.jsonl --out" in runner.invoke(cli.app, ["--help"]).output
    assert "--server http://localhost:8000" in runner.invoke(cli.app, ["run", "--help"]).output
    assert "auricle-eval score results/base" in runner.invoke(cli.app, ["score", "--help"]).output


def test_run_then_score(write_manifest, tmp_path: Path, target) -> None:
    out = tmp_path / "out"
    result = run_it(write_manifest(), out)
    assert result.exit_code == 0, result.output
    assert "4 transcribed, 0 failed; 1 left out" in " ".join(result.stderr.split())
    assert f"Next: auricle-eval score {out}" in result.stderr
    scored = runner.invoke(cli.app, ["score", str(out), "--json", str(tmp_path / "scores.json")])
    assert scored.exit_code == 0, scored.output
    assert "overall" in scored.stdout
    assert "whisper-english (whisper-normalizer" in scored.stdout
    assert json.loads((tmp_path / "scores.json").read_text("utf-8"))["overall"]["wer"] == 0.0


def test_options_reach_the_decoder(write_manifest, tmp_path: Path, target) -> None:
    options = ("--beam-size", "2", "--temperature", "0,0.4", "--task", "transcribe", "--language", "auto")
    options += ("--plan", "parallel", "--no-vad", "--word-timestamps")
    assert run_it(write_manifest(), tmp_path / "out", *options).exit_code == 0
    asked = target.asked[0][1]
    assert (asked.beam_size, asked.temperatures, asked.language) == (2, (0.0, 0.4), None)
    assert (asked.plan, asked.vad, asked.word_timestamps) == (Plan.PARALLEL, False, True)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--task", "detect-language", "--beam-size", "2"), "decodes no text"),
        (("--task", "detect-language", "--no-vad"), "decodes no text"),
        (("--task", "detect-language", "--peer", "openai-whisper=python"), "expected a target that answers it"),
        (("--task", "translate", "--openai", "http://peer", "--model", "m"), "add --language auto"),
        (("--openai", "http://peer", "--model", "m", "--beam-size", "5"), "has no field for it"),
    ],
)
def test_what_would_be_dropped_is_refused(write_manifest, tmp_path: Path, options: tuple, message: str) -> None:
    result = run_it(write_manifest(), tmp_path / "out", *options)
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.replace("│", " ").split())
    assert not (tmp_path / "out").exists()


def test_options_of_the_target_that_exclude_each_other(write_manifest, tmp_path: Path) -> None:
    result = run_it(write_manifest(), tmp_path / "out", "--server", "http://a", "--openai", "http://b")
    assert result.exit_code == 2
    assert "expected one of them" in " ".join(result.stderr.replace("│", " ").split())


def test_failed_clips_are_listed_and_all_failed_is_a_failure(write_manifest, tmp_path: Path, target) -> None:
    target.answers["de-1"] = ClipError("undecodable_audio", "[b]not audio[/b]")
    some = run_it(write_manifest(), tmp_path / "some")
    assert some.exit_code == 0
    assert "undecodable_audio" in some.stderr
    assert "[b]not" in some.stderr
    target.answers = dict.fromkeys(("en-1", "de-1", "silence", "zh-1"), ClipError("internal_error", "IndexError"))
    every = run_it(write_manifest(), tmp_path / "all")
    assert every.exit_code == 1
    assert "4 failed" in " ".join(every.stderr.split())
    assert "Next:" not in every.stderr


def test_a_noise_study_is_no_run(tmp_path: Path) -> None:
    (tmp_path / "study.json").write_text("{}", "utf-8")
    result = runner.invoke(cli.app, ["score", str(tmp_path)])
    assert result.exit_code == 1
    said = " ".join(result.stderr.split())
    assert "use auricle-eval report, or score one of its folders such as" in said
    assert said.endswith("/clean")


def test_errors_are_said_without_a_traceback(write_manifest, tmp_path: Path, target) -> None:
    missing = run_it(tmp_path / "none.jsonl", tmp_path / "out")
    assert missing.exit_code == 1
    assert missing.stderr.startswith("Error: ")
    assert run_it(write_manifest(), tmp_path / "out").exit_code == 0
    other = run_it(write_manifest(), tmp_path / "out", "--beam-size", "1")
    assert other.exit_code == 1
    assert "another folder to --out" in other.stderr
    unscored = runner.invoke(cli.app, ["score", str(tmp_path / "nothing")])
    assert unscored.exit_code == 1
    assert "auricle-eval run" in unscored.stderr


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--temperature", "warm", "expected a number, or several with commas"),
        ("--temperature", "3", "expected 0 to 2"),
        ("--beam-size", "0", "expected 1 to 32"),
        ("--task", "sing", "sing"),
    ],
)
def test_a_wrong_option_is_explained(write_manifest, tmp_path: Path, option: str, value: str, message: str) -> None:
    result = run_it(write_manifest(), tmp_path / "out", option, value)
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.replace("│", " ").split())


def test_a_stopped_run_says_how_to_go_on(write_manifest, tmp_path: Path, target) -> None:
    target.answers["de-1"] = KeyboardInterrupt()
    result = run_it(write_manifest(), tmp_path / "out")
    assert result.exit_code == 130
    assert "continues where it stopped" in result.stderr
    scored = runner.invoke(cli.app, ["score", str(tmp_path / "out"), "--by", "language"])
    assert scored.exit_code == 0
    assert "3 clips have no hypothesis yet" in scored.stderr


def test_nobody_at_the_address_is_an_error(write_manifest, tmp_path: Path) -> None:
    result = run_it(write_manifest(), tmp_path / "out", "--server", "http://127.0.0.1:9")
    assert result.exit_code == 1
    assert "auricle-serve" in result.stderr


def test_a_folder_with_a_space_can_be_pasted(write_manifest, tmp_path: Path, target) -> None:
    result = run_it(write_manifest(), tmp_path / "two words")
    assert f"Next: auricle-eval score '{tmp_path / 'two words'}'" in result.stderr


def test_a_corpus_without_translations_is_not_run(write_manifest, tmp_path: Path) -> None:
    result = run_it(write_manifest(), tmp_path / "out", "--task", "translate")
    assert result.exit_code == 1
    assert "without translation_en" in result.stderr
    assert not (tmp_path / "out").exists()
