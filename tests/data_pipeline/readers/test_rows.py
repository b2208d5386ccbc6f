import json
from pathlib import Path
from typing import Any

import pytest

from data_pipeline.errors import PipelineError
from data_pipeline.readers import list_audiofolder, list_nemo
from data_pipeline.types import Origin

ORIGIN = Origin(source="clips", licence="CC0-1.0")


def manifest(folder: Path, *lines: Any) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "a.wav").write_bytes(b"x")
    path = folder / "manifest.jsonl"
    path.write_text("\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines))
    return path


def test_nemo_lines_are_items(tmp_path: Path):
    path = manifest(
        tmp_path / "in",
        {"audio_filepath": "a.wav", "text": "hello", "duration": 2.0},
        "",
        {"audio_filepath": "a.wav", "text": "a part", "offset": 1.5, "duration": 0.5, "lang": "de", "license": "CC-BY"},
    )
    whole, part = list_nemo(path, ORIGIN)
    assert (whole.id, whole.text, whole.licence) == ("clips/manifest.jsonl:1", "hello", "CC0-1.0")
    assert whole.audio is not None
    assert whole.audio.duration is None
    assert part.audio is not None
    assert (part.audio.start, part.audio.duration, part.language, part.licence) == (1.5, 0.5, "de", "CC-BY")


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{", "malformed_listing"),
        ("[1]", "malformed_listing"),
        ({"text": "x"}, "malformed_listing"),
        ({"audio_filepath": 3, "text": "x"}, "malformed_listing"),
        ({"audio_filepath": "a.wav"}, "no_captions"),
        ({"audio_filepath": "a.wav", "text": None}, "no_captions"),
        ({"audio_filepath": "b.wav", "text": "x"}, "missing_audio"),
        ({"audio_filepath": ".", "text": "x"}, "not_a_file"),
        ({"audio_filepath": "../secret.wav", "text": "x"}, "outside_the_source"),
        ({"audio_filepath": "/etc/passwd", "text": "x"}, "outside_the_source"),
        ({"audio_filepath": "a\0.wav", "text": "x"}, "unsafe_name"),
        ({"audio_filepath": "a" * 5000, "text": "x"}, "unsafe_name"),
        ({"audio_filepath": "a.wav", "text": "x", "offset": 1}, "malformed_listing"),
        ({"audio_filepath": "a.wav", "text": "x", "offset": -1, "duration": 2}, "malformed_listing"),
        ('{"audio_filepath": "a.wav", "text": "x", "offset": NaN, "duration": 2}', "malformed_listing"),
    ],
)
def test_a_line_that_cannot_be_used_has_a_reason(tmp_path: Path, line: Any, reason: str):
    (tmp_path / "secret.wav").write_bytes(b"x")
    first, second = list_nemo(manifest(tmp_path / "in", line, {"audio_filepath": "a.wav", "text": "y"}), ORIGIN)
    assert first.refused is not None
    assert first.refused.reason == reason
    assert second.refused is None


def test_files_elsewhere_are_read_where_the_recipe_says_so(tmp_path: Path):
    manifest(tmp_path / "audio")
    path = manifest(tmp_path / "in", {"audio_filepath": str(tmp_path / "audio/a.wav"), "text": "x"})
    (item,) = list_nemo(path, ORIGIN, root=tmp_path / "audio")
    assert item.refused is None


@pytest.mark.parametrize(
    ("name", "table"),
    [
        ("metadata.csv", "file_name,transcription,language\na.wav,Hello,en\n"),
        ("metadata.jsonl", '{"file_name": "a.wav", "transcription": "Hello", "language": "English"}\n'),
    ],
)
def test_audiofolder(tmp_path: Path, name: str, table: str):
    manifest(tmp_path / "train")
    (tmp_path / "train" / name).write_text(table)
    (item,) = list_audiofolder(tmp_path, ORIGIN)
    assert item.id.startswith(f"clips/train/{name}:")
    assert (item.text, item.language, item.refused) == ("Hello", "en", None)


def test_a_csv_row_with_more_fields_has_a_reason(tmp_path: Path):
    (tmp_path / "metadata.csv").write_text("file_name,text\na.wav,Hello, world\n")
    (item,) = list_audiofolder(tmp_path, ORIGIN)
    assert item.refused is not None
    assert item.refused.reason == "malformed_listing"


def test_a_folder_without_metadata_ends_the_run(tmp_path: Path):
    with pytest.raises(PipelineError, match="metadata"):
        list(list_audiofolder(tmp_path, ORIGIN))
