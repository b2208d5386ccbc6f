"""What a run writes, read by the libraries that people train with."""

import gzip
import io
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from heap_making import InThisProcess, Silent, make_heap, srt, talk, write_audio

from asr.shards import read_shard
from data_pipeline.recipe import read_recipe
from data_pipeline.running import RunPlan, run_recipe


def run(recipe: Path, out: Path, *, resume: bool = False) -> Path:
    plan = RunPlan(recipe=read_recipe(recipe))
    return run_recipe(plan, out, executor=InThisProcess(), resume=resume, progress=Silent()).path


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    recipe = make_heap(tmp_path_factory.mktemp("heap"))
    late = write_audio(recipe.parent / "heap/late.wav", 65.0, 200)  # nobody speaks in its second half
    late.with_suffix(".srt").write_text(srt(talk(200)))
    text = recipe.read_text().replace("silence_share = 0.5", "silence_share = 1.0")
    recipe.write_text(f"lhotse_shar = true\n{text}")
    return recipe


@pytest.fixture(scope="module")
def finished(recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run(recipe, tmp_path_factory.mktemp("finished"))


def test_lhotse_reads_what_the_manifest_says(finished: Path):
    from lhotse import CutSet

    manifest = [json.loads(line) for line in (finished / "manifest.jsonl").read_text().splitlines()]
    examples = [example for shard in sorted((finished / "shards").iterdir()) for example in read_shard(shard)]
    cuts = list(CutSet.from_shar(in_dir=finished / "shar"))
    assert [cut.id for cut in cuts] == [line["key"] for line in manifest]
    assert not all(line["text"] for line in manifest)  # silence is among them
    for cut, line, example in zip(cuts, manifest, examples, strict=True):
        said = [(supervision.text, supervision.language) for supervision in cut.supervisions]
        assert said == ([(line["text"], line["language"])] if line["text"] else [])
        assert cut.record_start == line["start"]
        names = ("task", "licence", "source", "record", "cues", "partial_start", "previous_text", "use_timestamps")
        assert {name: cut.custom[name] for name in names} == {name: line[name] for name in names}
        samples = cut.load_audio()
        assert np.array_equal(samples, example.waveform.samples[np.newaxis])
        assert cut.duration == samples.shape[1] / cut.sampling_rate


def flac_samples(data: bytes) -> np.ndarray:
    samples, _ = soundfile.read(io.BytesIO(data), dtype="float32")
    return samples


def test_webdataset_reads_the_shards(finished: Path):
    from webdataset import WebDataset

    shards = sorted((finished / "shards").iterdir())
    examples = [example for shard in shards for example in read_shard(shard)]
    theirs = list(WebDataset([str(shard) for shard in shards], shardshuffle=False).decode())
    assert [each["__key__"] for each in theirs] == [example.key for example in examples]
    for each, example in zip(theirs, examples, strict=True):
        assert each["json"] == example.fields
        assert np.array_equal(flac_samples(each["flac"]), example.waveform.samples)


def test_hugging_faces_datasets_reads_the_shards_as_the_docs_say(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Its own guess, from five examples, is told by the docs' code, since it fails where those have no text or cues."""
    page = (Path(__file__).parents[2] / "docs/data.md").read_text()
    (code,) = (block for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "load_dataset" in block)
    shards = sorted((finished / "shards").iterdir())
    (tmp_path / "out/data").mkdir(parents=True)
    (tmp_path / "out/data/RUN").symlink_to(finished)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)
    names: dict[str, Any] = {}
    exec(code, names)  # noqa: S102 (our own page)
    examples = [example for shard in shards for example in read_shard(shard)]
    for row, example in zip(names["dataset"], examples, strict=True):
        assert row["__key__"] == example.key
        assert row["json"] == example.fields
        assert np.array_equal(flac_samples(row["flac"]), example.waveform.samples)


def test_lhotses_files_are_made_again_the_same_after_a_stop(finished: Path, recipe: Path):
    def contents() -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in (finished / "shar").iterdir()}

    first = contents()
    assert len(first) == 2 * len(list((finished / "shards").iterdir()))
    (finished / "packed/00001.jsonl").unlink()
    (finished / "shar/cuts.00001.jsonl.gz").unlink()
    run(recipe, finished.parent, resume=True)
    assert contents() == first


def test_the_header_of_the_cuts_has_no_time_and_no_name(finished: Path):
    data = (finished / "shar/cuts.00000.jsonl.gz").read_bytes()
    assert data[3:8] == bytes(5)  # flags (a name, a comment) and mtime, RFC 1952
    assert b"unfinished" not in data[:40]
    assert gzip.decompress(data).startswith(b'{"id": "00000-00000"')
