"""A whole run: shards and a recipe in, a model folder out. Composes everything else here; knows no screen.

``train`` is called by every process that torchrun starts, with the same arguments.
"""

import copy
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import nn

from asr.checkpoint.types import sha256_of
from asr.training.bpe_dropout import BpeDropout
from asr.training.building import Beginning, begin, set_learning
from asr.training.distribution import Processes, joined_processes
from asr.training.draft import CtcDraft, frequent_tokens
from asr.training.examples import ExampleMaker
from asr.training.export import export
from asr.training.full_context import FullContext
from asr.training.joint_ctc import JointCtc
from asr.training.loader import BatchPlan, Loader
from asr.training.objective import TeacherForced
from asr.training.options import Execution, Goal, Parallel, Recipe
from asr.training.remembering import FeatureMemory
from asr.training.run_folder import RunFolder
from asr.training.shard_index import ShardIndex, find_shards
from asr.training.trainer import Trainer, UpdateReport

__all__ = ["Hooks", "Observer", "RunStart", "chosen_objective", "train"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStart:
    """What is known before the first update, for people."""

    n_examples: int
    n_parameters: int
    n_learning: int
    step: int
    """Where the run goes on; 0: it is new."""
    device: str
    world_size: int


class Observer(Protocol):
    """Who is told, in the first process."""

    def updated(self, report: UpdateReport) -> None:
        """One update was made."""

    def close(self) -> None:
        """No more comes, whatever the reason."""


def chosen_objective(beginning: Beginning, recipe: Recipe, execution: Execution, examples: ShardIndex) -> nn.Module:
    """The recipe's."""
    whisper, tokenizer = beginning.whisper, beginning.tokenizer
    is_shared = execution.parallel is Parallel.FSDP  # whose processes have to make every forward pass together
    memory = None if is_shared else FeatureMemory()
    manner: dict[str, Any] = {"stochastic_depth": recipe.stochastic_depth, "recompute": execution.recompute}
    match recipe.objective:
        case Goal.NEXT_TOKEN if recipe.ctc_weight:
            return JointCtc(whisper, tokenizer, recipe, recompute=execution.recompute)
        case Goal.NEXT_TOKEN:
            return TeacherForced(whisper, memory=memory, **manner)
        case Goal.FULL_CONTEXT:  # the teacher is no process's to share
            return FullContext(whisper, teacher=copy.deepcopy(whisper), memory=FeatureMemory(), **manner)
        case Goal.CTC_DRAFT:
            texts = (examples.fields(number) for number in range(len(examples)))
            vocabulary = frequent_tokens(texts, tokenizer, n_text_ctx=whisper.dims.n_text_ctx)
            torch.manual_seed(recipe.seed)
            return CtcDraft(whisper, vocabulary, text_end=tokenizer.eot, memory=memory)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hooks:
    """What a caller brings along."""

    observe: Callable[[RunFolder, RunStart], Observer]
    """Called in the first process, when everything is loaded."""
    should_stop: Callable[[], bool] = lambda: False
    """Asked after each update, in every process."""
    make_objective: Callable[[Beginning, Recipe, Execution, ShardIndex], nn.Module] = chosen_objective
    """Makes an ``Objective``."""


def train(shards: Sequence[Path], out: Path, recipe: Recipe, execution: Execution, hooks: Hooks) -> bool:
    """Train, and export what was learned into ``out/model``; False where ``should_stop`` ended it before.

    Raises TrainingError, ShardError, UnknownModelError, CheckpointError, InvalidOptionError, OSError.
    """
    examples = ShardIndex(find_shards(shards), only=recipe.only)
    with joined_processes(execution.device) as processes:
        beginning = begin(recipe.start, seed=recipe.seed)
        set_learning(beginning.whisper, recipe)
        folder = RunFolder(out)
        if processes.is_first:
            folder.begin(_facts(recipe, examples, beginning), beginning.tokenizer_path, resume=execution.resume)
        processes.wait()
        loader = _loader(examples, beginning, recipe, execution, processes)
        with closing(loader):
            objective = hooks.make_objective(beginning, recipe, execution, examples)
            parameters = list(objective.parameters())
            trainer = Trainer(objective, loader, recipe, execution, processes, folder)
            trainer.resume()
            start = RunStart(
                n_examples=len(examples), n_parameters=sum(each.numel() for each in parameters),
                n_learning=sum(each.numel() for each in parameters if each.requires_grad),
                step=trainer.step, device=_device_name(processes), world_size=processes.world_size,
            )  # fmt: skip
            is_done = _walk(trainer, processes, lambda: hooks.observe(folder, start), hooks.should_stop)
        if is_done and processes.is_first:
            export(folder.checkpoints()[-1][1], folder.model)
        processes.wait()
    return is_done


def _walk(
    trainer: Trainer, processes: Processes, observe: Callable[[], Observer], should_stop: Callable[[], bool]
) -> bool:
    if not processes.is_first:
        return trainer.run(lambda _: None, should_stop)
    with closing(observe()) as observer:
        return trainer.run(observer.updated, should_stop)


def _loader(
    examples: ShardIndex, beginning: Beginning, recipe: Recipe, execution: Execution, processes: Processes
) -> Loader:
    wants_dropout = recipe.augmentation.bpe_dropout > 0
    maker = ExampleMaker(
        beginning.tokenizer,
        beginning.whisper.dims,
        seed=recipe.seed,
        context=recipe.context,
        augmentation=recipe.augmentation,
        bpe_dropout=BpeDropout(beginning.tokenizer_path) if wants_dropout else None,
    )
    plan = BatchPlan(
        batch=recipe.batch, micro_batch=execution.micro_batch, seed=recipe.seed,
        rank=processes.rank, world_size=processes.world_size,
    )  # fmt: skip
    make = partial(maker.make, has_teacher=recipe.objective is Goal.FULL_CONTEXT)
    return Loader(examples, make, plan, pad=beginning.tokenizer.eot, n_workers=execution.n_workers)


def _facts(recipe: Recipe, examples: ShardIndex, beginning: Beginning) -> dict[str, Any]:
    return {
        "recipe": asdict(recipe),
        "examples": {"number": len(examples), "digest": examples.digest, "audio_s": examples.audio_s},
        "model": {
            "dims": asdict(beginning.whisper.dims),
            "alignment_heads": beginning.alignment_heads,
            "source_sha256": beginning.source_sha256,
            "tokenizer_sha256": sha256_of(beginning.tokenizer_path),
        },
    }


def _device_name(processes: Processes) -> str:
    return torch.cuda.get_device_name(processes.device) if processes.device.type == "cuda" else "CPU"
