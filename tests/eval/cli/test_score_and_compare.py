import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from asr.options import TranscribeOptions
from eval import cli
from eval.corpora import read_manifest
from eval.errors import ClipError
from eval.jobs import Job
from eval.runner import RunPlan, run_corpus

runner = CliRunner()
CLIPS = (
    {"id": "en-1", "text": "The cat sat on the mat.", "language": "en", "duration": 2, "translation_en": "The cat."},
    {"id": "en-2", "text": "It was a warm day.", "language": "en", "duration": 6, "translation_en": "A warm day."},
    {"id": "zh-1", "text": "你好吗", "language": "zh", "duration": 12, "translation_en": "How are you?"},
    {"id": "hum", "text": "", "language": None, "duration": 36, "kind": "noise"},
)
RIGHT = {"en-1": "the cat sat on the mat", "en-2": "it was a warm day", "zh-1": "你好吗", "hum": ""}
WRONG = {"en-1": "the cat", "en-2": "it was warm", "zh-1": "你", "hum": "Thank you."}

MakeFolder = Callable[..., Path]


@pytest.fixture
def folder(tmp_path: Path, write_manifest, fake_target, progress) -> MakeFolder:
    """Makes the folder of a run whose target answers as told."""

    def make(answers: dict[str, str | BaseException], name: str = "a", job: Job = Job.TRANSCRIBE) -> Path:
        plan = RunPlan(corpus=read_manifest(write_manifest(*CLIPS)), options=TranscribeOptions(), job=job)
        run_corpus(plan, fake_target(answers, model=name), tmp_path / name, progress)
        return tmp_path / name

    return make


def invoke(*arguments: str | Path):
    return runner.invoke(cli.app, [str(argument) for argument in arguments])


def test_score_shows_what_was_counted_and_how(folder: MakeFolder) -> None:
    result = invoke("score", folder(WRONG))
    assert result.exit_code == 0, result.output
    shown = " ".join(result.stdout.split())
    assert "overall mixed 4 4 † 14" in shown
    assert "71.4 [" in shown  # 8 of 14, and the two words written over the hum
    assert "Words written where nobody speaks" in shown
    assert "noise 1 1 0.000 2" in shown  # the fake target says one second
    assert "whisper-english (whisper-normalizer" in shown
    assert "sha256" in shown
    assert max(len(line) for line in result.stdout.splitlines()) <= 120


def test_failed_clips_have_a_column_where_there_are_any(folder: MakeFolder) -> None:
    shown = " ".join(invoke("score", folder({**RIGHT, "en-2": ClipError("internal_error", "no")})).stdout.split())
    assert "unit clips failed clusters" in shown
    assert "overall mixed 4 1 4 † 14 0 5 0" in shown


def test_unit_and_normalizer_are_what_is_asked_for(folder: MakeFolder, tmp_path: Path) -> None:
    there = folder(RIGHT)
    options = ("--unit", "character", "--normalizer", "whisper-basic", "--json", tmp_path / "scores.json")
    result = invoke("score", there, *options)
    assert result.exit_code == 0, result.output
    report = json.loads((tmp_path / "scores.json").read_text("utf-8"))
    assert (report["overall"]["unit"], report["overall"]["n_ref"]) == ("character", 17 + 13 + 3)
    assert list(report["normalizers"]) == ["whisper-basic"]
    assert report["clips"][0]["reference_normalized"] == "the cat sat on the mat"


@pytest.mark.parametrize(
    ("limit", "exit_code", "line"),
    [
        ("0.9", 0, "passed: got an overall error rate of 71.43 %, limit 90.00 %"),
        ("71.5%", 0, "passed"),
        ("71%", 1, "FAILED: got an overall error rate of 71.43 %, limit 71.00 %"),
        ("0", 1, "FAILED"),
        ("15", 2, "expected a rate below 1 such as 0.15, or one in percent: 15%"),
        ("few", 2, "got 'few'"),
        ("nan", 2, "got 'nan'"),
        ("-1%", 2, "got '-1%'"),
    ],
)
def test_the_gate(folder: MakeFolder, limit: str, exit_code: int, line: str) -> None:
    result = invoke("score", folder(WRONG), "--fail-above", limit)
    assert result.exit_code == exit_code, result.output
    assert line in " ".join(result.stderr.replace("│", " ").split())


def test_the_gate_is_shut_without_a_rate_and_for_a_part(folder: MakeFolder) -> None:
    unfinished = folder(RIGHT)
    path = unfinished / "hypotheses.jsonl"
    lines = path.read_text("utf-8").splitlines(keepends=True)
    path.write_text("".join(lines[:2]), encoding="utf-8")
    result = invoke("score", unfinished, "--fail-above", "90%")
    assert result.exit_code == 1
    assert "without 2 clips that have no hypothesis yet" in result.stderr
    path.write_text("".join(lines[3:]), encoding="utf-8")
    assert "got no rate" in invoke("score", unfinished, "--fail-above", "90%").stderr


def test_a_translation_is_scored_as_one(folder: MakeFolder, tmp_path: Path) -> None:
    there = folder(
        {"en-1": "The cat.", "en-2": "A warm day.", "zh-1": ClipError("internal_error", "no")}, "a", Job.TRANSLATE
    )
    result = invoke("score", there, "--json", tmp_path / "scores.json")
    assert result.exit_code == 0, result.output
    assert "BLEU nrefs:1|case:mixed|eff:no|tok:13a" in result.stdout
    report = json.loads((tmp_path / "scores.json").read_text("utf-8"))
    assert (report["job"], report["overall"]["n_failed"]) == ("translate", 1)
    assert report["languages"]["en"]["chrf"] == pytest.approx(100)
    for option in (("--unit", "word"), ("--fail-above", "10%")):
        refused = invoke("score", there, *option)
        assert refused.exit_code == 1
        assert "leave the option out" in refused.stderr


def test_named_languages_are_scored_as_such(folder: MakeFolder) -> None:
    there = folder({"en-1": "english", "en-2": "de", "zh-1": "zh"}, "a", Job.DETECT_LANGUAGE)
    shown = " ".join(invoke("score", there).stdout.split())
    assert "en 2 1 50.0 de 1" in shown
    assert "overall 3 2 66.7" in shown


def test_compare_gives_a_verdict(folder: MakeFolder, tmp_path: Path) -> None:
    a, b = folder(WRONG, "a"), folder({**RIGHT, "en-2": "it was the warm days"}, "b")
    result = invoke("compare", a, b, "--json", tmp_path / "comparison.json")
    assert result.exit_code == 0, result.output
    shown = " ".join(result.stdout.split())
    assert "B has 57.1 points fewer errors (95 %: " in shown
    assert "Of 4 common clips B does better on 3, worse on 0, the same on 1." in shown
    assert "model a b" in shown
    assert "en-1: 4 → 0, B is better" in shown
    report = json.loads((tmp_path / "comparison.json").read_text("utf-8"))
    overall = report["measures"]["error_rate"]["overall"]
    assert (overall["a"], overall["b"]) == (10 / 14, 2 / 14)
    assert report["differences"] == {"model": {"a": "a", "b": "b"}}
    assert len(report["changes"]) == report["n_better"] == 3
    assert max(len(line) for line in result.stdout.splitlines()) <= 120


def test_runs_of_two_tasks_are_not_compared(folder: MakeFolder) -> None:
    result = invoke("compare", folder(RIGHT, "a"), folder(RIGHT, "b", Job.DETECT_LANGUAGE))
    assert result.exit_code == 1
    assert "expected two of the same task" in result.stderr
