import json
from importlib.resources import files

import pytest

from eval.published import Decoding, decoding_of, published_language_accuracy, published_rate

LADDER = [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
GREEDY, BEAM, OTHER = Decoding.GREEDY, Decoding.BEAM_FALLBACK, Decoding.OTHER


@pytest.mark.parametrize(
    ("model", "corpus", "language", "decoding", "expected"),
    [
        ("base", "librispeech_test-clean", "en", GREEDY, ("8", 5.0, True)),
        ("base", "librispeech_test-clean", "en", BEAM, ("9", 4.9, True)),
        ("base", "librispeech_test-other", "en", OTHER, ("9", 11.0, False)),
        ("tiny.en", "librispeech_test-other", "en", GREEDY, ("8", 14.6, True)),
        ("/models/whisper-base", "fleurs", "en", BEAM, ("9", 8.9, True)),
        ("base", "fleurs", "de", GREEDY, ("13", 17.9, False)),
        ("base", "fleurs", "zh", BEAM, ("13", 34.1, True)),
        ("base", "mls", "pl", BEAM, ("10", 22.8, None)),
        ("base", "covost2_de-en", "de", BEAM, ("15", 11.7, None)),
        ("base", "earnings22", "en", BEAM, ("16", 18.4, True)),
        ("base", "tedlium3", "en", BEAM, ("9", 5.0, True)),
        ("base", "tedlium3_longform", "en", BEAM, ("16", 4.8, True)),
    ],
)
def test_the_papers_figure(model, corpus, language, decoding, expected):
    published = published_rate(model, corpus, language, decoding)
    assert published is not None
    assert (published.table, published.value, published.same_decoding) == expected


@pytest.mark.parametrize(
    ("model", "corpus", "language"),
    [
        ("base", "ljspeech", "en"),
        ("base", "common_voice_6.1", "de"),  # the paper's other languages are in a table that is not kept here
        ("base", "common_voice_uz_other", "uz"),
        ("tiny.en", "fleurs", "de"),
        ("my-finetune", "fleurs", "de"),
        ("base", "fleurs", None),
        ("base", "not_librispeech_test-clean", "en"),
    ],
)
def test_no_figure_where_the_paper_has_none(model, corpus, language):
    assert published_rate(model, corpus, language, BEAM) is None


def test_another_version_of_a_corpus_is_a_near_match():
    here, there = (published_rate("base", f"common_voice_{version}", "en", GREEDY) for version in ("6.1", "5.1"))
    assert here is not None
    assert there is not None
    assert here.value == there.value == 21.6
    assert "5.1" in (here.difference or "")
    assert there.difference is None


@pytest.mark.parametrize(
    ("beams", "temperatures", "decoding"),
    [(1, [0.0], GREEDY), (5, LADDER, BEAM), (5, [0.0], OTHER), (1, LADDER, OTHER), (2, LADDER, OTHER)],
)
def test_decoding_is_told_from_the_configuration(beams, temperatures, decoding):
    assert decoding_of({"options": {"beam_size": beams, "temperatures": temperatures}}) is decoding


def test_a_run_without_options_is_neither():
    assert decoding_of({"options": {}}) is OTHER


def test_language_accuracy_is_known_for_one_model():
    assert published_language_accuracy("large-v2", "fleurs") == 64.5
    assert published_language_accuracy("base", "fleurs") is None
    assert published_language_accuracy("large-v2", "voxlingua107") is None


def test_every_row_has_every_column():
    tables = json.loads((files("eval") / "published.json").read_text(encoding="utf-8"))["tables"]
    for table in tables.values():
        assert all(len(row) == len(table["columns"]) for row in table["rows"].values())


def test_the_numbers_are_the_papers(shared):
    paper = json.loads((shared / "design" / "published.json").read_text(encoding="utf-8"))
    tables = json.loads((files("eval") / "published.json").read_text(encoding="utf-8"))["tables"]
    assert tables["8"]["rows"] == paper["table8_greedy"]
    assert tables["9"]["rows"] == paper["table9_beam_fallback"]
    assert tables["16"]["rows"] == paper["table16_longform"]
    models = ["tiny", "base", "small", "medium", "large", "large-v2"]
    for number, key in (
        ("13", "table13_fleurs_wer_tiny_base_small_medium_large_largev2"),
        ("15", "table15_covost2_bleu_x_en_tiny_base_small_medium_large_largev2"),
    ):
        for column, values in zip(tables[number]["columns"], paper[key].items(), strict=True):
            language, figures = values
            at = tables[number]["columns"].index(column)
            assert column.split("/")[1] == language.removesuffix("(CER)")
            assert [tables[number]["rows"][model][at] for model in models] == figures
