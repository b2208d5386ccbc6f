"""What a training run may be asked. In: plain values. Out: validated, frozen objects. Imports no torch.

``Recipe`` decides which weights come out, and may not change on resume; ``Execution`` only how they are computed.
"""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from asr.errors import InvalidOptionError
from asr.options import AudioContext

__all__ = [
    "PAPER_BATCH",
    "PAPER_WARMUP_UPDATES",
    "PRESETS",
    "Augmentation",
    "Execution",
    "FromCheckpoint",
    "FromScratch",
    "Goal",
    "Parallel",
    "Parts",
    "Precision",
    "Preset",
    "Recipe",
    "Start",
]

PAPER_BATCH = 256  # Whisper, Table 17
PAPER_WARMUP_UPDATES = 2048  # Table 17


def _check_share(name: str, value: float) -> None:
    if not 0 <= value < 1:
        raise InvalidOptionError(f"{name}: got {value}, expected 0 or more and less than 1", param=name)


@dataclass(frozen=True, slots=True)
class Preset:
    """A size to train from scratch; heads are 64 wide in all of them, as published."""

    width: int
    layers: int
    peak_lr: float


PRESETS = {
    "femto": Preset(64, 1, 2e-3),  # the first four are ours: for tests, small data and the small end of scaling
    "pico": Preset(64, 2, 2e-3),
    "nano": Preset(128, 4, 2e-3),
    "micro": Preset(256, 4, 2e-3),
    "tiny": Preset(384, 4, 1.5e-3),  # from here on Whisper, Tables 1 and 19
    "base": Preset(512, 6, 1e-3),
    "small": Preset(768, 12, 5e-4),
    "medium": Preset(1024, 24, 2.5e-4),
    "large": Preset(1280, 32, 1.75e-4),
    "large-v2": Preset(1280, 32, 2e-4),
}


class Parts(StrEnum):
    """Which of the model's parameters learn."""

    ALL = "all"
    DECODER = "decoder"
    ENCODER = "encoder"


class Goal(StrEnum):
    """What training minimizes."""

    NEXT_TOKEN = "next-token"  # noqa: S105 (no password): the paper's: its surprise at each token
    FULL_CONTEXT = "full-context"  # how far its hidden states are off those of itself with all 30 s
    CTC_DRAFT = "ctc-draft"  # that of a head on the encoder, which drafts what the decoder will say


class Precision(StrEnum):
    """What products are computed in; parameters and optimizer are float32 always."""

    FLOAT32 = "float32"
    BF16 = "bf16"


class Parallel(StrEnum):
    """How several processes share the work."""

    DDP = "ddp"  # each has the whole model and optimizer
    FSDP = "fsdp"  # each keeps a part of them, and borrows the rest a block at a time


@dataclass(frozen=True, slots=True, kw_only=True)
class FromScratch:
    """A new model of a preset's size."""

    preset: str
    tokenizer: str
    """A model whose vocabulary is used, by name or path, or a tokenizer.json."""

    def __post_init__(self) -> None:
        """Raise InvalidOptionError for a size that is not there."""
        if self.preset not in PRESETS:
            message = f"preset: got {self.preset!r}, expected one of {', '.join(PRESETS)}"
            raise InvalidOptionError(message, param="preset")


@dataclass(frozen=True, slots=True, kw_only=True)
class FromCheckpoint:
    """Weights that are there already."""

    model: str
    """Name or path, of any format that ``asr.checkpoint`` reads."""


