from pathlib import Path

import pytest

from eval.corpora.librispeech import read_librispeech
from eval.errors import CorpusError

CLEAN = "LibriSpeech/test-clean/1089/134686/1089-134686"
OTHER = "LibriSpeech/test-other/367/130732/367-130732"


@pytest.fixture
def root(write_files) -> Path:
    return write_files(
        {
            f"{CLEAN}.trans.txt": "1089-134686-0000 HE HOPED THERE WOULD BE STEW\n1089-134686-0001 STUFF IT INTO YOU\n",
            f"{CLEAN}-0000.flac": b"",
            f"{CLEAN}-0001.flac": b"",
            f"{OTHER}.trans.txt": "367-130732-0000 LOBSTERS AND LOBSTERS\n",
            f"{OTHER}-0000.flac": b"",
            "LibriSpeech/SPEAKERS.TXT": ";ID  |SEX| SUBSET\n",
        }
    )


@pytest.mark.parametrize("folder", ["LibriSpeech/test-clean", "LibriSpeech", "."])
def test_reads_a_split_or_all_of_them(root: Path, folder: str) -> None:
    corpus = read_librispeech(root / folder)
    first = corpus.utterances[0]
    assert (first.id, first.text) == ("librispeech_test-clean/1089-134686-0000", "HE HOPED THERE WOULD BE STEW")
    assert first.path == root / f"{CLEAN}-0000.flac"
    assert (first.language, first.speaker, first.dataset) == ("en", "1089", "librispeech_test-clean")
    datasets = {clip.dataset for clip in corpus.utterances}
    assert datasets == {"librispeech_test-clean"} | (
        {"librispeech_test-other"} if folder != "LibriSpeech/test-clean" else set()
    )
    assert corpus.name == "+".join(sorted(datasets))


def test_a_changed_text_changes_the_digest(root: Path) -> None:
    before = read_librispeech(root / "LibriSpeech")
    (root / f"{OTHER}.trans.txt").write_text("367-130732-0000 LOBSTERS\n")
    after = read_librispeech(root / "LibriSpeech")
    assert before.name == after.name
    assert before.sha256 != after.sha256


def test_a_line_without_audio_is_named(root: Path) -> None:
    (root / f"{CLEAN}-0001.flac").unlink()
    with pytest.raises(CorpusError, match=r"1089-134686\.trans\.txt, line 2: expected the audio file .*-0001\.flac"):
        read_librispeech(root)


def test_audio_without_a_line_is_named(root: Path) -> None:
    (root / f"{CLEAN}-0002.flac").touch()
    with pytest.raises(CorpusError, match=r"1089-134686\.trans\.txt: got no line for .*-0002\.flac"):
        read_librispeech(root)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"1089-134686-0000\n", r"line 1: got '1089-134686-0000', expected SPEAKER-CHAPTER-NUMBER, a space"),
        (b"1089-134686-0000 A\n\n1089-134686-0000 B\n", r"line 3: clip '.*-0000' was there before \(.*line 1\)"),
        (b"1089-134686-0000 \xff\n", r"got byte 17 that is not UTF-8"),
    ],
)
def test_a_bad_transcript_is_named(root: Path, content: bytes, message: str) -> None:
    (root / f"{CLEAN}.trans.txt").write_bytes(content)
    with pytest.raises(CorpusError, match=message):
        read_librispeech(root)


def test_another_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"without \*\.trans\.txt, expected a folder SPLIT/SPEAKER"):
        read_librispeech(tmp_path)
    with pytest.raises(CorpusError, match="got nothing, expected a folder SPLIT/SPEAKER"):
        read_librispeech(tmp_path / "none")
