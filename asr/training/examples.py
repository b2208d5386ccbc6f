"""One example of a shard → Mel, tokens and targets, with the code that inference uses. Knows no batches, no model.

What is drawn depends on seed, epoch and key alone: not on the process, the thread or what came before.
"""

import random
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from asr.audio_context import context_of
from asr.errors import InvalidOptionError, TrainingError
from asr.features import N_FRAMES, SAMPLE_RATE, WINDOW_S, LogMel, pad_or_trim
from asr.model import ModelDimensions
from asr.options import AudioContext
from asr.shards import ShardExample
from asr.tokenizer import Tokenizer
from asr.training.augmentation import NoiseFolder, at_speed, draw_speed, spec_augment
from asr.training.bpe_dropout import BpeDropout
from asr.training.options import Augmentation
from asr.training.targets import IGNORED, Encode, Fields, TokenExample, encode_example

__all__ = ["ExampleMaker", "TrainingExample"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrainingExample:
    """One row of a batch."""

    key: str
    mel_FT: Tensor
    """(n_mels, n_frames) float32, n_frames as ``context`` says: 3,000 when exact."""
    tokens: tuple[int, ...]
    targets: tuple[int, ...]
    duration: float
    """Seconds of the recording."""
    is_too_long: bool
    """Its text has no room in the decoder: nothing is learned from it."""
    full_FT: Tensor | None = None
    """(n_mels, 3000), the same with all 30 s, where a teacher hears it."""


class ExampleMaker:
    """Makes examples of one recipe for one model. Safe to call from several threads."""

    def __init__(
        self,
        tokenizer: Tokenizer,
        dims: ModelDimensions,
        *,
        seed: int,
        context: AudioContext,
        augmentation: Augmentation,
        bpe_dropout: BpeDropout | None,
    ) -> None:
        self._tokenizer = tokenizer
        self._dims = dims
        self._seed = seed
        self._context = context
        self._augmentation = augmentation
        self._bpe_dropout = bpe_dropout
        self._noise = NoiseFolder(augmentation.noise) if augmentation.noise else None

    def make(self, example: ShardExample, epoch: int, *, has_teacher: bool = False) -> TrainingExample:
        """Raises TrainingError, with the key, for what no model of this kind can learn from."""
        rng = random.Random(f"{self._seed} {epoch} {example.key}")  # noqa: S311 (nothing secret is drawn)
        try:
            fields = Fields.read(example.fields)
            factor = 1.0
            if self._augmentation.speed:
                factor = draw_speed(rng, duration=example.waveform.duration, longest=WINDOW_S)
                fields = fields.at_speed(factor)
            row = encode_example(fields, self._tokenizer, n_text_ctx=self._dims.n_text_ctx, encode=self._spelling(rng))
        except (TrainingError, InvalidOptionError) as error:
            raise TrainingError(f"example {example.key}: {error}") from error
        mel, n_frames = self._mel(example, fields, factor, rng)
        kept = row or TokenExample(tokens=(self._tokenizer.sot,), targets=(IGNORED,))
        return TrainingExample(
            key=example.key, mel_FT=mel, tokens=kept.tokens, targets=kept.targets,
            duration=example.waveform.duration, is_too_long=row is None,
            full_FT=pad_or_trim(mel[:, :n_frames], N_FRAMES) if has_teacher else None,
        )  # fmt: skip

    def _spelling(self, rng: random.Random) -> Encode | None:
        if self._bpe_dropout is None:
            return None
        return partial(self._bpe_dropout.encode, dropout=self._augmentation.bpe_dropout, rng=rng)

    def _mel(self, example: ShardExample, fields: Fields, factor: float, rng: random.Random) -> tuple[Tensor, int]:
        """The window as ``context`` has it heard, and how many of its frames are the example's."""
        samples = at_speed(example.waveform.samples, factor)
        if fields.audio_end is not None:
            samples = samples[: round(fields.audio_end * SAMPLE_RATE)]
        if self._noise is not None and rng.random() < self._augmentation.noise_share:
            samples = self._noise.add(samples, rng)
        mel = LogMel(samples, n_mels=self._dims.n_mels, device=torch.device("cpu"))
        n_frames = min(mel.n_frames, N_FRAMES)
        window = mel.padded_window(0, n_frames, context_of(n_frames, self._context))
        if self._augmentation.spec_augment:
            window = spec_augment(window, n_frames, rng)
        return window, n_frames
