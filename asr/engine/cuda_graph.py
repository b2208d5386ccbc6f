"""Work on a GPU, captured once and replayed. In: a function of no arguments. Out: one that launches it all at once.

After https://docs.pytorch.org/docs/2.11/notes/cuda.html#cuda-graphs. Knows nothing of what it captures.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

__all__ = ["CapturedWork"]

WARM_UPS = 3  # libraries choose their algorithms and take their workspaces before anything is captured


class CapturedWork:
    """A function as a CUDA graph: the same kernels over the same memory, whatever numbers that holds by then.

    ``work`` must wait for nothing, and runs a few times before it is captured. Several may share a ``pool``
    (``torch.cuda.graph_pool_handle()``) where each result is done with, in the order of the stream, before the next is
    replayed.
    """

    def __init__(self, work: Callable[[], Tensor], pool: Any) -> None:
        side = torch.cuda.Stream()  # type: ignore[no-untyped-call]  # torch has no types there
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(WARM_UPS):
                work()
        torch.cuda.current_stream().wait_stream(side)
        self._graph = torch.cuda.CUDAGraph()
        # Other threads make spectrograms meanwhile: what they allocate is no error of this one's.
        with torch.cuda.graph(self._graph, pool=pool, capture_error_mode="thread_local"):
            self._result = work()

    def __call__(self) -> Tensor:
        """Launch it; the result is overwritten by the next call."""
        self._graph.replay()
        return self._result
