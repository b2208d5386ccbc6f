"""Reader of OpenAI's ``.pt`` checkpoints. In: a file and its digest. Out: ``Checkpoint``. Knows no download.

A ``.pt`` is a pickle. It is read only with ``weights_only=True``, and only when its digest is the expected one.
"""

from pathlib import Path
from pickle import UnpicklingError

import torch

from asr.checkpoint.types import Checkpoint, check_parameters, sha256_of
from asr.errors import CheckpointError, DigestMismatchError
from asr.model import ModelDimensions

__all__ = ["OPENAI_SHA256", "read_openai"]

# The published digests (openai/whisper, whisper/__init__.py: they are part of its download addresses).
OPENAI_SHA256 = {
    "tiny.en": "d3dd57d32accea0b295c96e26691aa14d8822fac7d9d27d5dc00b4ca2826dd03",
    "tiny": "65147644a518d12f04e32d6f3b26facc3f8dd46e5390956a9424a650c0ce22b9",
    "base.en": "25a8566e1d0c1e2231d1c762132cd20e0f96a85d16145c3a00adf5d1ac670ead",
    "base": "ed3a0b6b1c0edf879ad9b11b1af5a0e6ab5db9205f891f668f8b0e6c6326e34e",
    "small.en": "f953ad0fd29cacd07d5a9eda5624af0f6bcf2258be67c92b79389873d91e0872",
    "small": "9ecf779972d90ba49c06d968637d720dd632c55bbf19d441fb42bf17a411e794",
    "medium.en": "d7440d1dc186f76616474e0ff0b3b6b879abc9d1a4926b7adfa41db2d497ab4f",
    "medium": "345ae4da62f9b3d59415adc60127b97c714f32e89e936602e85993674d08dcb1",
    "large-v1": "e4b87e7e0bf463eb8e6956e646f1e277e901512310def2c24bf0e11bd3c28e9a",
    "large-v2": "81f7c96c852ee8fc832187b0132e569d6c3065a3252ed18e56effd0b6a73e524",
    "large-v3": "e5b1a55b89c1367dacf97e3e19bfd829a01529dbfdeefa8caeb59b3f1b81dadb",
    "large-v3-turbo": "aff26ae408abcba5fbf8813c21e62b0941638c5f6eebfb145be0c9839262a19a",
}


def read_openai(path: Path, *, expected_sha256: str | None = None) -> Checkpoint:
    """Read a ``.pt`` with ``tokenizer.json`` beside it.

    ``expected_sha256`` defaults to the published digest for the file's name (``base.pt``). Raises CheckpointError when
    no digest is known, DigestMismatchError when it differs; in both cases nothing has been unpickled.
    """
    expected = expected_sha256 or OPENAI_SHA256.get(path.stem)
    if expected is None:
        raise CheckpointError(
            f"{path.name}: a .pt file is a pickle and is opened only with a known digest; "
            "give it with `auricle models convert --sha256 DIGEST`"
        )
    got = sha256_of(path)
    if got != expected.lower():
        raise DigestMismatchError(path.name, expected=expected.lower(), got=got)
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, UnpicklingError, EOFError) as error:
        raise CheckpointError(f"{path.name}: not a checkpoint of weights alone: {error}") from error
    if not isinstance(content, dict) or not content.keys() >= {"dims", "model_state_dict"}:
        raise CheckpointError(f"{path.name}: expected a dictionary with 'dims' and 'model_state_dict'")
    try:
        dims = ModelDimensions(**content["dims"])
    except TypeError as error:
        raise CheckpointError(f"{path.name}: dims do not describe a Whisper model: {error}") from error
    state_dict = dict(content["model_state_dict"])
    state_dict.pop("encoder.positional_embedding", None)  # recomputed in float32
    check_parameters(state_dict, dims, path.name)
    return Checkpoint(
        dims=dims, state_dict=state_dict, tokenizer_path=path.with_name("tokenizer.json"), source_sha256=got
    )
