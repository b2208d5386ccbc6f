"""Where a run's model comes from. In: a preset or a checkpoint. Out: a model that learns, and its tokenizer.

Knows no optimizer and no data.
"""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from asr.checkpoint import ModelStore, load_model, read_checkpoint
from asr.errors import CheckpointError, TrainingError
from asr.features import N_FRAMES
from asr.model import ModelDimensions, Whisper
from asr.tokenizer import Tokenizer
from asr.training.lora import adapt
from asr.training.options import PRESETS, FromScratch, Parts, Recipe, Start
from asr.training.vocabulary import vocabulary_size

__all__ = ["TOKENIZER", "Beginning", "begin", "chosen_parts", "set_learning"]

N_MELS = 80
N_TEXT_CTX = 448
TOKENIZER = "tokenizer.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Beginning:
    """A model before its first update."""

    whisper: Whisper
    tokenizer: Tokenizer
    tokenizer_path: Path
    alignment_heads: tuple[tuple[int, int], ...]
    source_sha256: str
    """Of the checkpoint; empty for a new model."""


def begin(start: Start, *, seed: int) -> Beginning:
    """Build or load, in float32 on the CPU. Raises UnknownModelError, CheckpointError."""
    if isinstance(start, FromScratch):
        path = _tokenizer_path(start.tokenizer)
        dims = _dimensions(start.preset, n_vocab=vocabulary_size(path))
        tokenizer = Tokenizer(path, n_vocab=dims.n_vocab)
        return Beginning(
            whisper=_random_model(dims, seed), tokenizer=tokenizer, tokenizer_path=path,
            alignment_heads=(), source_sha256="",
        )  # fmt: skip
    checkpoint = read_checkpoint(ModelStore().resolve(start.model))
    whisper = load_model(checkpoint, device=torch.device("cpu"), dtype=torch.float32)
    for parameter in whisper.parameters():
        parameter.data = parameter.data.clone()  # what is mapped from a file is not written to
    return Beginning(
        whisper=whisper, tokenizer=Tokenizer(checkpoint.tokenizer_path, n_vocab=checkpoint.dims.n_vocab),
        tokenizer_path=checkpoint.tokenizer_path, alignment_heads=checkpoint.alignment_heads,
        source_sha256=checkpoint.source_sha256,
    )  # fmt: skip


def set_learning(whisper: Whisper, recipe: Recipe) -> None:
    """Freeze what does not learn; put adapters where these do instead. Raises TrainingError."""
    widest = min(whisper.dims.n_audio_state, whisper.dims.n_text_state)
    if recipe.lora > widest:
        raise TrainingError(f"lora: got rank {recipe.lora}, expected at most the model's width, {widest}")
    whisper.requires_grad_(False)
    torch.manual_seed(recipe.seed)
    for part in chosen_parts(whisper, recipe.parts):
        if recipe.lora:
            adapt(part, recipe.lora)
        else:
            part.requires_grad_(True)


def chosen_parts(whisper: Whisper, parts: Parts) -> tuple[nn.Module, ...]:
    """The modules that a choice means."""
    return {
        Parts.ALL: (whisper.encoder, whisper.decoder),
        Parts.ENCODER: (whisper.encoder,),
        Parts.DECODER: (whisper.decoder,),
    }[parts]


def _tokenizer_path(given: str) -> Path:
    path = Path(given).expanduser()
    if path.is_file():
        return path
    folder = path if path.is_dir() else ModelStore().resolve(given)
    if not (folder / TOKENIZER).exists():
        raise CheckpointError(f"{folder}: no {TOKENIZER} there; give a model, or the file itself")
    return folder / TOKENIZER


def _dimensions(preset: str, *, n_vocab: int) -> ModelDimensions:
    size = PRESETS[preset]
    width, heads, layers = size.width, size.width // 64, size.layers
    return ModelDimensions(
        N_MELS, N_FRAMES // 2, width, heads, layers, n_vocab, N_TEXT_CTX, width, heads, layers
    )  # fmt: skip


def _random_model(dims: ModelDimensions, seed: int) -> Whisper:
    """Weights from a normal distribution of variance 1 / fan-in ("Gaussian fan-in", Whisper, Table 17), biases 0."""
    torch.manual_seed(seed)
    whisper = Whisper(dims)
    for module in whisper.modules():
        if isinstance(module, nn.Linear | nn.Conv1d):
            nn.init.normal_(module.weight, std=module.weight[0].numel() ** -0.5)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    # Their fan-in as the last layer, which the token embedding is as well.
    nn.init.normal_(whisper.decoder.token_embedding.weight, std=dims.n_text_state**-0.5)
    nn.init.normal_(whisper.decoder.positional_embedding, std=dims.n_text_state**-0.5)
    return whisper
