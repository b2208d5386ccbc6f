"""A run, from a recipe to shards. In: recipe, seed, folder. Out: the folder of the run, finished.

Steps: ``plan`` lists the sources, ``screen`` and ``pack`` do chunks side by side, ``duplicates`` between them looks at
all, and a model, where one is asked, hears what is left. Every file is whole or absent and is made of the files before
it alone, so that a run that was killed continues where it was, and who does its chunks decides nothing. Knows no
terminal: progress is told to whoever asks.
"""

import hashlib
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

from filelock import FileLock, Timeout

from data_pipeline.chunks import ChunkSummary, RunFolder, Step
from data_pipeline.errors import PipelineError
from data_pipeline.evaluation import read_evaluation
from data_pipeline.executors import Executor
from data_pipeline.hearing import hear_with_model
from data_pipeline.packing import pack_chunk
from data_pipeline.readers import list_audiofolder, list_folder, list_nemo, list_tars
from data_pipeline.recipe import Recipe, SourceChoice
from data_pipeline.screening import screen_chunk
from data_pipeline.stages.duplicates import Fingerprint, find_duplicates
from data_pipeline.storage import UNFINISHED, read_lines, to_json, whole_file, write_lines
from data_pipeline.summing_up import sum_up
from data_pipeline.types import Item, Origin

__all__ = ["Progress", "RunPlan", "run_recipe"]

FORMAT = 1  # of the run's files; part of what names a run
WATCH_S = 0.3


class Progress(Protocol):
    """Who wants to know how far a run is."""

    def start(self, step: str, n_chunks: int, n_done: int) -> None:
        """Told before each step, with the chunks that an earlier run has done."""

    def advance(self, summary: ChunkSummary) -> None:
        """Told after each chunk."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPlan:
    """Everything that decides what comes out."""

    recipe: Recipe
    seed: int = 0
    first_items: int | None = None
    """Of each source, so many items alone: a dry run."""

    @property
    def config(self) -> dict[str, Any]:
        """As it is written to ``run.json``."""
        scores = self.recipe.scores
        return {
            "format": FORMAT,
            "seed": self.seed,
            "first_items": self.first_items,
            "scores_sha256": hashlib.sha256(scores.read_bytes()).hexdigest() if scores else None,
            "recipe": asdict(self.recipe),
        }

    def folder(self, out: Path) -> RunFolder:
        """The run's folder, named by the digest of its configuration: another recipe or seed is another folder."""
        return RunFolder(out / hashlib.sha256(to_json(self.config)).hexdigest()[:12])


def run_recipe(plan: RunPlan, out: Path, *, executor: Executor, resume: bool, progress: Progress) -> RunFolder:
    """Do everything that is not done yet. Raises PipelineError about sources and folders, OSError."""
    folder = plan.folder(out)
    with _locked(folder, resume):
        with whole_file(folder.path / "run.json") as file:
            file.write(to_json(plan.config) + b"\n")
        n_chunks = _plan(plan, folder)
        steps = _steps(plan, folder)
        for step in steps:
            if step.output != "screened":
                _find_duplicates(folder, n_chunks)
            _do(step, n_chunks, executor, progress)
        progress.start("report", 1, 0)
        sum_up(folder, n_chunks, plan.recipe)
        from data_pipeline.report import write_report  # plots take a second to import

        write_report(folder, n_chunks)
        write_lines(folder.path / "seconds.json", [_seconds(steps, n_chunks)])
    return folder


def _steps(plan: RunPlan, folder: RunFolder) -> list[Step]:
    recipe = plan.recipe
    screen = partial(screen_chunk, folder=folder, recipe=recipe)
    pack = partial(pack_chunk, folder=folder, recipe=recipe, seed=plan.seed)
    steps = [Step(name="screening", output="screened", do=screen, folder=folder)]
    if recipe.model is not None:
        hear = partial(hear_with_model, folder=folder, recipe=recipe, choice=recipe.model)
        steps.append(Step(name="hearing", output="heard", do=hear, folder=folder, takes_machine=True))
    return [*steps, Step(name="packing", output="packed", do=pack, folder=folder)]


