"""Who does the chunks of a step: processes here, jobs of a Slurm cluster, tasks of a Ray cluster. In: a step, numbers.

A thin adapter to datatrove's executors, one of its tasks a chunk. Which chunks are done, their files alone say:
datatrove's own marks of completion would hold for another recipe too, and its statistics leave out what was done
before. All machines share the run's folder. Knows no stage.
"""

import pickle
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

from data_pipeline.chunks import Step
from data_pipeline.errors import PipelineError
from data_pipeline.guarding import run_guarded

__all__ = [
    "Executor",
    "ExecutorName",
    "LocalExecutor",
    "RayExecutor",
    "Resources",
    "SlurmExecutor",
    "run_local",
    "run_ray",
]

POLL_S = 2.0  # of Slurm's queue
PATIENCE_S = 30.0  # for the files of a job that has left the queue, which a network's file system may show late


class ExecutorName(StrEnum):
    """What ``--executor`` takes."""

    LOCAL = "local"
    SLURM = "slurm"
    RAY = "ray"


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """What a cluster is asked for, for each chunk; a step without a model takes one CPU."""

    memory_per_cpu_gb: int = 2
    model_cpus: int = 1
    model_gpus: int = 0

    def of(self, step: Step) -> dict[str, Any]:
        """As datatrove's executors name them."""
        return {
            "cpus_per_task": self.model_cpus if step.takes_machine else 1,
            "gpus_per_task": self.model_gpus if step.takes_machine else 0,
            "mem_per_cpu_gb": self.memory_per_cpu_gb,
        }


class Executor(Protocol):
    """Who does chunks."""

    def run(self, step: Step, numbers: Sequence[int]) -> None:
        """Return when each of the chunks is done, or has failed and said why in ``RunFolder.failure``.

        Raises PipelineError where the executor itself fails."""


@dataclass(frozen=True, slots=True)
class LocalExecutor:
    """Processes on this machine."""

    n_workers: int

    def run(self, step: Step, numbers: Sequence[int]) -> None:
        """See Executor."""
        n_lanes = 1 if step.takes_machine else min(self.n_workers, len(numbers))
        _run_apart(self, step, [numbers[lane::n_lanes] for lane in range(n_lanes)])


@dataclass(frozen=True, slots=True)
class RayExecutor:
    """A Ray cluster: that of ``RAY_ADDRESS``, or one of this machine's CPUs."""

    n_workers: int | None
    """Tasks at a time; None: as many as the cluster has CPUs for."""
    resources: Resources

    def run(self, step: Step, numbers: Sequence[int]) -> None:
        """See Executor."""
        _run_apart(self, step, [numbers])


@dataclass(frozen=True, slots=True)
class SlurmExecutor:
    """A Slurm cluster, from a machine that has ``sbatch``: a job array a step, which this process waits for."""

    n_workers: int | None
    """Jobs at a time; None: as many as the cluster gives."""
    partition: str
    time_limit: str
    """Of a chunk, as Slurm writes it: HH:MM:SS."""
    resources: Resources

    def run(self, step: Step, numbers: Sequence[int]) -> None:
        """See Executor."""
        job = _slurm_job(self, step, numbers)
        try:
            job.run()
            _wait(job.job_name, step, numbers)
        except FileNotFoundError as error:
            raise PipelineError(f"got no {error.filename}, expected a machine that submits jobs to Slurm") from error
        except subprocess.CalledProcessError as error:
            raise PipelineError(f"{error.cmd[0]} ended with {error.returncode}; what it said stands above") from error
        except BaseException:
            subprocess.run(["scancel", f"--name={job.job_name}"], check=False)  # noqa: S603, S607
            raise


def run_local(step: Step, numbers: Sequence[int]) -> None:
    """The chunks, one after another in this process."""
    from datatrove.executor.local import LocalPipelineExecutor

    LocalPipelineExecutor(**_task(step, numbers), workers=1).run()


def run_ray(executor: RayExecutor, step: Step, numbers: Sequence[int]) -> None:
    """The chunks, as datatrove's tasks on a Ray cluster."""
    import ray
    from datatrove.executor.ray import RayPipelineExecutor

    ray.init(include_dashboard=False)  # which would be a dozen processes for each step
    wanted = executor.resources.of(step)
    there = ray.cluster_resources()  # type: ignore[no-untyped-call]
    n_fit = int(there.get("CPU", 0)) // wanted["cpus_per_task"]
    memory_gb = wanted["mem_per_cpu_gb"] * wanted["cpus_per_task"]
    if n_fit < 1 or there.get("memory", 0) < memory_gb * 2**30 or there.get("GPU", 0) < wanted["gpus_per_task"]:
        raise PipelineError(f"got a Ray cluster of {there}, expected {wanted} at least; Ray would wait for ever")
    n_workers = min(executor.n_workers or n_fit, len(numbers))
    RayPipelineExecutor(**_task(step, numbers), workers=n_workers, **wanted).run()


