"""The packed int8 weights on disk: what is read back is what was written, and of this checkpoint alone."""

import os
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from asr.checkpoint import SUMS, Checkpoint
from asr.engine import loading
from asr.engine.loading import PACKED_NAME, load_engine
from asr.model import ModelDimensions
from asr.native import kernels, load_packed, pack_state, save_packed
from asr.native.packing import ALIGNMENT

SOURCE = "0123456789abcdef" * 4
compiled = pytest.mark.skipif(
    kernels() is None, reason="the kernels are not built, or this processor has no AVX-512 VNNI"
)


@pytest.fixture(scope="module")
def model(random_model):
    return random_model(ModelDimensions(80, 1500, 64, 1, 1, 51865, 64, 64, 1, 1), std=0.05)


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / PACKED_NAME


def arrays_begin_at(path: Path) -> int:
    return 8 + int.from_bytes(path.read_bytes()[:8], "little")


def test_a_models_packed_form_comes_back_as_it_was(model, path):
    packed = pack_state(model.state_dict(), model.dims)
    save_packed(packed, path, source_sha256=SOURCE)
    loaded = load_packed(path, source_sha256=SOURCE)
    assert loaded.keys() == packed.keys()
    assert all(torch.equal(loaded[name], packed[name]) and loaded[name].dtype == packed[name].dtype for name in packed)
    assert os.listdir(path.parent) == [path.name]


@given(name=st.text("abcdefgh.", min_size=1, max_size=80), n=st.integers(1, 300))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_arrays_begin_where_vectors_do_however_long_the_header_is(path, name, n):
    save_packed({name: torch.arange(n, dtype=torch.float32)}, path, source_sha256=SOURCE)
    assert arrays_begin_at(path) % ALIGNMENT == 0
    assert load_packed(path, source_sha256=SOURCE)[name].tolist() == list(range(n))


def test_of_another_checkpoint_nothing_is_read(path):
    save_packed({"x": torch.ones(3)}, path, source_sha256=SOURCE)
    assert load_packed(path, source_sha256="f" * 64) is None


def test_of_another_format_nothing_is_read(path, monkeypatch):
    save_packed({"x": torch.ones(3)}, path, source_sha256=SOURCE)
    monkeypatch.setattr("asr.native.packing.FORMAT", "auricle-int8-next")
    assert load_packed(path, source_sha256=SOURCE) is None


@pytest.mark.parametrize("kept", [0, 4, 100, -1])
def test_a_damaged_file_is_as_none(path, kept):
    save_packed({"x": torch.ones(300)}, path, source_sha256=SOURCE)
    path.write_bytes(path.read_bytes()[:kept])
    assert load_packed(path, source_sha256=SOURCE) is None


def test_no_file_is_none(path):
    assert load_packed(path, source_sha256=SOURCE) is None


def test_a_writer_that_fails_leaves_nothing(path, monkeypatch):
    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(Path, "rename", fail)
    with pytest.raises(OSError, match="disk full"):
        save_packed({"x": torch.ones(3)}, path, source_sha256=SOURCE)
    assert os.listdir(path.parent) == []


def checkpoint_in(folder: Path, model, tokenizer_path: Path, source: str = SOURCE) -> Checkpoint:
    link = folder / "tokenizer.json"
    if not link.exists():
        link.symlink_to(tokenizer_path)
    return Checkpoint(dims=model.dims, state_dict=model.state_dict(), tokenizer_path=link, source_sha256=source)


@compiled
def test_a_model_of_the_store_is_packed_once(tmp_path, model, tokenizer, tokenizer_path, monkeypatch):
    (tmp_path / SUMS).touch()
    load_engine(checkpoint_in(tmp_path, model, tokenizer_path), tokenizer, device="cpu")
    assert load_packed(tmp_path / PACKED_NAME, source_sha256=SOURCE) is not None
    written = (tmp_path / PACKED_NAME).stat().st_mtime_ns
    monkeypatch.setattr(loading, "pack_state", lambda *_: pytest.fail("packed again"))
    load_engine(checkpoint_in(tmp_path, model, tokenizer_path), tokenizer, device="cpu")
    assert (tmp_path / PACKED_NAME).stat().st_mtime_ns == written


@compiled
def test_another_model_in_its_place_is_packed_anew(tmp_path, model, tokenizer, tokenizer_path):
    (tmp_path / SUMS).touch()
    load_engine(checkpoint_in(tmp_path, model, tokenizer_path), tokenizer, device="cpu")
    load_engine(checkpoint_in(tmp_path, model, tokenizer_path, "f" * 64), tokenizer, device="cpu")
    assert load_packed(tmp_path / PACKED_NAME, source_sha256=SOURCE) is None
    assert load_packed(tmp_path / PACKED_NAME, source_sha256="f" * 64) is not None


@compiled
def test_nothing_is_written_into_a_folder_that_is_not_the_stores(tmp_path, model, tokenizer, tokenizer_path):
    load_engine(checkpoint_in(tmp_path, model, tokenizer_path), tokenizer, device="cpu")
    assert not (tmp_path / PACKED_NAME).exists()


@compiled
def test_a_store_that_cannot_be_written_only_costs_time(tmp_path, model, tokenizer, tokenizer_path, monkeypatch):
    (tmp_path / SUMS).touch()

    def fail(*_: object, **__: object) -> None:
        raise OSError("read-only")

    monkeypatch.setattr(loading, "save_packed", fail)
    assert load_engine(checkpoint_in(tmp_path, model, tokenizer_path), tokenizer, device="cpu").precision == "int8"
