from pathlib import Path

import pytest

from eval.corpora.covost import read_covost
from eval.errors import CorpusError

OF_A_SPLIT = [
    ("path", "sentence", "translation", "client_id"),
    ("common_voice_fr_1.mp3", "Bonjour.", "Hello\\\\ there.", "a1"),
    ("common_voice_fr_2.mp3", '"""Oui"", dit-il."', "Yes, he says.", "b2"),
]
PUBLISHED = [
    ("path", "translation", "split"),
    ("common_voice_sv-SE_3.mp3", "Hi.", "test"),
    ("common_voice_sv-SE_4.mp3", "Bye.", "train"),
]
VALIDATED = [
    ("client_id", "path", "sentence", "up_votes"),
    ("c3", "common_voice_sv-SE_3.mp3", "Hej.", "2"),
    ("c3", "common_voice_sv-SE_4.mp3", "Hej då.", "2"),
]


@pytest.fixture
def root(write_files) -> Path:
    return write_files(
        {
            "covost_v2.fr_en.test.tsv": OF_A_SPLIT,
            "covost_v2.fr_en.tsv": [("path", "translation", "split")],
            "covost_v2.en_de.test.tsv": OF_A_SPLIT,
            "fr/clips/common_voice_fr_1.mp3": b"",
            "fr/clips/common_voice_fr_2.mp3": b"",
            "sv-SE/covost_v2.sv-SE_en.tsv": PUBLISHED,
            "sv-SE/validated.tsv": VALIDATED,
            "sv-SE/clips/common_voice_sv-SE_3.mp3": b"",
        }
    )


def test_reads_the_table_of_a_split(root: Path) -> None:
    corpus = read_covost(root, languages=["fr"])
    first, second = corpus.utterances
    assert corpus.name == "covost2/fr_en/test"
    assert (first.id, first.text, first.translation_en) == (
        "covost2/fr_en/common_voice_fr_1", "Bonjour.", "Hello\\ there.",
    )  # fmt: skip
    assert (first.language, first.speaker, first.dataset) == ("fr", "a1", "covost2")
    assert first.path == root / "fr/clips/common_voice_fr_1.mp3"
    assert second.text == '"Oui", dit-il.'


def test_joins_the_published_table_with_common_voice(root: Path) -> None:
    (clip,) = read_covost(root / "sv-SE").utterances
    assert (clip.text, clip.translation_en, clip.language, clip.speaker) == ("Hej.", "Hi.", "sv", "c3")
    assert clip.path == root / "sv-SE/clips/common_voice_sv-SE_3.mp3"


def test_reads_every_language_there_is_and_no_translations_from_english(root: Path) -> None:
    assert read_covost(root).name == "covost2/fr_en+sv-SE_en/test"


def test_the_other_direction_is_an_error_that_says_so(root: Path) -> None:
    with pytest.raises(CorpusError, match=r"from en into de, expected them into English, which alone Whisper makes"):
        read_covost(root, languages=["en"])


def test_a_table_that_is_not_there(root: Path) -> None:
    with pytest.raises(CorpusError, match="got no table from ja with the split 'test', expected a folder with"):
        read_covost(root, languages=["ja", "fr"])
    with pytest.raises(CorpusError, match="got no table with the split 'test'"):
        read_covost(root / "fr")


@pytest.mark.parametrize(
    ("name", "rows", "message"),
    [
        ("covost_v2.fr_en.test.tsv", [("path", "sentence")], "expected also translation, client_id"),
        ("covost_v2.fr_en.test.tsv", [OF_A_SPLIT[0], ("1.mp3", "a", " ", "b")], "line 2: the translation is empty"),
        ("covost_v2.fr_en.test.tsv", [OF_A_SPLIT[0], ("9.mp3", "a", "b", "c")], "line 2: expected the audio file"),
        ("sv-SE/validated.tsv", VALIDATED[:1], "line 2: clip 'common_voice_sv-SE_3.mp3' is not in .*validated"),
    ],
)
def test_a_bad_table_is_named(root: Path, write_files, name: str, rows: list[tuple[str, ...]], message: str) -> None:
    write_files({name: rows})
    with pytest.raises(CorpusError, match=message):
        read_covost(root)
