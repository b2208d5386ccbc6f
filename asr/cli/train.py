"""``auricle train``, ``export``, ``train-tokenizer``. In: shards, options. Out: a run, a model, a tokenizer.json."""

import signal
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from asr.cli.console import Device, report, told_plainly
from asr.errors import InvalidOptionError
from asr.options import AudioContext
from asr.training.options import (
    PAPER_BATCH,
    PAPER_WARMUP_UPDATES,
    PRESETS,
    Augmentation,
    Execution,
    FromCheckpoint,
    FromScratch,
    Goal,
    Parallel,
    Parts,
    Precision,
    Recipe,
    Start,
)

__all__ = ["export", "train", "train_tokenizer"]

BEGIN = "What it begins with"
LEARN = "How it learns"
VARY = "What is varied (large-v2: all but noise and speed)"
COMPUTE = "How it is computed; may change on --resume"

DEFAULTS = Execution()
FINE_TUNING_LR, LORA_LR, DRAFT_LR = 1e-5, 1e-4, 1e-3
STOPPED = 130  # as a shell says of a program that was interrupted


def train(  # noqa: PLR0913 (one parameter an option: it is what typer reads)
    shards: Annotated[
        list[Path], typer.Argument(help="Shards (.tar) of `auricle-data run`, or folders with shards in them.")
    ],
    *,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder of the run; made if missing.")],
    preset: Annotated[
        str | None, typer.Option(rich_help_panel=BEGIN, help=f"A new model: {', '.join(PRESETS)}.")
    ] = None,
    init: Annotated[
        str | None,
        typer.Option(rich_help_panel=BEGIN, metavar="MODEL", help="Weights that are there: a name (base) or a path."),
    ] = None,
    tokenizer: Annotated[
        str,
        typer.Option(
            rich_help_panel=BEGIN, help="A new model's vocabulary: that of a model, or the path of a tokenizer.json."
        ),
    ] = "base",
    updates: Annotated[
        int, typer.Option(rich_help_panel=LEARN, help="Of the weights; the paper's models had 1,048,576.")
    ],
    only: Annotated[
        list[str] | None,
        typer.Option(
            rich_help_panel=LEARN,
            metavar="FIELD=VALUES",
            help="Only these examples: task=transcribe, language=de,fr, or another field of the shards; repeatable.",
        ),
    ] = None,
    parts: Annotated[Parts, typer.Option(rich_help_panel=LEARN, help="What learns; the rest stays as it is.")] = (
        Parts.ALL
    ),
    lora: Annotated[
        int,
        typer.Option(
            rich_help_panel=LEARN,
            metavar="RANK",
            help="Learn adapters of this rank on the linear layers of the parts instead, 8 to 32; export merges them.",
        ),
    ] = 0,
    batch: Annotated[int, typer.Option(rich_help_panel=LEARN, help="Examples an update, over all processes.")] = (
        PAPER_BATCH
    ),
    peak_lr: Annotated[
        float | None,
        typer.Option(
            rich_help_panel=LEARN,
            help=f"Learning rate after the warm-up; from there a line to 0.  [default: the paper's of the preset; "
            f"{FINE_TUNING_LR:g} with --init, {LORA_LR:g} with --lora, {DRAFT_LR:g} of a draft head]",
        ),
    ] = None,
    warmup: Annotated[
        int | None,
        typer.Option(
            rich_help_panel=LEARN,
            help=f"Updates until the peak.  [default: {PAPER_WARMUP_UPDATES}, at most a tenth of all]",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(rich_help_panel=LEARN, help="Of everything that is drawn.")] = 0,
    precision: Annotated[
        Precision, typer.Option(rich_help_panel=LEARN, help="bf16: products only, as GPUs do them fastest.")
    ] = Precision.FLOAT32,
    objective: Annotated[
        Goal,
        typer.Option(
            rich_help_panel=LEARN,
            help="full-context: with --context fit or auto, have the hidden states that the model of --init has with "
            "30 s; no text by people is needed. ctc-draft: have a new head on the encoder draft the texts of the "
            "shards, which should be what the model of --init says; the model itself stays as it is.",
        ),
    ] = Goal.NEXT_TOKEN,
    ctc_weight: Annotated[
        float,
        typer.Option(
            rich_help_panel=LEARN,
            help="Of a CTC loss on the encoder, of the whole loss: 0.3 teaches a new model to listen on little data.",
        ),
    ] = 0.0,
    context: Annotated[
        AudioContext,
        typer.Option(
            rich_help_panel=LEARN,
            help="exact: examples are padded to 30 s; auto: short ones as `auricle transcribe --context auto` hears "
            "them, which is faster; fit: not at all, for the first updates of a new model, or to learn that.",
        ),
    ] = AudioContext.EXACT,
    spec_augment: Annotated[
        bool, typer.Option(rich_help_panel=VARY, help="Warp time, mask frequencies and times (LibriSpeech Basic).")
    ] = False,
    stochastic_depth: Annotated[
        float, typer.Option(rich_help_panel=VARY, help="Probability that an example skips a block; large-v2: 0.1.")
    ] = 0.0,
    bpe_dropout: Annotated[
        float, typer.Option(rich_help_panel=VARY, help="Probability that a merge is left out; large-v2: 0.1.")
    ] = 0.0,
    speed: Annotated[bool, typer.Option(rich_help_panel=VARY, help="Play at 0.9, 1.0 or 1.1 of the speed.")] = False,
    noise: Annotated[
        Path | None,
        typer.Option(rich_help_panel=VARY, metavar="DIR", help="Add recordings of this folder, at 5 to 20 dB."),
    ] = None,
    noise_share: Annotated[float, typer.Option(rich_help_panel=VARY, help="Of the examples.")] = 0.5,
    device: Annotated[Device, typer.Option(rich_help_panel=COMPUTE, help="auto: cuda where there is one.")] = (
        Device.AUTO
    ),
    micro_batch: Annotated[
        int, typer.Option(rich_help_panel=COMPUTE, help="Examples on a device at once; gradients add up to the batch.")
    ] = DEFAULTS.micro_batch,
    parallel: Annotated[
        Parallel,
        typer.Option(
            rich_help_panel=COMPUTE, help="With torchrun: ddp copies the model, fsdp shares it out, to save memory."
        ),
    ] = DEFAULTS.parallel,
    recompute: Annotated[
        bool,
        typer.Option(rich_help_panel=COMPUTE, help="Activation checkpointing: less memory, one more forward pass."),
    ] = False,
    workers: Annotated[int, typer.Option(rich_help_panel=COMPUTE, help="Threads that read examples.")] = (
        DEFAULTS.n_workers
    ),
    checkpoint_every: Annotated[int, typer.Option(rich_help_panel=COMPUTE, help="Updates between checkpoints.")] = (
        DEFAULTS.checkpoint_every
    ),
    keep: Annotated[int, typer.Option(rich_help_panel=COMPUTE, help="Checkpoints that stay; 0: all.")] = DEFAULTS.keep,
    resume: Annotated[
        bool, typer.Option(help="Go on from the last checkpoint in --out, exactly; begin where there is none.")
    ] = False,
) -> None:
    """Train a model on shards, from nothing (`--preset`) or from weights that are there (`--init`).

    - `auricle train out/data/*/shards --preset tiny --updates 100000 --out out/tiny`
    - `auricle train shards --init base --updates 500 --batch 16 --out out/german`
    - `auricle train shards --init base --lora 16 --parts decoder --updates 500 --batch 16 --out out/german-lora`
    - `torchrun --nproc-per-node 8 --no-python auricle train shards --preset base --updates 1048576 --out out/base`

    What was learned is in DIR/model when it ends: `auricle transcribe --model DIR/model`, `auricle-eval run --model
    DIR/model`, `AURICLE_MODEL=DIR/model auricle-serve`. A run that was stopped goes on with --resume.
    """
    with told_plainly():
        start = _start(preset, init, tokenizer)
        recipe = Recipe(
            start=start, updates=updates, only=tuple(only or ()), batch=batch,
            peak_lr=_peak_lr(start, lora, objective) if peak_lr is None else peak_lr,
            warmup=min(PAPER_WARMUP_UPDATES, updates // 10) if warmup is None else warmup, seed=seed,
            precision=precision, parts=parts, lora=lora, stochastic_depth=stochastic_depth,
            ctc_weight=ctc_weight, objective=objective, context=context,
            augmentation=Augmentation(
                spec_augment=spec_augment, bpe_dropout=bpe_dropout, speed=speed, noise=noise, noise_share=noise_share
            ),
        )  # fmt: skip
        execution = Execution(
            device=device.value, micro_batch=micro_batch, parallel=parallel, recompute=recompute, n_workers=workers,
            checkpoint_every=checkpoint_every, keep=keep, resume=resume,
        )  # fmt: skip
        if not _train(shards, out, recipe, execution):
            report(f"stopped; the same command with --resume goes on from {out}", "yellow")
            raise typer.Exit(STOPPED)


def export(
    checkpoint: Annotated[Path, typer.Argument(help="A run's folder, or one of its checkpoints (checkpoints/step-…).")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder of the model; made if missing.")],
) -> None:
    """Make a model of a training checkpoint: `DIR` then works wherever a model is named. Adapters are merged.

    Only of runs that you trust: checkpoints are in torch's format, parts of which are pickled.
    """
    with told_plainly():
        from asr.training.export import export as export_checkpoint
        from asr.training.export import find_checkpoint

        found = find_checkpoint(checkpoint)
        export_checkpoint(found, out)
        report(f"{found.name} of {found.parents[1]} is ready in {out}", "dim")


def train_tokenizer(
    shards: Annotated[list[Path], typer.Argument(help="Shards (.tar), or folders with shards in them.")],
    *,
    out: Annotated[Path, typer.Option(metavar="FILE", help="The tokenizer.json to write.")],
    size: Annotated[
        int, typer.Option(help="Text tokens, 256 or more; the released models have 50,257. 1,700 special ones follow.")
    ] = 4096,
) -> None:
    """Make a small vocabulary of the texts of shards, for a small model from scratch: `auricle train --tokenizer FILE`.

    The released vocabulary has a hundred languages' words, and most of a small model's parameters would be spent on it.
    """
    with told_plainly():
        from asr.training.shard_index import ShardIndex, find_shards
        from asr.training.vocabulary import train_vocabulary

        examples = ShardIndex(find_shards(shards))
        texts = (f" {examples.fields(number)['text']}" for number in range(len(examples)))
        n_tokens = train_vocabulary(texts, out, n_text_tokens=size)
        report(f"{n_tokens} text tokens of {len(examples)} texts: {out}", "dim")


def _train(shards: list[Path], out: Path, recipe: Recipe, execution: Execution) -> bool:
    from asr.cli.training_progress import TrainingProgress
    from asr.training.running import Hooks
    from asr.training.running import train as run

    with stop_signal() as is_set:
        hooks = Hooks(observe=lambda folder, start: TrainingProgress(folder, start, recipe.updates), should_stop=is_set)
        return run(shards, out, recipe, execution, hooks)


@contextmanager
def stop_signal() -> Iterator[Callable[[], bool]]:
    """Whether somebody wants the run to end: the first Ctrl-C or SIGTERM only says so, the second ends it at once."""
    wanted: list[int] = []
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def note(number: int, _frame: types.FrameType | None) -> None:
        wanted.append(number)
        restore()

    for number in before:
        signal.signal(number, note)
    try:
        yield lambda: bool(wanted)
    finally:
        restore()


def _start(preset: str | None, init: str | None, tokenizer: str) -> Start:
    if (preset is None) == (init is None):
        got = "neither" if preset is None else "both"
        raise InvalidOptionError(f"preset: got {got} of --preset and --init, expected one of them", param="preset")
    return FromCheckpoint(model=init) if init is not None else FromScratch(preset=str(preset), tokenizer=tokenizer)


def _peak_lr(start: Start, lora: int, objective: Goal) -> float:
    if objective is Goal.CTC_DRAFT:
        return DRAFT_LR
    if isinstance(start, FromScratch):
        return PRESETS[start.preset].peak_lr
    return LORA_LR if lora else FINE_TUNING_LR
