"""The file is read back here as whisper.cpp reads it; that it transcribes is measured with ``auricle-eval speed``."""

import struct
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np
import pytest
import torch

from asr.checkpoint import ModelStore, read_checkpoint
from asr.features import mel_filters
from asr.tokenizer import Tokenizer
from eval.whisper_cpp_file import write_whisper_cpp

BYTES = {0: lambda n: 4 * n, 1: lambda n: 2 * n, 8: lambda n: n // 32 * 34}


def integers(file: BinaryIO, n: int) -> tuple[int, ...]:
    return struct.unpack(f"{n}i", file.read(4 * n))


def numbers(kind: int, data: bytes) -> np.ndarray:
    if kind < 2:
        return np.frombuffer(data, ("<f4", "<f2")[kind]).astype(np.float32)
    blocks = np.frombuffer(data, np.dtype([("scale", "<f2"), ("numbers", "i1", 32)]))
    return (blocks["scale"].astype(np.float32)[:, None] * blocks["numbers"]).ravel()


def tensors(file: BinaryIO) -> Iterator[tuple[str, int, np.ndarray]]:
    while head := file.read(12):
        n_dims, n_name, kind = struct.unpack("3i", head)
        shape = integers(file, n_dims)[::-1]
        name = file.read(n_name).decode()
        yield name, kind, numbers(kind, file.read(BYTES[kind](int(np.prod(shape))))).reshape(shape)


@pytest.mark.weights
def test_all_of_the_model_is_in_the_file(tmp_path):
    checkpoint = read_checkpoint(ModelStore().resolve("tiny.en"))
    write_whisper_cpp(checkpoint, tmp_path / "model.bin")
    dims = checkpoint.dims
    with (tmp_path / "model.bin").open("rb") as file:
        assert file.read(4) == b"lmgg"
        sizes = integers(file, 11)
        assert sizes[:4] == (dims.n_vocab, dims.n_audio_ctx, dims.n_audio_state, dims.n_audio_head)
        assert sizes[9:] == (dims.n_mels, 2007)
        assert integers(file, 2) == (80, 201)
        filters = numbers(0, file.read(4 * 80 * 201)).reshape(80, 201)
        np.testing.assert_array_equal(filters, mel_filters(80, torch.device("cpu")).numpy())
        (n_tokens,) = integers(file, 1)
        tokenizer = Tokenizer(checkpoint.tokenizer_path, n_vocab=dims.n_vocab)
        assert n_tokens == tokenizer.eot
        tokens = [file.read(*integers(file, 1)) for _ in range(n_tokens)]
        text = " Grüße, 世界!"
        assert b"".join(tokens[token] for token in tokenizer.encode(text)).decode() == text
        found = {name: (kind, values) for name, kind, values in tensors(file)}
    expected = {name: tensor.float().numpy() for name, tensor in checkpoint.state_dict.items()}
    assert found.keys() == expected.keys() | {"encoder.positional_embedding"}
    for name, values in expected.items():
        kind, got = found[name]
        is_matrix = values.ndim == 2 and name != "decoder.positional_embedding"
        assert kind == (8 if is_matrix else int(values.ndim == 3)), name
        tolerance = np.abs(values).max() / (200 if is_matrix else 2000)
        np.testing.assert_allclose(got.reshape(values.shape), values, atol=tolerance)
