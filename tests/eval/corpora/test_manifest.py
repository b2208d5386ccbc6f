import json
from pathlib import Path
from typing import Any

import pytest

from eval.corpora import Part, read_manifest
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


PART = {"id": "p", "start": 0.5, "end": 1.0, "text": "hello", "language": "English"}


def test_the_parts_of_a_joined_recording_are_read(tmp_path: Path) -> None:
    second = {**PART, "id": "q", "start": 1, "end": 1.5, "language": None}
    (clip,) = read_manifest(write(tmp_path, {**CLIP, "parts": [PART, second]})).utterances
    assert clip.parts == (
        Part(id="p", start=0.5, end=1.0, text="hello", language="en"),
        Part(id="q", start=1.0, end=1.5, text="hello", language=None),
    )
    assert read_manifest(write(tmp_path, CLIP)).utterances[0].parts == ()


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({}, "'parts' is {}, expected a list of objects"),
        ([PART, 3], "part 2: got int, expected a JSON object with id, start"),
        ([{**PART, "id": ""}], "part 1: 'id' is \"\", expected a text that is not empty"),
        ([{**PART, "start": -1}], "part 1: 'start' is -1, expected a number of seconds, 0 or more"),
        ([{**PART, "end": 0.5}], "part 1: 'end' is 0.5, expected a number of seconds, 0 or more, after the start"),
        ([{**PART, "text": None}], "part 1: 'text' is null, expected a text"),
        ([{"id": "p", "start": 1}], "part 1: 'end' is missing"),
        ([PART, PART], "part 2: got a start at 0.5 s, expected parts in order, this one from 1 s on"),
    ],
)
def test_a_bad_part_is_named(tmp_path: Path, parts: Any, message: str) -> None:
    with pytest.raises(CorpusError) as caught:
        read_manifest(write(tmp_path, {**CLIP, "parts": parts}))
    assert message in str(caught.value)
