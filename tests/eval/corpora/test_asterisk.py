import gzip
from pathlib import Path

import pytest

from eval.corpora.asterisk import read_asterisk
from eval.errors import CorpusError

ENGLISH = """\
; Core Asterisk Sounds in English

agent-loginok: Agent logged in.
beep: [this is a simple beep tone]
digits/1: one
letters/at: at [@]
pls-try-call-later: Please try your call later.
silence/1: (1 second of silence)
"""
ITALIAN = """\
\ufeff; Core Asterisk Sounds in Italian
agent-loginok: operatore connesso
beep: un suono beep
dir-welcome:
digits/1F: una
digits/1: uno
digits/1: due
"""
DOC, SOUNDS = "usr/share/doc", "usr/share/asterisk/sounds"


@pytest.fixture
def root(write_files) -> Path:
    english = ("agent-loginok", "beep", "digits/1", "letters/at", "silence/1")
    italian = ("agent-loginok", "beep", "dir-welcome", "digits/1", "digits/1f", "phone", "silence/1")
    return write_files(
        {
            f"{DOC}/asterisk-core-sounds-en/core-sounds-en.txt.gz": gzip.compress(ENGLISH.encode()),
            f"{DOC}/asterisk-core-sounds-it/core-sounds-it.txt.gz": gzip.compress(ITALIAN.encode()),
            f"{DOC}/asterisk-core-sounds-es/core-sounds-es.txt": "agent-loginok: Agente conectado\n",
            **{f"{SOUNDS}/en_US_f_Allison/{name}.wav": b"" for name in english},
            **{f"{SOUNDS}/it_IT_m_Carlo/{name}.wav": b"" for name in italian},
            f"{SOUNDS}/es_MX_f_Allison/agent-loginok.g722": b"",
        }
    )


@pytest.mark.parametrize("folder", [".", "usr/share"])
def test_english_prompts(root: Path, folder: str) -> None:
    corpus = read_asterisk(root / folder, languages=["en"])
    clips = {clip.id.removeprefix("asterisk-core-sounds-en/"): clip for clip in corpus.utterances}
    assert set(clips) == {"agent-loginok", "beep", "digits/1", "letters/at", "silence/1"}
    spoken = clips["agent-loginok"]
    assert (spoken.text, spoken.language, spoken.speaker) == ("Agent logged in.", "en", "en_US_f_Allison")
    assert (spoken.dataset, spoken.translation_en, spoken.kind) == ("asterisk-core-sounds-en", None, None)
    assert spoken.path.samefile(root / SOUNDS / "en_US_f_Allison/agent-loginok.wav")
    assert {(clips[name].text, clips[name].kind, clips[name].language) for name in ("beep", "silence/1")} == {
        ("", "noise", None)
    }
    assert (clips["letters/at"].text, clips["letters/at"].quality) == ("at [@]", "doubtful")


def test_english_counterparts_translate_the_other_languages(root: Path) -> None:
    clips = {clip.id.split("/", 1)[1]: clip for clip in read_asterisk(root, languages=["it"]).utterances}
    assert (clips["agent-loginok"].text, clips["agent-loginok"].translation_en) == (
        "operatore connesso",
        "Agent logged in.",
    )
    assert (clips["digits/1"].text, clips["digits/1"].quality) == ("uno", "doubtful")
    assert clips["digits/1f"].text == "una"
    assert {clips[name].text for name in ("dir-welcome", "phone")} == {None}
    for name in ("beep", "silence/1"):
        assert (clips[name].text, clips[name].kind, clips[name].translation_en) == ("", "noise", None)


def test_all_languages_whose_texts_and_recordings_are_there(root: Path) -> None:
    corpus = read_asterisk(root)
    assert corpus.name == "asterisk-core-sounds-en+it"
    assert len(corpus.utterances) == 12


def test_formats_without_a_header_come_with_the_command_that_converts_them(root: Path) -> None:
    with pytest.raises(CorpusError) as caught:
        read_asterisk(root, languages=["es"])
    assert "got recordings for es as .g722, expected .wav" in str(caught.value)
    assert f"find {root / SOUNDS} -name '*.g722' -exec sh -c 'ffmpeg -nostdin" in str(caught.value)


def test_a_missing_package_is_named(root: Path, tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="no texts for fr, expected the package asterisk-core-sounds-fr"):
        read_asterisk(root, languages=["fr"])
    with pytest.raises(CorpusError, match="expected the root of a file tree"):
        read_asterisk(tmp_path / "usr/share/doc")


def test_a_line_without_a_prompt_is_named(root: Path, write_files) -> None:
    write_files({f"{DOC}/asterisk-core-sounds-es/core-sounds-es.txt": "; Spanish\n\nAgente conectado\n"})
    write_files({f"{SOUNDS}/es_MX_f_Allison/agent-loginok.wav": b""})
    with pytest.raises(
        CorpusError, match=r"core-sounds-es\.txt, line 3: got 'Agente conectado', expected `prompt: text`"
    ):
        read_asterisk(root, languages=["es"])
