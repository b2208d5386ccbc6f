import json
from importlib import import_module
from pathlib import Path

import pytest
from typer.testing import CliRunner

from eval.cli import app
from eval.noise.study import read_study

runner = CliRunner()


@pytest.fixture
def manifest(corpus, tmp_path: Path) -> Path:
    path = tmp_path / "manifest.jsonl"
    lines = (
        {
            "id": clip.id,
            "path": str(clip.path),
            "text": clip.text,
            "language": clip.language,
            "duration": clip.duration,
            "speaker": clip.speaker,
        }
        for clip in corpus.utterances
    )
    path.write_text("\n".join(map(json.dumps, lines)))
    return path


@pytest.fixture
def target(monkeypatch: pytest.MonkeyPatch, corpus, fake_target):
    """The target that the command makes, whatever it is told."""
    fake = fake_target({clip.path.stem: clip.text for clip in corpus.utterances})
    module = import_module("eval.cli.noise")  # the package's attribute of this name is the command
    monkeypatch.setattr(module, "make_target", lambda *_, **__: fake)
    return fake


def make_noise(manifest: Path, out: Path, *options: str):
    return runner.invoke(app, ["noise", str(manifest), "--out", str(out), *options])


def test_a_study_from_the_command_line(manifest, target, tmp_path: Path, wav, make_tone) -> None:
    wav(tmp_path / "pub" / "one.wav", make_tone(60))
    wav(tmp_path / "rooms" / "hall.wav", make_tone(7, 0.2))
    out = tmp_path / "out"
    options = ("--kind", "white", "--kind", "babble", "--snr", "20,0", "--limit", "3", "--beam-size", "1")
    folders = ("--noise-dir", str(tmp_path / "pub"), "--reverb-dir", str(tmp_path / "rooms"))
    result = make_noise(manifest, out, *options, *folders)
    assert result.exit_code == 0, result.output
    for text in ("WER in % on 3 clips", "no noise", "white", "babble", "pub", "room/hall", "20", "0.0–0.0"):
        assert text in result.stdout
    study = read_study(out)
    assert [result.name for result in study.results] == [
        "clean",
        "white/+20dB",
        "white/0dB",
        "babble/+20dB",
        "babble/0dB",
        "pub/+20dB",
        "pub/0dB",
        "room/hall",
    ]
    assert study.config["options"]["beam_size"] == 1
    assert (out / "noise.svg").stat().st_size > 0
    assert (out / "noise.png").stat().st_size > 0
    target.asked = []
    assert make_noise(manifest, out, *options, *folders).exit_code == 0
    assert not target.asked


def test_noise_made_here_is_the_default(manifest, target, tmp_path: Path) -> None:
    assert make_noise(manifest, tmp_path / "out", "--snr", "0", "--limit", "2").exit_code == 0
    assert [result.name for result in read_study(tmp_path / "out").results] == ["clean", "white/0dB", "babble/0dB"]


def test_failures_are_counted_and_told(manifest, target, tmp_path: Path, clip_error) -> None:
    options = ("--snr", "0", "--kind", "white", "--only", "id=clip-0,clip-1")
    target.answers = {"clip-0": clip_error, "clip-1": "words of clip 1"}
    some = make_noise(manifest, tmp_path / "some", *options)
    assert some.exit_code == 0
    assert "2 transcriptions failed" in " ".join(some.stderr.split())
    target.answers = dict.fromkeys(("clip-0", "clip-1"), clip_error)
    assert make_noise(manifest, tmp_path / "all", *options).exit_code == 1


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (("--snr", "loud"), 2, "--snr: got 'loud'"),
        (("--kind", "pink"), 2, "pink"),
        (("--limit", "0"), 2, "--limit"),
        (("--noise-dir", "nowhere"), 1, "--noise-dir nowhere"),
        (("--only", "speaker=s1"), 1, "got clips of 1 speakers, expected 7 or more"),
        (("--only", "id=hum"), 1, "no clip with a transcript"),
    ],
)
def test_a_wrong_option_is_explained(manifest, target, tmp_path: Path, options, code: int, message: str) -> None:
    result = make_noise(manifest, tmp_path / "out", *options)
    assert result.exit_code == code
    assert message in " ".join(result.stderr.replace("│", " ").split())


def test_two_of_one_name_are_refused(manifest, target, tmp_path: Path, wav, make_tone) -> None:
    for path in ("a/pub/one.wav", "b/pub/one.wav", "rooms/hall.wav", "rooms/hall.flac", "white/one.wav"):
        wav(tmp_path / path, make_tone(60))
    twice = ("--noise-dir", str(tmp_path / "a" / "pub"), "--noise-dir", str(tmp_path / "b" / "pub"))
    assert "a second 'pub'" in make_noise(manifest, tmp_path / "out", *twice).stderr
    assert "a second 'hall'" in make_noise(manifest, tmp_path / "out", "--reverb-dir", str(tmp_path / "rooms")).stderr
    assert "got 'white'" in make_noise(manifest, tmp_path / "out", "--noise-dir", str(tmp_path / "white")).stderr


def test_help_teaches_by_example() -> None:
    shown = runner.invoke(app, ["noise", "--help"]).output
    assert "auricle-eval noise librispeech:LibriSpeech/test-clean --out" in shown
