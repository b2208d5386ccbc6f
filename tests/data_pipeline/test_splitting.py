import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from data_pipeline.cli import app
from data_pipeline.errors import PipelineError
from data_pipeline.shards import encode_flac
from data_pipeline.splitting import Apart, Parts, split
from eval.corpora import Utterance, open_corpus

LANGUAGES = ("cy", "br")


def clip(number: int, **fields: object) -> Utterance:
    language = LANGUAGES[number % 2]
    plain = Utterance(
        id=f"{number}", path=Path(f"/corpus/{language}/{number}.mp3"), text=f"Sentence {number}.", language=language,
        duration=3.0, speaker=f"speaker {number}", dataset="corpus", metric="wer",
    )  # fmt: skip
    return replace(plain, **fields)


def divide(clips: list[Utterance], out: Path, *, apart: Apart = Apart.SPEAKERS, seed: int = 0) -> Parts:
    return split(clips, out, apart=apart, development=0.1, evaluation=0.3, seed=seed)


def ids(clips: tuple[Utterance, ...]) -> list[str]:
    return sorted(each.id for each in clips)


def test_shares_are_of_each_language(tmp_path: Path):
    parts = divide([clip(number) for number in range(80)], tmp_path)
    for language in LANGUAGES:
        counts = [sum(each.language == language for each in part) for part in _all(parts)]
        assert counts == [24, 4, 12]


def test_the_seed_alone_decides(tmp_path: Path):
    clips = [clip(number) for number in range(80)]
    first, again, other = (
        divide(clips, tmp_path / name, seed=seed) for name, seed in zip("abc", (1, 1, 2), strict=True)
    )
    assert first == again
    assert ids(first.evaluation) != ids(other.evaluation)


def test_clips_of_one_speaker_or_text_stay_together(tmp_path: Path):
    clips = [clip(number, language="cy") for number in range(40)]
    clips[3] = replace(clips[3], speaker=clips[9].speaker)
    clips[9] = replace(clips[9], text=clips[20].text)
    clips[20] = replace(clips[20], text="SENTENCE 9, sentence 9!", speaker="frequent")
    clips[9] = replace(clips[9], text="sentence 9 sentence 9")
    clips[30] = replace(clips[30], speaker="frequent")
    parts = divide(clips, tmp_path)
    assert {"3", "9", "20", "30"} <= set(ids(parts.train))
    assert sorted(each for part in _all(parts) for each in ids(part)) == sorted(each.id for each in clips)


def test_one_voice_is_divided_by_its_texts(tmp_path: Path):
    clips = [clip(number, speaker="one", text=f"Sentence {number // 4}.", language="cy") for number in range(80)]
    parts = divide(clips, tmp_path, apart=Apart.TEXTS)
    texts = [{each.text for each in part} for part in _all(parts)]
    assert all(texts)
    assert sum(map(len, texts)) == 20


def test_what_has_no_trusted_text_is_in_no_part(tmp_path: Path):
    bad = [{"text": None}, {"text": ""}, {"text": "…"}, {"language": None}, {"quality": "doubtful"}]
    clips = [clip(number) for number in range(40)] + [clip(40 + place, **each) for place, each in enumerate(bad)]
    assert sum(map(len, _all(divide(clips, tmp_path)))) == 40


def test_shards_have_what_is_trained_on_and_nothing_else(tmp_path: Path):
    rng = np.random.default_rng(0)
    lines = []
    for number in range(12):
        noise = rng.normal(scale=0.1, size=16_000 + number).astype(np.float32)
        (tmp_path / f"{number}.flac").write_bytes(encode_flac(noise))
        line = {"id": f"{number}", "path": f"{number}.flac", "text": f"dim {number}", "language": "cy"}
        lines.append(line | {"speaker": f"voice {number}"})
    (tmp_path / "manifest.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    out = tmp_path / "out"
    made = CliRunner().invoke(app, ["split", f"{tmp_path / 'manifest.jsonl'}", "--out", f"{out}"])
    assert not made.exit_code, made.output
    assert "7 clips to train on, 1 to choose by, 4 to evaluate on" in made.output
    done = CliRunner().invoke(app, ["run", f"{out / 'recipe.toml'}", "--out", f"{out / 'runs'}", "--workers", "1"])
    assert not done.exit_code, done.output
    (manifest,) = (out / "runs").glob("*/manifest.jsonl")
    trained = {json.loads(line)["text"] for line in manifest.read_text().splitlines()}
    held_out = {
        each.text
        for part in ("development", "evaluation")
        for each in open_corpus(f"{out / part}/manifest.jsonl").utterances
    }
    assert trained | held_out == {line["text"] for line in lines}
    assert not trained & held_out
    proof = json.loads(next((out / "runs").glob("*/contamination.json")).read_text())
    assert proof["corpora"][0]["n_texts"] == 4


def test_what_cannot_be_divided_is_refused(tmp_path: Path):
    clips = [clip(number) for number in range(40)]
    with pytest.raises(PipelineError, match="3: got no speaker, expected one for each clip; or keep texts alone apart"):
        divide([*clips[:3], replace(clips[3], speaker=None), *clips[4:]], tmp_path / "a")
    with pytest.raises(PipelineError, match="development: got no clips, expected more clips, or other shares"):
        divide([replace(each, speaker="one") for each in clips], tmp_path / "b")
    assert not (tmp_path / "b").exists()
    (tmp_path / "c").mkdir()
    (tmp_path / "c/file").touch()
    with pytest.raises(PipelineError, match="c: got a folder with something in it"):
        divide(clips, tmp_path / "c")


def _all(parts: Parts) -> tuple[tuple[Utterance, ...], ...]:
    return parts.train, parts.development, parts.evaluation
