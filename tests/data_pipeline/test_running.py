import json
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from heap_making import InThisProcess, Silent, contents, make_heap, srt, talk, write_audio

from asr.shards import read_shard
from data_pipeline.chunks import RunFolder
from data_pipeline.errors import PipelineError
from data_pipeline.recipe import read_recipe
from data_pipeline.running import RunPlan, run_recipe


def run(recipe: Path, out: Path, *, resume: bool = False, **choices: Any) -> RunFolder:
    plan = RunPlan(recipe=read_recipe(recipe), **choices)
    return run_recipe(plan, out, executor=InThisProcess(), resume=resume, progress=Silent())


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_heap(tmp_path_factory.mktemp("heap"))


@pytest.fixture(scope="module")
def finished(recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run(recipe, tmp_path_factory.mktemp("finished")).path


def test_every_defect_has_its_reason(finished: Path):
    drops = {line["record"]: (line["stage"], line["reason"]) for line in lines(finished / "drops.jsonl")}
    assert {name: drop for name, drop in drops.items() if drop != ("segment", "silence")} == {
        "talks/beyond.wav": ("timing", "captions_beyond_audio"),
        "talks/broken.wav": ("audio", "unsupported_media"),
        "talks/leak.wav": ("contamination", "contaminated"),
        "talks/lonely.wav": ("list", "no_captions"),
        "talks/talk0.flac": ("duplicates", "duplicate"),
        "talks/upper.wav": ("machine", "all_upper"),
    }


def test_every_second_is_kept_or_dropped_with_a_reason(finished: Path):
    funnel = json.loads((finished / "funnel.json").read_text())
    dropped = sum(stage["hours"] for stage in funnel["stages"])
    assert funnel["kept"]["hours"] + dropped == pytest.approx(funnel["total"]["hours"], abs=1e-4)
    assert funnel["total"]["rows"] == 12
    assert funnel["segmented"]["rows"] == 6


def test_the_loader_reads_what_the_manifest_says(finished: Path):
    manifest = lines(finished / "manifest.jsonl")
    examples = [example for shard in sorted((finished / "shards").iterdir()) for example in read_shard(shard)]
    assert [example.key for example in examples] == [line["key"] for line in manifest]
    for example, line in zip(examples, manifest, strict=True):
        known = {name: value for name, value in line.items() if name not in ("key", "shard", "next_start")}
        assert example.fields == known
        assert example.waveform.duration == pytest.approx(line["duration"], abs=1e-3)
        assert (line["licence"], line["source"]) == ("CC0-1.0", "talks")
    said = {cue["text"] for example in examples for cue in example.fields["cues"]}
    assert said == {text for voice in range(6) for _, _, text in talk(voice)}


def test_the_proof_says_what_leaked_and_that_nothing_is_left(finished: Path):
    (proof,) = lines(finished / "contamination.json")
    assert [drop["record"] for drop in proof["dropped"]] == ["talks/leak.wav"]
    assert proof["windows_with_a_match"] == []
    assert proof["windows_written"] == len(lines(finished / "manifest.jsonl"))
    assert proof["corpora"][0]["n_texts"] == 1


def test_the_page_shows_the_funnel_and_plays_samples(finished: Path):
    page = (finished / "report.html").read_text()
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert page.count("<audio") >= 6 + 4  # what is kept, and one of each reason whose recording was decoded
    assert "captions_beyond_audio: 32.0, limit 11.0" in page
    assert "CC0-1.0" in page


def test_another_seed_or_recipe_is_another_folder(finished: Path, recipe: Path, tmp_path: Path):
    other = run(recipe, tmp_path, seed=1).path
    assert other.name != finished.name
    shards = {name: data for name, data in contents(finished).items() if name.startswith("shards/")}
    assert {name: contents(other)[name] for name in shards} != shards
    assert lines(other / "drops.jsonl")[0] == lines(finished / "drops.jsonl")[0]


def test_a_dry_run_takes_the_first_of_each_source(recipe: Path, tmp_path: Path):
    folder = run(recipe, tmp_path, first_items=2).path
    assert json.loads((folder / "funnel.json").read_text())["total"]["rows"] == 2


def test_a_run_that_is_there_is_continued_only_when_asked(finished: Path, recipe: Path):
    with pytest.raises(PipelineError, match="--resume"):
        run(recipe, finished.parent)
    before = contents(finished)
    assert contents(run(recipe, finished.parent, resume=True).path) == before


def test_a_recording_that_changes_under_way_is_dropped(tmp_path: Path):
    recipe = make_heap(tmp_path, 1)
    folder = run(recipe, tmp_path / "out").path
    write_audio(tmp_path / "heap/copy.wav", 34.0, 7)
    (folder / "packed/00000.jsonl").unlink()
    run(recipe, tmp_path / "out", resume=True)
    drops = {line["record"]: line["reason"] for line in lines(folder / "drops.jsonl")}
    assert drops["talks/copy.wav"] == "changed_meanwhile"


def test_scores_decide_language_and_agreement(tmp_path: Path):
    heap = tmp_path / "heap"
    scores = []
    for name, voice, language, heard in (
        ("good", 1, "en", talk(1)),
        ("other", 2, "en", [(0, 40, "nothing of this was ever said by anybody here")]),
        ("german", 3, "de", [(0, 40, "Das ist etwas ganz anderes.")]),
    ):
        write_audio(heap / f"{name}.wav", 34.0, voice).with_suffix(".srt").write_text(srt(talk(voice)))
        hypothesis = [{"start": start, "end": end, "text": text} for start, end, text in heard]
        spoken = {"language": language, "probability": 0.95}
        scores.append({"id": f"talks/{name}.wav", "spoken": spoken, "hypothesis": hypothesis})
    (tmp_path / "scores.jsonl").write_text("".join(json.dumps(line) + "\n" for line in scores))
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(
        'scores = "scores.jsonl"\n[[sources]]\nname = "talks"\nkind = "folder"\npath = "heap"\nlicence = "CC0-1.0"\n'
    )
    folder = run(recipe, tmp_path / "out").path
    assert {
        line["record"]: line["reason"] for line in lines(folder / "drops.jsonl") if line["stage"] == "agreement"
    } == {"talks/other.wav": "document_wer"}
    tasks = {
        line["record"]: (line["task"], line["language"]) for line in lines(folder / "manifest.jsonl") if line["text"]
    }
    assert tasks == {"talks/good.wav": ("transcribe", "en"), "talks/german.wav": ("translate", "de")}
    source = json.loads((folder / "funnel.json").read_text())["sources"]["talks"]
    assert 0.3 < source["wer"] < 1
    assert source["error_hours"] > 0


def test_hostile_sources_are_dropped_with_a_reason_and_the_run_goes_on(tmp_path: Path):
    heap = tmp_path / "heap"
    write_audio(heap / "good.wav", 5.0, 1).with_suffix(".txt").write_text("The ferry leaves at nine, they say.")
    write_audio(heap / "bad.wav", 5.0, 2).with_suffix(".srt").write_text("1\n99:99 --> later\nHello\n")
    with soundfile.SoundFile(heap / "silence.flac", "w", 1000, 1, subtype="PCM_16") as file:
        for _ in range(29):
            file.write(np.zeros(3_600_000, np.int16))
    (heap / "silence.txt").write_text("Nobody says this.")
    with tarfile.open(tmp_path / "x.tar", "w") as tar:
        for name in ("../../escaped.wav", "../../escaped.txt", "inside.wav", "inside.txt"):
            tar.add(heap / f"good{Path(name).suffix}", name)
    (tmp_path / "x.tar").write_bytes((tmp_path / "x.tar").read_bytes()[:-11_000])
    (tmp_path / "list.jsonl").write_text('{"audio_filepath": "../../etc/passwd", "text": "x"}\n{')
    places = (("a", "folder", "heap"), ("b", "tar", "x.tar"), ("c", "nemo", "list.jsonl"))
    sources = [f'[[sources]]\nname = "{a}"\nkind = "{b}"\npath = "{c}"\nlicence = "CC0-1.0"\n' for a, b, c in places]
    (tmp_path / "recipe.toml").write_text("".join(sources) + "[audio]\nmax_duration_s = 60.0\n")
    folder = run(tmp_path / "recipe.toml", tmp_path / "out").path
    assert [line["record"] for line in lines(folder / "manifest.jsonl")] == ["a/good.wav"]
    assert {line["record"]: line["reason"] for line in lines(folder / "drops.jsonl")} == {
        "a/bad.wav": "malformed_captions",
        "a/silence.flac": "audio_too_long",
        "b/x.tar/../../escaped.wav": "unsafe_name",
        "b/x.tar/inside.wav": "no_captions",  # they stood after the break
        "b/x.tar": "broken_tar",
        "c/list.jsonl:1": "outside_the_source",
        "c/list.jsonl:2": "malformed_listing",
    }
