"""The table of docs/reliability.md is that of its records, and calls no scaled run a full one."""

import json
from typing import Any

from chaos_page import DATA, PAGE, ROWS, table, with_table


def record(**values: Any) -> dict[str, Any]:
    check = {"what": "refusals' p99", "target": "≤ 0.1", "measured": 0.2, "unit": "s", "met": False}
    known = {"row": "overload", "part": "", "worker": "stub", "form": "full", "asked": 600, "n": 600, "unit": "s"}
    return known | {"failure": None, "checks": [check]} | values


def test_the_page_shows_its_records() -> None:
    page = PAGE.read_text()
    assert page == with_table(page, json.loads(DATA.read_text()))


def test_every_row_is_there_whether_it_was_run_or_not() -> None:
    lines = table([record()])
    assert all(title in lines for title in ROWS.values())
    assert lines.count("not run") == len(ROWS) - 1
    assert "| 600 s | stub | refusals' p99 | ≤ 0.1 s | 0.2 s | **missed** |" in lines


def test_a_scaled_run_says_so_and_gives_way_to_a_full_one() -> None:
    scaled = record(form="scaled", n=30)
    assert "| 30 s; *scaled*, of 600 |" in table([scaled])
    assert "scaled" not in table([scaled, record()])
    assert "scaled" in table([scaled, record(worker="base")])


def test_what_broke_off_is_missed() -> None:
    assert "| broke off |  | TimeoutError: x | **missed** |" in table([record(checks=[], failure="TimeoutError: x")])
