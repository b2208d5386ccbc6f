"""The training loop. In: an objective, a loader, a recipe, a folder. Out: checkpoints, and a report of each update.

An update draws its randomness from seed, step and process alone, and learning rate and examples follow from the step:
model, optimizer and step are all there is to restore. Knows no shards, no tokens and no screen.
"""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Protocol

import torch
from torch import nn
from torch.distributed.checkpoint.state_dict import get_state_dict, set_state_dict

from asr.errors import TrainingError
from asr.training.distribution import Processes
from asr.training.loader import Batch
from asr.training.objective import Objective
from asr.training.optimization import MAX_GRAD_NORM, learning_rate, make_optimizer, set_learning_rate
from asr.training.options import Execution, Precision, Recipe
from asr.training.run_folder import RunFolder, load_state
from asr.training.throughput import batch_flops

__all__ = ["Batches", "Trainer", "UpdateReport"]


class Batches(Protocol):
    """Where batches come from."""

    def next_update(self) -> list[Batch]:
        """This process's micro-batches of the next update; as many for every process."""

    def state_dict(self) -> dict[str, Any]:
        """Where it is, the same for every process."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateReport:
    """One update, over all processes."""

    step: int
    """1 is the first."""
    loss: float
    """Mean over the targets."""
    learning_rate: float
    grad_norm: float
    """Before it was clipped."""
    n_targets: int
    n_too_long: int
    """Examples whose text has no room in the decoder."""
    audio_s: float
    seconds: float
    flops: float


class Trainer:
    """Walks a recipe from where its run folder stands. All processes make the same calls."""

    def __init__(
        self, objective: nn.Module, batches: Batches, recipe: Recipe, execution: Execution, processes: Processes,
        folder: RunFolder,
    ) -> None:  # fmt: skip
        self.step = 0
        self._audio_s = 0.0  # heard so far
        self._objective: Objective = objective.to(processes.device).train()  # type: ignore[assignment] # also a Module
        whisper = self._objective.whisper
        self._encoder_learns = any(parameter.requires_grad for parameter in whisper.encoder.parameters())
        self._module = processes.wrap(objective, [*whisper.encoder.blocks, *whisper.decoder.blocks], execution.parallel)
        self._optimizer = make_optimizer(self._module)
        self._batches = batches
        self._recipe = recipe
        self._execution = execution
        self._processes = processes
        self._folder = folder
        self._taken = batches.state_dict()  # of the updates that were made, not of one that is given up

    def resume(self) -> None:
        """Go to the last checkpoint, if there is one. Raises TrainingError."""
        found = self._folder.checkpoints()
        if found:
            state = self._state()
            load_state(found[-1][1], state)
            set_state_dict(
                self._module, self._optimizer, model_state_dict=state["model"], optim_state_dict=state["optimizer"]
            )
            self._batches.load_state_dict(state["loader"])
            self._taken = state["loader"]
            self.step = state["step"]
            self._audio_s = state["audio_s"]
        if self._processes.is_first:
            self._folder.forget_after(self.step)

    def run(self, on_update: Callable[[UpdateReport], None], should_stop: Callable[[], bool]) -> bool:
        """Make the updates that are left; whether all are made. ``on_update`` is told of each, in the first process.

        Where ``should_stop`` of any process says so, the run ends after an update, with a checkpoint. Raises
        TrainingError for a loss or gradient that is no number: the weights before it are in a checkpoint.
        """
        while self.step < self._recipe.updates:
            began = time.perf_counter()
            batches = self._batches.next_update()
            report = self._update(batches, began)
            self.step += 1
            self._audio_s += report.audio_s
            self._taken = self._batches.state_dict()
            if self._processes.is_first:
                on_update(report)
            is_stopped = any(self._processes.sum(should_stop()))
            if is_stopped or self.step % self._execution.checkpoint_every == 0 or self.step == self._recipe.updates:
                self._save()
            if is_stopped:
                break
        return self.step == self._recipe.updates

    def _update(self, batches: list[Batch], began: float) -> UpdateReport:
        processes = self._processes
        torch.manual_seed(_seed(self._recipe.seed, self.step, processes.rank))
        n_own = sum(self._objective.count(batch) for batch in batches)
        n_targets, audio_s, n_too_long, flops = processes.sum(
            n_own,
            sum(batch.duration for batch in batches),
            sum(batch.n_too_long for batch in batches),
            sum(self._flops(batch) for batch in batches),
        )
        if not n_targets:
            raise TrainingError(f"step {self.step + 1}: none of its {self._recipe.batch} examples fits into the model")
        loss = torch.zeros((), dtype=torch.float64, device=processes.device)
        for place, batch in enumerate(batches):
            with processes.backward(self._module, is_last=place == len(batches) - 1):
                with self._precision():
                    summed = self._module(batch.to(processes.device))
                loss += summed.detach()
                # Wrapped modules take the mean over processes; the loss is the mean over all targets of the update.
                (summed * (processes.world_size / n_targets)).backward()
        (mean_loss,) = (total / n_targets for total in processes.sum(loss.item()))
        norm = processes.clip_gradients(self._module, MAX_GRAD_NORM)
        if not math.isfinite(mean_loss) or not math.isfinite(norm):
            self._give_up(mean_loss, norm, batches)
        rate = learning_rate(self._recipe, self.step)
        set_learning_rate(self._optimizer, rate)
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        return UpdateReport(
            step=self.step + 1, loss=mean_loss, learning_rate=rate, grad_norm=norm, n_targets=int(n_targets),
            n_too_long=int(n_too_long), audio_s=audio_s, seconds=time.perf_counter() - began, flops=flops,
        )  # fmt: skip

    def _flops(self, batch: Batch) -> float:
        return batch_flops(
            self._objective.whisper.dims, len(batch.keys), batch.mel_BFT.shape[2], batch.tokens_BM.shape[1],
            encoder_learns=self._encoder_learns,
        )  # fmt: skip

    @contextmanager
    def _precision(self) -> Iterator[None]:
        is_bf16 = self._recipe.precision is Precision.BF16
        with torch.autocast(self._processes.device.type, torch.bfloat16, enabled=is_bf16):
            yield

    def _give_up(self, loss: float, norm: float, batches: list[Batch]) -> None:
        """Leave what was learned before in a checkpoint, and name the examples."""
        self._optimizer.zero_grad(set_to_none=True)
        if self.step:
            self._save()
        keys = [key for own in self._processes.gather([key for batch in batches for key in batch.keys]) for key in own]
        kept = f"the weights before it are in {self._folder.path}" if self.step else "nothing was learned before it"
        raise TrainingError(
            f"step {self.step + 1}: loss {loss:g}, gradient norm {norm:g}, expected numbers; {kept}. Its examples: "
            f"{', '.join(keys)}. A lower --peak-lr or a longer --warmup often helps"
        )

    def _state(self) -> dict[str, Any]:
        model, optimizer = get_state_dict(self._module, self._optimizer)
        return {
            "model": model, "optimizer": optimizer, "loader": self._taken, "step": self.step, "audio_s": self._audio_s,
        }  # fmt: skip

    def _save(self) -> None:
        partial = self._folder.save(self.step, self._state(), is_first=self._processes.is_first)
        self._processes.wait()
        if self._processes.is_first:
            self._folder.publish(partial, keep=self._execution.keep)
        self._processes.wait()


def _seed(*parts: int) -> int:
    """A different one for each update and process."""
    return int.from_bytes(sha256(repr(parts).encode()).digest()[:8], "big") >> 1
