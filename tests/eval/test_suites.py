import json
from importlib.resources import files
from pathlib import Path

import pytest

from eval.corpora.opening import CorpusSpec
from eval.corpora.selection import select
from eval.corpora.types import Corpus, canonical_language
from eval.errors import CorpusError
from eval.jobs import Job
from eval.normalizers import NormalizerName, Unit
from eval.runner import LanguageMode
from eval.suites import SuiteRow, read_suites

ROWS = [row for suite in read_suites().values() for row in suite.rows]


def test_the_suites_that_come_with_auricle() -> None:
    suites = read_suites()
    assert {"development", "paper-english", "paper-multilingual", "paper-translation"} <= set(suites)
    assert all(suite.description for suite in suites.values())
    assert {row.job for row in suites["development"].rows} == set(Job)
    assert {row.job for row in suites["paper-translation"].rows} == {Job.TRANSLATE}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.name}-{row.corpus}")
def test_a_row_names_a_corpus_below_the_data_folder(row: SuiteRow) -> None:
    assert not Path(CorpusSpec.parse(row.corpus).location).is_absolute()


@pytest.mark.parametrize("row", [row for row in ROWS if row.published], ids=lambda row: row.published)
def test_a_row_stands_beside_the_papers_figure_for_its_own_corpus_and_language(row: SuiteRow) -> None:
    tables = json.loads((files("eval") / "published.json").read_text("utf-8"))["tables"].values()
    assert any(row.published in table["columns"] for table in tables)
    spec = CorpusSpec.parse(row.corpus)
    folder = Path(spec.location).name
    dataset = {"librispeech": f"librispeech_{folder}", "common-voice": "common_voice_5.1", "covost": "covost2"}
    language = {"cmn_hans_cn": "zh", "test-clean": "en", "test-other": "en"}.get(folder) or canonical_language(folder)
    assert row.published == f"{dataset.get(spec.kind or '', spec.kind)}/{language}"


def test_the_development_suite_selects_from_the_shared_manifest(shared: Path) -> None:
    from eval.corpora import open_corpus

    for row in read_suites()["development"].rows:
        corpus: Corpus = select(open_corpus(row.corpus, root=shared / "data"), row.only)
        assert any(clip.reference(row.job) is not None for clip in corpus.utterances)


def test_a_file_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "suites.toml"
    path.write_text(
        '[mine]\nrows = [{ name = "a", corpus = "m.jsonl", only = ["kind=long"], job = "translate", language = "auto",'
        ' normalizer = "auricle", unit = "character", published = "covost2/de" }]\n'
    )
    suites = read_suites(path)
    assert list(suites) == ["mine"]
    assert suites["mine"].rows == (
        SuiteRow(
            name="a",
            corpus="m.jsonl",
            only=("kind=long",),
            job=Job.TRANSLATE,
            language=LanguageMode.AUTO,
            normalizer=NormalizerName.AURICLE,
            unit=Unit.CHARACTER,
            published="covost2/de",
        ),
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[mine", "got no valid TOML"),
        ("", "got no suites, expected at least one table"),
        ("[mine]\nrows = []", r"\[mine\]: expected a table with rows"),
        (
            "[mine]\nrows = [{ name = 'a', corpus = 'm', task = 'translate' }]",
            r"row 1: got the field 'task', expected only",
        ),
        ("[mine]\nrows = [{ corpus = 'm' }]", "row 1: 'name' is missing"),
        ("[mine]\nrows = [{ name = '../a', corpus = 'm' }]", "expected one that can be a folder's"),
        ("[mine]\nrows = [{ name = '..', corpus = 'm' }]", "expected one that can be a folder's"),
        ("[mine]\nrows = [{ name = 'a', corpus = 'm', only = 'x' }]", "expected texts, and `only` to be an array"),
        (
            "[mine]\nrows = [{ name = 'a', corpus = 'm', job = 'sing' }]",
            "'job' is 'sing', expected one of transcribe, tra",
        ),
        ("[mine]\nrows = [{ name = 'a', corpus = 'mls:m' }]", "got 'mls' before the colon"),
        (
            "[mine]\nrows = [{ name = 'a', corpus = 'm' }, { name = 'a', corpus = 'n' }]",
            "row 2: name 'a' was there before",
        ),
    ],
)
def test_a_bad_file_is_explained(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "suites.toml"
    path.write_text(text)
    with pytest.raises(CorpusError, match=message):
        read_suites(path)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="No such file"):
        read_suites(tmp_path / "none.toml")
