"""Known vulnerabilities of all that is pinned. In: constraints.txt, and pip-audit's database (pypi.org). Out: lines.

Exit status: 0, no package has a known one; 1, some have; 2, some could not be looked up, which says nothing about them.
What pip-audit itself calls a success may hold packages that its database did not answer for: here it does not.
Run it by ``make audit``; ``-s osv`` and the like go to pip-audit.
"""

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

CONSTRAINTS = Path(__file__).parents[2] / "constraints.txt"
VULNERABLE, NOT_AUDITED = 1, 2
REACH = "`make audit` has to reach https://pypi.org/pypi itself, which mirrors of packages leave out"


def judge(report: Mapping[str, Any]) -> tuple[int, str]:
    """Exit status and what to say, from pip-audit's JSON."""
    entries = report["dependencies"]
    skipped = [f"{each['name']}: {each['skip_reason']}" for each in entries if "skip_reason" in each]
    lines = [
        f"{each['name']} {each['version']}: {found['id']}, mended in {', '.join(found['fix_versions']) or 'no version'}"
        for each in entries
        for found in each.get("vulns", ())
    ]
    n_audited = len(entries) - len(skipped)
    if lines:
        text = "\n".join(lines)
        return (
            VULNERABLE,
            f"{text}\nraise the pin in constraints.txt and the floor in pyproject.toml; `make requirements`",
        )
    if skipped:
        text = f"not audited: {len(skipped)} of {len(entries)} packages, the first {skipped[0]}"
        return NOT_AUDITED, f"{text}\nexpected an answer for each; {REACH}"
    if not entries:
        return NOT_AUDITED, f"not audited: got no package, expected those of {CONSTRAINTS.name}"
    return 0, f"no known vulnerability in {n_audited} packages"


def main() -> None:
    """Entry point."""
    tool = str(Path(sys.executable).with_name("pip-audit"))
    pinned = ["--no-deps", "--disable-pip", "--requirement", str(CONSTRAINTS)]
    command = [tool, "--format=json", "--progress-spinner=off", *pinned, *sys.argv[1:]]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if not done.stdout.strip():
        last = next((line for line in reversed(done.stderr.splitlines()) if line.strip()), "no word from pip-audit")
        status, text = NOT_AUDITED, f"not audited: {last}\n{REACH}"
    else:
        status, text = judge(json.loads(done.stdout))
    print(text, file=sys.stderr if status else sys.stdout)
    sys.exit(status)


if __name__ == "__main__":
    main()
