"""A tiny random model and its tokenizer: everything but the words can be tested without real weights."""

import json
from pathlib import Path

import pytest
import torch

from asr.model import ModelDimensions, Whisper
from asr.tokenizer import N_SPECIALS_AFTER_LANGUAGES, N_TIMESTAMPS, Tokenizer

N_LANGUAGES = 99


def byte_symbols() -> list[str]:
    """GPT-2's printable stand-ins for the 256 bytes."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    symbols = {byte: chr(byte) for byte in printable}
    for place, byte in enumerate(byte for byte in range(256) if byte not in symbols):
        symbols[byte] = chr(256 + place)
    return [symbols[byte] for byte in range(256)]


def write_tokenizer(path: Path, *, n_text_tokens: int) -> Path:
    """A tokenizer.json of bytes alone, filled up to ``n_text_tokens``, and the two specials that files always name."""
    vocabulary = {symbol: i for i, symbol in enumerate(byte_symbols())}
    vocabulary |= {f"<unused{i}>": i for i in range(256, n_text_tokens)}
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    specials = ["<|endoftext|>", "<|startoftranscript|>"]
    path.write_text(
        json.dumps(
            {
                "version": "1.0",
                "added_tokens": [
                    {
                        "id": n_text_tokens + i, "content": token, "special": True, "single_word": False,
                        "lstrip": False, "rstrip": False, "normalized": False,
                    }
                    for i, token in enumerate(specials)
                ],
                "pre_tokenizer": byte_level,
                "decoder": byte_level,
                "model": {"type": "BPE", "vocab": vocabulary, "merges": []},
            }
        )
    )  # fmt: skip
    return path


MULTILINGUAL_TEXT_TOKENS = 50257
N_VOCAB = MULTILINGUAL_TEXT_TOKENS + 2 + N_LANGUAGES + N_SPECIALS_AFTER_LANGUAGES + N_TIMESTAMPS  # 51865


@pytest.fixture(scope="session")
def tiny_dims() -> ModelDimensions:
    return ModelDimensions(80, 1500, 32, 2, 2, N_VOCAB, 64, 32, 2, 2)


@pytest.fixture(scope="session")
def tokenizer_path(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("tokenizer")
    return write_tokenizer(folder / "tokenizer.json", n_text_tokens=MULTILINGUAL_TEXT_TOKENS)


@pytest.fixture(scope="session")
def tokenizer(tokenizer_path) -> Tokenizer:
    return Tokenizer(tokenizer_path, n_vocab=N_VOCAB)


def random_model(dims: ModelDimensions, seed: int = 0) -> Whisper:
    torch.manual_seed(seed)
    model = Whisper(dims)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return model.eval().requires_grad_(False)


@pytest.fixture(scope="session")
def tiny_model(tiny_dims) -> Whisper:
    return random_model(tiny_dims)
