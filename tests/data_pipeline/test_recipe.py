from pathlib import Path

import pytest

from data_pipeline.errors import PipelineError
from data_pipeline.recipe import read_recipe

SOURCE = '[[sources]]\nname = "a"\nkind = "folder"\npath = "heap"\nlicence = "CC0-1.0"\n'


def write(folder: Path, text: str) -> Path:
    (folder / "heap").mkdir()
    (folder / "recipe.toml").write_text(text)
    return folder / "recipe.toml"


def test_what_is_not_said_has_its_default(tmp_path: Path):
    recipe = read_recipe(write(tmp_path, f"chunk_items = 8\n{SOURCE}[machine]\ncasing_vote = 1\n[segments]\n"))
    assert recipe.sources[0].path == tmp_path / "heap"
    assert (recipe.chunk_items, recipe.machine.casing_vote, recipe.segments.silence_share) == (8, 1.0, 0.1)
    assert recipe.evaluation is None


def test_paths_of_tables_are_relative_to_the_recipe(tmp_path: Path):
    text = f'{SOURCE}[evaluation]\nsuites = ["development"]\ncorpora = ["x.jsonl"]\ndata = "corpora"\n'
    evaluation = read_recipe(write(tmp_path, text)).evaluation
    assert evaluation is not None
    assert (evaluation.suites, evaluation.data) == (("development",), tmp_path / "corpora")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no sources"),
        ("sources = 3", "no sources"),
        ("[[sources]", "no valid TOML"),
        (SOURCE.replace("licence", "license"), "the field 'license'"),
        (SOURCE.replace('licence = "CC0-1.0"', ""), "'licence' is missing"),
        (SOURCE.replace("folder", "zip"), "kind 'zip', expected folder, nemo"),
        (SOURCE.replace("heap", "other"), "got nothing at"),
        (SOURCE.replace('"a"', '"a/b"'), "without a slash"),
        (SOURCE + SOURCE, "unique"),
        ('skip = ["clean"]\n' + SOURCE, "skip: got 'clean'"),
        ("chunk_items = 0\n" + SOURCE, "chunk_items"),
        ('chunk_items = "8"\n' + SOURCE, "expected int"),
        (SOURCE + "[machine]\ncasing = 1\n", "machine: got the field 'casing'"),
        (SOURCE + "[machine]\ncasing_vote = true\n", "expected float"),
        (SOURCE + "[repeats]\nmax_run = 1.5\n", "expected int"),
        (SOURCE + 'machine = "off"\n', "the field 'machine'"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, message: str):
    with pytest.raises(PipelineError, match=r"recipe\.toml") as error:
        read_recipe(write(tmp_path, text))
    assert message in str(error.value)


def test_a_missing_recipe_is_named(tmp_path: Path):
    with pytest.raises(PipelineError, match=r"absent\.toml"):
        read_recipe(tmp_path / "absent.toml")
