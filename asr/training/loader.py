"""Examples → the micro-batches of each update. In: numbered examples, seed, position. Out: tensors. Knows no model.

Every epoch is a new order of all examples, drawn from the seed. An update takes the next ``batch`` of them, and each
process makes a contiguous share of these. So an update learns from the same examples whatever the number of processes
and the size of micro-batches, and the only state is how many examples were taken.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 (the name that every torch code base uses)

from asr.errors import TrainingError
from asr.shards import ShardExample
from asr.training.examples import TrainingExample
from asr.training.targets import IGNORED

__all__ = ["Batch", "BatchPlan", "Loader", "collate"]

Make = Callable[[ShardExample, int], TrainingExample]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Batch:
    """What goes through a device at once. Shapes: B examples, F Mel channels, T frames, M text positions."""

    keys: tuple[str, ...]
    mel_BFT: Tensor
    tokens_BM: Tensor
    targets_BM: Tensor
    """IGNORED where nothing is learned: previous text, padding."""
    duration: float
    """Seconds of recordings."""
    n_too_long: int
    n_frames: tuple[int, ...] = ()
    """Of each window, before it was filled up."""
    full_BFT: Tensor | None = None
    """The same windows with all 30 s, where a teacher hears them."""

    def to(self, device: torch.device) -> "Batch":
        """The same on a device."""
        return replace(
            self,
            mel_BFT=self.mel_BFT.to(device, non_blocking=True),
            tokens_BM=self.tokens_BM.to(device, non_blocking=True),
            targets_BM=self.targets_BM.to(device, non_blocking=True),
            full_BFT=None if self.full_BFT is None else self.full_BFT.to(device, non_blocking=True),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchPlan:
    """Who takes which examples. Raises TrainingError for a batch that does not divide among the processes."""

    batch: int
    micro_batch: int
    seed: int
    rank: int = 0
    world_size: int = 1

    def __post_init__(self) -> None:
        """Check."""
        if self.batch % self.world_size:
            raise TrainingError(
                f"batch: got {self.batch} examples for {self.world_size} processes, expected a multiple of their number"
            )

    @property
    def share(self) -> int:
        """Examples of an update that this process makes."""
        return self.batch // self.world_size


class Loader:
    """Makes batches ahead of time, in threads. ``close`` ends them.

    ``pad``: the token that rows are filled up with; no target follows it.
    """

    def __init__(
        self, examples: Sequence[ShardExample], make: Make, plan: BatchPlan, *, pad: int, n_workers: int = 2
    ) -> None:
        self._examples = examples
        self._make = make
        self._plan = plan
        self._pad = pad
        self._position = 0
        self._pool = ThreadPoolExecutor(n_workers, thread_name_prefix="loader")
        self._n_ahead = max(2 * n_workers, plan.micro_batch)
        self._asked: deque[Future[TrainingExample]] = deque()
        self._numbers = self._walk()
        self._order = lru_cache(maxsize=2)(self._draw_order)

    def next_update(self) -> list[Batch]:
        """This process's micro-batches of the next update. Raises TrainingError, ShardError, OSError."""
        rows = [self._next_example() for _ in range(self._plan.share)]
        self._position += self._plan.batch
        size = self._plan.micro_batch
        if len(rows) > size:
            rows.sort(key=lambda row: row.mel_FT.shape[1])  # alike in length: less is padded
        return [collate(rows[start : start + size], pad=self._pad) for start in range(0, len(rows), size)]

    def state_dict(self) -> dict[str, int]:
        """Where it is: examples taken by all processes together."""
        return {"position": self._position}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go on from there."""
        for future in self._asked:
            future.cancel()
        self._asked.clear()
        self._position = state["position"]
        self._numbers = self._walk()

    def close(self) -> None:
        """End the threads."""
        self._pool.shutdown(cancel_futures=True)

    def _next_example(self) -> TrainingExample:
        while len(self._asked) <= self._n_ahead:
            self._asked.append(self._pool.submit(self._read, next(self._numbers)))
        return self._asked.popleft().result()

    def _walk(self) -> Iterator[int]:
        """Numbers of this process's examples among all that are ever taken."""
        first = self._position
        while True:
            mine = first + self._plan.rank * self._plan.share
            yield from range(mine, mine + self._plan.share)
            first += self._plan.batch

    def _read(self, number: int) -> TrainingExample:
        epoch, place = divmod(number, len(self._examples))
        return self._make(self._examples[int(self._order(epoch)[place])], epoch)

    def _draw_order(self, epoch: int) -> Tensor:
        generator = torch.Generator().manual_seed((self._plan.seed << 24) + epoch)
        return torch.randperm(len(self._examples), generator=generator)


def collate(rows: Sequence[TrainingExample], *, pad: int) -> Batch:
    """One batch: rows are filled up at their ends, windows with what silence looks like in each of them."""
    n_tokens = max(len(row.tokens) for row in rows)
    n_frames = max(row.mel_FT.shape[1] for row in rows)

    def filled(values: tuple[int, ...], value: int) -> list[int]:
        return [*values, *[value] * (n_tokens - len(values))]

    return Batch(
        keys=tuple(row.key for row in rows),
        mel_BFT=torch.stack([_lengthened(row.mel_FT, n_frames) for row in rows]),
        tokens_BM=torch.tensor([filled(row.tokens, pad) for row in rows]),
        targets_BM=torch.tensor([filled(row.targets, IGNORED) for row in rows]),
        duration=sum(row.duration for row in rows),
        n_too_long=sum(row.is_too_long for row in rows),
        n_frames=tuple(row.mel_FT.shape[1] for row in rows),
        full_BFT=torch.stack(full) if (full := [row.full_FT for row in rows if row.full_FT is not None]) else None,
    )


def _lengthened(mel_FT: Tensor, n_frames: int) -> Tensor:
    missing = n_frames - mel_FT.shape[1]
    return F.pad(mel_FT, (0, missing), value=mel_FT.min().item()) if missing else mel_FT
