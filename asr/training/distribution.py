"""One process or many. In: what torchrun says in the environment. Out: a wrapped module, sums over all processes.

Knows no batches and no files.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor
from torch.nn.parallel import DistributedDataParallel

from asr.errors import InvalidOptionError
from asr.training.options import Parallel

__all__ = ["Processes", "joined_processes"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Processes:
    """All that train together, seen from one of them."""

    rank: int
    world_size: int
    device: torch.device

    @property
    def is_first(self) -> bool:
        """Whether this one writes files and tells people."""
        return self.rank == 0

    def wrap(self, module: nn.Module, blocks: list[nn.Module], parallel: Parallel) -> nn.Module:
        """``module``, such that a backward pass leaves the mean of all processes' gradients; ``blocks`` are inside it.

        FSDP keeps a share of each block here, and borrows the rest for its turn.
        """
        if self.world_size == 1:
            return module
        if parallel is Parallel.FSDP:
            for block in blocks:
                fully_shard(block)
            fully_shard(module)  # in place
            return module
        return DistributedDataParallel(module, device_ids=[self.device] if self.device.type == "cuda" else None)

    @contextmanager
    def backward(self, module: nn.Module, *, is_last: bool) -> Iterator[None]:
        """Around forward and backward of one micro-batch: gradients travel with the update's last one alone."""
        if isinstance(module, FSDPModule):
            module.set_requires_gradient_sync(is_last)
            yield
        elif isinstance(module, DistributedDataParallel) and not is_last:
            with module.no_sync():
                yield
        else:
            yield

    def clip_gradients(self, module: nn.Module, most: float) -> float:
        """Scale gradients of all processes down to a norm of ``most``; the norm before."""
        norm = nn.utils.clip_grad_norm_(module.parameters(), most)
        whole: Tensor = norm.full_tensor() if isinstance(norm, DTensor) else norm
        return whole.item()

    def sum(self, *values: float) -> list[float]:
        """Each, added up over all processes."""
        total = torch.tensor(values, dtype=torch.float64, device=self.device)
        if self.world_size > 1:
            dist.all_reduce(total)
        return total.tolist()

    def gather(self, value: Any) -> list[Any]:
        """What every process has, in order of rank."""
        if self.world_size == 1:
            return [value]
        gathered: list[Any] = [None] * self.world_size
        dist.all_gather_object(gathered, value)
        return gathered

    def wait(self) -> None:
        """Until all are here."""
        if self.world_size > 1:
            dist.barrier()


@contextmanager
def joined_processes(device: str) -> Iterator[Processes]:
    """Join those that torchrun started, or be alone. Raises InvalidOptionError for a device that is not there."""
    name = "cuda" if device == "auto" and torch.cuda.is_available() else device.replace("auto", "cpu")
    if name == "cuda" and not torch.cuda.is_available():
        raise InvalidOptionError("device: got 'cuda', but torch finds none here", param="device")
    world_size = int(os.environ.get("WORLD_SIZE", "1"))
    if world_size == 1:
        yield Processes(rank=0, world_size=1, device=torch.device(name))
        return
    target = torch.device(name, int(os.environ["LOCAL_RANK"])) if name == "cuda" else torch.device(name)
    if name == "cuda":
        torch.cuda.set_device(target)
    dist.init_process_group("nccl" if name == "cuda" else "gloo")
    try:
        yield Processes(rank=dist.get_rank(), world_size=world_size, device=target)
    finally:
        dist.destroy_process_group()
