"""Clips shared out over the workers of a real Ray cluster of this machine; the engine is a fake."""

import importlib.util
import logging
import os
from pathlib import Path

import pytest
import typer

from asr.options import TranscribeOptions
from eval.cli.target_options import make_ray_target
from eval.corpora import open_corpus
from eval.errors import ClipError, TargetUnavailableError
from eval.hypotheses import HYPOTHESES
from eval.runner import RunPlan, run_corpus
from eval.targets.local import Reply
from eval.targets.on_ray import RayTarget

pytestmark = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="ray is not installed")


def make_fake():
    """By value, so that a worker needs not find this file."""

    class Fake:
        n_parallel = 1

        def describe(self):
            return {"target": "local", "model": "fake", "model_hash": "0" * 64}

        def settings(self, options):
            return {"beam_size": options.beam_size}

        def transcribe(self, path, options):
            from eval.errors import ClipError
            from eval.targets.types import Reply

            if path.stem == "broken":
                raise ClipError("undecodable_audio", "broken.wav: not audio")
            if path.stem == "deadly":
                os._exit(1)
            return Reply(text=f"{path.stem} {options.language}", language=options.language, duration=1.0)

        def detect_language(self, path):
            from eval.targets.types import Reply

            return Reply(text="", language="de")

    return Fake()


@pytest.fixture(scope="module")
def target():
    import ray

    ray.init(num_cpus=2, include_dashboard=False, logging_level=logging.ERROR, log_to_driver=False)
    yield RayTarget(make_fake, cpus_per_worker=1, files_per_worker=2)
    ray.shutdown()


def without_times(folder: Path) -> list[str]:
    return [line.partition(', "seconds"')[0] for line in (folder / HYPOTHESES).read_text().splitlines()]


def test_a_run_on_ray_is_the_run_here_line_by_line_and_either_continues_the_other(
    target, write_manifest, tmp_path, progress
):
    ids = ["en-1", "broken", "en-2", "en-3"]
    manifest = write_manifest(*({"id": each, "text": each, "language": "en", "duration": 1} for each in ids))
    plan = RunPlan(corpus=open_corpus(str(manifest)), options=TranscribeOptions())
    assert (target.n_workers, target.n_parallel) == (2, 4)
    run_corpus(plan, target, tmp_path / "ray", progress)
    run_corpus(plan, make_fake(), tmp_path / "here", progress)
    lines = without_times(tmp_path / "ray")
    assert lines == without_times(tmp_path / "here")
    assert '"text": "en-3 en"' in lines[3]
    for name in ("run.json", "references.json"):
        assert (tmp_path / "ray" / name).read_bytes() == (tmp_path / "here" / name).read_bytes()

    path = tmp_path / "ray" / HYPOTHESES
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:2]))
    assert run_corpus(plan, make_fake(), tmp_path / "ray", progress).n_resumed == 2
    assert without_times(tmp_path / "ray") == lines


def test_a_clip_s_failure_comes_back_as_itself(target):
    with pytest.raises(ClipError, match="not audio") as caught:
        target.transcribe(Path("broken.wav"), TranscribeOptions())
    assert caught.value.code == "undecodable_audio"
    assert target.detect_language(Path("a.wav")) == Reply(text="", language="de")


def test_a_cluster_too_small_is_refused_at_once(target):
    with pytest.raises(TargetUnavailableError, match="got a cluster of 2 CPUs, 0 GPUs, expected 3 CPUs for each"):
        RayTarget(make_fake, cpus_per_worker=3, files_per_worker=1)


def test_a_worker_that_dies_ends_the_run_with_the_next_step(target):
    with pytest.raises(TargetUnavailableError, match=r"--ray: .*repeat the command to continue"):
        target.transcribe(Path("deadly.wav"), TranscribeOptions())


def test_a_cluster_and_another_target_are_not_given_together():
    with pytest.raises(typer.BadParameter, match="--ray with --server http://a"):
        make_ray_target(None, None, quantization=None, others={"--openai": None, "--server": "http://a"})
