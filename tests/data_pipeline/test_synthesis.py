import json
import random
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from data_pipeline.cli import app
from data_pipeline.errors import PipelineError
from data_pipeline.phrases import LANGUAGES, PATTERNS, SLOT, WORDS, Phrase, draw_phrase
from data_pipeline.speaking import ESPEAK, FLITE, HELD_OUT_VARIANTS, VARIANTS
from data_pipeline.synthesis import synthesize
from eval.corpora import open_corpus

MISSING = [program for program in (ESPEAK, FLITE) if shutil.which(program) is None]
needs_voices = pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("synthesis") / "made"
    synthesize(out, hours=0.06, n_evaluation=2, seed=1)
    return out


def phrases(n_phrases: int, *, held_out: bool = False) -> list[Phrase]:
    rng = random.Random(0)  # noqa: S311
    return [draw_phrase(rng, held_out=held_out) for _ in range(n_phrases)]


@pytest.mark.parametrize("name", WORDS)
def test_a_word_has_a_translation_in_every_language(name: str):
    assert set(WORDS[name]) == set(LANGUAGES)
    assert len({len(words.split(" | ")) for words in WORDS[name].values()}) == 1


@pytest.mark.parametrize("pattern", PATTERNS, ids=lambda pattern: pattern["en"])
def test_a_pattern_says_the_same_in_every_language(pattern: dict[str, str]):
    assert set(pattern) == set(LANGUAGES)
    assert len({tuple(sorted(SLOT.findall(text))) for text in pattern.values()}) == 1


def test_a_sentence_is_held_out_in_all_languages_or_in_none():
    trained, tested = phrases(300), phrases(300, held_out=True)
    for language in LANGUAGES:
        assert not {each.texts[language] for each in trained} & {each.texts[language] for each in tested}


def test_words_keep_their_meaning_where_another_language_has_another_order():
    found = next(each for each in phrases(1000) if each.texts["en"].startswith("We are going to the beach on "))
    day = WORDS["day"]["en"].split(" | ").index(found.texts["en"].rstrip(".").split()[-1])
    german, spanish = (WORDS["day"][language].split(" | ")[day] for language in ("de", "es"))
    assert found.texts["de"] == f"Wir gehen am {german} zum Strand."
    assert found.texts["es"] == f"Vamos a la playa el {spanish}."


@needs_voices
def test_the_same_seed_gives_the_same_bytes(made: Path, tmp_path: Path):
    synthesize(tmp_path / "again", hours=0.06, n_evaluation=2, seed=1)
    files = {path.relative_to(made): path.read_bytes() for path in made.rglob("*") if path.is_file()}
    again = (path for path in (tmp_path / "again").rglob("*") if path.is_file())
    assert {path.relative_to(tmp_path / "again"): path.read_bytes() for path in again} == files


@needs_voices
def test_the_pipeline_makes_examples_of_every_task(made: Path, tmp_path: Path):
    done = CliRunner().invoke(app, ["run", f"{made / 'recipe.toml'}", "--out", f"{tmp_path}", "--workers", "1"])
    assert not done.exit_code, done.output
    (manifest,) = tmp_path.glob("*/manifest.jsonl")
    examples = [json.loads(line) for line in manifest.read_text().splitlines()]
    assert {each["language"] for each in examples if each["text"]} == set(LANGUAGES)
    translated = {each["language"] for each in examples if each["text"] and each["task"] == "translate"}
    assert translated == set(LANGUAGES) - {"en"}
    assert any(not each["text"] for each in examples)
    assert any(each["use_timestamps"] and len(each["cues"]) > 5 for each in examples)


@needs_voices
def test_the_evaluation_has_voices_that_are_not_trained_on(made: Path):
    clips = open_corpus(f"{made / 'evaluation/manifest.jsonl'}").utterances
    spoken = [clip for clip in clips if clip.text]
    assert [clip.kind for clip in clips if not clip.text] == ["noise"] * 2
    assert sorted(clip.language or "" for clip in spoken) == sorted(2 * LANGUAGES)
    assert all(clip.translation_en and clip.parts and clip.path.exists() for clip in spoken)
    variants = {(clip.speaker or "").partition("+")[2] for clip in spoken} - {""}
    assert variants <= set(HELD_OUT_VARIANTS)
    assert not variants & set(VARIANTS)


def test_a_missing_program_is_named_with_the_next_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", f"{tmp_path}")
    with pytest.raises(PipelineError, match="espeak-ng: no such program; install both, as with `apt-get install"):
        synthesize(tmp_path / "out", hours=0.06, n_evaluation=1, seed=0)
