"""Shared fixtures: the development data beside the checkout, and the packaged weights; each skips with its reason."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from asr.checkpoint import ModelStore
from asr.errors import UnknownModelError
from asr.transcriber import Transcriber

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session", autouse=True)
def state_dir(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No test keeps jobs where this user's services do."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AURICLE_STATE_DIR", str(tmp_path_factory.mktemp("state")))
        yield


@pytest.fixture(scope="session")
def shared() -> Path:
    folder = Path(os.environ.get("AURICLE_SHARED_DIR", REPOSITORY.parent / "shared"))
    if not folder.is_dir():
        pytest.skip("the development recordings (../shared) are not part of a checkout")
    return folder


def load_packaged(name: str) -> Transcriber:
    try:
        ModelStore().resolve(name)
    except UnknownModelError as error:
        pytest.skip(str(error))
    # In float32, since what it says is held against the reference implementation's.
    return Transcriber.load(name, device="cpu", quantization="none")


@pytest.fixture(scope="session")
def base() -> Transcriber:
    return load_packaged("base")


@pytest.fixture(scope="session")
def tiny_en() -> Transcriber:
    return load_packaged("tiny.en")
