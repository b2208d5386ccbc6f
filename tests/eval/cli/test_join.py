import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner

from asr.audio import SAMPLE_RATE, load_audio
from eval import cli
from eval.corpora import Utterance, read_manifest

runner = CliRunner()
RNG = np.random.default_rng(0)


@pytest.fixture
def manifest(write_manifest) -> Path:
    clips = [
        {"id": f"{language}-{number}", "text": f"{language} number {number}", "language": language, "kind": "short"}
        for number in range(6)
        for language in ("en", "de")
    ]
    path = write_manifest(*clips, {"id": "rain", "text": "", "language": None, "kind": "noise", "duration": 2})
    for clip in (*clips, {"id": "rain"}):
        speech = 0.1 * RNG.standard_normal(2 * SAMPLE_RATE)
        soundfile.write(path.parent / f"{clip['id']}.wav", speech, SAMPLE_RATE)
    return path


def make(command: str, manifest: Path, out: Path, *options: str) -> tuple[Utterance, ...]:
    result = runner.invoke(cli.app, [command, str(manifest), "--out", str(out), *options])
    assert result.exit_code == 0, result.output
    return read_manifest(out / "manifest.jsonl").utterances


def test_a_joined_recording_is_a_corpus(manifest: Path, tmp_path: Path) -> None:
    options = ("--minutes", "0.5", "--only", "language=en", "--noise", str(manifest.parent / "rain.wav"))
    (clip,) = make("join", manifest, tmp_path / "joined-half", *options)
    assert (clip.id, clip.dataset, clip.kind, clip.language) == ("joined-half", "joined", "long", "en")
    assert clip.path.name == "joined-half.flac"
    assert clip.duration == load_audio(clip.path).duration
    assert clip.text == " ".join(part.text for part in clip.parts)
    assert [part.end - part.start for part in clip.parts] == pytest.approx([2.0] * len(clip.parts))
    assert {part.language for part in clip.parts} == {"en"}


def test_clips_that_come_again_are_said(manifest: Path, tmp_path: Path) -> None:
    command = ["join", str(manifest), "--out", str(tmp_path / "a"), "--minutes", "1", "--name", "long"]
    result = runner.invoke(cli.app, [*command, "--only", "language=de"])
    assert "some up to" in result.stderr
    assert (tmp_path / "a" / "long.flac").exists()


def test_languages_change_in_runs(manifest: Path, tmp_path: Path) -> None:
    (clip,) = make("join", manifest, tmp_path / "both", "--minutes", "0.5", "--language-runs", "2")
    assert clip.language is None
    assert {part.language for part in clip.parts} == {"en", "de"}
    alone = ["join", str(manifest), "--out", str(tmp_path / "one"), "--language-runs", "2", "--only", "language=de"]
    result = runner.invoke(cli.app, alone)
    assert result.exit_code == 1
    assert "expected two languages" in result.stderr


def test_what_nobody_speaks_in_is_gathered(manifest: Path, tmp_path: Path) -> None:
    clips = make("non-speech", manifest, tmp_path / "still", "--seconds", "1")
    assert [clip.id for clip in clips] == ["white", "pink", "silence", "rain"]
    assert {clip.text for clip in clips} == {""}
    assert all(clip.path.is_file() for clip in clips)
    assert not load_audio(clips[2].path).samples.any()
    lines = (tmp_path / "still" / "manifest.jsonl").read_text("utf-8").splitlines()
    assert json.loads(lines[-1])["path"] == "../corpus/rain.wav"
