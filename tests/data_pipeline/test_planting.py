from pathlib import Path

import numpy as np
import pytest
from heap_making import SENTENCES, InThisProcess, Silent, write_audio

from data_pipeline.errors import PipelineError
from data_pipeline.judging import judge
from data_pipeline.planting import DEFECTS, plant
from data_pipeline.recipe import read_recipe
from data_pipeline.running import RunPlan, run_recipe
from data_pipeline.storage import write_lines
from eval.corpora import Utterance

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
            path = write_audio(folder / f"{language}{number}.wav", 2.2, number + 1000 * (language == "de"))
            found.append(
                Utterance(
                    id=path.stem,
                    path=path,
                    text=text,
                    language=language,
                    duration=2.2,
                    translation_en=f"This is number {number}, in English." if language == "de" else None,
                )
            )
    return found


def test_filters_that_need_no_model_find_what_was_planted(clips: list[Utterance], tmp_path: Path):
    truth = plant(clips, tmp_path, seed=0, share=0.05)
    assert {each.defect for each in truth} <= DEFECTS.keys()
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
    for kind in ("upper_case", "lower_case", "no_punctuation", "late_captions", "truncated_audio"):
        score = judgement.defects[kind]
        assert (score.n, score.n_by_expected) == (1, 1), kind
    assert judgement.defects["none"].n_dropped == 0
    assert judgement.hours_good_kept == judgement.hours_good


def test_a_stage_is_judged_by_whose_defect_it_drops(tmp_path: Path):
    lines = [("a", "upper_case"), ("b", "none"), ("c", "duplicate"), ("d", "none")]
    write_lines(tmp_path / "truth.jsonl", [{"id": name, "defect": kind, "seconds": 3600.0} for name, kind in lines])
    drops = [{"record": name, "stage": "machine"} for name in "abc"] + [{"record": "d", "stage": "segment"}]
    write_lines(tmp_path / "run/drops.jsonl", drops)
    judgement = judge(tmp_path, tmp_path / "run")
    machine = judgement.stages["machine"]
    assert (machine.n_dropped, machine.n_right, machine.n_good) == (3, 1, 1)
    assert judgement.defects["duplicate"].n_by_expected == 0
    assert (judgement.hours_good, judgement.hours_good_kept, judgement.hours_bad_kept) == (2.0, 1.0, 0.0)


def test_too_few_clips_are_refused(clips: list[Utterance], tmp_path: Path):
    with pytest.raises(PipelineError, match="smaller share"):
        plant(clips[:40], tmp_path, seed=0, share=0.07)
    assert not list(tmp_path.iterdir())
