"""Vocabularies of models from scratch. In: texts, or a tokenizer.json. Out: a tokenizer.json, its size with specials.

Byte-level BPE as in GPT-2, so that any text can be spelled, then Whisper's special tokens in their order. Knows no
model and no shards.
"""

from collections.abc import Iterable
from pathlib import Path

import tokenizers
from tokenizers import decoders, models, pre_tokenizers, trainers

from asr.errors import CheckpointError, InvalidOptionError
from asr.languages import LANGUAGES
from asr.tokenizer import N_SPECIALS_AFTER_LANGUAGES, N_TIMESTAMPS

__all__ = ["MIN_TEXT_TOKENS", "train_vocabulary", "vocabulary_size"]

MIN_TEXT_TOKENS = 256  # one a byte
NAMED_LANGUAGES = tuple(LANGUAGES)[:99]  # of every multilingual vocabulary but large-v3's
SPECIALS = (
    "<|endoftext|>",
    "<|startoftranscript|>",
    *(f"<|{code}|>" for code in NAMED_LANGUAGES),
    *("<|translate|>", "<|transcribe|>", "<|startoflm|>", "<|startofprev|>", "<|nospeech|>", "<|notimestamps|>"),
)


def train_vocabulary(texts: Iterable[str], path: Path, *, n_text_tokens: int) -> int:
    """Write a tokenizer.json of at most ``n_text_tokens`` text tokens; returns how many there are.

    Fewer where the texts have no more pairs that occur twice. Raises InvalidOptionError below one token a byte.
    """
    if n_text_tokens < MIN_TEXT_TOKENS:
        message = f"size: got {n_text_tokens} text tokens, expected at least one for each of {MIN_TEXT_TOKENS} bytes"
        raise InvalidOptionError(message, param="size")
    bpe = tokenizers.Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=n_text_tokens, min_frequency=2, initial_alphabet=alphabet, show_progress=False
    )
    bpe.train_from_iterator(texts, trainer)
    n_trained = bpe.get_vocab_size()
    bpe.add_special_tokens(list(SPECIALS))
    path.parent.mkdir(parents=True, exist_ok=True)
    bpe.save(str(path))
    return n_trained


def vocabulary_size(path: Path) -> int:
    """Text tokens of a tokenizer.json, and Whisper's special tokens after them. Raises CheckpointError."""
    try:
        sot = tokenizers.Tokenizer.from_file(str(path)).token_to_id("<|startoftranscript|>")
    except Exception as error:  # the library raises bare Exception for every kind of bad file
        raise CheckpointError(f"{path}: not a tokenizer.json: {error}") from error
    if sot is None:
        raise CheckpointError(f"{path}: no <|startoftranscript|> token; `auricle train-tokenizer` makes one")
    return int(sot) + 1 + len(NAMED_LANGUAGES) + N_SPECIALS_AFTER_LANGUAGES + N_TIMESTAMPS
