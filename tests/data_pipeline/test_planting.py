from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from heap_making import SENTENCES, InThisProcess, Silent, write_audio

from asr.audio import SAMPLE_RATE
from data_pipeline.defects import DEFECTS, Fits, sentence
from data_pipeline.errors import PipelineError
from data_pipeline.judging import judge
from data_pipeline.planting import plant
from data_pipeline.recipe import read_recipe
from data_pipeline.running import RunPlan, run_recipe
from eval.corpora import Utterance

N_SAMPLES = 35_200  # of a clip
GERMAN = (
    "Die Fähre fährt um neun, und die letzte kommt um sechs zurück.",
    "Niemand hatte ihr gesagt, dass die Brücke gesperrt war.",
    "Abends, wenn der Laden leer ist, schreibt er seinem Bruder.",
    "Einige Äpfel waren rot, aber die meisten noch grün.",
)


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[Utterance]:
    folder = tmp_path_factory.mktemp("clips")
    draw = np.random.default_rng(0)
    found = []
    for language, sentences in (("en", SENTENCES), ("de", GERMAN)):
        for number in range(8 * 10):
            words = sentences[number % len(sentences)].split()
            text = f"{number}, {' '.join(words[place] for place in draw.permutation(len(words)))}"
            path = write_audio(folder / f"{language}{number}.wav", 1.0, number + 1000 * (language == "de"))
            soundfile.write(path, np.tile(soundfile.read(path, dtype="int16")[0], 3)[:N_SAMPLES], SAMPLE_RATE)
            found.append(
                Utterance(
                    id=path.stem,
                    path=path,
                    text=text,
                    language=language,
                    duration=N_SAMPLES / SAMPLE_RATE,
                    translation_en=f"This is number {number}, in English." if language == "de" else None,
                )
            )
    return found


def test_filters_that_need_no_model_find_what_was_planted(clips: list[Utterance], tmp_path: Path):
    truth = plant(clips, tmp_path, seed=0, share=0.03)
    kinds = Counter(each.defect for each in truth)
    assert kinds.keys() == DEFECTS.keys() - {"wrong_language"}, "of one language beside English"
    assert kinds["none"] > 10
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(recipe.read_text().replace('[model]\nname = "base"\n', ""))
    run = run_recipe(
        RunPlan(recipe=read_recipe(recipe)),
        tmp_path / "runs",
        executor=InThisProcess(),
        resume=False,
        progress=Silent(),
    ).path
    judgement = judge(tmp_path, run)
    for kind, stages in DEFECTS.items():
        if kind in kinds and stages and stages[0] not in ("language", "agreement", "segment"):
            score = judgement.defects[kind]
            assert (score.n, score.n_by_expected) == (1, 1), (kind, score)
    assert judgement.defects["none"].n_dropped == 0
    assert judgement.defects["long_pause"].n_dropped == 0
    assert judgement.silence.n == 2
    assert judgement.good.total == pytest.approx(judgement.good.kept + sum(judgement.good.cut.values()))


def test_the_seed_decides(clips: list[Utterance], tmp_path: Path):
    truths = [plant(clips, tmp_path / f"{n}", seed=seed, share=0.03) for n, seed in enumerate((0, 0, 1))]
    assert truths[0] == truths[1] != truths[2]
    heaps = [
        {path.name: path.read_bytes() for path in (tmp_path / f"{n}/heap").iterdir() if path.suffix != ".wav"}
        for n in range(2)
    ]
    assert heaps[0] == heaps[1]


def test_two_talks_exchange_their_captions(clips: list[Utterance], tmp_path: Path):
    truth = plant(clips, tmp_path, seed=0, share=0.03)
    own = {sentence(clip.text or ""): clip.language for clip in clips}
    pair = [tmp_path / "heap" / f"{Path(each.id).stem}.vtt" for each in truth if each.defect == "other_captions"]
    said = [{line for line in path.read_text().splitlines() if line in own} for path in pair]
    assert [len(lines) for lines in said] == [4, 4]
    assert len({own[line] for lines in said for line in lines}) == 1
    assert not said[0] & said[1]


def test_a_script_without_case_has_no_capitals(clips: list[Utterance]):
    arabic = [replace(clip, text="مرحبا بكم في المدينة القديمة", language="ar") for clip in clips[:4]]
    fits = Fits.of(arabic)
    kinds = {kind for kind in DEFECTS if fits(kind, arabic)}
    assert "no_punctuation" in kinds
    assert not kinds & {"upper_case", "lower_case", "recognizer_style", "mostly_recognizer_style"}


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("the conference is full", "The conference is full."),
        ("RUBOUT G N THREE", "Rubout g n three."),
        ("Is it?", "Is it?"),
        ("टॉम को कुछ पिलाओ।", "टॉम को कुछ पिलाओ।"),
    ],
)
def test_texts_are_written_as_people_write(text: str, written: str):
    assert sentence(text) == written


def test_too_few_clips_are_refused(clips: list[Utterance], tmp_path: Path):
    with pytest.raises(PipelineError, match="smaller share"):
        plant(clips[:40], tmp_path, seed=0, share=0.045)
    assert not list(tmp_path.iterdir())
