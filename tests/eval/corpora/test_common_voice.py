from pathlib import Path

import pytest

from eval.corpora.common_voice import locale_language, read_common_voice, spoken_text
from eval.errors import CorpusError

RELEASE_9 = ["client_id", "path", "sentence", "up_votes", "down_votes", "age", "gender", "accents", "locale", "segment"]
RELEASE_17 = [
    *("client_id", "path", "sentence_id", "sentence", "sentence_domain", "up_votes", "down_votes", "age", "gender"),
    *("accents", "variant", "locale", "segment"),
]


def row(header: list[str], **fields: str) -> list[str]:
    return [fields.get(column, "") for column in header]


@pytest.fixture
def root(write_files) -> Path:
    return write_files(
        {
            "cv-corpus-9.0-2022-04-27/de/test.tsv": [
                RELEASE_9,
                row(RELEASE_9, client_id="a1", path="common_voice_de_1.mp3", sentence="Guten Tag.", locale="de"),
                row(RELEASE_9, client_id="b2", path="common_voice_de_2", sentence='"""Ja"", sagte er."', locale="de"),
                row(RELEASE_9, client_id="b2", path="common_voice_de_3.mp3", locale="de"),
            ],
            **{f"cv-corpus-9.0-2022-04-27/de/clips/common_voice_de_{number}.mp3": b"" for number in (1, 2, 3)},
            "cv-corpus-17.0-2024-03-15/sv-SE/test.tsv": [
                RELEASE_17,
                row(RELEASE_17, client_id="c3", path="common_voice_sv-SE_4.mp3", sentence_id="f00", sentence="Hej."),
            ],
            "cv-corpus-17.0-2024-03-15/sv-SE/clip_durations.tsv": [
                ("clip", "duration[ms]"),
                ("common_voice_sv-SE_4.mp3", "2340"),
                ("common_voice_sv-SE_5.mp3", "1000"),
            ],
            "cv-corpus-17.0-2024-03-15/sv-SE/clips/common_voice_sv-SE_4.mp3": b"",
        }
    )


@pytest.mark.parametrize("folder", ["cv-corpus-9.0-2022-04-27", "cv-corpus-9.0-2022-04-27/de"])
def test_a_release_without_durations(root: Path, folder: str) -> None:
    corpus = read_common_voice(root / folder)
    first, quoted, empty = corpus.utterances
    assert corpus.name == "common_voice_9.0/de/test"
    assert (first.id, first.text, first.language) == ("common_voice_9.0/de/common_voice_de_1", "Guten Tag.", "de")
    assert (first.speaker, first.dataset, first.duration) == ("a1", "common_voice_9.0", None)
    assert first.path == root / "cv-corpus-9.0-2022-04-27/de/clips/common_voice_de_1.mp3"
    assert (quoted.text, quoted.path.name) == ('"Ja", sagte er.', "common_voice_de_2.mp3")
    assert empty.text is None


def test_a_release_with_other_columns_and_durations(root: Path) -> None:
    clip = read_common_voice(root / "cv-corpus-17.0-2024-03-15", languages=["sv-SE"]).utterances[0]
    assert (clip.text, clip.language, clip.duration, clip.dataset) == ("Hej.", "sv", 2.34, "common_voice_17.0")


@pytest.mark.parametrize(
    ("locale", "code"),
    [
        ("zh-CN", "zh"), ("zh-TW", "zh"), ("zh-HK", "yue"), ("yue", "yue"), ("pt", "pt"), ("sv-SE", "sv"),
        ("pa-IN", "pa"), ("nn-NO", "nn"), ("ne-NP", "ne"), ("hy-AM", "hy"), ("nan-tw", "nan-tw"), ("ga-IE", "ga-IE"),
    ],
)  # fmt: skip
def test_locales_become_whisper_codes(locale: str, code: str) -> None:
    assert locale_language(locale) == code


@pytest.mark.parametrize(
    ("field", "text"),
    [
        ("Ja.", "Ja."),
        ('"Ja."', '"Ja."'),
        ('"Ja", sagte er. "Nein."', '"Ja", sagte er. "Nein."'),
        ('"Das Prinzip ""teile"" heißt so."', 'Das Prinzip "teile" heißt so.'),
        ('"', '"'),
        ("  ", None),
    ],
)
def test_only_fields_that_were_quoted_are_unquoted(field: str, text: str | None) -> None:
    assert spoken_text(field) == text


def test_a_quotation_mark_swallows_no_lines(write_files) -> None:
    rows = [("client_id", "path", "sentence"), ("a", "1.mp3", '"Unclosed'), ("b", "2.mp3", "Next\u2028line")]
    root = write_files({"de/test.tsv": rows, "de/clips/1.mp3": b"", "de/clips/2.mp3": b""})
    assert [clip.text for clip in read_common_voice(root).utterances] == ['"Unclosed', "Next\u2028line"]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([("path", "text")], "line 1: got the columns path, text; expected also client_id, sentence"),
        ([RELEASE_9, ["a", "b.mp3", "c"]], "line 2: got 3 fields, expected 10 as in the header"),
        ([RELEASE_9, row(RELEASE_9, path="gone.mp3")], "line 2: expected the audio file .*gone.mp3"),
    ],
)
def test_a_bad_table_is_named(root: Path, write_files, rows: list[list[str]], message: str) -> None:
    write_files({"cv-corpus-9.0-2022-04-27/de/test.tsv": rows})
    with pytest.raises(CorpusError, match=message):
        read_common_voice(root / "cv-corpus-9.0-2022-04-27")


def test_a_bad_duration_is_named(root: Path, write_files) -> None:
    table = "cv-corpus-17.0-2024-03-15/sv-SE/clip_durations.tsv"
    write_files({table: [("clip", "duration[ms]"), ("a.mp3", "2 s")]})
    with pytest.raises(CorpusError, match="line 2: got the duration '2 s', expected milliseconds"):
        read_common_voice(root / "cv-corpus-17.0-2024-03-15")


def test_a_split_that_is_not_there(root: Path) -> None:
    with pytest.raises(CorpusError, match=r"got no locale with dev\.tsv"):
        read_common_voice(root / "cv-corpus-9.0-2022-04-27", split="dev")
