import json
from pathlib import Path
from typing import Any

import pytest

from eval.corpora import read_manifest
from eval.errors import CorpusError
from eval.jobs import Job

CLIP = {"id": "a", "path": "a.wav", "text": "hello", "language": "en", "duration": 1.5}


def write(folder: Path, *lines: dict[str, Any] | str) -> Path:
    manifest = folder / "manifest.jsonl"
    texts = [line if isinstance(line, str) else json.dumps(line, ensure_ascii=False) for line in lines]
    manifest.write_text("\n".join(texts) + "\n", encoding="utf-8")
    return manifest


def test_reads_clips_with_paths_beside_the_manifest(tmp_path: Path) -> None:
    more = {"id": "b", "path": "sub/b.wav", "text": None, "translation_en": "hi", "single_word": True, "licence": "CC0"}
    corpus = read_manifest(write(tmp_path, CLIP, "", more))
    first, second = corpus.utterances
    assert corpus.name == f"{tmp_path.name}/manifest.jsonl"
    assert len(corpus.sha256) == 64
    assert (first.path, first.duration, first.single_word) == (tmp_path / "a.wav", 1.5, False)
    assert second.single_word
    assert second.language is None
    assert second.reference(Job.TRANSCRIBE) is None
    assert second.reference(Job.TRANSLATE) == "hi"


@pytest.mark.parametrize(
    ("written", "read"), [("zh-CN", "zh"), ("German", "de"), ("yue", "yue"), ("tlh", "tlh"), (None, None), ("", None)]
)
def test_languages_become_codes_and_unknown_ones_stay(tmp_path: Path, written: str | None, read: str | None) -> None:
    assert read_manifest(write(tmp_path, {**CLIP, "language": written})).utterances[0].language == read


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "line 2: got no valid JSON"),
        ("[]", "line 2: got list, expected a JSON object"),
        ({"id": "b", "text": ""}, "line 2: 'path' is missing, expected a path"),
        ({"id": "b", "path": "b.wav"}, "line 2: 'text' is missing, expected a text or null"),
        ({**CLIP, "id": ""}, "line 2: 'id' is \"\", expected a text that is not empty"),
        ({**CLIP, "id": "b", "text": 3}, "line 2: 'text' is 3, expected a text or null"),
        ({**CLIP, "id": "b", "duration": "1"}, "line 2: 'duration' is \"1\", expected a number"),
        ({**CLIP, "id": "b", "metric": "ser"}, 'line 2: \'metric\' is "ser", expected "wer" or "cer"'),
        ({**CLIP, "id": "b", "metric": ["wer"]}, 'line 2: \'metric\' is ["wer"], expected "wer" or "cer"'),
        ({**CLIP, "id": "b", "duration": float("inf")}, "line 2: 'duration' is Infinity, expected a number"),
        (CLIP, "line 2: id 'a' is already on line 1"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, line: dict[str, Any] | str, message: str) -> None:
    with pytest.raises(CorpusError) as caught:
        read_manifest(write(tmp_path, CLIP, line))
    assert f"manifest.jsonl, {message}" in str(caught.value)


def test_a_missing_or_empty_manifest_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="No such file"):
        read_manifest(tmp_path / "none.jsonl")
    with pytest.raises(CorpusError, match="got no clips"):
        read_manifest(write(tmp_path))
