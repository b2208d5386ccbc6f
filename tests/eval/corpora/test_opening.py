from typing import Any

import pytest

from eval.corpora import open_corpus
from eval.corpora.opening import READERS
from eval.errors import CorpusError

ROW = ("1904", "1188.wav", "Aufgrund der langsamen Kanäle", "aufgrund", "a u f |", "80000", "FEMALE")


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the readers were asked for, by kind."""
    calls: dict[str, Any] = {}
    for kind, (_, known) in READERS.items():
        reader = lambda path, kind=kind, **settings: calls.update({kind: (path, settings)})  # noqa: E731
        monkeypatch.setitem(READERS, kind, (reader, known))
    monkeypatch.setattr("eval.corpora.opening.read_hub", READERS["hub"][0])
    return calls


@pytest.mark.parametrize(
    ("spec", "kind", "expected"),
    [
        ("librispeech:LibriSpeech/test-clean", "librispeech", ("LibriSpeech/test-clean", {})),
        ("fleurs:data?language=de_de,fr_fr&split=dev", "fleurs",
         ("data", {"languages": ["de_de", "fr_fr"], "split": "dev"})),
        ("common-voice:cv?language=sv-SE", "common-voice", ("cv", {"languages": ["sv-SE"]})),
        ("covost:covost2", "covost", ("covost2", {})),
        ("asterisk:/?language=es", "asterisk", ("/", {"languages": ["es"]})),
        ("hub:google/fleurs?config=de_de&split=test&language=de", "hub",
         ("google/fleurs", {"config": "de_de", "split": "test", "language": "de"})),
    ],
)  # fmt: skip
def test_a_spec_reaches_its_reader(asked: dict[str, Any], spec: str, kind: str, expected: tuple[str, Any]) -> None:
    open_corpus(spec)
    path, settings = asked[kind]
    assert (str(path), settings) == expected


def test_paths_are_relative_to_the_root(write_files) -> None:
    root = write_files({"fleurs/de_de/test.tsv": [ROW], "fleurs/de_de/test/1188.wav": b""})
    (clip,) = open_corpus("fleurs:fleurs/de_de", root=root).utterances
    assert clip.path == root / "fleurs/de_de/test/1188.wav"


def test_a_manifest_is_named_by_its_path_alone(write_manifest, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest = write_manifest()
    assert len(open_corpus(str(manifest)).utterances) == 5
    monkeypatch.chdir(manifest.parent)
    manifest.rename("fleurs:a.jsonl")  # odd, and still a path
    assert len(open_corpus("./fleurs:a.jsonl").utterances) == 5


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("libri:LibriSpeech", "got 'libri' before the colon, expected the path of a JSONL manifest, or KIND:PATH with"),
        (
            "nothing.jsonl",
            "nothing.jsonl: got nothing, expected the path of a JSONL manifest, or KIND:PATH with KIND one of",
        ),
        (".", "got a folder, expected the path of a JSONL manifest, or KIND:PATH"),
        ("fleurs:data?langauge=de", "got the setting 'langauge' for fleurs, expected language, split"),
        ("librispeech:data?split=test", "got the setting 'split' for librispeech, expected none"),
        ("fleurs:data?language=de_de&language=fr_fr", "got a setting twice, expected each once"),
        ("fleurs:data?test", "got 'test' after [?], expected setting=value&setting=value"),
    ],
)
def test_a_spec_that_cannot_be_read_is_explained(spec: str, message: str) -> None:
    with pytest.raises(CorpusError, match=message):
        open_corpus(spec)


def test_the_error_lists_every_kind() -> None:
    with pytest.raises(CorpusError) as caught:
        open_corpus("mls:data")
    assert str(caught.value).endswith("librispeech, fleurs, common-voice, covost, asterisk, hub")
