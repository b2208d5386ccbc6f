"""The engine on the workers of a Ray cluster. In: one audio file, on a path that all its machines have. Out: ``Reply``.

One worker a GPU, or for so many CPUs where there is none; each holds the model and has several files at a time. The
cluster is that of ``RAY_ADDRESS``, or one of this machine's. What comes back is what ``LocalTarget`` says here, so that
a run may be begun with one of them and continued with the other.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Self

from asr.options import Quantization, TranscribeOptions
from eval.errors import ClipError, TargetUnavailableError
from eval.targets.local import LocalTarget
from eval.targets.types import Reply, Target

__all__ = ["RayTarget"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Failed:
    """A ``ClipError`` on its way: Ray would wrap an exception."""

    code: str
    message: str


class _Worker:
    """In a process of its own, somewhere in the cluster."""

    def __init__(self, load: Callable[[], Target]) -> None:
        self._target = load()

    def describe(self) -> Mapping[str, Any]:
        return self._target.describe()

    def settings(self, options: TranscribeOptions) -> Mapping[str, Any]:
        return self._target.settings(options)

    def ask(self, path: Path, options: TranscribeOptions | None) -> Reply | _Failed:
        """Transcribe; without options, name the language."""
        try:
            return self._target.detect_language(path) if options is None else self._target.transcribe(path, options)
        except ClipError as error:
            return _Failed(code=error.code, message=error.message)


class RayTarget:
    """Loaded models in a cluster, as one ``Target``."""

    def __init__(self, load: Callable[[], Target], *, cpus_per_worker: int, files_per_worker: int) -> None:
        """Start a worker wherever there is room, and load its target there. Raises TargetUnavailableError."""
        import ray

        if not ray.is_initialized():
            # Its own lines would go through the progress bar.
            ray.init(include_dashboard=False, logging_level=logging.ERROR, log_to_driver=False)
        there = ray.cluster_resources()  # type: ignore[no-untyped-call]
        n_gpus = int(there.get("GPU", 0))
        n_workers = n_gpus or int(there.get("CPU", 0)) // cpus_per_worker
        if not n_workers or there.get("CPU", 0) < n_workers * cpus_per_worker:
            got = f"{there.get('CPU', 0):g} CPUs, {n_gpus} GPUs"
            message = f"--ray: got a cluster of {got}, expected {cpus_per_worker} CPUs for each worker"
            raise TargetUnavailableError(f"{message}; Ray would wait for ever. Give --cpus-per-worker another number.")
        self.n_parallel = n_workers * files_per_worker
        actor: Any = ray.remote(_Worker)
        placed = actor.options(num_cpus=cpus_per_worker, num_gpus=min(n_gpus, 1), max_concurrency=files_per_worker)
        self._workers = [placed.remote(load) for _ in range(n_workers)]
        self._free: SimpleQueue[Any] = SimpleQueue()
        for _ in range(files_per_worker):
            for worker in self._workers:
                self._free.put(worker)

    @classmethod
    def load(cls, model: str, quantization: Quantization, *, cpus_per_worker: int) -> Self:
        """A model by name or path, on every machine of the cluster. Raises TargetUnavailableError."""
        load = partial(LocalTarget.load, model, quantization)
        return cls(load, cpus_per_worker=cpus_per_worker, files_per_worker=LocalTarget.n_parallel)

    @property
    def n_workers(self) -> int:
        """Processes that hold the model."""
        return len(self._workers)

    def describe(self) -> Mapping[str, Any]:
        """As the workers' targets do, which have to be the same. Raises TargetUnavailableError."""
        described = [_answer(worker.describe.remote()) for worker in self._workers]
        first: Mapping[str, Any] = described[0]
        for other in described[1:]:
            if other != first:
                raise TargetUnavailableError(
                    f"--ray: got workers with {first} and {other}, expected the same everywhere"
                )
        return first

    def settings(self, options: TranscribeOptions) -> Mapping[str, Any]:
        """As the workers' targets do."""
        settings: Mapping[str, Any] = _answer(self._workers[0].settings.remote(options))
        return settings

    def transcribe(self, path: Path, options: TranscribeOptions) -> Reply:
        """Transcribe on a worker that has a place. Raises ClipError, TargetUnavailableError when the worker is gone."""
        return self._ask(path, options)

    def detect_language(self, path: Path) -> Reply:
        """The same for the language."""
        return self._ask(path, None)

    def _ask(self, path: Path, options: TranscribeOptions | None) -> Reply:
        worker = self._free.get()
        try:
            reply: Reply | _Failed = _answer(worker.ask.remote(path.resolve(), options))
        finally:
            self._free.put(worker)
        if isinstance(reply, _Failed):
            raise ClipError(reply.code, reply.message)
        return reply


def _answer(reference: Any) -> Any:
    import ray

    try:
        return ray.get(reference)
    except ray.exceptions.RayError as error:
        cause = getattr(error, "cause", None) or error
        last = str(cause).strip().splitlines()[-1]
        raise TargetUnavailableError(f"--ray: {last}; repeat the command to continue") from error