Start = FromScratch | FromCheckpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class Augmentation:
    """What is done to examples so that no two epochs hear or spell them alike. Off by default, as in the paper's v1."""

    spec_augment: bool = False
    """SpecAugment, LibriSpeech Basic (arXiv:1904.08779, Table 1), as large-v2 was trained."""
    bpe_dropout: float = 0.0
    """Probability that a merge of the tokenizer is left out (arXiv:1910.13267); large-v2: 0.1."""
    speed: bool = False
    """Play at 0.9, 1.0 or 1.1 of the speed (Ko et al., Interspeech 2015)."""
    noise: Path | None = None
    """A folder of recordings of noise."""
    noise_share: float = 0.5
    """Of the examples, those that noise is added to, at 5 to 20 dB."""

    def __post_init__(self) -> None:
        """Raise InvalidOptionError for a share that is none."""
        for name in ("bpe_dropout", "noise_share"):
            _check_share(name, getattr(self, name))


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What decides which weights come out."""

    start: Start
    updates: int
    """Of the weights, after which the learning rate is 0 and training ends."""
    only: tuple[str, ...] = ()
    """FIELD=VALUES of the examples that are learned from, as the shards have them; none: all."""
    batch: int = PAPER_BATCH
    """Examples an update, over all processes."""
    peak_lr: float
    warmup: int
    seed: int = 0
    """Of the order of examples, augmentation, initial weights and what is dropped."""
    precision: Precision = Precision.FLOAT32
    parts: Parts = Parts.ALL
    lora: int = 0
    """Rank of the adapters that learn instead of the parts themselves; 0: none."""
    stochastic_depth: float = 0.0
    """Probability that an example skips a block (arXiv:1603.09382); large-v2: 0.1."""
    ctc_weight: float = 0.0
    """Of a CTC loss on the encoder, beside the paper's; 0: none (see ``joint_ctc``)."""
    context: AudioContext = AudioContext.EXACT
    """How much silence follows a short example: as much as inference adds."""
    objective: Goal = Goal.NEXT_TOKEN
    augmentation: Augmentation = Augmentation()

    def __post_init__(self) -> None:
        """Raise InvalidOptionError, naming the field."""
        for name in ("updates", "batch"):
            if getattr(self, name) < 1:
                raise InvalidOptionError(f"{name}: got {getattr(self, name)}, expected at least 1", param=name)
        if not 0 <= self.warmup < self.updates:
            message = f"warmup: got {self.warmup}, expected less than the {self.updates} updates"
            raise InvalidOptionError(message, param="warmup")
        if self.peak_lr <= 0:
            raise InvalidOptionError(f"peak_lr: got {self.peak_lr}, expected a positive number", param="peak_lr")
        if self.lora < 0:
            raise InvalidOptionError(f"lora: got {self.lora}, expected 0 or more", param="lora")
        _check_share("stochastic_depth", self.stochastic_depth)
        if self.lora and isinstance(self.start, FromScratch):
            message = f"lora: got {self.lora} with a preset; adapters need trained weights: give --init"
            raise InvalidOptionError(message, param="lora")
        self._check_ctc()
        if self.objective is Goal.FULL_CONTEXT:
            self._check_teacher()
        if self.objective is Goal.CTC_DRAFT:
            self._check_draft()

    def _check_ctc(self) -> None:
        _check_share("ctc_weight", self.ctc_weight)
        if not self.ctc_weight:
            return
        if self.parts is Parts.DECODER:
            message = f"ctc_weight: got {self.ctc_weight} where the decoder alone learns; it teaches the encoder"
            raise InvalidOptionError(message, param="ctc_weight")
        if self.objective is not Goal.NEXT_TOKEN:
            message = f"ctc_weight: got {self.ctc_weight} with the objective {self.objective}; it stands beside"
            raise InvalidOptionError(f"{message} {Goal.NEXT_TOKEN} alone", param="ctc_weight")

    def _check_teacher(self) -> None:
        if isinstance(self.start, FromScratch):
            message = f"objective: got {self.objective} with a preset; its teacher needs trained weights: give --init"
            raise InvalidOptionError(message, param="objective")
        if self.context is AudioContext.EXACT:
            message = f"context: got {self.context} with the objective {self.objective}, which hears that already; "
            raise InvalidOptionError(f"{message}expected fit or auto", param="context")

    def _check_draft(self) -> None:
        if isinstance(self.start, FromScratch):
            message = f"objective: got {self.objective} with a preset; a draft is of what a model says: give --init"
            raise InvalidOptionError(message, param="objective")
        for name, unchanged in (("parts", Parts.ALL), ("lora", 0), ("stochastic_depth", 0.0)):
            if getattr(self, name) != unchanged:
                message = f"{name}: got {getattr(self, name)} with the objective {self.objective}, which changes no"
                raise InvalidOptionError(f"{message} weights of the model; expected it left out", param=name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """How a recipe is computed."""

    device: str = "auto"
    """cpu, cuda, or auto: cuda where there is one."""
    micro_batch: int = 16
    """Examples that go through a device at once; gradients add up until the batch is whole."""
    parallel: Parallel = Parallel.DDP
    recompute: bool = False
    """Activation checkpointing: keep the inputs of blocks alone, and compute the rest once more."""
    n_workers: int = 2
    """Threads that read and prepare examples."""
    checkpoint_every: int = 1000
    """Updates."""
    keep: int = 3
    """Checkpoints; older ones are deleted. 0: all stay."""
    resume: bool = False

    def __post_init__(self) -> None:
        """Raise InvalidOptionError, naming the field."""
        for name in ("micro_batch", "n_workers", "checkpoint_every"):
            if getattr(self, name) < 1:
                raise InvalidOptionError(f"{name}: got {getattr(self, name)}, expected at least 1", param=name)
        if self.keep < 0:
            raise InvalidOptionError(f"keep: got {self.keep}, expected 0 (all) or more", param="keep")
