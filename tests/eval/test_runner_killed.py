"""A run that is killed with SIGKILL again and again, as a process of its own."""

import json
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from asr.options import TranscribeOptions
from eval.corpora import read_manifest
from eval.errors import ResultsError
from eval.hypotheses import read_run
from eval.runner import RunPlan, run_corpus

ROOT = Path(__file__).parents[2]
N_CLIPS = 200
N_KILLS = 5
PATIENCE_S = 20.0

SLOW_RUN = """
import sys, time
from pathlib import Path

from asr.options import TranscribeOptions
from eval.corpora import read_manifest
from eval.runner import RunPlan, run_corpus
from eval.targets import Reply

manifest, out, asked = map(Path, sys.argv[1:])


class Slow:
    n_parallel = 1

    def describe(self):
        return {"target": "local", "model": "slow", "model_hash": "0"}

    def settings(self, options):
        return {}

    def transcribe(self, path, options):
        with asked.open("a") as file:
            file.write(path.stem + "\\n")
        time.sleep(0.003)
        return Reply(text="a text long enough to be torn " * 200 + path.stem)


class Silent:
    def read(self, n_read, n_clips): ...
    def start(self, pending, n_clips): ...
    def advance(self, utterance): ...


run_corpus(RunPlan(corpus=read_manifest(manifest), options=TranscribeOptions()), Slow(), out, Silent())
"""


@dataclass(frozen=True, slots=True)
class Killable:
    manifest: Path
    out: Path
    asked_file: Path

    @contextmanager
    def process(self) -> Iterator[subprocess.Popen]:
        command = [sys.executable, "-c", SLOW_RUN, str(self.manifest), str(self.out), str(self.asked_file)]
        with subprocess.Popen(command, cwd=ROOT) as running:
            try:
                yield running
            finally:
                running.kill()

    def asked(self) -> list[str]:
        return self.asked_file.read_text("utf-8").split() if self.asked_file.exists() else []

    def wait_until_asked(self, n_more: int) -> None:
        wanted, patient_until = len(self.asked()) + n_more, time.monotonic() + PATIENCE_S
        while len(self.asked()) < wanted:
            assert time.monotonic() < patient_until, "the run does not get on"
            time.sleep(0.001)

    def finished(self) -> set[str]:
        """Ids on complete lines, read without the code that is tested."""
        data = (self.out / "hypotheses.jsonl").read_bytes()
        return {json.loads(line)["id"] for line in data[: data.rfind(b"\n") + 1].splitlines()}


@pytest.fixture
def killable(write_manifest, tmp_path: Path) -> Killable:
    clips = [{"id": f"clip-{number:03}", "text": "x", "language": "en"} for number in range(N_CLIPS)]
    return Killable(write_manifest(*clips), tmp_path / "out", tmp_path / "asked.txt")


def test_killed_runs_lose_nothing_and_do_nothing_twice(killable: Killable) -> None:
    chance = random.Random(3)  # noqa: S311  (when to kill is no secret)
    in_progress: Counter[str] = Counter()
    finished: set[str] = set()
    for number in range(N_KILLS):
        n_asked = len(killable.asked())
        with killable.process():
            killable.wait_until_asked(chance.randint(1, 30))
            time.sleep(chance.random() * 0.005)
        asked_since = killable.asked()[n_asked:]
        assert finished.isdisjoint(asked_since)
        assert killable.finished() >= finished
        finished = killable.finished()
        in_progress.update(set(asked_since) - finished)
        if number == 2:  # what a kill in the middle of a write leaves behind
            with (killable.out / "hypotheses.jsonl").open("a") as file:
                file.write(
                    '{"id": "clip-199", "key": "',
                )
    n_asked = len(killable.asked())
    with killable.process() as last:
        assert last.wait(PATIENCE_S) == 0
    assert finished.isdisjoint(killable.asked()[n_asked:])
    assert sum(in_progress.values()) <= N_KILLS  # one clip a kill, the one it was at
    assert Counter(killable.asked()) == Counter(f"clip-{number:03}" for number in range(N_CLIPS)) + in_progress
    lines = (killable.out / "hypotheses.jsonl").read_text("utf-8").splitlines()
    assert [json.loads(line)["id"] for line in lines] == [f"clip-{number:03}" for number in range(N_CLIPS)]
    assert all(hypothesis.text.endswith(clip_id) for clip_id, hypothesis in read_run(killable.out).hypotheses.items())
    before = killable.asked()
    with killable.process() as again:
        assert again.wait(PATIENCE_S) == 0
    assert killable.asked() == before


def test_a_second_writer_is_refused_while_the_first_lives(killable: Killable, fake_target, progress) -> None:
    plan = RunPlan(corpus=read_manifest(killable.manifest), options=TranscribeOptions())
    target = fake_target()
    with killable.process():
        killable.wait_until_asked(1)
        with pytest.raises(ResultsError, match="another run is writing there"):
            run_corpus(plan, target, killable.out, progress)
    assert not target.asked
