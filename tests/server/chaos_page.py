"""The table of docs/reliability.md from the records of the chaos tests.

``python chaos_page.py FOLDER`` takes the records of a run into docs/data/reliability.json, each in the place of an
earlier one of its row, part, worker and form, and writes the table anew; without a folder it writes the table only.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parents[2] / "docs"
DATA, PAGE = DOCS / "data" / "reliability.json", DOCS / "reliability.md"
BEGIN, END = "<!-- begin of the table -->\n", "<!-- end of the table -->\n"
HEAD = "| what | how often | with | measured | target | got | |\n|---|---|---|---|---|---|---|\n"

ROWS = {
    "malformed": "Malformed media: 5,000 mutants of 12 formats and 60 files made by hand",
    "openapi": "5,000 requests made from the OpenAPI document",
    "bombs": "Bombs: 25 MB of FLAC silence (29.6 h), Opus (18.4 h), a gzip body, one-byte chunks, 10,000 parts, "
    "200 slow clients",
    "reach": "Reach for files and network: playlists, `file:`, `concat:`, link-local addresses, redirects, rebinding",
    "kill_worker": "`kill -9` of the worker in mid-decode, 100 times",
    "kill_api": "`kill -9` of the API process in upload and commit, 100 times",
    "hang": "A worker that hangs (SIGSTOP)",
    "storage": "Disk full, folder read-only, memory at its limit",
    "overload": "Four times what can be answered, for 10 minutes",
    "soak": "10,000 requests",
    "disconnect": "1,000 clients that leave",
    "sigterm": "SIGTERM under load, 20 times",
    "postgres": "PostgreSQL cut off and back",
}
Record = dict[str, Any]


def key_of(record: Record) -> tuple[str, str, str, str]:
    return record["row"], record["part"], record["worker"], record["form"]


def table(records: list[Record]) -> str:
    """Every row, whether it was run or not."""
    lines = [line for row in ROWS for line in _lines_of(row, [each for each in records if each["row"] == row])]
    return HEAD + "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def _lines_of(row: str, records: list[Record]) -> Iterator[tuple[str, ...]]:
    title = ROWS[row]
    in_full = {(each["part"], each["worker"]) for each in records if each["form"] == "full"}
    shown = [each for each in records if each["form"] == "full" or (each["part"], each["worker"]) not in in_full]
    if not shown:
        yield (title, "not run", "", "", "", "", "")
    for record in shown:
        heading = (title, _how_often(record), record["worker"])
        title = ""
        for check in record["checks"]:
            unit = f" {check['unit']}" if check["unit"] else ""
            verdict = "met" if check["met"] else "**missed**"
            yield (*heading, check["what"], check["target"] + unit, f"{check['measured']:,g}{unit}", verdict)
            heading = ("", "", "")
        if record["failure"]:
            yield (*heading, "broke off", "", record["failure"].replace("|", "/"), "**missed**")


def _how_often(record: Record) -> str:
    part = f"{record['part']}: " if record["part"] else ""
    counted = f"{record['n']:,} {record['unit']}"
    if record["form"] == "full":
        return f"{part}{counted}"
    return f"{part}{counted}; *scaled*, of {record['asked']:,}"


def with_table(page: str, records: list[Record]) -> str:
    before, _, rest = page.partition(BEGIN)
    return before + BEGIN + table(records) + END + rest.partition(END)[2]


def main() -> None:
    records: list[Record] = json.loads(DATA.read_text()) if DATA.exists() else []
    known = {key_of(record): record for record in records}
    for folder in sys.argv[1:]:
        for path in sorted(Path(folder).glob("*.json")):
            record = json.loads(path.read_text())
            known[key_of(record)] = record
    order = list(ROWS)
    records = sorted(
        known.values(), key=lambda each: (order.index(each["row"]), each["worker"] != "stub", key_of(each))
    )
    DATA.write_text(json.dumps(records, ensure_ascii=False, indent=1) + "\n")
    PAGE.write_text(with_table(PAGE.read_text(), records))
    print(table(records))


if __name__ == "__main__":
    main()
