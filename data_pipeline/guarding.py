"""A chunk in a process of its own, which may die of it. In: a step, a chunk's number. Out: the chunk's files.

Decoders of strangers' media are native code, and a crash takes the whole process with it. So the one that decodes is a
child of the one that an executor waits for. Where it dies, the chunk is begun anew; where it dies at the same item
again, that item is dropped (``decoder_died``), and the run goes on. A child whose parent is gone ends.
"""

import multiprocessing
import os
import threading
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import cache
from multiprocessing.process import BaseProcess

from data_pipeline.chunks import Step
from data_pipeline.errors import PipelineError
from data_pipeline.storage import read_lines, write_lines

__all__ = ["run_guarded"]

N_DEATHS = 2  # at one place: the first may come from outside, as when the system is short of memory


def run_guarded(step: Step, number: int) -> None:
    """Do a chunk, whatever decoders do. Raises PipelineError where a process dies twice outside of a decoder."""
    deaths: Counter[int | None] = Counter()
    while True:
        step.folder.begun(number).unlink(missing_ok=True)
        try:
            _child().submit(step.run, number).result()
            return
        except BrokenProcessPool as error:
            _child.cache_clear()
            place = _place(step, number)
            deaths[place] += 1
            if deaths[place] < N_DEATHS:
                continue
            if place is None:
                raise PipelineError(f"{step.name}, chunk {number}: its process was killed {N_DEATHS} times") from error
            _give_up(step, number, place)


@cache
def _child() -> ProcessPoolExecutor:
    """This process's child, kept for the next chunk: a model is loaded once."""
    return ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"), initializer=_end_with_parent)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_after, args=(parent,), daemon=True).start()


def _end_after(parent: BaseProcess) -> None:
    parent.join()
    os._exit(1)


def _place(step: Step, number: int) -> int | None:
    """At which item of its chunk the child was."""
    begun = step.folder.begun(number)
    return int(begun.read_text(encoding="ascii") or 0) if begun.exists() else None


def _give_up(step: Step, number: int, place: int) -> None:
    path = step.folder.deadly(number)
    known = list(read_lines(path)) if path.exists() else []
    write_lines(path, [*known, {"place": place}])
