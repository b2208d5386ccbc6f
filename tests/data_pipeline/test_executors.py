import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from deadly_decoding import screen_where_memory_is_short, screen_with_a_decoder_that_dies
from heap_making import InThisProcess, Silent, contents, make_heap, write_audio

from data_pipeline import running
from data_pipeline.errors import PipelineError
from data_pipeline.executors import Executor, LocalExecutor, RayExecutor, Resources
from data_pipeline.recipe import read_recipe
from data_pipeline.running import RunPlan, run_recipe
from data_pipeline.storage import read_lines


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_heap(tmp_path_factory.mktemp("heap"))


def run(recipe: Path, out: Path, executor: Executor) -> Path:
    plan = RunPlan(recipe=read_recipe(recipe))
    return run_recipe(plan, out, executor=executor, resume=False, progress=Silent()).path


@pytest.fixture(scope="module")
def finished(recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run(recipe, tmp_path_factory.mktemp("finished"), InThisProcess())


def test_the_same_bytes_whatever_the_number_of_processes(finished: Path, recipe: Path, tmp_path: Path):
    again = run(recipe, tmp_path, LocalExecutor(3))
    assert again.name == finished.name
    assert contents(again) == contents(finished)


@pytest.mark.skipif(os.environ.get("CLUSTERS") != "full", reason="half a minute: `make clusters` runs it")
def test_a_ray_cluster_gives_the_same_bytes(tmp_path: Path):
    """One of this machine, which each step starts and ends: two chunks, since each is a process of its own in it."""
    recipe = make_heap(tmp_path)
    recipe.write_text(recipe.read_text().replace("chunk_items = 3", "chunk_items = 6"))
    by_ray = run(recipe, tmp_path / "ray", RayExecutor(None, Resources(memory_per_cpu_gb=1)))
    assert contents(by_ray) == contents(run(recipe, tmp_path / "here", InThisProcess()))


def test_every_chunk_tells_how_it_went(finished: Path, recipe: Path, tmp_path: Path):
    class Counting(Silent):
        n_items = 0

        def advance(self, summary: running.ChunkSummary) -> None:
            self.n_items += summary.n_items

    progress = Counting()
    plan = RunPlan(recipe=read_recipe(recipe))
    folder = run_recipe(plan, tmp_path, executor=LocalExecutor(1), resume=False, progress=progress).path
    assert progress.n_items == 2 * sum(len(path.read_text().splitlines()) for path in (folder / "plan").iterdir())
    assert next(read_lines(folder / "seconds.json")).keys() >= {"audio", "clean", "segment", "write"}


def test_a_decoder_that_dies_costs_its_recording_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    recipe = make_heap(tmp_path, 2)
    write_audio(tmp_path / "heap/deadly.wav", 5.0, 200).with_suffix(".txt").write_text("Nobody hears the end of this.")
    monkeypatch.setattr(running, "screen_chunk", screen_with_a_decoder_that_dies)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent), prepend=os.pathsep)
    folder = run(recipe, tmp_path / "out", LocalExecutor(1))
    drops = {line["record"]: (line["stage"], line["reason"]) for line in read_lines(folder / "drops.jsonl")}
    assert drops["talks/deadly.wav"] == ("audio", "decoder_died")
    assert {line["record"] for line in read_lines(folder / "manifest.jsonl")} >= {"talks/copy.wav", "talks/talk1.flac"}


def test_a_process_that_the_system_kills_ends_the_step_and_the_others_go_on(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(running, "screen_chunk", screen_where_memory_is_short)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent), prepend=os.pathsep)
    with pytest.raises(PipelineError, match=r"screening: a process was ended by SIGKILL.*--resume"):
        run(recipe, tmp_path, LocalExecutor(2))
    (folder,) = tmp_path.iterdir()
    assert {path.stem for path in (folder / "screened").iterdir()} == {"00000", "00002"}


def test_a_chunk_that_fails_is_named_and_the_rest_is_done(recipe: Path, tmp_path: Path):
    plan = RunPlan(recipe=read_recipe(recipe))
    folder = plan.folder(tmp_path)
    (folder.path / "shards/00001.tar").mkdir(parents=True)
    with pytest.raises(PipelineError, match=r"packing, chunk 1: IsADirectoryError.*--resume"):
        run_recipe(plan, tmp_path, executor=LocalExecutor(2), resume=False, progress=Silent())
    assert sorted(path.name for path in (folder.path / "packed").iterdir()) == [
        "00000.jsonl",
        "00002.jsonl",
        "00003.jsonl",
    ]


def test_a_run_killed_at_any_moment_ends_the_same(finished: Path, recipe: Path, tmp_path: Path):
    """SIGKILL as soon as so many files are there, which may be in any step; CHAOS_KILLS=10 for the full count."""
    command = [sys.executable, "-c", "from data_pipeline.cli import main; main()", "run", str(recipe)]
    command += ["--out", str(tmp_path), "--resume", "--workers", "2"]
    folder = tmp_path / finished.name
    n_kills = int(os.environ.get("CHAOS_KILLS", "2"))
    targets = sorted(np.random.default_rng(0).choice(np.arange(2, len(contents(finished)) - 5), n_kills, replace=False))
    for target in targets:
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        while process.poll() is None and sum(path.is_file() for path in folder.rglob("*")) < target:
            time.sleep(0.002)
        assert process.poll() is None
        process.send_signal(signal.SIGKILL)
        process.wait()
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    assert contents(folder) == contents(finished)
