"""A run, from a recipe to shards. In: recipe, seed, folder. Out: the folder of the run, finished.

Steps: ``plan`` lists the sources, ``screen`` and ``pack`` do chunks side by side, ``duplicates`` between them looks at
all, and a model, where one is asked, hears what is left, in this process. Every file is whole or absent and is made of
the files before it alone, so that a run that was killed continues where it was, and the number of workers decides
nothing. Knows no terminal: progress is told to whoever asks.
"""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

from filelock import FileLock, Timeout

from data_pipeline.chunks import ChunkSummary, RunFolder
from data_pipeline.errors import PipelineError
from data_pipeline.evaluation import read_evaluation
from data_pipeline.hearing import ModelListener, hear_chunk
from data_pipeline.packing import pack_chunk
from data_pipeline.readers import list_audiofolder, list_folder, list_nemo, list_tars
from data_pipeline.recipe import Recipe, SourceChoice
from data_pipeline.screening import screen_chunk
from data_pipeline.stages.duplicates import Fingerprint, find_duplicates
from data_pipeline.storage import UNFINISHED, read_lines, to_json, whole_file, write_lines
from data_pipeline.summing_up import sum_up
from data_pipeline.types import Item, Origin
from data_pipeline.workers import run_chunks

__all__ = ["Progress", "RunPlan", "run_recipe"]

FORMAT = 1  # of the run's files; part of what names a run


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


def run_recipe(plan: RunPlan, out: Path, *, n_workers: int, resume: bool, progress: Progress) -> RunFolder:
    """Do everything that is not done yet. Raises PipelineError about sources and folders, OSError."""
    folder = plan.folder(out)
    with _locked(folder, resume):
        with whole_file(folder.path / "run.json") as file:
            file.write(to_json(plan.config) + b"\n")
        n_chunks = _plan(plan, folder)
        seconds: dict[str, float] = {}

        def each_chunk(step: str, output: str, do: Callable[[int], ChunkSummary], n_workers: int) -> None:
            pending = [number for number in range(n_chunks) if not folder.chunk(output, number).exists()]
            progress.start(step, n_chunks, n_chunks - len(pending))
            for summary in run_chunks(pending, do, n_workers):
                for stage, taken_s in summary.seconds.items():
                    seconds[stage] = seconds.get(stage, 0.0) + taken_s
                progress.advance(summary)

        recipe = plan.recipe
        each_chunk("screening", "screened", partial(screen_chunk, folder=folder, recipe=recipe), n_workers)
        _find_duplicates(folder, n_chunks)
        if recipe.model is not None:
            hear = partial(hear_chunk, folder=folder, recipe=recipe, listener=ModelListener(recipe.model))
            each_chunk("hearing", "heard", hear, 1)
        pack = partial(pack_chunk, folder=folder, recipe=recipe, seed=plan.seed)
        each_chunk("packing", "packed", pack, n_workers)
        progress.start("report", 1, 0)
        sum_up(folder, n_chunks, recipe)
        from data_pipeline.report import write_report  # plots take a second to import

        write_report(folder, n_chunks)
        write_lines(folder.path / "seconds.json", [seconds])
    return folder


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
