"""Chunks side by side, in processes of their own. In: what is done with a chunk. Out: how each went.

Apart from ``running``, so that a worker imports nothing but what it does.
"""

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from itertools import islice
from multiprocessing.process import BaseProcess

from data_pipeline.chunks import ChunkSummary

__all__ = ["run_chunks"]


def run_chunks(numbers: Iterable[int], do: Callable[[int], ChunkSummary], n_workers: int) -> Iterator[ChunkSummary]:
    """The chunks in any order, in processes of their own where there is more than one worker."""
    if n_workers == 1:
        yield from map(do, numbers)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(n_workers, mp_context=context, initializer=_end_with_parent) as pool:
        upcoming = iter(numbers)
        running: set[Future[ChunkSummary]] = {pool.submit(do, each) for each in islice(upcoming, 2 * n_workers)}
        try:
            while running:
                done, running = wait(running, return_when=FIRST_COMPLETED)
                running |= {pool.submit(do, each) for each in islice(upcoming, len(done))}
                for future in done:
                    yield future.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _end_with_parent() -> None:
    """A worker must not go on writing when the run was killed: its successor may be at the same chunk."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_after, args=(parent,), daemon=True).start()


def _end_after(parent: BaseProcess) -> None:
    parent.join()
    os._exit(1)
