import sys
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from asr.audio import load_audio
from eval.corpora.hub import read_hub
from eval.errors import CorpusError


@pytest.fixture(autouse=True)
def _offline(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    datasets = pytest.importorskip("datasets", reason="the extra `hub` is not installed")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path_factory.mktemp("datasets"))
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)


def tone(path: Path, frequency_hz: float) -> bytes:
    path.parent.mkdir(parents=True, exist_ok=True)
    samples = (0.1 * 32767 * np.sin(np.arange(3200) * 2 * np.pi * frequency_hz / 16_000)).astype(np.int16)
    with av.open(path, "w", format="wav") as container:
        stream = container.add_stream("pcm_s16le", rate=16_000, layout="mono")
        frame = av.AudioFrame.from_ndarray(samples[None], format="s16", layout="mono")
        frame.sample_rate = 16_000
        container.mux(stream.encode(frame))
    return path.read_bytes()


def write_parquet(folder: Path, **columns: list[Any]) -> Path:
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), folder / "test-00000-of-00001.parquet")
    return folder


def test_audio_inside_tables_goes_to_the_cache(tmp_path: Path) -> None:
    audio = [{"bytes": tone(tmp_path / f"{hz}.wav", hz), "path": f"{hz}.wav"} for hz in (440, 880)]
    folder = write_parquet(
        tmp_path / "corpus",
        audio=audio,
        sentence=["Guten Tag ", None],
        locale=["de", "zh-CN"],
        client_id=["a1", "b2"],
        id=[7, 8],
        translation=[{"en": "Good day"}, {"en": None}],
    )
    cache = tmp_path / "cache"
    corpus = read_hub(str(folder), cache=cache)
    first, second = corpus.utterances
    assert corpus.name == "corpus/test"
    assert (first.id, first.text, first.language, first.speaker) == ("7", "Guten Tag", "de", "a1")
    assert (first.translation_en, first.dataset) == ("Good day", "corpus")
    assert (second.text, second.language, second.translation_en) == (None, "zh", None)
    assert load_audio(first.path).duration == pytest.approx(0.2)
    assert sorted(path.suffix for path in (cache / "corpus").iterdir()) == [".wav", ".wav"]
    assert read_hub(str(folder), cache=cache) == corpus


def test_ids_that_repeat_give_way_to_row_numbers(tmp_path: Path) -> None:
    audio = [{"bytes": tone(tmp_path / "a.wav", 440), "path": "a.wav"}] * 2
    folder = write_parquet(tmp_path / "corpus", audio=audio, raw_transcription=["a", "b"], id=[1904, 1904])
    corpus = read_hub(str(folder), language="German", cache=tmp_path / "cache")
    assert [clip.id for clip in corpus.utterances] == ["test-000000", "test-000001"]
    assert {clip.language for clip in corpus.utterances} == {"de"}
    assert len({clip.path for clip in corpus.utterances}) == 1


@pytest.mark.parametrize("place", ["test/", ""])
def test_a_folder_of_audio_files_needs_no_copy(tmp_path: Path, place: str) -> None:
    tone(tmp_path / f"corpus/{place}clips/a.wav", 440)
    (tmp_path / f"corpus/{place}metadata.csv").write_text("file_name,text,language\nclips/a.wav,Hallo,de\n")
    (clip,) = read_hub(str(tmp_path / "corpus"), cache=tmp_path / "cache").utterances
    assert (clip.text, clip.language, clip.path) == ("Hallo", "de", tmp_path / f"corpus/{place}clips/a.wav")
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize(
    ("config", "language", "translation"),
    [
        ("german", "de", "Yes"),
        ("de_en", "de", "Yes"),
        ("en_de", "en", None),
        ("clean", None, "Yes"),
        (None, None, "Yes"),
    ],
)
def test_the_config_stands_in_for_columns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, config: str | None, language: str | None, translation: str | None
) -> None:
    import datasets

    table = datasets.Dataset.from_dict(
        {
            "audio": [{"bytes": tone(tmp_path / "a.wav", 440), "path": "a.wav"}],
            "transcript": ["Ja"],
            "translation": ["Yes"],
        }
    )
    asked: list[Any] = []
    monkeypatch.setattr(datasets, "load_dataset", lambda *names, split: asked.append((*names, split)) or table)
    corpus = read_hub("owner/name", config=config, cache=tmp_path / "cache")
    (clip,) = corpus.utterances
    assert asked == [("owner/name", config, "test")]
    assert (clip.language, clip.translation_en, clip.dataset) == (language, translation, "name")
    assert clip.path.parent == tmp_path / "cache/owner--name"
    assert corpus.name == "/".join(part for part in ("owner/name", config, "test") if part)


def test_a_dataset_made_by_a_script_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    def refuse(*_: Any, **__: Any) -> None:
        raise RuntimeError("Dataset scripts are no longer supported, but found fleurs.py")

    monkeypatch.setattr(datasets, "load_dataset", refuse)
    with pytest.raises(CorpusError, match=r"hub:google/fleurs, split 'test': Dataset scripts are no longer supported"):
        read_hub("google/fleurs", config="de_de")


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        CorpusError, match=r"expected a dataset's name on the hub or a folder, with the config and split"
    ):
        read_hub(str(tmp_path / "none"))
    folder = write_parquet(tmp_path / "corpus", audio=[{"bytes": b"x", "path": "a.wav"}], label=["yes"])
    with pytest.raises(CorpusError, match=r"got the columns audio, label; expected 'audio' and one of text, sentence"):
        read_hub(str(folder), cache=tmp_path / "cache")
    with pytest.raises(CorpusError, match=r"split 'dev': Unknown split"):
        read_hub(str(folder), split="dev")


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    (tmp_path / "metadata.jsonl").write_text('{"file_name": "gone.wav", "text": "a"}\n')
    with pytest.raises(CorpusError, match=r"clip 'test-000000': got no audio file .*gone\.wav"):
        read_hub(str(tmp_path))


def test_without_the_package_the_error_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(CorpusError, match=r"pip install 'auricle\[hub\]'"):
        read_hub("google/fleurs", config="de_de")
