"""The arithmetic by hand, the numbers against their files, the page against the command."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from eval.capacity.inputs import Measured, read_inputs
from eval.capacity.model import Scope, cost_per_hour, demand_on, limits_of, live_demand, site_of, sustained
from eval.cli import app
from eval.errors import ResultsError

ROOT = Path(__file__).parents[3]
OURS = read_inputs()
MARK = "<!-- what follows is made by `make capacity` -->\n"


@pytest.fixture
def simple():
    """Numbers that a head can follow: 100 × real time, half of it used, peaks of twice the mean, 4 streams."""
    assumed = replace(
        OURS.assumptions, utilization=0.5, peak_over_mean=2.0, upload_bytes_per_s=10_000.0, window_s=25.0, job_s=100.0,
        store_writes_per_job=4.0, renewals_per_s=1.0, postgresql_writes_per_s=100.0, entry_gbit_per_s=0.04,
    )  # fmt: skip
    load = replace(
        OURS.loads[0],
        audio_per_second=Measured(value=100.0, file="", at=()),
        memory_mb=Measured(value=500.0, file="", at=()),
    )
    machine = replace(OURS.machines[0], dollars_per_hour=2.0, memory_gb=2.0, gbit_per_s=1.0)
    return replace(OURS, assumptions=assumed), load, machine


def test_an_hour_costs_the_machine_s_hour_over_what_it_does_in_it(simple):
    inputs, load, _ = simple
    assert sustained(load, inputs.assumptions) == 50
    assert cost_per_hour(2.0, 100.0, inputs.assumptions, all_day=False) == 2 / 50
    assert cost_per_hour(2.0, 100.0, inputs.assumptions, all_day=True) == 2 * 2 / 50


def test_a_demand_is_sized_for_its_busiest_hour(simple):
    inputs, load, machine = simple
    demand = demand_on(inputs, load, machine, hours_a_day=2_400)  # 100 a second on the mean, 200 at most
    assert (demand.peak, demand.n_machines, demand.dollars_per_day) == (200, 4, 4 * 24 * 2)
    assert demand_on(inputs, load, machine, hours_a_day=2_401).n_machines == 5
    assert demand_on(inputs, load, machine, hours_a_day=0.1).n_machines == 1


def test_the_cost_of_a_day_is_that_of_its_hours(simple):
    inputs, load, machine = simple
    demand = demand_on(inputs, load, machine, hours_a_day=24_000)
    by_hour = cost_per_hour(machine.dollars_per_hour, load.audio_per_second.value, inputs.assumptions, all_day=True)
    assert demand.dollars_per_day == pytest.approx(24_000 * by_hour)


def test_live_streams_fill_machines(simple):
    inputs, load, machine = simple
    assert live_demand(inputs, machine, streams=4).n_machines == 1
    assert live_demand(inputs, machine, streams=5).n_machines == 2
    assert site_of(inputs, load, machine, 3).streams == 12


def test_limits_say_who_is_first(simple):
    inputs, load, machine = simple
    limits = {limit.name: limit for limit in limits_of(inputs, load, machine)}
    assert limits["cores"].share(1) == limits["cores"].share(1_000) == 0.5
    assert limits["memory"].share(7) == 0.25
    assert limits["network"].per_machine == pytest.approx(50 * 10_000 * 8 / 1e9)
    store = limits["store of jobs, PostgreSQL"]
    assert store.scope is Scope.SITE
    assert store.per_machine == 50 / 25 + 50 / 100 * 4 + 1
    assert (store.share(10), store.share(20), store.breaks_at()) == (0.5, 1.0, 21)
    assert limits["store of jobs, SQLite"].breaks_at() is None
    assert limits["load balancer, files"].breaks_at() == 11  # 0.004 of 0.04 Gbit/s


def test_every_measured_number_stands_in_its_file():
    numbers = [number for load in OURS.loads for number in (load.audio_per_second, load.memory_mb)]
    for number in (*numbers, OURS.streams):
        value = json.loads((ROOT / "docs" / "data" / number.file).read_text())
        for key in number.at:
            value = value[key]
        assert number.value == pytest.approx(value, rel=0.005), number  # three digits


def test_the_page_is_what_the_command_says(tmp_path):
    written = tmp_path / "capacity.md"
    result = CliRunner().invoke(app, ["capacity", "--markdown", str(written)])
    assert result.exit_code == 0, result.output
    _, mark, below = (ROOT / "docs" / "capacity.md").read_text().partition(MARK)
    assert mark
    assert below == written.read_text().partition("\n")[2], "run `make capacity`"


def test_the_command_takes_other_prices_and_demands(tmp_path):
    prices, numbers, plot = tmp_path / "ours.toml", tmp_path / "numbers.json", tmp_path / "plot.svg"
    prices.write_text(
        "[assumptions]\nutilization = 0.5\n"
        '[[machines]]\nname = "ours"\nsource = "us"\ndate = "now"\n'
        "dollars_per_hour = 1\nmemory_gb = 64\ngbit_per_s = 10\n"
    )
    given = ["--prices", prices, "--load", "long", "--hours-a-day", 24, "--json", numbers, "--plot", plot]
    result = CliRunner().invoke(app, ["capacity", *map(str, given)])
    assert result.exit_code == 0, result.output
    found = json.loads(numbers.read_text())
    assert found["machine"] == "ours"
    assert found["sustained_audio_per_second"] == pytest.approx(79.9 / 2)
    assert found["dollars_per_audio_hour"]["long"]["ours"]["busy"] == pytest.approx(1 / (79.9 / 2))
    assert found["demands"]["24 hours a day"]["n_machines"] == 1
    assert found["inputs"]["assumptions"]["peak_over_mean"] == OURS.assumptions.peak_over_mean
    assert plot.read_text().rstrip().endswith("</svg>")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "got no table, expected tables of assumptions"),
        ("[prices]\nx = 1", "got prices, expected tables of assumptions"),
        ("not toml", "expected a TOML file"),
        ("[assumptions]\nutilization = 1.5", "got utilization 1.5"),
        ("[assumptions]\nutilization = 'much'", "assumptions.utilization: got 'much', expected a number above 0"),
        ("[assumptions]\nweather = 1", "weather"),
        ('[[hosted]]\nname = "a"\ndollars_per_minute = 0\nsource = ""\ndate = ""', "dollars_per_minute: got 0"),
        ('[[hosted]]\nname = "a"', "missing 3 required"),
        ("machines = []", "got no Machine, expected one at least"),
    ],
)
def test_files_that_cannot_be_used_are_refused(tmp_path, text, complaint):
    path = tmp_path / "prices.toml"
    path.write_text(text)
    with pytest.raises(ResultsError, match="--prices") as caught:
        read_inputs(path)
    assert complaint in str(caught.value)


def test_an_unknown_load_is_named():
    result = CliRunner().invoke(app, ["capacity", "--load", "dreams"])
    assert result.exit_code == 1
    assert "--load: got 'dreams', expected one of short clips, mixed" in result.output
