from pathlib import Path

import pytest

from eval.corpora.fleurs import read_fleurs
from eval.errors import CorpusError

# id, file, raw transcription, transcription, characters, number of samples, gender: as in google/fleurs, no header.
ENGLISH = [
    (
        "1904",
        "5014.wav",
        "However, due to the slow channels, styles lag behind.",
        "however",
        "h o w |",
        "96000",
        "MALE",
    ),
    (
        "1904",
        "7740.wav",
        "However, due to the slow channels, styles lag behind.",
        "however",
        "h o w |",
        "64000",
        "FEMALE",
    ),
]
GERMAN = [
    (
        "1904",
        "1188.wav",
        "Aufgrund der langsamen Kanäle",
        "aufgrund der langsamen kanäle",
        "a u f |",
        "80000",
        "FEMALE",
    ),
    ("1905", "1189.wav", "Ein Satz ohne englisches Gegenstück", "ein satz", "e i n |", "16000", "FEMALE"),
]


@pytest.fixture
def root(write_files) -> Path:
    return write_files(
        {
            "data/en_us/test.tsv": ENGLISH,
            "data/en_us/audio/test/5014.wav": b"",
            "data/en_us/audio/test/7740.wav": b"",
            "data/de_de/test.tsv": GERMAN,
            "data/de_de/test/1188.wav": b"",
            "data/de_de/test/1189.wav": b"",
        }
    )


def test_sentences_are_parallel_across_languages(root: Path) -> None:
    corpus = read_fleurs(root / "data", languages=["de_de"])
    first, second = corpus.utterances
    assert (first.id, first.text) == ("fleurs/de_de/test/1188", "Aufgrund der langsamen Kanäle")
    assert first.translation_en == "However, due to the slow channels, styles lag behind."
    assert second.translation_en is None
    assert (first.language, first.duration, first.dataset) == ("de", 5.0, "fleurs")
    assert first.path == root / "data/de_de/test/1188.wav"
    assert corpus.name == "fleurs/de_de/test"


def test_readers_of_one_sentence_are_clips_of_their_own(root: Path) -> None:
    corpus = read_fleurs(root / "data/en_us")
    assert [clip.id for clip in corpus.utterances] == ["fleurs/en_us/test/5014", "fleurs/en_us/test/7740"]
    assert {clip.translation_en for clip in corpus.utterances} == {None}
    assert corpus.utterances[0].path == root / "data/en_us/audio/test/5014.wav"


def test_every_language_that_is_there(root: Path) -> None:
    assert {clip.language for clip in read_fleurs(root / "data").utterances} == {"en", "de"}


@pytest.mark.parametrize(
    ("locale", "code"),
    [
        ("cmn_hans_cn", "zh"), ("yue_hant_hk", "yue"), ("fil_ph", "tl"), ("nb_no", "no"), ("jv_id", "jw"),
        ("es_419", "es"), ("ckb_iq", "ckb"), ("kea_cv", "kea"), ("he_il", "he"),
    ],
)  # fmt: skip
def test_locales_become_whisper_codes(write_files, locale: str, code: str) -> None:
    root = write_files({f"{locale}/test.tsv": GERMAN[:1], f"{locale}/test/1188.wav": b""})
    assert read_fleurs(root).utterances[0].language == code


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([GERMAN[0], ("1", "2.wav", "Text")], "line 2: got 3 fields, expected 7 between tabs: id, file"),
        ([("1", "2.wav", "a", "a", "a |", "long", "MALE")], "line 1: got 7 fields, expected 7"),
        ([GERMAN[0], GERMAN[0]], "line 2: clip 'fleurs/de_de/test/1188' was there before"),
        ([("1", "gone.wav", "a", "a", "a |", "1", "MALE")], "line 1: expected the audio file .*gone.wav"),
        ([], "got no clips"),
    ],
)
def test_a_bad_table_is_named(root: Path, write_files, rows: list[tuple[str, ...]], message: str) -> None:
    write_files({"data/de_de/test.tsv": rows})
    with pytest.raises(CorpusError, match=message):
        read_fleurs(root / "data/de_de")


def test_a_split_that_is_not_there(root: Path) -> None:
    with pytest.raises(CorpusError, match=r"got no language with dev\.tsv"):
        read_fleurs(root / "data", split="dev")
    with pytest.raises(CorpusError, match=r"fr_fr/test\.tsv: No such file"):
        read_fleurs(root / "data", languages=["fr_fr"])