def _run_apart(executor: LocalExecutor | RayExecutor, step: Step, lanes: Sequence[Sequence[int]]) -> None:
    """Each lane in a process group of its own, with a log, that ends when this process does: see ``step_process``.

    Side by side, and not in one pool: a pool waits for ever for a process that the system killed, as for its memory.
    """
    folder = step.folder.path / "executor"
    folder.mkdir(parents=True, exist_ok=True)
    logs = [folder / f"{step.output}-{number}.log" for number in range(len(lanes))]
    with ExitStack() as running:
        processes = [running.enter_context(_started(executor, step, *each)) for each in zip(lanes, logs, strict=True)]
        codes = [process.wait() for process in processes]
    for code, log in zip(codes, logs, strict=True):
        if code < 0:
            name = signal.Signals(-code).name
            raise PipelineError(
                f"{step.name}: a process was ended by {name}, which the system sends where memory is short; all others "
                f"have finished: go on with --resume, with fewer --workers if need be; its log is {log}"
            )
        if code:
            raise PipelineError(f"{step.name}: {_last_line(log)}; the whole is in {log}")


@contextmanager
def _started(
    executor: LocalExecutor | RayExecutor, step: Step, numbers: Sequence[int], log: Path
) -> Iterator[subprocess.Popen[bytes]]:
    with (
        log.open("wb") as file,
        subprocess.Popen(
            [sys.executable, "-m", "data_pipeline.step_process"],
            stdin=subprocess.PIPE,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        ) as process,  # at the end closes its input, at which it ends
    ):
        assert process.stdin is not None  # noqa: S101
        process.stdin.write(pickle.dumps((executor, step, tuple(numbers))))
        process.stdin.flush()
        yield process


def _slurm_job(executor: SlurmExecutor, step: Step, numbers: Sequence[int]) -> Any:
    from datatrove.executor.slurm import SlurmPipelineExecutor
    from loguru import logger

    class Job(SlurmPipelineExecutor):  # type: ignore[misc]  # datatrove has no types
        def launch_merge_stats(self) -> None:
            """No job of its own for that: the run's summaries say more."""

    logger.disable("datatrove")  # its lines would go through the progress bar
    return Job(
        **_task(step, numbers),
        workers=executor.n_workers or -1,
        partition=executor.partition,
        time=executor.time_limit,
        qos="",
        job_name=f"auricle-{step.folder.path.name}-{step.output}",
        env_command=f'export PATH="{Path(sys.executable).parent}:$PATH"',
        **executor.resources.of(step),
    )


def _task(step: Step, numbers: Sequence[int]) -> dict[str, Any]:
    """What all of datatrove's executors take."""
    return {
        "pipeline": [_Chunk(step, tuple(numbers))],
        "tasks": len(numbers),
        "logging_dir": str(step.folder.path / "executor" / f"{step.output}-{numbers[0]:05}"),
        "skip_completed": False,
    }


@dataclass(frozen=True, slots=True)
class _Chunk:
    """A pipeline of datatrove's: its rank is a chunk's place among those that are to be done."""

    step: Step
    numbers: tuple[int, ...]

    def __call__(self, _data: object, rank: int, _world_size: int) -> None:
        number = self.numbers[rank]
        try:
            run_guarded(self.step, number)
        except Exception:
            failure = self.step.folder.failure(self.step.output, number)
            failure.parent.mkdir(parents=True, exist_ok=True)
            failure.write_text(traceback.format_exc(), encoding="utf-8")


def _wait(job_name: str, step: Step, numbers: Sequence[int]) -> None:
    """Until each chunk is done or has failed, or nothing of the job is in the queue any longer."""
    waiting, left_at = list(numbers), None
    while waiting := [each for each in waiting if not (step.is_done(each) or step.has_failed(each))]:
        command = ["squeue", "--noheader", f"--name={job_name}"]
        queued = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603
        if queued.stdout.strip():
            left_at = None
        elif left_at is None:
            left_at = time.monotonic()
        elif time.monotonic() - left_at > PATIENCE_S:
            return
        time.sleep(POLL_S)


def _last_line(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "it ended without a word")