def _do(step: Step, n_chunks: int, executor: Executor, progress: Progress) -> None:
    """All chunks of a step that are not done yet. Raises PipelineError where one fails."""
    pending = [number for number in range(n_chunks) if not step.is_done(number)]
    progress.start(step.name, n_chunks, n_chunks - len(pending))
    if not pending:
        return
    for number in pending:
        step.folder.failure(step.output, number).unlink(missing_ok=True)
    with _watched(step, pending, progress):
        executor.run(step, pending)
    for number in pending:
        if not step.is_done(number):
            failure = step.folder.failure(step.output, number)
            reason = failure.read_text(encoding="utf-8").strip() if failure.exists() else "nobody did it"
            raise PipelineError(
                f"{step.name}, chunk {number}: {reason.splitlines()[-1]}; continue with --resume when that is mended, "
                f"more is in {failure.parent} and {step.folder.path / 'executor'}"
            )


@contextmanager
def _watched(step: Step, numbers: list[int], progress: Progress) -> Iterator[None]:
    """Tell of chunks when their summaries are there, whoever does them and wherever."""
    folder = step.folder.summary(step.output, 0).parent
    untold = {step.folder.summary(step.output, number).name: number for number in numbers}

    def look() -> None:
        for name in sorted(untold.keys() & {path.name for path in folder.iterdir()}) if folder.exists() else ():
            progress.advance(step.summary(untold.pop(name)))

    def watch() -> None:
        while not is_over.wait(WATCH_S):
            look()

    for name in untold:  # of a chunk that an earlier run did not finish
        (folder / name).unlink(missing_ok=True)
    is_over = threading.Event()
    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        is_over.set()
        watcher.join()
        look()


def _seconds(steps: Iterable[Step], n_chunks: int) -> Mapping[str, float]:
    """Of all chunks, whoever did them and in whichever run."""
    total = ChunkSummary()
    for step in steps:
        for number in range(n_chunks):
            total.add(step.summary(number))
    return total.seconds


@contextmanager
def _locked(folder: RunFolder, resume: bool) -> Iterator[None]:
    if (folder.path / "run.json").exists() and not resume:
        raise PipelineError(f"{folder.path} has a run of this recipe; continue it with --resume, or delete it")
    folder.path.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder.path / "run.lock", timeout=0):
            for torn in folder.path.rglob(f"{UNFINISHED}*"):
                torn.unlink(missing_ok=True)
            yield
    except Timeout as error:
        raise PipelineError(f"{folder.path}: another process is at this run; wait for it") from error


def _plan(plan: RunPlan, folder: RunFolder) -> int:
    """Write the evaluation's texts and the sources' items, once; returns the number of chunks."""
    done = folder.path / "plan.jsonl"
    if not done.exists():
        corpora: list[dict[str, Any]] = []
        if plan.recipe.evaluation is not None:
            evaluation = read_evaluation(plan.recipe.evaluation)
            write_lines(folder.evaluation, [asdict(text) for text in evaluation.texts])
            corpora = [asdict(corpus) for corpus in evaluation.corpora]
        n_chunks = n_items = 0
        items = (item for source in plan.recipe.sources for item in islice(_items(source), plan.first_items))
        while chunk := list(islice(items, plan.recipe.chunk_items)):
            write_lines(folder.chunk("plan", n_chunks), chunk)
            n_chunks, n_items = n_chunks + 1, n_items + len(chunk)
        if not n_items:
            raise PipelineError("the sources list nothing, expected some recordings")
        write_lines(done, [{"n_chunks": n_chunks, "n_items": n_items, "evaluation": corpora}])
    return int(next(read_lines(done))["n_chunks"])


def _items(source: SourceChoice) -> Iterator[Item]:
    origin = Origin(source=source.name, licence=source.licence, language=source.language)
    match source.kind:
        case "nemo":
            return list_nemo(source.path, origin, root=source.root)
        case "audiofolder":
            return list_audiofolder(source.path, origin)
        case "tar":
            return list_tars(source.path, origin)
        case _:
            return list_folder(source.path, origin)


def _find_duplicates(folder: RunFolder, n_chunks: int) -> None:
    if folder.chunk("duplicates", n_chunks - 1).exists():  # they are written in order
        return
    repeats = find_duplicates(each for number in range(n_chunks) for each in _fingerprints(folder, number))
    for number in range(n_chunks):
        found = [
            {"id": each.id, "drop": repeats[each.id]} for each in _fingerprints(folder, number) if each.id in repeats
        ]
        write_lines(folder.chunk("duplicates", number), found)


def _fingerprints(folder: RunFolder, number: int) -> Iterator[Fingerprint]:
    for line in read_lines(folder.chunk("screened", number)):
        if "fingerprint" in line:
            yield Fingerprint(**line["fingerprint"] | {"bands": tuple(line["fingerprint"]["bands"])})
